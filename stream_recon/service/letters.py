"""The share of messages that could not be understood, over a sliding stretch of time: too many stop a topology (DESIGN 3.8)."""

from __future__ import annotations

from collections import deque
from typing import Final

AT_LEAST: Final = 10
_PARTS: Final = 20


class LetterShare:
    """Counts by time. ``over`` in µs."""

    def __init__(self, max_share: float, over: int) -> None:
        self._max_share = max_share
        self._over = over / 1e6
        self._parts: deque[list[float]] = deque()
        """[begin (monotonic s), messages read, dead letters]"""

    def add(self, now: float, read: int, dead: int) -> None:
        """Counts messages read and, among them, dead letters."""
        if not self._parts or now - self._parts[-1][0] > self._over / _PARTS:
            self._parts.append([now, 0, 0])
        self._parts[-1][1] += read
        self._parts[-1][2] += dead

    def exceeded(self, now: float) -> str | None:
        """Why the topology must stop, or None."""
        while self._parts and now - self._parts[0][0] > self._over:
            self._parts.popleft()
        read, dead = (int(sum(p[i] for p in self._parts)) for i in (1, 2))
        if dead < AT_LEAST or dead <= self._max_share * read:
            return None
        return (
            f"{dead} of the last {read} messages could not be understood, more than dead_letters.max_share allows; the "
            "dead-letter topic says which and why: mend the topology (or raise dead_letters.max_share), then start again"
        )
