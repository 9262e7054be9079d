"""Proves that octets are the one lawful spelling of the values that DataFusion read from them.

Its reader takes any index but that of null for the other type of a union, and any octet but 0 for true; ours refuses both. From
the values follows where each of them stands if every number is as short as it can be and every array is one block: no other
spelling of them is shorter. So a message of exactly that length is spelt so, and its indices and booleans stand where we look.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.avro.physical import is_nothing, kept, plain
from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints
from stream_recon.normalise.columnar.cells import bools, lengths
from stream_recon.normalise.types.wire import Wire

_FIXED = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_KEY = Avro("string", Wire("string"))


def proven(node: Avro, datums: pa.Array, data: Bytes, start: Ints, end: Ints) -> Bools:
    """Which datums, read from ``[start, end)`` of ``data``, are spelt like that."""
    proof = _Proof(data, np.ones(len(datums), np.bool_))
    rows = np.arange(len(datums))
    ends = proof.follow(node, datums, rows, start.copy(), rows)
    out: Bools = proof.good & (ends == end)
    return out


class _Proof:
    """One walk. ``good``: by message, whether nothing was found yet."""

    def __init__(self, data: Bytes, good: Bools) -> None:
        self._data = data
        self.good = good

    def follow(self, node: Avro, array: pa.Array, rows: Ints, at: Ints, owner: Ints) -> Ints:
        """Where the values of these ``rows`` of ``array``, which begin ``at``, end; ``owner``: the message of each."""
        if node.kind == "record":
            for i, (_, part) in enumerate(kept(node)):
                at = self.follow(part, array.field(i), rows, at, owner)
            return at
        if node.kind == "union" and not is_nothing(node):
            return self._union(node, array, rows, at, owner)
        if node.items is not None:
            return self._blocks(node, node.items, array, rows, at, owner)
        if node.kind == "boolean":
            self._check(self._data[at] <= 1, owner)
        elif node.kind == "union":
            index = array.to_numpy(zero_copy_only=False)[rows]
            self._check((index >= 0) & (index < len(node.branches)), owner)
        return at + _width(node, array, rows)

    def _check(self, fine: Bools, owner: Ints) -> None:
        if not fine.all():
            self.good[owner[~fine]] = False

    def _union(self, node: Avro, array: pa.Array, rows: Ints, at: Ints, owner: Ints) -> Ints:
        null = 0 if node.branches[0].kind == "null" else 1
        valid = _picked(bools(array.is_valid()), rows) if array.null_count else np.ones(len(rows), np.bool_)
        self._check(self._data[at] == np.where(valid, 2 * (1 - null), 2 * null), owner)
        at += 1
        if valid.all():
            return self.follow(node.value, array, rows, at, owner)
        some = np.flatnonzero(valid)
        if len(some):
            at[some] = self.follow(node.value, array, rows[some], at[some], owner[some])
        return at

    def _blocks(self, node: Avro, items: Avro, array: pa.Array, rows: Ints, at: Ints, owner: Ints) -> Ints:
        counts, flat = _elements(array, rows)
        at = at + np.where(counts == 0, 0, _varints(2 * counts))
        if len(flat):
            key, size = _element_widths(node, items, array, flat)
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(key + size)])
            first = before[np.cumsum(counts) - counts]
            begin = np.repeat(at - first, counts) + before[:-1] + key
            self.follow(items, _child(node, array), flat, begin, np.repeat(owner, counts))
            at += before[np.cumsum(counts)] - first
        return at + 1


def _width(node: Avro, array: pa.Array, rows: Ints) -> Ints:
    """Octets of the shortest spelling of the values of these rows."""
    if node.kind in _FIXED or node.kind == "fixed":
        return np.full(len(rows), _FIXED.get(node.kind, node.size), np.int64)
    if node.kind in ("string", "bytes"):
        size: Ints = _picked(lengths(plain(array)), rows)
        return _varints(2 * size) + size
    if node.kind in ("int", "long") or is_nothing(node):
        value: Ints = _picked(np.asarray(array.fill_null(0) if array.null_count else array, np.int64), rows)
        return _varints((value << 1) ^ (value >> 63))
    if node.kind == "enum":
        coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        number = np.array([int(symbol[1:]) for symbol in coded.dictionary.to_pylist()] or [0], np.int64)
        return _varints(2 * number[np.asarray(coded.indices.fill_null(0), np.int64)[rows]])
    if node.kind == "record":
        parts = [_width(part, array.field(i), rows) for i, (_, part) in enumerate(kept(node))]
        total: Ints = sum(parts, np.zeros(len(rows), np.int64))
        return total
    if node.kind == "union":
        out = np.ones(len(rows), np.int64)
        some = np.flatnonzero(bools(array.is_valid())[rows])
        out[some] += _width(node.value, array, rows[some])
        return out
    assert node.items is not None
    counts, flat = _elements(array, rows)
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(sum(_element_widths(node, node.items, array, flat)))])
    ends = np.cumsum(counts)
    size = before[ends] - before[ends - counts] + np.where(counts == 0, 0, _varints(2 * counts)) + 1
    return np.asarray(size, np.int64)


def _picked(values: np.ndarray, rows: Ints) -> np.ndarray:
    """The values of these rows, which ascend: of all of them without a copy."""
    return values if len(rows) == len(values) else values[rows]


def _elements(array: pa.Array, rows: Ints) -> tuple[Ints, Ints]:
    """How many elements these rows of an array or a map have, and where they are among all."""
    offsets = np.asarray(array.offsets, np.int64)
    counts = offsets[rows + 1] - offsets[rows]
    behind = np.cumsum(counts)
    return counts, np.repeat(offsets[rows] - behind + counts, counts) + np.arange(int(counts.sum()))


def _element_widths(node: Avro, items: Avro, array: pa.Array, flat: Ints) -> tuple[Ints, Ints]:
    """Octets of the key (an array has none) and of the value of elements."""
    key = _width(_KEY, array.keys, flat) if node.kind == "map" else np.zeros(len(flat), np.int64)
    return key, _width(items, _child(node, array), flat)


def _child(node: Avro, array: pa.Array) -> pa.Array:
    return array.items if node.kind == "map" else array.values


def _varints(zigzag: Ints) -> Ints:
    """Octets of numbers that are zig-zagged already."""
    number = zigzag.view(np.uint64)
    out = np.ones(len(number), np.int64)
    most = int(number.max(initial=0))
    bits = 7
    while bits < 64 and most >> bits:
        out += number >= np.uint64(1 << bits)
        bits += 7
    return out
