"""One column of decoded datums, as stretches of the octets in which they were sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints, Texts, slices


@dataclass(frozen=True, slots=True)
class Spans:
    """n values of one part of a schema: ``[start, end)`` in ``texts``, ascending; empty where ``null``.

    Of a string or of bytes the stretch is what stands behind the length. ``number``: the value of int, long
    and enum; anything where null.
    """

    texts: Texts
    node: Avro
    null: Bools
    start: Ints
    end: Ints
    number: Ints

    def __len__(self) -> int:
        return len(self.start)

    def integers(self) -> tuple[Ints, Bools]:
        """Values of int and long, and which rows hold one; others are anything."""
        if self.node.kind not in ("int", "long"):
            return np.zeros(len(self), np.int64), np.zeros(len(self), np.bool_)
        return self.number, ~self.null

    def letters(self) -> tuple[Bytes, Bools]:
        """Strings of one octet, and which rows hold one."""
        return self.texts.data[self.start], (self.end - self.start == 1) & (self.node.kind == "string")

    def octets(self) -> pa.BinaryArray:
        """The stretches; null where there is no value."""
        return slices(self.texts.data, self.start, self.end, ~self.null)

    def words(self) -> np.ndarray:
        """The eight octets that begin each stretch, as little-endian integers."""
        return self.texts.words()[self.start]

    def taken(self, rows: Ints) -> Spans:
        """The values of some rows, in ascending order."""
        if len(rows) == len(self):
            return self
        return Spans(self.texts, self.node, self.null[rows], self.start[rows], self.end[rows], self.number[rows])


def nothing(texts: Texts, node: Avro, at: Ints) -> Spans:
    """No value in any row; each row's stretch is empty, and lies ``at``."""
    count = len(at)
    return Spans(texts, node, np.ones(count, np.bool_), at.copy(), at.copy(), np.zeros(count, np.int64))
