"""A pair of which one side is so far behind that what waits for it no longer fits: it is suspended (DESIGN 5).

    too much waits  -> windows up to where the side ahead stands are not compared: certified as inconclusive, cause ``suspended``
    meanwhile       -> rows of those windows go into the base state, a piece at a time: nothing is dropped, one record a key stays
    first window    -> it judges every key that is known, and its certificate says what was not compared before it
    after them

How much waits is the size of the rows as they are kept, so all of this follows from the digest log alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from stream_recon.align.side import FOREVER, NEVER, Side
from stream_recon.engine.causes import Cause
from stream_recon.limits import DRAIN_BYTES

SUSPENDED = "suspended"


@dataclass(slots=True)
class Suspension:
    """Windows ``[first, until)`` (numbers) are not compared; ``rows`` of source and target that are in none that is. ``behind``:
    the side that is waited for.
    """

    first: int
    until: int
    behind: str
    rows: tuple[int, int] = (0, 0)

    def cause(self, window: int) -> Cause:
        """Why these windows are inconclusive."""
        return Cause(SUSPENDED, self.behind, "", 0, 0, self.first * window, self.until * window - 1)


def windows_held(sides: Sequence[Side]) -> list[int]:
    """The first window of each of these sides that holds anything not folded."""
    return [side.numbers[0] // 2 for side in sides if side.numbers]


def whole_windows(watermark: int, window: int) -> int | None:
    """The first window that a side is not past; None: its time bounds nothing, or its input ended."""
    return None if watermark in (NEVER, FOREVER) else watermark // window


def drained_to(side: Side, until: int) -> int | None:
    """Up to which window (at most ``until``, which its watermark has passed) a side's rows are folded next: as much as one step
    takes. None: nothing is there to fold, or a truncate ahead hangs on what would be forgotten.
    """
    window, below = side.rules.grid.window, bisect_left(side.numbers, 2 * until)
    if not below:
        return None
    size, to = 0, until
    for number in side.numbers[:below]:
        size += sum(segment.size for segment in side.segments[number])
        if size >= DRAIN_BYTES:
            to = number // 2 + 1
            break
    to = max([to, *(cut.time // window + 1 for cut in side.truncates)])
    return to if to <= until else None
