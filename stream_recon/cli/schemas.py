"""Which schemas a side's messages name: one book for equal settings, in each process."""

from __future__ import annotations

from functools import cache

from stream_recon.model.plan import FeedPlan, Format, Ids, RegistryPlan, SidePlan
from stream_recon.normalise.avro.book import SchemaBook


def book_of(plan: FeedPlan | SidePlan) -> SchemaBook | None:
    """The schemas of a side in Avro; None for one that carries its own.

    Raises:
        ConfigError: the registry's settings cannot work.
        InputError: the file of schemas cannot be read.
    """
    if plan.format is not Format.DEBEZIUM_AVRO:
        return None
    assert plan.registry is not None, "config refuses Avro without a registry"
    return _book(plan.registry)


@cache
def _book(registry: RegistryPlan) -> SchemaBook:
    from stream_recon.adapters.schemas import schema_source  # its client takes a while to load

    return SchemaBook(schema_source(registry))


def ids_in_headers(plan: SidePlan) -> Ids | None:
    """What the schema ids in the headers of a side's messages are; None if they are in front of keys and values."""
    return plan.registry.ids if plan.registry is not None and plan.registry.headers else None
