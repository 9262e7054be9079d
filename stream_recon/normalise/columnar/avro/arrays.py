"""One column of decoded datums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints
from stream_recon.normalise.columnar.cells import bools, data_of, lengths

_PADDING = np.zeros(64, np.uint8)
"""Kernels look at whole words and stamps: a little behind the last value."""


@dataclass(frozen=True, slots=True)
class Arrays:
    """n values of one part of a schema; ``array`` holds them as Arrow has them, null where there is none."""

    array: pa.Array
    node: Avro

    def __len__(self) -> int:
        return len(self.array)

    @property
    def null(self) -> Bools:
        if not self.array.null_count:
            return np.zeros(len(self.array), np.bool_)
        return bools(self.array.is_null())

    def integers(self) -> tuple[Ints, Bools]:
        """Values of int and long, and which rows hold one; others are 0."""
        if self.node.kind not in ("int", "long"):
            return np.zeros(len(self), np.int64), np.zeros(len(self), np.bool_)
        filled = self.array.fill_null(0) if self.array.null_count else self.array
        value: Ints = filled.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return value, ~self.null

    def letters(self) -> tuple[Bytes, Bools]:
        """Strings of one octet, and which rows hold one."""
        if self.node.kind != "string":
            return np.zeros(len(self), np.uint8), np.zeros(len(self), np.bool_)
        data, start, size = self.octets()
        return data[start], size == 1

    def octets(self) -> tuple[Bytes, Ints, Ints]:
        """Strings or bytes as stretches of one buffer: start and length, 0 where null."""
        data, offsets = data_of(self.array)
        return np.concatenate([data, _PADDING]), offsets[:-1], lengths(self.array)

    def taken(self, rows: Ints) -> Arrays:
        """The values of some rows, in ascending order."""
        return self if len(rows) == len(self) else Arrays(self.array.take(pa.array(rows)), self.node)


def nothing(count: int, node: Avro) -> Arrays:
    """Values of a field that is not there."""
    return Arrays(pa.nulls(count, pa.string()), node)
