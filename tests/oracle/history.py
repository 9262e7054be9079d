"""An abstract history: what stands in the CDC partitions of a source and its targets.

Event times are integer µs since the epoch, broker timestamps (`ts`) integer ms. Offsets of a partition are contiguous over its
items: a position that does not exist is a `Hole`, one that was lost is a `Gap`. A `Lift` occupies no position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Order = Literal["log", "event_time"]
Completeness = Literal["complete", "partial"]


@dataclass(frozen=True, slots=True)
class Params:
    """The configuration that shapes answers; durations in µs."""

    window: int
    settle: int
    clock_skew: int
    out_of_orderness: int
    max_future: int
    order: Order = "log"
    forget_deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Upsert:
    """A create or an update with the whole row; `large` is the column that may arrive unknown."""

    offset: int
    ts: int
    t: int
    key: int
    value: str
    large: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A snapshot read."""

    offset: int
    ts: int
    t: int
    key: int
    value: str
    large: str = ""


@dataclass(frozen=True, slots=True)
class Partial:
    """An update whose large column is unknown."""

    offset: int
    ts: int
    t: int
    key: int
    value: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A delete with a time of its own."""

    offset: int
    ts: int
    t: int
    key: int


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A null payload."""

    offset: int
    ts: int
    key: int


@dataclass(frozen=True, slots=True)
class Truncate:
    """A delete of everything before it on its side."""

    offset: int
    ts: int
    t: int


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One message, two rows: a delete of `old` (index 0) and a create of `new` (index 1)."""

    offset: int
    ts: int
    t: int
    old: int
    new: int
    value: str
    large: str = ""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that no decoder understands; its key may still be readable."""

    offset: int
    ts: int
    key: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """A heartbeat or a transaction message."""

    offset: int
    ts: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Positions `[offset, to)` that never held a message."""

    offset: int
    to: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Positions `[offset, to)` that were lost before anybody read them."""

    offset: int
    to: int


@dataclass(frozen=True, slots=True)
class Lift:
    """A lift to time `to` (µs) standing at position `offset`: it applies before the row there."""

    offset: int
    to: int


Change = Upsert | Partial | Delete | Truncate | KeyChange
Message = Change | Read | Tombstone | Undecodable | Control
Item = Message | Hole | Gap | Lift


@dataclass(frozen=True, slots=True)
class Partition:
    """One upstream partition, its items in offset order."""

    topic: str
    number: int
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """The source or a target."""

    name: str
    partitions: tuple[Partition, ...] = ()
    history: Completeness = "complete"


@dataclass(frozen=True, slots=True)
class History:
    """The whole input of one topology."""

    params: Params
    source: Side
    targets: tuple[Side, ...]

    @property
    def sides(self) -> tuple[Side, ...]:
        return (self.source, *self.targets)


def end_of(item: Item) -> int:
    """The position after an item."""
    if isinstance(item, Hole | Gap):
        return item.to
    return item.offset if isinstance(item, Lift) else item.offset + 1


def messages(history: History) -> Iterator[tuple[Side, Partition, Message]]:
    """Every message with where it stands, side by side and in offset order."""
    for side in history.sides:
        for partition in side.partitions:
            for item in partition.items:
                if not isinstance(item, Hole | Gap | Lift):
                    yield side, partition, item


def check(history: History) -> History:
    """Refuses a history that is none; the generators' safety net."""
    p = history.params
    assert p.window > 0
    assert min(p.settle, p.clock_skew, p.out_of_orderness, p.max_future) >= 0
    assert history.targets
    assert len({s.name for s in history.sides}) == len(history.sides)
    for side in history.sides:
        assert len({(q.topic, q.number) for q in side.partitions}) == len(side.partitions)
        for q in side.partitions:
            for before, after in zip(q.items, q.items[1:], strict=False):
                assert end_of(before) == after.offset, f"{side.name}/{q.topic}/{q.number}: {before} then {after}"
                if isinstance(before, Hole | Gap):
                    assert before.to > before.offset
            assert all(i.old != i.new for i in q.items if isinstance(i, KeyChange))
            lifts = [i.to for i in q.items if isinstance(i, Lift)]
            assert lifts == sorted(lifts), f"{side.name}/{q.topic}/{q.number}: a lift below the one before it"
    return history
