"""What a pair keeps in the store, under its own prefix, and how it is laid out.

prefix B + key id            base record (engine.base)
prefix G + side piece seq    rows of one piece as they came with one block
prefix O + key id            an open discrepancy
prefix U + side + key id     a key left unknown because a side was still loading
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import orjson
import pyarrow as pa

from stream_recon.align.pieces import Rows
from stream_recon.engine.pending import Pending
from stream_recon.lifecycle.states import Difference, Discrepancy, Kind
from stream_recon.model.versions import key_bytes, key_words, version_dtype, words

_PLACE = struct.Struct(">BQQ")
_BIAS = 1 << 63


@dataclass(frozen=True, slots=True)
class PairStore:
    """Keys and values of one pair; ``number`` is its place among the pairs of a store."""

    store: Pending
    number: int
    large: int

    def prefix(self, letter: bytes) -> bytes:
        return b"P" + self.number.to_bytes(4, "big") + letter

    def place(self, side: int, piece: int, sequence: int) -> bytes:
        return self.prefix(b"G") + _PLACE.pack(side, piece + _BIAS, sequence)

    def clear(self) -> None:
        """Takes out all of the pair: its number is never given again."""
        self.store.drop(b"P" + self.number.to_bytes(4, "big"), b"P" + (self.number + 1).to_bytes(4, "big"))

    def segment(self, side: int, piece: int, sequence: int) -> Rows:
        """Rows that left memory."""
        value = self.store.get(self.place(side, piece, sequence))
        assert value is not None, "a segment that was filed is in the store until it is folded"
        return decode_rows(value, self.large)

    def discrepancies(self) -> Iterator[tuple[bytes, Discrepancy]]:
        """Key id and discrepancy of all that are open."""
        prefix = self.prefix(b"O")
        for key, value in self.store.scan(prefix):
            yield key[len(prefix) :], decode_discrepancy(value)

    def loading(self, side: int) -> Iterator[bytes]:
        """Key ids left unknown by a side that was still loading."""
        prefix = self.prefix(b"U") + bytes([side])
        for key, _ in self.store.scan(prefix):
            yield key[len(prefix) :]


def encode_rows(rows: Rows) -> bytes:
    """Count, key ids, version records, text offsets, texts."""
    _, offsets, octets = rows.text.buffers()
    ends = np.zeros(1, "<i4") if offsets is None else np.frombuffer(offsets, "<i4", len(rows) + 1, 4 * rows.text.offset)
    text = b"" if octets is None else memoryview(octets)[int(ends[0]) : int(ends[-1])]
    count = len(rows).to_bytes(4, "little")
    return b"".join((count, key_bytes(rows.high, rows.low), words(rows.version).data, (ends - ends[0]).data, text))


def decode_rows(value: bytes, large: int) -> Rows:
    """Inverse of ``encode_rows``."""
    count, dtype = int.from_bytes(value[:4], "little"), version_dtype(large)
    at = 4 + 16 * count
    high, low = key_words(value[4:at])
    version = np.frombuffer(value, dtype, count, at)
    at += dtype.itemsize * count
    end = at + 4 * (count + 1)
    buffers = [None, pa.py_buffer(value[at:end]), pa.py_buffer(value[end:])]
    return Rows(high, low, version, pa.Array.from_buffers(pa.binary(), count, buffers))


def encode_discrepancy(discrepancy: Discrepancy) -> bytes:
    """JSON with hex hashes."""
    values = asdict(discrepancy)
    for name in ("source", "target"):
        hash_ = values["difference"][name]
        values["difference"][name] = None if hash_ is None else hash_.hex()
    return orjson.dumps(values)


def decode_discrepancy(value: bytes) -> Discrepancy:
    """Inverse of ``encode_discrepancy``."""
    values = orjson.loads(value)
    difference = values.pop("difference")
    hashes = (None if difference[n] is None else bytes.fromhex(difference[n]) for n in ("source", "target"))
    return Discrepancy(**values, difference=Difference(Kind(difference["kind"]), *hashes))
