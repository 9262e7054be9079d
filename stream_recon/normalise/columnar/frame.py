"""Frames canonical texts, joins them to row texts and hashes them (DESIGN section 4), all rows at once."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datafusion import SessionConfig, SessionContext, col
from datafusion import functions as f

from stream_recon.normalise.columnar.binaries import hex_text
from stream_recon.normalise.columnar.buffers import Ints
from stream_recon.normalise.columnar.cells import Column, lengths

_SHORT = 512
"""Texts below this many octets take their prefix from a table."""
_PREFIXES: dict[int, pa.BinaryArray] = {}


_BLOCK = 64
"""Octets of a block of SHA-256: a longer key of an HMAC is hashed first (RFC 2104)."""


class Hasher:
    """SHA-256 of whole columns by DataFusion, in one plan a batch, on the calling thread's core; HMAC-SHA-256 under ``key``."""

    def __init__(self, key: bytes | None = None) -> None:
        padded = None if key is None else np.frombuffer(_block(key), np.uint8)
        self._pads = None if padded is None else tuple((padded ^ np.uint8(pad)).tobytes() for pad in (0x36, 0x5C))
        self._context = SessionContext(SessionConfig().with_target_partitions(1).with_batch_size(1 << 20))

    def digests(self, columns: list[pa.Array]) -> list[pa.FixedSizeBinaryArray]:
        """The 32-octet digests of each column's values, under the key if there is one; null stays null."""
        if self._pads is None:
            return self.sha256(columns)
        for pad in self._pads:
            columns = [_led(pad, column) for column in columns]
            columns = self.sha256(columns)
        return columns

    def sha256(self, columns: list[pa.Array]) -> list[pa.FixedSizeBinaryArray]:
        """The 32-octet hashes of each column's values; null stays null."""
        if not columns or not len(columns[0]):
            return [pa.array([], pa.binary(32)) for _ in columns]
        names = [f"c{i}" for i in range(len(columns))]
        batch = pa.record_batch(columns, names=names)
        frame = self._context.create_dataframe([[batch]], "hashed")
        try:
            out = pa.Table.from_batches(frame.select(*[f.sha256(col(name)).alias(name) for name in names]).collect())
        finally:
            self._context.deregister_table("hashed")
        return [fixed(out.column(i).combine_chunks(), 32) for i in range(len(columns))]


def _block(key: bytes) -> bytes:
    return (hashlib.sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")


def _led(head: bytes, column: pa.Array) -> pa.BinaryArray:
    """Each value with ``head`` in front; null stays null."""
    return pc.binary_join_element_wise(pa.scalar(head, pa.binary()), column.cast(pa.binary()), pa.scalar(b"", pa.binary()))


def fixed(array: pa.Array, width: int) -> pa.FixedSizeBinaryArray:
    """Binary values of one width as fixed-size binary; nulls, which have no octets, are filled up."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    filled = array.fill_null(b"\0" * width) if array.null_count else array
    offsets = np.frombuffer(filled.buffers()[1], np.int32, 2, filled.offset * 4)
    data = filled.buffers()[2].slice(int(offsets[0]))
    bits = array.is_valid().buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(pa.binary(width), len(array), [bits, data])


def prefix(column: Column) -> pa.Array:
    """``<tag><octets>:`` of each text; null for null."""
    size = lengths(column.text)
    null = None if column.text.null_count == 0 else column.text.is_null().to_numpy(zero_copy_only=False)
    short = size < _SHORT
    tags = np.unique(column.tag).tolist()
    if len(tags) == 1:
        table = _table(tags[0])
        index = np.where(short, size, 0)
    else:
        table = pa.concat_arrays([_table(tag) for tag in tags])
        index = np.searchsorted(tags, column.tag) * _SHORT + np.where(short, size, 0)
    out = table.take(pa.array(index.astype(np.int32), mask=null))
    if short.all():
        return out
    letters = pa.array([bytes([tag]) for tag in tags], pa.binary()).take(pa.array(np.searchsorted(tags, _per_row(column, size))))
    digits = pa.array(size).cast(pa.string()).cast(pa.binary())
    long = pc.binary_join_element_wise(letters, digits, pa.scalar(b":", pa.binary()), pa.scalar(b"", pa.binary()))
    return pc.if_else(pa.array(~short), long, out)


def _per_row(column: Column, size: Ints) -> np.ndarray:
    return np.full(len(size), column.tag, np.uint8) if isinstance(column.tag, int) else column.tag


def _table(tag: int) -> pa.BinaryArray:
    if tag not in _PREFIXES:
        _PREFIXES[tag] = pa.array([b"%c%d:" % (tag, size) for size in range(_SHORT)], pa.binary())
    return _PREFIXES[tag]


def joined(parts: list[pa.Array]) -> pa.BinaryArray:
    """All parts of each row, one behind the other; a null part is nothing."""
    empty = pa.scalar(b"", pa.binary())
    return pc.binary_join_element_wise(*parts, empty, null_handling="replace", null_replacement="")


def framed(column: Column) -> list[pa.Array]:
    """The parts of a column's framed texts: ``~`` alone for null."""
    head = prefix(column)
    return [head.fill_null(b"~") if head.null_count else head, column.text]


def large_parts(column: Column, digest: pa.FixedSizeBinaryArray) -> list[pa.Array]:
    """What stands for a large column in the row's text: ``h64:`` and the hex of its hash, ``~`` for null."""
    text = pc.if_else(column.text.is_valid(), hex_text(digest), pa.scalar(None, pa.binary()))
    return framed(Column(ord("h"), text, column.sure))
