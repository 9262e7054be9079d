"""Datums of one schema, taken apart field after field, each field in all datums at once.

    messages   id|..datum..id|..datum..   one buffer        at   where the next field of each datum begins

As strict as the reference reader: whatever it would refuse, or what is only spelt in a way that no converter writes, leaves its
message in doubt. No octet outside a datum is believed: a field that would end behind its message is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
import pyarrow as pa

from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.avro.spans import Spans, nothing
from stream_recon.normalise.columnar.buffers import Bools, Ints, Path, Texts, Words, slices
from stream_recon.normalise.types.wire import Wire

_SCALARS: Final = {
    "null": 0,
    "boolean": 1,
    "float": 4,
    "double": 8,
    "fixed": 0,
    "int": 0,
    "long": 0,
    "enum": 0,
    "bytes": 0,
    "string": 0,
}
"""Octets of those that have always the same."""
_KEY: Final = Avro("string", Wire("string"))
_MAX_ROUNDS: Final = 512
"""Elements of arrays and maps, one behind the other, that are walked in one batch. What has more goes to the reference decoder: a
round here costs as much as some messages there.
"""
_MAX_LOOKED_AT: Final = 64
"""Octets of a string that are looked at word by word."""
_HIGH: Final = np.array([int.from_bytes(b"\x80" * n, "little") for n in range(9)], np.uint64)
"""The high bits of the first octets of a word, by how many there are."""
_ALL = slice(None)
Rows = Ints | slice
"""Which datums, ascending; the slice is all of them."""


class Want:
    """What is to be kept of a part of the schema: itself under ``path`` (None: not itself), and fields of it."""

    def __init__(self, paths: Iterable[Path] = (), depth: int = 0) -> None:
        paths = list(paths)
        self.path = next((path for path in paths if len(path) == depth), None)
        names = dict.fromkeys(path[depth] for path in paths if len(path) > depth)
        self.inside = {n: Want((p for p in paths if len(p) > depth and p[depth] == n), depth + 1) for n in names}


class Walk:
    """One batch. ``start`` and ``end``: where each datum is in ``texts``; ``good``: datums in which nothing was found yet."""

    def __init__(self, texts: Texts, start: Ints, end: Ints) -> None:
        self.good = np.ones(len(start), np.bool_)
        self.cells: dict[Path, Spans] = {}
        self._texts = texts
        self._words = texts.words()
        self._start, self._end = start, end
        self._doubtful: list[tuple[Ints, Ints, Ints]] = []
        self._rounds = _MAX_ROUNDS

    def read(self, node: Avro, want: Want) -> None:
        """Walks all datums."""
        ends = self._follow(node, want, self._start, _ALL)
        self.good &= ends == self._end
        self._prove_utf8()

    def _follow(self, node: Avro, want: Want | None, at: Ints, rows: Rows) -> Ints:
        """Where the values that begin ``at``, one in each of ``rows``, end."""
        if node.kind in _SCALARS:
            return self._scalar(node, want, at, rows, None)
        if node.kind == "union":
            return self._union(node, want, at, rows)
        begin = at
        if node.kind == "record":
            for name, part in node.fields:
                at = self._follow(part, None if want is None else want.inside.get(name), at, rows)
        else:
            at = self._elements(node, at, rows)
        if want is not None and want.path is not None:
            self._keep(want.path, node, rows, None, begin, at, None)
        return at

    def _keep(self, path: Path, node: Avro, rows: Rows, there: Bools | None, start: Ints, end: Ints, number: Ints | None) -> None:
        """Notes values; where they are not ``there`` (None: everywhere) they are null."""
        if path not in self.cells:
            self.cells[path] = nothing(self._texts, node, self._start)
        cell = self.cells[path]
        cell.null[rows] = False if there is None else ~there
        cell.start[rows] = start
        cell.end[rows] = end if there is None else np.where(there, end, start)
        if number is not None:
            cell.number[rows] = number

    def _doubt(self, rows: Rows, which: Bools) -> None:
        """These of ``rows`` are for the reference decoder."""
        if which.any():
            self.good[rows] &= ~which

    def _within(self, at: Ints, rows: Rows) -> Ints:
        """The same places, none behind its datum: one that would be leaves it in doubt."""
        end = self._end[rows]
        over = at > end
        if not over.any():
            return at
        self._doubt(rows, over)
        return np.minimum(at, end)

    # ---- scalars -------------------------------------------------------------------------------------------------------

    def _scalar(self, node: Avro, want: Want | None, at: Ints, rows: Rows, there: Bools | None) -> Ints:
        """Values that are no others' parts, in those of ``rows`` where they are ``there`` (None: in all)."""
        kind, start, number = node.kind, at, None
        if kind in ("int", "long", "enum"):
            number, width, broken = self._varints(at)
            end = at + width
            if kind == "int":
                broken |= (number < -(1 << 31)) | (number >= 1 << 31)
            elif kind == "enum":
                broken |= (number < 0) | (number >= len(node.symbols))
        elif kind in ("string", "bytes"):
            size, width, broken = self._varints(at)
            start = at + width
            broken |= (size < 0) | (size > self._end[rows] - start)
            end = start + (np.where(broken, 0, size) if broken.any() else size)
            if kind == "string":
                self._note_text(start, end, rows, there)
        else:
            end = at + (node.size if kind == "fixed" else _SCALARS[kind])
            broken = self._texts.data[at] > 1 if kind == "boolean" else np.zeros(len(at), np.bool_)
        if there is not None:
            broken &= there
            end = np.where(there, end, at)
            start = np.where(there, start, at)
        self._doubt(rows, broken)
        end = self._within(end, rows)
        if want is not None and want.path is not None and kind != "null":
            self._keep(want.path, node, rows, there, np.minimum(start, end), end, number)
        return end

    def _varints(self, at: Ints) -> tuple[Ints, Ints, Bools]:
        """Zig-zagged numbers of variable length, how many octets they take, and which are none."""
        first = self._texts.data[at]
        if first.max(initial=0) < 0x80:
            small = first.astype(np.int64)
            return (small >> 1) ^ -(small & 1), np.ones(len(at), np.int64), np.zeros(len(at), np.bool_)
        word: Words = self._words[at]
        stop = ~word & np.uint64(0x8080808080808080)
        taken = stop ^ (stop - np.uint64(1))  # up to the lowest bit that is set: the end of the octet that has no successor
        bits = _seven(word & taken)
        width = (np.bitwise_count(taken) >> 3).astype(np.int64)
        broken = np.zeros(len(at), np.bool_)
        longer = np.flatnonzero(stop == 0)
        if len(longer):
            ninth, tenth = (self._texts.data[at[longer] + n].astype(np.uint64) for n in (8, 9))
            more = ninth >= 0x80
            bits[longer] = (
                _seven(word[longer]) | (ninth & np.uint64(0x7F)) << np.uint64(56) | np.where(more, tenth, 0) << np.uint64(63)
            )
            width[longer] = 9 + more
            broken[longer] = more & (tenth > 1)
        return ((bits >> np.uint64(1)) ^ -(bits & np.uint64(1))).view(np.int64), width, broken

    def _note_text(self, start: Ints, end: Ints, rows: Rows, there: Bools | None) -> None:
        """Remembers strings that are not ASCII, or too long for a look at each word."""
        size = end - start if there is None else np.where(there, end - start, 0)
        other = self._words[start] & _HIGH[np.minimum(size, 8)] != 0
        longer = np.flatnonzero(size > 8)
        at = 8
        while len(longer) and at < _MAX_LOOKED_AT:
            rest = size[longer] - at
            other[longer] |= self._words[start[longer] + at] & _HIGH[np.minimum(rest, 8)] != 0
            longer = longer[rest > 8]
            at += 8
        other[longer] = True
        if other.any():
            self._doubtful.append((start[other], end[other], np.arange(len(self.good))[rows][other]))

    def _prove_utf8(self) -> None:
        if not self._doubtful:
            return
        start, end, rows = (np.concatenate(parts) for parts in zip(*self._doubtful, strict=True))
        order = np.argsort(start, kind="stable")
        texts = slices(self._texts.data, start[order], end[order])
        try:
            texts.cast(pa.string())
        except pa.ArrowInvalid:
            for row, text in zip(rows[order].tolist(), texts.to_pylist(), strict=True):
                try:
                    text.decode("utf-8")
                except UnicodeDecodeError:
                    self.good[row] = False

    # ---- unions, arrays, maps ------------------------------------------------------------------------------------------

    def _union(self, node: Avro, want: Want | None, at: Ints, rows: Rows) -> Ints:
        octet = self._texts.data[at]
        self._doubt(rows, (octet & 1 != 0) | (octet >= min(2 * len(node.branches), 0x80)))
        at = self._within(at + 1, rows)
        several = node.value is node
        for number, branch in enumerate(node.branches):
            if branch.kind == "null":
                continue
            there = octet == 2 * number
            if several and want is not None:
                self._doubt(rows, there)
            kept = None if several else want
            if there.all():
                at = self._follow(branch, kept, at, rows)
            elif branch.kind in _SCALARS:
                at = self._scalar(branch, kept, at, rows, there)
            elif there.any():
                some = np.flatnonzero(there)
                at = at.copy()
                at[some] = self._follow(branch, kept, at[some], some if isinstance(rows, slice) else rows[some])
        return at

    def _elements(self, node: Avro, at: Ints, rows: Rows) -> Ints:
        """The end of arrays or maps, which are walked one element a round."""
        assert node.items is not None
        at, owner = at.copy(), np.arange(len(self.good))[rows]
        here = np.flatnonzero(self.good[owner])
        while len(here):
            count, width, broken = self._varints(at[here])
            broken |= (count < 0) | (count > self._rounds)
            self._doubt(owner[here], broken)
            at[here] = self._within(at[here] + width, owner[here])
            more = (count > 0) & self.good[owner[here]]
            here, count = here[more], count[more]
            left, some = count, here
            while len(some):
                self._rounds -= 1
                which = owner[some]
                place = self._scalar(_KEY, None, at[some], which, None) if node.kind == "map" else at[some]
                at[some] = self._follow(node.items, None, place, which)
                left = left - 1
                going = (left > 0) & self.good[which]
                some, left = some[going], left[going]
            here = here[self.good[owner[here]]]
        return at


def _seven(word: Words) -> Words:
    """The low seven bits of each octet, one behind the other."""
    word = word & np.uint64(0x7F7F7F7F7F7F7F7F)
    word = (word & np.uint64(0x007F007F007F007F)) | (word & np.uint64(0x7F007F007F007F00)) >> np.uint64(1)
    word = (word & np.uint64(0x00003FFF00003FFF)) | (word & np.uint64(0x3FFF00003FFF0000)) >> np.uint64(2)
    return (word & np.uint64(0x000000000FFFFFFF)) | (word & np.uint64(0x0FFFFFFF00000000)) >> np.uint64(4)
