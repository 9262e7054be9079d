"""One column of many rows as stretches of the scanned buffer, and the canonical texts that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints, Texts, slices
from stream_recon.normalise.columnar.escapes import code_units, escapers
from stream_recon.normalise.columnar.shape import Kind, Kinds
from stream_recon.normalise.types.unavailable import is_unavailable

_PLACEHOLDER_OCTETS = np.array([28, 40, 56, 63, 64])
"""Octets of the forms that Debezium's placeholder takes in a string: itself, base64, hex, an hstore's JSON (two ways).

What the placeholder means in each type is the reference decoder's to say.
"""

_MEANING = np.arange(256, dtype=np.uint8)
_MEANING[list(b"bfnrt")] = list(b"\b\f\n\r\t")


@dataclass(frozen=True, slots=True)
class Cells:
    """n values: ``[start, end)`` in ``texts`` (ascending; empty where the kind is null) and their kinds."""

    texts: Texts
    start: Ints
    end: Ints
    kind: Kinds

    def __len__(self) -> int:
        return len(self.start)

    @property
    def null(self) -> Bools:
        out: Bools = self.kind == Kind.NULL
        return out

    def raw(self, valid: Bools) -> pa.BinaryArray:
        """The text as it stands, quotes and all, where ``valid``; null elsewhere."""
        return slices(self.texts.data, self.start, np.where(valid, self.end, self.start), valid)

    def integers(self) -> tuple[Ints, Bools]:
        """Integer cells as int64 and which rows hold one; others are 0."""
        valid = (self.kind == Kind.INTEGER) & (self.end - self.start <= 20)
        try:
            parsed = text_view(self.raw(valid)).cast(pa.int64())
        except pa.ArrowInvalid:
            valid &= self.end - self.start <= 18
            parsed = text_view(self.raw(valid)).cast(pa.int64())
        out: Ints = parsed.fill_null(0).to_numpy(zero_copy_only=False)
        return out, valid

    def letters(self) -> tuple[Bytes, Bools]:
        """Strings of one octet, and which rows hold one."""
        return self.texts.data[self.start + 1], (self.kind == Kind.STRING) & (self.end - self.start == 3)

    def taken(self, rows: Ints) -> Cells:
        """The cells of some rows, in ascending order."""
        if len(rows) == len(self):
            return self
        return Cells(self.texts, self.start[rows], self.end[rows], self.kind[rows])

    def strings(self) -> pa.BinaryArray:
        """The values of string cells, unescaped; null elsewhere. UTF-8 is proven, escapes are complete."""
        valid = self.kind == Kind.STRING
        start = self.start + valid
        return unescaped(slices(self.texts.data, start, np.where(valid, self.end - 1, start), valid))


@dataclass(frozen=True, slots=True)
class Column:
    """Canonical texts of n rows, null for null. ``tag``: one byte for all rows, or one a row. ``sure``: rows that hold."""

    tag: int | Bytes
    text: pa.Array
    sure: Bools


Reader = Callable[[Cells], Column]


def text_view(array: pa.BinaryArray) -> pa.StringArray:
    """The same bytes as strings, unchecked: they are known to be UTF-8."""
    return array.view(pa.string())


def data_of(array: pa.Array) -> tuple[Bytes, Ints]:
    """The bytes of a binary or string array without offset in its parent, and its n + 1 offsets."""
    offsets = np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4).astype(np.int64)
    size = int(offsets[-1])
    raw = array.buffers()[2]
    data = np.frombuffer(raw, np.uint8, size) if raw is not None and size else np.empty(0, np.uint8)
    return data, offsets


def binary(data: Bytes, offsets: Ints, like: pa.Array | None = None) -> pa.BinaryArray:
    """A binary array of data and offsets, with the nulls of ``like``."""
    bits = like.is_valid().buffers()[1] if like is not None and like.null_count else None
    return pa.Array.from_buffers(
        pa.binary(), len(offsets) - 1, [bits, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(np.ascontiguousarray(data))]
    )


def unescaped(array: pa.BinaryArray) -> pa.BinaryArray:
    """The strings that JSON string bodies stand for; every escape is known to be complete and lawful."""
    data, offsets = data_of(array)
    slash = data == 0x5C
    if not slash.any():
        return array
    out = np.concatenate([data, np.zeros(16, np.uint8)])
    at = escapers(np.flatnonzero(slash))
    keep = np.ones(len(out), np.bool_)
    keep[at] = False
    unicode = data[at + 1] == 0x75
    plain = at[~unicode] + 1
    out[plain] = _MEANING[data[plain]]
    if unicode.any():
        _put_units(out, keep, at[unicode])
    keep = keep[: len(data)]
    kept = np.concatenate([np.zeros(1, np.int64), np.cumsum(keep)])
    return binary(out[: len(data)][keep], kept[offsets], array)


def _put_units(out: Bytes, keep: Bools, at: Ints) -> None:
    """Writes the UTF-8 of each escaped code unit (pairs as one) over its own text."""
    unit = code_units(out, at)
    keep[(at[:, None] + np.arange(6)).ravel()] = False
    high = np.flatnonzero((unit >> 10) == 0x36)
    point = unit.copy()
    point[high] = 0x10000 + ((unit[high] & 0x3FF) << 10) + (unit[high + 1] & 0x3FF)
    whole = (unit >> 10) != 0x37
    at, point = at[whole], point[whole]
    size = 1 + (point >= 0x80) + (point >= 0x800) + (point >= 0x10000)
    lead = np.array([0, 0, 0xC0, 0xE0, 0xF0])[size]
    for n in range(4):
        has = size > n
        shift = 6 * (size[has] - 1 - n)
        part = point[has] >> shift
        byte = np.where(n == 0, lead[has] | part, 0x80 | (part & 0x3F))
        out[at[has] + n] = byte.astype(np.uint8)
        keep[at[has] + n] = True


def bools(array: pa.BooleanArray) -> Bools:
    """A boolean array as numpy, null as false."""
    filled = array.fill_null(False) if array.null_count else array
    out: Bools = filled.to_numpy(zero_copy_only=False)
    return out


def placeholders(array: pa.BinaryArray) -> Bools:
    """Which strings are a form of the placeholder."""
    out = np.zeros(len(array), np.bool_)
    at = np.flatnonzero(np.isin(lengths(array), _PLACEHOLDER_OCTETS))
    if len(at):
        coded = array.take(pa.array(at)).dictionary_encode()
        found = [text is not None and is_unavailable(text.decode("utf-8")) for text in coded.dictionary.to_pylist()]
        if any(found):
            out[at] = np.array(found)[coded.indices.to_numpy()]
    return out


def lengths(array: pa.BinaryArray) -> Ints:
    """Octets of each value, 0 for null."""
    return np.diff(np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, array.offset * 4)).astype(np.int64)
