"""What a digest partition knows of one upstream partition: positions accepted, where its time stands, what was counted.

range.start <= next   accepted, rows below next dropped (they are here already)
range.start >  next   a gap: positions [next, start) are lost
"""

from __future__ import annotations

from dataclasses import dataclass, field

from stream_recon.model.digest import Counts, Range


@dataclass(slots=True)
class Known:
    """One upstream partition of one feed. Times in µs, null where there is none yet."""

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

    @property
    def label(self) -> str:
        return f"{self.side}/{self.topic}/{self.partition}"

    def accept(self, range_: Range) -> tuple[int, int]:
        """Takes a range; returns (first position that is new, positions lost before it)."""
        first = self.next
        self.repeated += range_.repeated
        if range_.end <= first:
            return first, 0
        lost = max(0, range_.start - first)
        self.next = range_.end
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
