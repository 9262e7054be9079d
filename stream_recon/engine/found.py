"""What is open in a digest partition, by key; how much of each kind, and since when, is known without looking at all of it."""

from __future__ import annotations

from collections import Counter

from stream_recon.lifecycle.states import Discrepancy


class Found(dict[tuple[int, int], Discrepancy]):
    """Open discrepancies by key halves, in the order in which they were opened. ``kinds``: how many of each."""

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()

    def __setitem__(self, key: tuple[int, int], now: Discrepancy) -> None:
        if (before := self.get(key)) is not None:
            self.kinds[before.difference.kind] -= 1
        self.kinds[now.difference.kind] += 1
        super().__setitem__(key, now)

    def __delitem__(self, key: tuple[int, int]) -> None:
        self.kinds[self[key].difference.kind] -= 1
        super().__delitem__(key)

    @property
    def oldest(self) -> int | None:
        """End of the window in which the first of them was opened (µs)."""
        return next((one.first_seen for one in self.values()), None)
