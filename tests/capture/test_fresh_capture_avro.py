"""The same capture in Avro: every table gives the rows, hashes and dead letters that its JSON gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream_recon.cli.schemas import book_of
from stream_recon.model.messages import Op
from stream_recon.model.plan import FeedPlan, Format, RegistryPlan
from stream_recon.normalise.reference import ReferenceDecoder
from tests.capture.capture import SIDES, Capture, control_topics, names
from tests.capture.reading import assert_alike, feed, plan_of

EVERY = [(side, table) for side in SIDES for table in names(side)]


def with_schemas(fresh: Capture, plan: FeedPlan) -> FeedPlan:
    """The registry's schemas, as the capture wrote them down."""
    return replace(plan, registry=RegistryPlan(file=str(fresh.schemas)))


def decoded(fresh: Capture, side: str, table: str, format_: Format) -> tuple[list[dict[str, Any]], list[Any], list[bytes | None]]:
    """Rows, control records, keys of dead letters. Only what was streamed has a time of its own: the commit's."""
    messages = fresh.messages(fresh.topic(side, format_.removeprefix("debezium-"), table))
    plan = with_schemas(fresh, plan_of(side, table, format_))
    found = ReferenceDecoder(plan, book_of(plan)).decode(messages)
    rows = [{**row, "t": None if row["op"] == Op.READ else row["t"]} for row in found.rows.to_pylist()]
    return rows, list(found.control), [letter.key_text for letter in found.dead]


@pytest.mark.parametrize(("side", "table"), EVERY, ids=[f"{side}-{table}" for side, table in EVERY])
def test_avro_gives_what_json_gives(fresh: Capture, side: str, table: str) -> None:
    avro = decoded(fresh, side, table, Format.DEBEZIUM_AVRO)
    assert avro[0] != []
    assert avro == decoded(fresh, side, table, Format.DEBEZIUM_JSON)


@pytest.mark.parametrize(("side", "table"), EVERY, ids=[f"{side}-{table}" for side, table in EVERY])
def test_the_vectorised_decoder_gives_the_same(fresh: Capture, side: str, table: str) -> None:
    plan = with_schemas(fresh, plan_of(side, table, Format.DEBEZIUM_AVRO))
    assert_alike(plan, fresh.messages(fresh.topic(side, "avro", table)))


@pytest.mark.parametrize("topic", control_topics("avro"))
def test_control_topics_hold_control_records_only(fresh: Capture, topic: str) -> None:
    messages = fresh.messages(topic)
    plan = with_schemas(fresh, feed("side", {}, format_=Format.DEBEZIUM_AVRO))
    found = ReferenceDecoder(plan, book_of(plan)).decode(messages)
    assert len(messages) > 0
    assert list(found.control) == list(range(len(messages)))
