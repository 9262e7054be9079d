"""Why windows cannot be conclusive although no key in them is unknown: gaps, recreated topics, dead letters, broken lifts
(DESIGN 3.3, 3.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from stream_recon.limits import LONG_RUN_WINDOWS, RUN_CUT_WINDOWS

KINDS: Final = ("gap", "recreated", "undecodable", "lift_broken", "suspended")
"""Every kind that there is."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A stretch of effective time, both ends included (µs). ``since`` null: from the first window on; ``until`` null: not yet
    known, up to the next row of its partition. ``topic`` empty: it is no partition's, but a whole side's.
    """

    kind: str
    side: str
    topic: str
    partition: int
    offset: int
    since: int | None
    until: int | None
    topic_id: str = ""

    @property
    def undecodable(self) -> bool:
        """Whether it is a dead letter."""
        return self.kind == "undecodable"

    def ended(self, before: int) -> bool:
        """Whether it lies behind ``before`` (µs)."""
        return self.until is not None and self.until < before

    @property
    def label(self) -> str:
        """The upstream partition."""
        return label(self.side, self.topic, self.topic_id, self.partition)

    def open_at(self, side: str, topic: str, partition: int) -> bool:
        """Whether rows were lost there and none was seen since; whichever topic of that name they were lost with."""
        lost = self.kind in {"gap", "recreated"} and self.until is None
        return lost and (self.side, self.topic, self.partition) == (side, topic, partition)

    def ending(self, until: int) -> Cause:
        """The cause with its end, which cannot lie before its beginning."""
        return replace(self, until=until if self.since is None else max(self.since, until))

    def covers(self, start: int, end: int) -> bool:
        """Whether any instant of ``[start, end)`` lies in it."""
        return (self.since is None or self.since < end) and (self.until is None or self.until >= start)

    def shown(self) -> dict[str, Any]:
        """For a certificate: what and where, without times that only the fold knows."""
        if not self.topic:
            return {"kind": self.kind, "side": self.side}
        place = {"kind": self.kind, "side": self.side, "topic": self.topic, "partition": self.partition, "offset": self.offset}
        return place | ({"topic_id": self.topic_id} if self.topic_id else {})


def label(side: str, topic: str, topic_id: str, partition: int) -> str:
    """An upstream partition in one word; a recreated topic is another one."""
    return f"{side}/{topic}/{partition}/{topic_id}" if topic_id else f"{side}/{topic}/{partition}"


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive windows ``[first, end)`` without a row, under the same causes."""

    first: int
    end: int
    causes: tuple[Cause, ...]
    whole: bool
    """Nothing can be added to it any more."""


def runs(first: int, end: int, causes: Sequence[Cause], window: int) -> Iterator[Run]:
    """Windows ``[first, end)``, none of which holds a row, cut where causes begin or end and where a window's number is a
    multiple of ``RUN_CUT_WINDOWS``. The last one is whole only if it ends at such a multiple.
    """
    while first < end:
        span = LONG_RUN_WINDOWS if end - first > LONG_RUN_WINDOWS else RUN_CUT_WINDOWS
        stop = min([(first // span + 1) * span, end, *_changes(first, causes, window)])
        active = tuple(c for c in causes if c.covers(first * window, (first + 1) * window))
        yield Run(first, stop, active, whole=stop < end or stop % RUN_CUT_WINDOWS == 0)
        first = stop


def _changes(first: int, causes: Iterable[Cause], window: int) -> Iterator[int]:
    for cause in causes:
        if cause.since is not None and cause.since // window > first:
            yield cause.since // window
        if cause.until is not None and cause.until // window >= first:
            yield cause.until // window + 1
