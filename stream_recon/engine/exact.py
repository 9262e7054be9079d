"""Odd keys of a window, one at a time: everything a judgement asks of a key, from all its rows in order (``align.fold``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream_recon.align.fold import Beside, Step, Version, fold, hidden, standing, unpack
from stream_recon.align.side import Side
from stream_recon.model.digest import Flag
from stream_recon.model.versions import State


@dataclass(frozen=True, slots=True)
class Span:
    """A window's times (µs): ``[start, end)``, and how far its judgement looks on the target and on the source."""

    start: int
    end: int
    settled: int
    ahead: int


@dataclass(frozen=True, slots=True)
class OddKey:
    """What a judgement needs to know of one key.

    ``before``: S(s); ``source``: S(e); ``target``: T(e + settle). ``inside`` and ``ahead``: rows of the source in the window and
    in the look-ahead, passed-over ones too; ``unsure``: the source is unknown somewhere in the look-ahead. ``cuts``: truncates
    of the window that fall on the key, by side; ``late_cuts``: how many of them are late.
    """

    before: Version | None
    source: Version | None
    target: Version | None
    inside: tuple[Version, ...]
    ahead: tuple[Version, ...]
    unsure: bool
    cuts: tuple[int, int]
    late_cuts: int
    touched: bool


class KeyHistory:
    """All rows of one key on one side that are not folded, up to a time, on top of its base record."""

    def __init__(self, side: Side, base: np.void, high: int, low: int, until: int) -> None:
        self._side = side
        self._base = None if base["state"] == State.NEVER else unpack(base, side.rank)
        early = side.cut_early().get((high, low)) if side.truncates else None
        self._early = [] if early is None else early.cuts
        self._rows = [v for v in side.history(high, low, side.reads_to(until)) if v.time < until]

    def steps(self, before: int) -> list[Step]:
        """The key's rows with a time below ``before`` (µs), in order."""
        rows = [v for v in self._rows if v.time < before]
        cuts = [c for c in self._side.truncates if c.time < before]
        return fold(
            self._base, rows, Beside(self._side.rules.event_time, self._side.folded_time, cuts, self._early, self._side.holes)
        )

    def version(self, before: int) -> Version | None:
        """What stands before a time, without what only the side knows (holes, loading, history)."""
        current = standing(self._base, self.steps(before))
        if not hidden(current, self._rows, before, event_time=self._side.rules.event_time):
            return current
        mark = next(v for v in self._rows if v.stretch)
        return replace(current if current is not None else mark, state=State.UNKNOWN)

    def stored(self, before: int) -> Version | None:
        """What the base state keeps: stretches are carried beside it."""
        return standing(self._base, self.steps(before))

    def unsure(self, after: int, until: int) -> bool:
        """Whether the key is unknown at some time in ``(after, until]``, by a mark, a stretch or a hole."""
        times = [v.time for v in self._rows if v.stretch or not v.known] + [h.since for h in self._side.holes]
        if self._side.holes or any(v.holes for v in self._rows):
            times += [s.version.time for s in self.steps(until)]
        return any(self._unknown(t + 1) for t in {after, *times} if after <= t < until)

    def _unknown(self, before: int) -> bool:
        version = self.version(before)
        holes = [h for h in self._side.holes if h.since < before]
        if version is None:
            return bool(holes)
        return not version.known or any(h.part == version.part and version.offset < h.start for h in holes)


def odd_key(source: Side, target: Side, bases: tuple[np.void, np.void], high: int, low: int, span: Span) -> OddKey:
    """Everything about one key; ``bases`` are its records in the base state."""
    left = KeyHistory(source, bases[0], high, low, span.ahead)
    right = KeyHistory(target, bases[1], high, low, span.settled)
    ahead = [s.version for s in left.steps(span.ahead)]
    at_end = [h.steps(span.end) for h in (left, right)]
    cuts = [_inside(steps, span, Flag.TRUNCATE) for steps in at_end]
    late = sum(_inside(steps, span, Flag.TRUNCATE, Flag.LATE) for steps in at_end)
    touching = [_inside(steps, span) for steps in at_end]
    return OddKey(
        left.version(span.start),
        left.version(span.end),
        right.version(span.settled),
        tuple(v for v in ahead if span.start <= v.time < span.end),
        tuple(v for v in ahead if span.end <= v.time and not v.flags & Flag.MARK),
        left.unsure(span.end, span.ahead),
        (cuts[0], cuts[1]),
        late,
        any(touching),
    )


def _inside(steps: Sequence[Step], span: Span, *wanted: Flag) -> int:
    """Rows of the window that carry all these flags; without one, those that are more than a mark."""
    flags = [s.version.flags for s in steps if span.start <= s.version.time < span.end]
    return sum(1 for f in flags if (all(f & w for w in wanted) if wanted else not f & Flag.MARK))
