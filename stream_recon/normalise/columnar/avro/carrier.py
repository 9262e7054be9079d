"""Messages in Avro: sorted by schema id, decoded together, taken apart by path."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import ColumnPlan, Ids
from stream_recon.normalise.avro.book import Schema, SchemaBook
from stream_recon.normalise.avro.framing import GUID_OCTETS, id_octets
from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.avro.arrays import Arrays, nothing
from stream_recon.normalise.columnar.avro.container import ContainerReader, Scratch
from stream_recon.normalise.columnar.avro.physical import is_nothing, kept, plain
from stream_recon.normalise.columnar.avro.reading import reader_of
from stream_recon.normalise.columnar.buffers import Bools, Ints, Path
from stream_recon.normalise.columnar.carrier import Fields, ReadColumn, Written
from stream_recon.normalise.columnar.cells import bools, data_of
from stream_recon.normalise.types.wire import Wire

_MAX_SCHEMAS_A_BATCH: Final = 64
_MAX_READERS: Final = 256


class AvroCarrier:
    """Keys and values of one feed. ``wanted``, ``keyed``: paths of values and of keys."""

    def __init__(self, book: SchemaBook, scratch: Scratch, wanted: tuple[Path, ...], keyed: tuple[Path, ...]) -> None:
        self._book = book
        self._scratch = scratch
        self._wanted = wanted
        self._keyed = keyed
        self._readers: dict[bytes, ContainerReader] = {}
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

    def _fields(self, array: pa.BinaryArray, written: Schema, which: Ints, paths: tuple[Path, ...]) -> Fields:
        messages = array if len(which) == len(array) else array.take(pa.array(which))
        reader = self._readers.get(written.octets)
        if reader is None:
            if len(self._readers) >= _MAX_READERS:
                self._readers.clear()
            reader = self._readers[written.octets] = ContainerReader(written.node, len(written.octets), self._scratch)
        parts = reader.read(messages)
        sure = np.zeros(len(which), np.bool_)
        for at, _ in parts:
            sure[at] = True
        datums = _whole(parts, len(which))
        cells: dict[Path, Arrays] = {}
        objects: dict[Path, Bools] = {}
        opened = _Opened(datums, written.node)
        for path in paths:
            found = opened.path(path)
            if found is None:
                cells[path], objects[path] = nothing(len(which), written.node), np.zeros(len(which), np.bool_)
                continue
            values, node = found
            is_object = node.value.kind == "record"
            objects[path] = bools(values.is_valid()) if is_object else np.zeros(len(which), np.bool_)
            cells[path] = Arrays(plain(values), node.value)
        return Fields(cells, objects, sure)


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


def _whole(parts: list[tuple[Ints, pa.StructArray]], count: int) -> pa.StructArray | None:
    """All datums in the order of their messages, null where there is none."""
    if not parts:
        return None
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]
    at = np.concatenate([which for which, _ in parts])
    index = np.zeros(count, np.int64)
    index[at] = np.arange(len(at))
    absent = np.ones(count, np.bool_)
    absent[at] = False
    return pa.concat_arrays([datums for _, datums in parts]).take(pa.array(index, mask=absent))


class _Opened:
    """Datums taken apart, each struct once: a value is null where anything around it is."""

    def __init__(self, datums: pa.StructArray | None, node: Avro) -> None:
        self._found: dict[Path, tuple[pa.Array, Avro] | None] = {(): None if datums is None else (datums, node)}
        self._parts: dict[Path, dict[str, tuple[pa.Array, Avro]]] = {}

    def path(self, path: Path) -> tuple[pa.Array, Avro] | None:
        """Values and their part of the schema; None if there is none."""
        if path not in self._found:
            around = self.path(path[:-1])
            self._found[path] = None if around is None else self._fields(path[:-1], *around).get(path[-1])
        return self._found[path]

    def _fields(self, path: Path, values: pa.Array, node: Avro) -> dict[str, tuple[pa.Array, Avro]]:
        if path not in self._parts:
            is_record = node.value.kind == "record"
            found = zip(kept(node.value), values.flatten(), strict=True) if is_record else ()
            self._parts[path] = {name: (array, part) for (name, part), array in found if not is_nothing(part)}
        return self._parts[path]
