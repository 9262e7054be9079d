"""What a digest partition knows of one upstream partition: positions accepted, where its time stands, what was counted.

range.start <= next   accepted, rows below next dropped (they are here already)
range.start >  next   a gap: positions [next, start) are lost

A partition that was announced has a floor: where its side's watermark stood then, so where windows may be closed up to. Whatever
its rows say, they take part at the floor or later.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from stream_recon.engine.causes import label
from stream_recon.model.digest import Counts, Range


@dataclass(slots=True)
class Known:
    """One upstream partition of one feed. Times in µs, null where there is none yet.

    ``part`` numbers it among the partitions of its feed; a recreated one has the number of the one whose place it took, and its
    offsets go on behind that one's: ``base`` is added to them. ``floor``: no row takes part before it (null: it was there from
    the start). ``retired``: its topic was recreated, nothing more is taken of it. ``schemas``: the end of the last range that
    named a schema, by its id.
    """

    feed: str
    side: str
    topic: str
    topic_id: str
    partition: int
    start: int
    next: int
    watermark: int | None = None
    raw: int | None = None
    loaded: int | None = None
    latest: int | None = None
    leading: bool = True
    counts: Counts = field(default_factory=Counts)
    repeated: int = 0
    gaps: int = 0
    floor: int | None = None
    retired: bool = False
    part: int = 0
    base: int = 0
    schemas: dict[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return label(self.side, self.topic, self.topic_id, self.partition)

    @property
    def place(self) -> dict[str, Any]:
        """For a certificate's ranges."""
        place = {"side": self.side, "topic": self.topic, "partition": self.partition}
        return place | ({"topic_id": self.topic_id} if self.topic_id else {})

    def raised(self, range_: Range) -> Range:
        """A range of this partition with no time below the floor; its watermarks never go back anyway."""
        floor = self.floor
        if floor is None:
            return range_
        letters = (replace(u, since=max(u.since, floor), until=max(u.until, floor)) for u in range_.undecodable)
        first, latest, loaded = (None if t is None else max(t, floor) for t in (range_.first, range_.latest, range_.loaded))
        return replace(range_, undecodable=tuple(letters), first=first, latest=latest, loaded=loaded)

    def begin(self, watermark: int | None, floor: int | None) -> None:
        """It is announced with ``watermark``, while its side's stands at ``floor``."""
        self.floor = floor
        self.watermark = self.raw = _later(watermark, floor)
        self.leading = False

    def take_place(self, old: Known) -> None:
        """Its topic was recreated. Of the old one at least one position is lost: nobody knows how many."""
        old.retired = True
        self.part, self.base = old.part, old.base + old.next + 1

    def accept(self, range_: Range) -> tuple[int, int]:
        """Takes a range; returns (first position that is new, positions lost before it)."""
        first = self.next
        self.repeated += range_.repeated
        if range_.end <= first:
            return first, 0
        lost = max(0, range_.start - first)
        self.next = range_.end
        self.schemas |= dict.fromkeys(range_.schemas, range_.end)
        self.watermark, self.raw = _later(self.watermark, range_.watermark), _later(self.raw, range_.raw)
        self.loaded, self.latest, self.leading = range_.loaded, range_.latest, range_.leading
        if range_.counts is not None:
            self.counts = range_.counts
        self.gaps += lost
        return first, lost

    def lift(self, to: int, position: int) -> bool:
        """Takes a lift, if it stands at the next position; returns whether it was taken."""
        if position != self.next:
            return False
        self.watermark, self.leading = _later(self.watermark, to), False
        return True


def _later(before: int | None, now: int | None) -> int | None:
    return now if before is None else before if now is None else max(before, now)
