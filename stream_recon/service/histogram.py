"""Durations by size, as Prometheus wants them: counted where they happen, added up over workers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DELAYS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds between a window's end and what is said of it: settle is among them."""

TURNS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of a transaction."""


@dataclass(frozen=True, slots=True)
class Observed:
    """How many were at most each bound, and more than the one before; the last number: more than all. ``total``: their sum."""

    counts: tuple[int, ...]
    total: float

    def plus(self, other: Observed) -> Observed:
        """Both together."""
        return Observed(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)), self.total + other.total)


class Histogram:
    """Counts what is observed."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """One of so many seconds."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._total += seconds

    @property
    def observed(self) -> Observed:
        """So far."""
        return Observed(tuple(self._counts), self._total)
