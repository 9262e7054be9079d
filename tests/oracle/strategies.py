"""Hypothesis strategies for histories and for the ways in which one may be delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from hypothesis import strategies as st

from .generate import Draw, Rolled, healthy_of, wild_of
from .history import Gap, History, Hole, Lift

T = TypeVar("T")
Sort = Literal["healthy", "wild", "replayable"]


class _Drawn:
    """Decisions by Hypothesis."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def number(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def pick(self, options: Sequence[T]) -> T:
        return options[self._draw(st.integers(0, len(options) - 1))]


@st.composite
def healthy(draw: st.DrawFn, size: int = 12) -> History:
    """Histories of which Law 2 says that nothing is ever opened."""
    return healthy_of(_Drawn(draw), size)


@st.composite
def wild(draw: st.DrawFn, size: int = 10) -> History:
    """Histories with everything that can go wrong."""
    return wild_of(_Drawn(draw), size)


@st.composite
def replayable(draw: st.DrawFn, size: int = 10) -> History:
    """Wild histories without gaps and lifts, which recordings cannot express."""
    return wild_of(_Drawn(draw), size, replayable=True)


def seeded(seed: int, sort: Sort = "wild", size: int | None = None) -> History:
    """A bigger history, the same for the same seed; `size` bounds the source's changes."""
    d = Rolled(seed)
    size = d.number(20, 100) if size is None else size
    return healthy_of(d, size) if sort == "healthy" else wild_of(d, size, replayable=sort == "replayable")


@dataclass(frozen=True, slots=True)
class Batch:
    """Items [start, stop) of a partition, by their indices, delivered together."""

    side: int
    partition: int
    start: int
    stop: int


def delivery_of(d: Draw, history: History, *, repeats: bool = True) -> tuple[Batch, ...]:
    """One way to deliver a history: any interleaving, any batches, any restart from an earlier position of a partition.

    After a step back a partition goes on from there, up to its end: nothing old is repeated alone.
    """
    lengths = {(s, q): len(p.items) for s, side in enumerate(history.sides) for q, p in enumerate(side.partitions)}
    next_of = dict.fromkeys(lengths, 0)
    out: list[Batch] = []
    steps_back = 3 if repeats else 0
    while waiting := [at for at, length in lengths.items() if next_of[at] < length]:
        at = d.pick(waiting)
        start = next_of[at]
        stop = min(lengths[at], start + d.pick([1, 1, 2, 3, 5, 1000]))
        out.append(Batch(*at, start, stop))
        next_of[at] = stop
        if steps_back and d.number(0, 4) == 4:
            steps_back -= 1
            next_of[at] = d.number(0, stop)
    return tuple(out)


@st.composite
def deliveries(draw: st.DrawFn, history: History, *, repeats: bool = True) -> tuple[Batch, ...]:
    """Interleavings, batches and repeated deliveries of a history."""
    return delivery_of(_Drawn(draw), history, repeats=repeats)


def interleavings(history: History) -> st.SearchStrategy[tuple[Batch, ...]]:
    """Deliveries without repetition."""
    return deliveries(history, repeats=False)


def repeated(history: History, delivery: Sequence[Batch]) -> dict[tuple[str, str, int], int]:
    """By side, topic and partition: how many positions were read again (lost and never used ones are not read)."""

    out: dict[tuple[str, str, int], int] = {}
    seen: set[tuple[int, int, int]] = set()
    for batch in delivery:
        side = history.sides[batch.side]
        partition = side.partitions[batch.partition]
        name = (side.name, partition.topic, partition.number)
        out.setdefault(name, 0)
        for index in range(batch.start, batch.stop):
            if not isinstance(partition.items[index], Gap | Hole | Lift):
                out[name] += (batch.side, batch.partition, index) in seen
                seen.add((batch.side, batch.partition, index))
    return out
