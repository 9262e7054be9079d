"""One window of one pair, judged: which keys it touches, what stands on both sides, and what is said of each.

    S(e)           what stands on the source before the window's end e
    T(e + settle)  what stands on the target, settle later
    candidates     rows of the source in [e, e + settle + clock_skew): a target that is already ahead

Plain keys are answered for all at once from sorted pieces and the base state; odd keys, and every key while a truncate is not
yet folded, one by one (``engine.exact``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from stream_recon.align.fold import pack, unpack
from stream_recon.align.pieces import Ints, Mask, Sealed, Versions, Words
from stream_recon.align.side import Side
from stream_recon.compare.judge import Verdict, judge, present, same, unknown
from stream_recon.engine.base import ALL_KEYS, BaseState
from stream_recon.engine.exact import KeyHistory, OddKey, Span, odd_key
from stream_recon.lifecycle.states import Kind
from stream_recon.limits import SLICE_BYTES
from stream_recon.model.digest import Flag
from stream_recon.model.versions import State, take, version_dtype, words

Keys = tuple[Words, Words]
Odd = Mapping[int, OddKey]


@dataclass(frozen=True, slots=True)
class Judged:
    """A closed window. Arrays have one entry a touched key, in order of key id; ``kinds`` one a key that differs."""

    high: Words
    low: Words
    source: Versions
    target: Versions
    verdict: npt.NDArray[np.uint8]
    kinds: Mapping[int, Kind]
    loading: tuple[Mask, Mask]
    """By side: the key is left unknown, and had no version there while the side was loading."""
    only_loading: int
    """Keys that are inconclusive for no other reason."""
    source_rows: int
    target_rows: int
    late: int

    @property
    def counts(self) -> dict[str, int]:
        """For the certificate."""
        verdicts = np.bincount(self.verdict, minlength=3)
        return {
            "source_rows": self.source_rows,
            "target_rows": self.target_rows,
            "keys": len(self.high),
            "equal": int(verdicts[Verdict.EQUAL]),
            "different": int(verdicts[Verdict.DIFFERENT]),
            "inconclusive": int(verdicts[Verdict.INCONCLUSIVE]),
            "loading": self.only_loading,
            "late": self.late,
        }


class Closer:
    """Judges the windows of one pair, or of a slice of its keys: those whose id begins with one of ``octets``. Both sides'
    watermarks must have passed what a judgement reads.
    """

    def __init__(self, source: Side, target: Side, base: BaseState, octets: range = ALL_KEYS) -> None:
        self.source = source
        self.target = target
        self.base = base
        self.octets = octets
        self.slice_bytes = SLICE_BYTES

    def slices(self, ends: tuple[int, int], *, at_least: int = 1) -> Iterator[Closer]:
        """Closers of all keys in order, each of as many as have ``slice_bytes`` of rows in the pieces before ``ends``."""
        size = self.source.size_to(ends[0]) + self.target.size_to(ends[1])
        count = min(max(-(-size // self.slice_bytes), at_least), len(ALL_KEYS))
        if count == 1:
            yield self
            return
        cuts = [n * len(ALL_KEYS) // count for n in range(count + 1)]
        for octets in (range(first, last) for first, last in pairwise(cuts)):
            yield Closer(self.source.sliced(octets), self.target.sliced(octets), self.base, octets)

    def mine(self, keys: Keys) -> Keys:
        """Those of the keys that are of this slice."""
        first = keys[0] >> np.uint64(56)
        here = (first >= self.octets.start) & (first < self.octets.stop)
        return keys[0][here], keys[1][here]

    def close(self, span: Span, again: Keys, *, whole: bool = False) -> Judged:
        """Judges the keys that the window touches, and those in ``again``; ``whole``: all that came before its end."""
        again = self.mine(again)
        source_pieces, target_pieces = self._window(self.source, span), self._window(self.target, span)
        known = self._known(span) if whole else self._cut_keys(span)
        high, low = union([*_touched(source_pieces), *_touched(target_pieces), again, *known])
        odd = self._odd_keys(high, low, span)
        keep = np.ones(len(high), bool) if whole else self._kept(high, low, [*source_pieces, *target_pieces], again, odd)
        if not keep.all():
            place = np.cumsum(keep) - 1
            odd = {int(place[i]): key for i, key in odd.items() if keep[i]}
            high, low = high[keep], low[keep]
        source, target = self._versions(high, low, odd, span)
        source_loading = self.source.resolve(source, span.end)
        target_loading = self.target.resolve(target, span.settled)
        found, unsure = self._candidates(high, low, source, target, odd, span)
        verdict = judge(source, target, found, unsure)
        inconclusive = verdict == Verdict.INCONCLUSIVE
        return Judged(
            high,
            low,
            source,
            target,
            verdict,
            self._kinds(high, low, source, target, np.flatnonzero(verdict == Verdict.DIFFERENT), odd, span),
            (source_loading[0] & inconclusive, target_loading[0] & inconclusive),
            int(
                (inconclusive & ~unsure & ~(unknown(source) & ~source_loading[1]) & ~(unknown(target) & ~target_loading[1])).sum()
            ),
            _rows(source_pieces) + sum(k.cuts[0] for k in odd.values()),
            _rows(target_pieces) + sum(k.cuts[1] for k in odd.values()),
            _late(source_pieces) + _late(target_pieces) + sum(k.late_cuts for k in odd.values()),
        )

    def stand(self, high: Words, low: Words, span: Span) -> tuple[Versions, Versions]:
        """S(e) and T(e + settle) of these keys, as far as they are known."""
        source, target = self._versions(high, low, self._odd_keys(high, low, span), span)
        self.source.resolve(source, span.end)
        self.target.resolve(target, span.settled)
        return source, target

    # ---- which keys ----------------------------------------------------------------------------------------------------

    def _window(self, side: Side, span: Span) -> list[Sealed]:
        grid = side.rules.grid
        return side.pieces(grid.piece_at(span.start), grid.piece_at(span.end))

    def _known(self, span: Span) -> Iterable[Keys]:
        """Every key with a version before the window's end."""
        yield from self.base.keys(self.octets)
        for side in (self.source, self.target):
            yield from _touched(side.pieces(None, side.reads_to(span.end)))

    def _cut_keys(self, span: Span) -> Iterable[Keys]:
        """Every key that a truncate of this window may fall on."""
        if not any(c.time >= span.start for side in (self.source, self.target) for c in side.open_truncates(span.end)):
            return
        yield from self.base.keys(self.octets)
        yield from ((p.high, p.low) for p in self.source.pieces(None, self.source.reads_to(span.ahead)))
        yield from ((p.high, p.low) for p in self.target.pieces(None, self.target.reads_to(span.settled)))
        yield from (columns(side.cut_early()) for side in (self.source, self.target))

    def _odd_keys(self, high: Words, low: Words, span: Span) -> dict[int, OddKey]:
        odd = self.source.odd(high, low, self.source.reads_to(span.ahead))
        odd |= self.target.odd(high, low, self.target.reads_to(span.settled))
        places = np.flatnonzero(odd)
        if not len(places):
            return {}
        records = self.base.read(high[places], low[places])
        return {
            int(i): odd_key(self.source, self.target, (records.source[n], records.target[n]), int(high[i]), int(low[i]), span)
            for n, i in enumerate(places)
        }

    def _kept(self, high: Words, low: Words, pieces: Iterable[Sealed], again: Keys, odd: Odd) -> Mask:
        """Keys that are judged here: touched by more than a mark, or to be judged again."""
        if not odd and not len(again[0]):
            return np.ones(len(high), bool)
        keep = member(high, low, again)
        for piece in pieces:
            place, hit = piece.find(high, low)
            keep |= hit & piece.touched[place]
        for i, key in odd.items():
            keep[i] |= key.touched
        return keep

    # ---- what stands ---------------------------------------------------------------------------------------------------

    def _versions(self, high: Words, low: Words, odd: Odd, span: Span) -> tuple[Versions, Versions]:
        source, target = standing(
            self.base,
            high,
            low,
            (self.source, self.source.reads_to(span.end)),
            (self.target, self.target.reads_to(span.settled)),
        )
        for i, key in odd.items():
            source[i], target[i] = 0, 0
            pack(key.source, source[i : i + 1])
            pack(key.target, target[i : i + 1])
        return source, target

    # ---- what is said --------------------------------------------------------------------------------------------------

    def _candidates(self, high: Words, low: Words, source: Versions, target: Versions, odd: Odd, span: Span) -> tuple[Mask, Mask]:
        """Where a row of the look-ahead equals the target, and where one is unknown."""
        found, unsure = np.zeros(len(high), bool), np.zeros(len(high), bool)
        places = np.flatnonzero(~unknown(target) & ~same(source, target))
        grid = self.source.rules.grid
        pieces = self.source.pieces(grid.piece_at(span.end), grid.piece_at(span.ahead))
        _match(pieces, high, low, target, places, found)
        for i in odd.keys() & set(places.tolist()):
            wanted = unpack(target[i], self.target.rank)
            found[i] = any(v.same(wanted) for v in odd[i].ahead)
            unsure[i] = odd[i].unsure or any(not v.known for v in odd[i].ahead)
        if any(hole.since < span.ahead for hole in self.source.holes):
            left = np.array([i for i in places.tolist() if not found[i] and i not in odd], np.int64)
            records = self.base.read(high[left], low[left])
            for n, i in enumerate(left):
                history = KeyHistory(self.source, records.source[n], int(high[i]), int(low[i]), span.ahead)
                unsure[i] = history.unsure(span.end, span.ahead)
        return found, unsure

    def _kinds(
        self, high: Words, low: Words, source: Versions, target: Versions, places: Ints, odd: Odd, span: Span
    ) -> dict[int, Kind]:
        """The kind of each key that differs, ``stale`` before lifecycle keeps it so."""
        if not len(places):
            return {}
        here, there = present(source[places]), present(target[places])
        stale = np.zeros(len(high), bool)
        both = places[here & there]
        before = standing(self.base, high[both], low[both], (self.source, self.source.reads_to(span.start)), None)[0]
        for n, i in enumerate(both.tolist()):
            if i in odd:
                before[n] = 0
                pack(odd[i].before, before[n : n + 1])
        self.source.resolve(before, span.start)
        stale[both] = present(before) & same(before, target[both])
        _match(self._window(self.source, span), high, low, target, both, stale)
        for i in odd.keys() & set(both.tolist()):
            wanted = unpack(target[i], self.target.rank)
            stale[i] |= any(v.same(wanted) for v in odd[i].inside)
        kinds = {}
        for i, has_source, has_target in zip(places.tolist(), here.tolist(), there.tolist(), strict=True):
            if has_source:
                kinds[i] = (Kind.STALE if stale[i] else Kind.MISMATCH) if has_target else Kind.MISSING
            else:
                kinds[i] = Kind.UNEXPECTED if source["state"][i] == State.NEVER else Kind.UNDELETED
        return kinds


def standing(
    base: BaseState, high: Words, low: Words, source: tuple[Side, int] | None, target: tuple[Side, int] | None
) -> tuple[Versions, Versions]:
    """What stands for plain keys before a piece on either side; a side that is not asked for comes back as ``NEVER``."""
    asked = [(side[0].standing(high, low, side[1]) if side is not None else None) for side in (source, target)]
    need = np.zeros(len(high), bool)
    for answer in asked:
        if answer is not None:
            need[answer[1]] = True
    out = []
    records = base.read(high[need], low[need]) if need.any() else None
    place = np.cumsum(need) - 1
    for answer, which in zip(asked, ("source", "target"), strict=True):
        if answer is None:
            out.append(np.zeros(len(high), version_dtype((source or target)[0].rules.large)))  # type: ignore[index]
            continue
        versions, missing = answer
        if records is not None and len(missing):
            words(versions)[missing] = words(np.ascontiguousarray(getattr(records, which)))[place[missing]]
        out.append(versions)
    return out[0], out[1]


def columns(keys: Iterable[tuple[int, int]]) -> Keys:
    """Keys by halves, as columns."""
    high, low = np.array([*keys], np.uint64).reshape(-1, 2).T.copy()
    return high, low


def union(parts: Iterable[Keys]) -> Keys:
    """The keys of all parts, each once, in order of key id."""
    held = [part for part in parts if len(part[0])]
    if not held:
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    high, low = np.concatenate([h for h, _ in held]), np.concatenate([k for _, k in held])
    order = np.argsort(high, kind="stable")
    high, low = high[order], low[order]
    if ((high[1:] == high[:-1]) & (low[1:] != low[:-1])).any():
        order = np.lexsort((low, high))
        high, low = high[order], low[order]
    new = np.ones(len(high), bool)
    new[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    return high[new], low[new]


def member(high: Words, low: Words, keys: Keys) -> Mask:
    """Which of the keys, in order of key id, are in ``keys``, in any order and few."""
    out = np.zeros(len(high), bool)
    first, last = np.searchsorted(high, keys[0], "left"), np.searchsorted(high, keys[0], "right")
    for key, start, stop in zip(keys[1].tolist(), first.tolist(), last.tolist(), strict=True):
        out[start:stop] |= low[start:stop] == key
    return out


def _touched(pieces: Iterable[Sealed]) -> Iterable[Keys]:
    return [(p.high[p.touched], p.low[p.touched]) for p in pieces]


def _rows(pieces: Iterable[Sealed]) -> int:
    return sum(int(((p.rows.version["flags"] & Flag.MARK) == 0).sum()) for p in pieces)


def _late(pieces: Iterable[Sealed]) -> int:
    mask = Flag.MARK | Flag.LATE
    return sum(int(((p.rows.version["flags"] & mask) == Flag.LATE).sum()) for p in pieces)


def _match(pieces: Iterable[Sealed], high: Words, low: Words, target: Versions, places: Ints, out: Mask) -> None:
    """Sets ``out`` at those ``places`` whose target version equals some row of theirs in ``pieces``."""
    for piece in pieces:
        if not len(places):
            return
        place, hit = piece.find(high[places], low[places])
        owners = places[hit]
        rows, owner = piece.rows_of(place[hit])
        equal = same(take(piece.rows.version, rows), take(target, owners[owner]))
        out[owners[owner[equal]]] = True
