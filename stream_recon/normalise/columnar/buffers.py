"""Many texts in one buffer, and stretches of a buffer as Arrow arrays: the memory that everything here works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Positions = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Path = tuple[str, ...]
"""Names of fields inside each other."""

PAD = 32
"""Zero bytes after the last message, so that words may be loaded at any position of it."""


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts end to end: text i is ``data[offsets[i]:offsets[i + 1]]``; ``data`` has ``PAD`` zero bytes more."""

    data: Bytes
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def words(self) -> Words:
        """The eight bytes that begin at each position, as little-endian integers, without a copy."""
        return np.ndarray((len(self.data) - 8,), dtype="<u8", buffer=self.data.data, strides=(1,))


def packed(data: Bytes, offsets: Ints) -> Texts:
    """The same texts in a buffer with padding."""
    out = np.empty(len(data) + PAD, np.uint8)
    out[: len(data)] = data
    out[len(data) :] = 0
    return Texts(out, offsets)


def slices(data: Bytes, start: Ints, end: Ints, valid: Bools | None = None) -> pa.BinaryArray:
    """The stretches ``[start, end)`` of a buffer, which must ascend and not overlap, as a binary array.

    Arrow copies them: the wanted stretches and those between them are one array, of which every other value is taken.
    """
    count = len(start)
    if count == 0:
        return pa.array([], pa.binary())
    offsets = np.empty(2 * count, np.int32)
    offsets[0::2] = start
    offsets[1::2] = end
    whole = pa.Array.from_buffers(pa.binary(), 2 * count - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    out = whole.take(pa.array(np.arange(0, 2 * count - 1, 2, dtype=np.int32)))
    if valid is None or bool(valid.all()):
        return out
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), count, [bits, out.buffers()[1], out.buffers()[2]])


def owners(texts: Texts, at: Ints) -> Ints:
    """The text that each position belongs to."""
    return np.searchsorted(texts.offsets, at, side="right") - 1
