"""What a deployment must be allowed to do on its clusters: the least with which everything works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names

Settings = tuple[tuple[str, str], ...]

SOURCE: Final = ("Read", "DescribeConfigs")
BOTH: Final = ("Read", "Write", "Create", "DescribeConfigs")
OUT: Final = ("Write", "Create", "DescribeConfigs")
"""Kafka takes Describe as given with Read and with Write."""


@dataclass(frozen=True, slots=True)
class Right:
    """Operations on a ``topic``, a ``group`` or a ``transactional-id``; on all whose names begin so, if it is ``prefixed``."""

    kind: str
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False


def rights(plans: Sequence[TopologyPlan], cluster: Callable[[Settings], str], *, sign: bool = False) -> dict[str, list[Right]]:
    """By cluster, as ``cluster`` names the one that settings lead to; each once. ``sign``: those of ``audit sign`` instead."""
    names, own = Names(plans[0].prefix), cluster(plans[0].kafka)
    found: dict[str, dict[Right, None]] = {own: dict.fromkeys(_signer(names) if sign else _service(names))}
    for side in () if sign else (side for plan in plans for side in plan.sides):
        there = found.setdefault(cluster(side.kafka), {})
        there |= dict.fromkeys(Right("topic", topic, SOURCE) for topic in side.topics)
        there |= dict.fromkeys(Right("topic", topic, ("Read",)) for topic in [side.heartbeat] if topic)
        there |= {Right("group", names.normalise, ("Read",)): None, Right("transactional-id", names.opening, ("Write",)): None}
    return {name: list(of) for name, of in found.items()}


def _service(names: Names) -> Iterator[Right]:
    yield from (Right("topic", topic, BOTH) for topic in (names.digests, names.topologies))
    yield from (Right("topic", topic, OUT) for topic in (names.discrepancies, names.audit, names.dead_letters))
    yield from (Right("group", group, ("Read",)) for group in (names.normalise, names.reconcile))
    yield Right("transactional-id", names.opening, ("Write",))
    yield Right("transactional-id", f"{names.reconcile}-", ("Write",), prefixed=True)


def _signer(names: Names) -> Iterator[Right]:
    yield from (Right("topic", topic, ("Read",)) for topic in (names.audit, names.discrepancies))
    yield Right("topic", names.checkpoints, BOTH)
    yield Right("transactional-id", names.signer, ("Write",))
