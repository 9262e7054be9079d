"""Rows of windows still open, cut into pieces of time so that each is sorted once.

    time line of one side, W = window, r = how far a judgement looks past a window's end, modulo W
    piece 2n   = [nW, nW + r)        window n = pieces 2n and 2n + 1
    piece 2n+1 = [nW + r, (n+1)W)    what a judgement of window n looks ahead to ends between two pieces

A piece is *sealed* once no row can fall into it any more: sorted by key, with the version that stands at its end for each key.
That version is right by itself for *plain* keys; keys for which it may not be (several partitions, a row that an older piece
overtakes, unknown columns) are marked ``odd`` and folded one by one (``align.fold``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_recon.model.digest import Flag
from stream_recon.model.versions import State, take

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Versions = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Rows:
    """Versions of one side in order of arrival: key halves, version records and key texts, all of one length."""

    high: Words
    low: Words
    version: Versions
    text: pa.BinaryArray

    def __len__(self) -> int:
        return len(self.high)

    def take(self, which: Ints | Mask) -> Rows:
        """The rows at these positions, or where the mask holds."""
        places: Ints = np.flatnonzero(which) if which.dtype == bool else which.astype(np.int64, copy=False)
        return Rows(self.high[places], self.low[places], take(self.version, places), self.text.take(pa.array(places)))

    def beginning(self, octets: range) -> Rows:
        """The rows of keys whose id begins with one of ``octets``."""
        first = self.high >> np.uint64(56)
        return self.take((first >= octets.start) & (first < octets.stop))

    @property
    def nbytes(self) -> int:
        return int(self.high.nbytes * 2 + self.version.nbytes + self.text.nbytes)


def concat(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, in order; at least one part."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        np.concatenate([p.high for p in parts]),
        np.concatenate([p.low for p in parts]),
        np.concatenate([p.version for p in parts]),
        pa.concat_arrays([p.text for p in parts]),
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """How a side's time is cut; µs. ``ahead`` is how far a judgement looks past the end of its window."""

    window: int
    ahead: int

    def pieces_of(self, time: Ints) -> Ints:
        """The piece of each time."""
        number, within = np.divmod(time, self.window)
        return 2 * number + (within >= self.ahead % self.window)

    def piece_at(self, time: int) -> int:
        """The first piece that starts at or after ``time``, which must lie on a cut."""
        number, within = divmod(time, self.window)
        assert within in (0, self.ahead % self.window), "a judgement looks to a cut between pieces"
        rest = self.ahead % self.window
        return 2 * number + (1 if rest and within == rest else 0)

    def start(self, piece: int) -> int:
        """Where a piece starts."""
        return (piece // 2) * self.window + (self.ahead % self.window if piece % 2 else 0)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A piece sorted by key. ``high, low, last, odd, touched`` have one entry a key, ``order`` one a row.

    ``starts``: where each key's rows begin in ``order``, and the end. ``last``: row of the version that stands at the end.
    ``touched``: the key has a row here that is more than a mark. ``clash``: two keys share their first half.
    """

    rows: Rows
    order: Ints
    starts: Ints
    high: Words
    low: Words
    last: Ints
    odd: Mask
    touched: Mask
    clash: bool

    def find(self, high: Words, low: Words) -> tuple[Ints, Mask]:
        """For each key its place here, and whether it is here at all."""
        place = np.searchsorted(self.high, high)
        place[place == len(self.high)] = 0
        if self.clash:
            known = {pair: i for i, pair in enumerate(zip(self.high.tolist(), self.low.tolist(), strict=True))}
            pairs = zip(high.tolist(), low.tolist(), strict=True)
            place = np.array([known.get(pair, 0) for pair in pairs], np.int64)
        return place, (self.high[place] == high) & (self.low[place] == low)

    def rows_of(self, places: Ints) -> tuple[Ints, Ints]:
        """All rows of the keys at ``places``: row numbers, and for each the position in ``places`` that it belongs to."""
        counts = self.starts[places + 1] - self.starts[places]
        owner = np.repeat(np.arange(len(places)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.order[np.repeat(self.starts[places], counts) + within], owner


def seal(rows: Rows, overtaken: Mask, event_order: Ints | None) -> Sealed:
    """Sorts a piece. ``overtaken``: rows that an older piece may overtake. ``event_order``: rank of each row when versions are
    ordered by event time; None: by the log, that is by arrival.
    """
    order = _order(rows.high, rows.low) if event_order is None else np.lexsort((event_order, rows.low, rows.high))
    high, low = rows.high[order], rows.low[order]
    new = np.ones(len(order), bool)
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    first = np.flatnonzero(new)
    starts = np.append(first, len(order))
    version = rows.version
    state, flags = version["state"], version["flags"]
    odd_row = (state == State.UNKNOWN) | ((flags & (Flag.MARK | Flag.PARTIAL)) != 0) | overtaken
    odd = np.logical_or.reduceat(odd_row[order], first)
    if event_order is None:
        part = version["part"][order]
        mixed = np.zeros(len(order), bool)
        mixed[1:] = ~new[1:] & (part[1:] != part[:-1])
        odd |= np.logical_or.reduceat(mixed, first)
    touched = np.logical_or.reduceat(((flags & Flag.MARK) == 0)[order], first)
    unique = high[first]
    clash = bool((unique[1:] == unique[:-1]).any())
    return Sealed(rows, order, starts, unique, low[first], order[starts[1:] - 1], odd, touched, clash)


def _order(high: Words, low: Words) -> Ints:
    """Stable order by key. Sorts one word that packs the key's high bits and the row's number: far cheaper than a sort of both
    halves, and right unless two different keys share those bits, which is looked for.
    """
    count = len(high)
    bits = max(1, (count - 1).bit_length())
    mask = np.uint64((1 << bits) - 1)
    packed = (high & ~mask) | np.arange(count, dtype=np.uint64)
    packed.sort()
    order = (packed & mask).astype(np.int64)
    top, bottom = high[order], low[order]
    ties = (packed[1:] & ~mask) == (packed[:-1] & ~mask)
    if (ties & ((top[1:] != top[:-1]) | (bottom[1:] != bottom[:-1]))).any():
        return np.lexsort((low, high))
    return order
