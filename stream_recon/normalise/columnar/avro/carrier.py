"""Messages in Avro: sorted by schema id, taken apart by path."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import ColumnPlan, Ids
from stream_recon.normalise.avro.book import Schema, SchemaBook
from stream_recon.normalise.avro.framing import GUID_OCTETS, id_octets
from stream_recon.normalise.columnar.avro.reading import reader_of
from stream_recon.normalise.columnar.avro.spans import nothing
from stream_recon.normalise.columnar.avro.walk import Walk, Want
from stream_recon.normalise.columnar.buffers import Bools, Ints, Path, packed
from stream_recon.normalise.columnar.carrier import Fields, ReadColumn, Written
from stream_recon.normalise.columnar.cells import bools, data_of
from stream_recon.normalise.types.wire import Wire

_MAX_SCHEMAS_A_BATCH: Final = 64


class AvroCarrier:
    """Keys and values of one feed. ``wanted``, ``keyed``: paths of values and of keys."""

    def __init__(self, book: SchemaBook, wanted: tuple[Path, ...], keyed: tuple[Path, ...]) -> None:
        self._book = book
        self._wanted = wanted, Want(wanted)
        self._keyed = keyed, Want(keyed)
        self.seen: set[str] = set()

    def keys(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        """By schema; null keys say nothing. A key that is not Avro, or no record, is for the reference."""
        return self._sorted(array)

    def values(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        """By schema."""
        return self._sorted(array)

    def _sorted(self, array: pa.BinaryArray) -> tuple[list[tuple[Written, Ints]], Ints]:
        data, offsets = data_of(array)
        null = ~bools(array.is_valid())
        groups: list[tuple[Written, Ints]] = []
        for octets, which in _by_id(data, offsets, ~null, self._book.ids):
            try:
                schema = self._book.schema(octets)
            except Refused:
                continue
            if schema.node.kind == "record":
                groups.append((schema, which))
        return groups, np.flatnonzero(null)

    def key_fields(self, array: pa.BinaryArray, written: Schema, which: Ints) -> Fields:
        """Key columns."""
        return self._fields(array, written, which, self._keyed)

    def value_fields(self, array: pa.BinaryArray, written: Schema, which: Ints) -> Fields:
        """Paths of the envelope and its images."""
        after = written.wire.field_named("after")
        self.seen.update(after.fields if after is not None else ())
        return self._fields(array, written, which, self._wanted)

    def reader(self, column: ColumnPlan, wire: Wire | None, nfc: bool) -> ReadColumn:
        """The reader of a column with this wire form."""
        return reader_of(column, wire, nfc)

    def _fields(self, array: pa.BinaryArray, written: Schema, which: Ints, wanted: tuple[tuple[Path, ...], Want]) -> Fields:
        paths, want = wanted
        data, offsets = data_of(array)
        texts = packed(data, offsets)
        start, end = offsets[which] + len(written.octets), offsets[which + 1]
        walk = Walk(texts, start, end)
        walk.read(written.node, want)
        cells, objects = {}, {}
        for path in paths:
            cells[path] = walk.cells[path] if path in walk.cells else nothing(texts, written.node, start)
            is_object = path in walk.cells and cells[path].node.kind == "record"
            objects[path] = ~cells[path].null & is_object
        return Fields(cells, objects, walk.good)


def _by_id(data: np.ndarray, offsets: Ints, there: Bools, ids: Ids) -> list[tuple[bytes, Ints]]:
    """Positions by schema id; what has none is in none."""
    start, size = offsets[:-1], np.diff(offsets)
    groups: list[tuple[bytes, Ints]] = []
    for magic, octets in ((0, id_octets(ids)), (1, GUID_OCTETS if ids is Ids.CONFLUENT else 0)):
        if not octets:
            continue
        rest = np.flatnonzero(there & (size >= octets))
        rest = rest[data[start[rest]] == magic]
        for _ in range(_MAX_SCHEMAS_A_BATCH):
            if not len(rest):
                break
            head = data[start[rest][:, None] + np.arange(octets)]
            same = (head == head[0]).all(axis=1)
            groups.append((head[0].tobytes(), rest[same]))
            rest = rest[~same]
    return groups
