"""Stretches of time, half-open, in whole µs: joined, taken away from each other, measured."""

from __future__ import annotations

from collections.abc import Iterable

Stretch = tuple[int, int]


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same time, in order, as few stretches as can be; empty ones are dropped."""
    out: list[Stretch] = []
    for start, end in sorted(s for s in stretches if s[0] < s[1]):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], end)
        else:
            out.append((start, end))
    return out


def without(stretches: Iterable[Stretch], taken: Iterable[Stretch]) -> list[Stretch]:
    """What is in ``stretches`` and not in ``taken``, in order."""
    out: list[Stretch] = []
    away, place = joined(taken), 0
    for start, end in joined(stretches):
        at = start
        while place < len(away) and away[place][0] < end:
            first, last = away[place]
            if at < first:
                out.append((at, first))
            at = max(at, last)
            if last > end:
                break  # it reaches into the next stretch, perhaps
            place += 1
        if at < end:
            out.append((at, end))
    return out


def within(stretches: Iterable[Stretch], start: int, end: int) -> list[Stretch]:
    """The part of them in ``[start, end)``."""
    return joined((max(first, start), min(last, end)) for first, last in stretches)


def length(stretches: Iterable[Stretch]) -> int:
    """How much time they cover, each instant once (µs)."""
    return sum(end - start for start, end in joined(stretches))
