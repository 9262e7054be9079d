"""One side of a pair: its rows not yet folded, what may make a key unknown, and what stands at a time.

Pure: segments that left memory are handed back by ``load``. Answers are asked only for times that the side's watermark passed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stream_recon.align.fold import UNFILLABLE, Hole, Truncate, Version, unpack
from stream_recon.align.pieces import Grid, Ints, Mask, Rows, Sealed, Versions, Words, concat, seal
from stream_recon.model.digest import Flag
from stream_recon.model.versions import State, version_dtype, words

_STRETCH = int(Flag.MARK | Flag.TOMBSTONE)
FOREVER = int(np.iinfo(np.int64).max)
NEVER = int(np.iinfo(np.int64).min)


@dataclass(slots=True)
class Segment:
    """Rows of one piece as they came with one block. ``rows`` is None while they are only in the store, where they take ``size``
    octets.
    """

    sequence: int
    count: int
    touching: int
    rows: Rows | None
    nbytes: int = 0
    size: int = 0


@dataclass(frozen=True, slots=True)
class SideRules:
    """What shapes a side's answers. ``forget``: µs after which a deleted key counts as never seen."""

    grid: Grid
    event_time: bool
    partial_history: bool
    forget: int
    large: int


@dataclass(frozen=True, slots=True)
class Early:
    """A key of which a row with a later time stands in front of ``cuts``, by offset. ``text``: its canonical text."""

    text: bytes
    cuts: list[Truncate] = field(default_factory=list)


@dataclass(slots=True)
class Side:
    """Rows by piece, truncates, holes and the loading stretch of one side of a pair."""

    rules: SideRules
    load: Callable[[int, int], Rows]
    segments: dict[int, list[Segment]] = field(default_factory=dict)
    filed: dict[int, list[int]] = field(default_factory=dict)
    """The same for the store: by piece, sequence, count and touching of its segments, one after the other."""
    numbers: list[int] = field(default_factory=list)
    """The pieces that hold rows, in order; those that are sealed come first."""
    sealed: dict[int, Sealed] = field(default_factory=dict)
    truncates: list[Truncate] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    loaded: int | None = None
    folded: int | None = None
    """First piece that is not in the base state (None: nothing was folded)."""
    rank: list[int] = field(default_factory=list)
    folded_top: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    carried: list[tuple[int, int, Version]] = field(default_factory=list)
    """Stretches that began before ``folded`` and are not over: key halves and mark."""
    top: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    size: int = 0
    """Octets that the rows take in the store."""
    _early: dict[tuple[int, int], Early] | None = None

    # ---- rows in -------------------------------------------------------------------------------------------------------

    def ranked(self, rank: Sequence[int]) -> None:
        """Takes the order of the partitions: ``rank[part]`` by (topic, partition). New parts may have come."""
        self.rank = list(rank)
        grown = np.full(len(rank) - len(self.top), -1, np.int64)
        self.top = np.concatenate([self.top, grown])
        self.folded_top = np.concatenate([self.folded_top, grown])

    def add(self, rows: Rows, sequence: int) -> list[tuple[int, Segment]]:
        """Cuts rows by piece, truncates apart; returns the new segments, to be filed when they are in the store."""
        self._early = None
        flags = rows.version["flags"]
        cut = (flags & Flag.TRUNCATE) != 0
        if cut.any():
            self.truncates += [self._truncate(v) for v in rows.version[cut]]
            rows = rows.take(~cut)
        if not len(rows):
            return []
        if self.rules.large and not self.rules.event_time:
            self._flag_unfillable(rows)
        piece = self.rules.grid.pieces_of(rows.version["time"])
        low, high = int(piece.min()), int(piece.max())
        numbers = [low] if low == high else np.unique(piece).tolist()
        out = []
        for number in numbers:
            part = rows if low == high else rows.take(piece == number)
            touching = int(((part.version["flags"] & Flag.MARK) == 0).sum())
            out.append((number, Segment(sequence, len(part), touching, part, part.nbytes)))
        return out

    def file(self, number: int, segment: Segment) -> None:
        """Adds a segment, with its size in the store, to its piece."""
        assert number not in self.sealed, "a row fell into a piece that its side's watermark had passed"
        if number not in self.segments:
            insort(self.numbers, number)
        self.segments.setdefault(number, []).append(segment)
        self.size += segment.size
        self.filed.setdefault(number, []).extend((segment.sequence, segment.count, segment.touching, segment.size))

    def _flag_unfillable(self, rows: Rows) -> None:
        """Marks rows with an unknown large column that were overtaken in time by an earlier row of their key and partition."""
        version = rows.version
        piece = self.rules.grid.pieces_of(version["time"])
        for i in np.flatnonzero(version["holes"]):
            place = int(version["part"][i]), int(version["offset"][i])
            if any(c.part == place[0] and c.offset < place[1] and c.time > version["time"][i] for c in self.truncates):
                version["flags"][i] |= UNFILLABLE
            later = self.numbers[bisect_left(self.numbers, int(piece[i])) :]
            for held in (rows, *(self._rows(n, s) for n in later for s in self.segments[n])):
                other = held.version
                before = (other["part"] == version["part"][i]) & (other["offset"] < version["offset"][i])
                before &= (other["time"] > version["time"][i]) & ((other["flags"] & Flag.MARK) == 0)
                if (before & (held.high == rows.high[i]) & (held.low == rows.low[i])).any():
                    version["flags"][i] |= UNFILLABLE
                    break

    def _truncate(self, version: np.void) -> Truncate:
        part = int(version["part"])
        flags = int(version["flags"]) & (Flag.LATE | Flag.LIFT_BROKEN)
        return Truncate(int(version["time"]), int(version["t"]), self.rank[part], part, int(version["offset"]), flags)

    def sliced(self, octets: range) -> Side:
        """The side as it is for keys whose id begins with one of ``octets``: to ask, not to change. Its rows are loaded as they
        are asked for.
        """

        def load(number: int, sequence: int) -> Rows:
            held = next(s for s in self.segments[number] if s.sequence == sequence)
            return self._rows(number, held).beginning(octets)

        out = Side(self.rules, load, numbers=self.numbers.copy(), truncates=self.truncates, holes=self.holes)
        out.segments = {n: [replace(s, rows=None) for s in held] for n, held in self.segments.items()}
        out.loaded, out.folded, out.rank, out.carried = self.loaded, self.folded, self.rank, self.carried
        out.folded_top, out.top = self.folded_top, self.folded_top.copy()
        return out

    def size_to(self, end: int) -> int:
        """Octets that the pieces before ``end`` take in the store."""
        return sum(s.size for number in self.numbers[: bisect_left(self.numbers, end)] for s in self.segments[number])

    def rows_in(self, first: int, until: int | None = None) -> int:
        """Rows not folded, marks aside, of windows ``[first, until)`` (None: all from ``first`` on)."""
        stop = None if until is None else bisect_left(self.numbers, 2 * until)
        mine = self.numbers[bisect_left(self.numbers, 2 * first) : stop]
        return sum(segment.touching for number in mine for segment in self.segments[number])

    # ---- windows -------------------------------------------------------------------------------------------------------

    def next_window(self, first: int | None, but: Container[int]) -> int | None:
        """The first window from ``first`` on (None: any) that holds a row or a truncate that are not folded, ``but`` for some."""
        cuts = [
            n for n in (c.time // self.rules.grid.window for c in self.open_truncates(FOREVER)) if first is None or n >= first
        ]
        found = [n for n in cuts if n not in but]
        for at in range(0 if first is None else bisect_left(self.numbers, 2 * first), len(self.numbers)):
            number = self.numbers[at]
            if number // 2 not in but and any(s.touching for s in self.segments[number]):
                found.append(number // 2)
                break
        return min(found, default=None)

    def open_truncates(self, before: int) -> list[Truncate]:
        """Truncates with a time below ``before`` whose effect is not yet in the base state."""
        return [c for c in self.truncates if self.folded_time <= c.time < before]

    @property
    def folded_time(self) -> int:
        """Up to where the base state reaches (µs)."""
        return NEVER if self.folded is None else self.rules.grid.start(self.folded)

    def pieces(self, start: int | None, end: int) -> list[Sealed]:
        """The pieces with rows from ``start`` (None: the first not folded) to before ``end``, in order, sealed."""
        first = 0 if start is None else bisect_left(self.numbers, start)
        sealed = (self._seal(number) for number in self.numbers[first : bisect_left(self.numbers, end)])
        return [piece for piece in sealed if len(piece.high)]  # a slice may have nothing of it

    def _seal(self, number: int) -> Sealed:
        if number not in self.sealed:
            for older in self.numbers[len(self.sealed) : bisect_right(self.numbers, number)]:
                self.sealed[older] = self._make(older)
        return self.sealed[number]

    def _make(self, number: int) -> Sealed:
        segments = self.segments[number]
        rows = concat([self._rows(number, s) for s in segments])
        for segment in segments:
            segment.rows = None
        version = rows.version
        part, offset = version["part"].astype(np.int64), version["offset"]
        if self.rules.event_time:
            overtaken = version["t"] < self.rules.grid.start(number)
            ranks = np.asarray(self.rank, np.int64)[part]
            by_event = np.empty(len(rows), np.int64)
            by_event[np.lexsort((version["index"], offset, ranks, version["t"]))] = np.arange(len(rows))
            sealed = seal(rows, overtaken | self._cut(version), by_event)
        else:
            sealed = seal(rows, self._overtaken(number, rows, part) | self._cut(version), None)
        np.maximum.at(self.top, part, offset)
        return sealed

    def _overtaken(self, number: int, rows: Rows, part: Ints) -> Mask:
        """Rows behind which, by offset, their key stands in an older piece: that one may be passed over, or pass this one over.

        Times of a partition step back a little all the time, between keys; so the key itself is looked up. Of what is folded
        only the highest offset is known.
        """
        offset = rows.version["offset"]
        out: Mask = offset < self.folded_top[part]
        for older in self.numbers[: bisect_left(self.numbers, number)]:
            left = np.flatnonzero((offset < self.top[part]) & ~out)
            if not len(left):
                break
            piece = self.sealed[older]
            if not len(piece.high):
                continue
            place, hit = piece.find(rows.high[left], rows.low[left])
            last = piece.rows.version[piece.last[place]]
            behind = (last["part"] == part[left]) & (last["offset"] > offset[left])
            out[left] = hit & (behind | piece.odd[place])
        return out

    def cut_early(self) -> dict[tuple[int, int], Early]:
        """Truncates that are to fall on keys whose earlier version, by offset, has a later time: by key, open truncates only."""
        if self._early is not None:
            return self._early
        out: dict[tuple[int, int], Early] = {}
        for cut in self.open_truncates(FOREVER):
            for number, segments in self.segments.items():
                for rows in (
                    [self._rows(number, s) for s in segments] if 2 * (cut.time // self.rules.grid.window) <= number else []
                ):
                    version = rows.version
                    before = (version["part"] == cut.part) & (version["offset"] < cut.offset) & (version["time"] >= cut.time)
                    for i in np.flatnonzero(before & ((version["flags"] & Flag.MARK) == 0)):
                        key = int(rows.high[i]), int(rows.low[i])
                        out.setdefault(key, Early(rows.text[int(i)].as_py())).cuts.append(cut)
        self._early = out
        return out

    def _rows(self, number: int, segment: Segment) -> Rows:
        return segment.rows if segment.rows is not None else self.load(number, segment.sequence)

    def _cut(self, version: Versions) -> Mask:
        """Rows that a truncate may fall on although its effect is in the base state: late, or before it in its partition."""
        out = np.zeros(len(version), bool)
        for cut in self.truncates:
            out |= (version["part"] == cut.part) & (version["offset"] < cut.offset)
            out |= (version["part"] != cut.part) & (version["t"] < cut.time)
        return out

    def reads_to(self, time: int) -> int:
        """The first piece that a question about ``time`` does not see."""
        return self.rules.grid.piece_at(time)

    # ---- what stands ---------------------------------------------------------------------------------------------------

    def standing(self, high: Words, low: Words, end: int) -> tuple[Versions, Ints]:
        """For each key the version that its newest row in a piece before ``end`` gives, and where no piece has the key.

        Right for plain keys only; ``missing`` are the positions to ask the base state for.
        """
        out = np.zeros(len(high), version_dtype(self.rules.large))
        into = words(out)
        missing = np.arange(len(high))
        for piece in reversed(self.pieces(None, end)):
            place, hit = piece.find(high[missing], low[missing])
            into[missing[hit]] = words(piece.rows.version).take(piece.last[place[hit]], axis=0)
            missing = missing[~hit]
            if not len(missing):
                break
        return out, missing

    def odd(self, high: Words, low: Words, end: int) -> Mask:
        """Keys that need the exact fold: odd in some piece, or anything while a truncate is not folded."""
        if self.open_truncates(self.rules.grid.start(end)):
            return np.ones(len(high), bool)
        out = np.zeros(len(high), bool)
        for piece in self.pieces(None, end):
            if piece.odd.any():
                place, hit = piece.find(high, low)
                out |= hit & piece.odd[place]
        for first, second, _ in self.carried:
            out |= (high == first) & (low == second)
        return out

    def history(self, high: int, low: int, end: int) -> Iterator[Version]:
        """All rows of one key in pieces before ``end``, not folded, in no order."""
        yield from (mark for first, second, mark in self.carried if (first, second) == (high, low))
        words = np.array([high], np.uint64), np.array([low], np.uint64)
        for piece in self.pieces(None, end):
            place, hit = piece.find(*words)
            if hit[0]:
                for row in piece.rows_of(place)[0]:
                    yield unpack(piece.rows.version[row], self.rank)

    def resolve(self, versions: Versions, before: int) -> tuple[Mask, Mask]:
        """Turns what stands into what is known before ``before`` (µs): forgotten deletes, holes, loading, partial history.

        Changes ``state`` in place; returns where a key had no version while its side was loading, and where that alone makes it
        unknown.
        """
        state = versions["state"]
        state[(state == State.ABSENT) & (versions["time"] <= before - self.rules.forget)] = State.NEVER
        never = state == State.NEVER
        first = never | ((state == State.UNKNOWN) & ((versions["flags"] & _STRETCH) == _STRETCH))
        for hole in self.holes:
            if hole.since < before:
                state[(versions["part"] == hole.part) & (versions["offset"] < hole.start) & ~never] = State.UNKNOWN
        if self.rules.large:
            state[(versions["holes"] != 0) & (state == State.PRESENT)] = State.UNKNOWN
        loading = self.loaded is not None and before <= self.loaded
        hidden = self.rules.partial_history or any(hole.since < before for hole in self.holes)
        if loading or hidden:
            state[never] = State.UNKNOWN
            versions["flags"][never] |= np.uint16(Flag.MARK)
        nowhere = np.zeros(len(versions), bool)
        return (first if loading else nowhere), (never if loading and not hidden else nowhere)

    # ---- folding -------------------------------------------------------------------------------------------------------

    def left_of(self, end: int) -> Left:
        """What is to be remembered of the pieces before ``end`` beside the base state."""
        start, top, carried = self.rules.grid.start(end), np.full(len(self.rank), -1, np.int64), []
        for piece in self.pieces(None, end):
            rows = piece.rows
            np.maximum.at(top, rows.version["part"].astype(np.int64), rows.version["offset"])
            for i in np.flatnonzero((rows.version["flags"] & _STRETCH) == _STRETCH):
                mark = unpack(rows.version[i], self.rank)
                if mark.t >= start:
                    carried.append((int(rows.high[i]), int(rows.low[i]), mark))
        return Left(top, carried)

    def drop(self, end: int, left: Iterable[Left]) -> None:
        """Forgets the pieces before ``end``: they are in the base state now. ``left``: what is left of them, by slices."""
        start, gone = self.rules.grid.start(end), bisect_left(self.numbers, end)
        self.carried = [c for c in self.carried if c[2].t >= start]
        for part in left:
            self.folded_top = np.maximum(self.folded_top, part.top)
            self.carried += part.carried
        self.top = np.maximum(self.top, self.folded_top)
        self.size -= self.size_to(end)
        for number in self.numbers[:gone]:
            del self.segments[number], self.filed[number]
            self.sealed.pop(number, None)
        del self.numbers[:gone]
        self.folded, self._early = end, None


@dataclass(frozen=True, slots=True)
class Left:
    """``top``: the highest offset by part, -1 without. ``carried``: key halves and mark of stretches that are not over."""

    top: Ints
    carried: list[tuple[int, int, Version]]
