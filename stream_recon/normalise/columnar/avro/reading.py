"""Which reader an Avro column gets: kernels for what is one number or one text, the reference's own reading for the rest."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.errors import Refused
from stream_recon.model.plan import ColumnPlan, TypeRule
from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.columnar import binaries, numbers, times
from stream_recon.normalise.columnar.avro.arrays import Arrays
from stream_recon.normalise.columnar.avro.physical import json_value
from stream_recon.normalise.columnar.buffers import Bools
from stream_recon.normalise.columnar.cells import Column, bools, data_of, placeholders
from stream_recon.normalise.columnar.texts import MAX_KEPT, MAX_KEPT_OCTETS, S
from stream_recon.normalise.types import reader as reference_reader
from stream_recon.normalise.types.scalars import scale_of
from stream_recon.normalise.types.unavailable import is_unavailable
from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.wire import Options, Wire
from stream_recon.normalise.types.zones import load_zone

Reader = Callable[[Arrays], Column]

_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_TEXTS = frozenset({None, "io.debezium.data.Enum", "io.debezium.data.Xml", "io.debezium.data.Ltree", "io.debezium.data.Tsvector"})
_DATES = frozenset({"io.debezium.time.Date", "org.apache.kafka.connect.data.Date"})
_TIMES = {
    "io.debezium.time.Time": "ms",
    "org.apache.kafka.connect.data.Time": "ms",
    "io.debezium.time.MicroTime": "us",
    "io.debezium.time.NanoTime": "ns",
}
_STAMPS = {
    "io.debezium.time.Timestamp": "ms",
    "org.apache.kafka.connect.data.Timestamp": "ms",
    "io.debezium.time.MicroTimestamp": "us",
    "io.debezium.time.NanoTimestamp": "ns",
}
_STAMP_TEXTS = frozenset({"io.debezium.time.ZonedTimestamp", "io.debezium.time.IsoTimestamp"})
_PLACEHOLDER = b"__debezium_unavailable_value"
_PLACEHOLDERS = pa.array([_PLACEHOLDER, base64.b64decode(_PLACEHOLDER.hex())], pa.binary())
"""Octets whose base64 is one of its forms: its hex, too, is base64 of something."""


def reader_of(column: ColumnPlan, wire: Wire | None, nfc: bool) -> Reader:
    """The reader of a column whose part of the schema means ``wire`` (None: the schema has no such column)."""
    options = Options(nfc, load_zone(column.timezone) if column.timezone is not None else None)
    if wire is None:
        return absent
    fast = _typed(wire, options) if column.type is None else _declared(column.type, wire, options)
    return fast or Slow(reference_reader(column.type, wire, options))


def absent(values: Arrays) -> Column:
    """Nothing is there."""
    return Column(S, pa.nulls(len(values), pa.binary()), np.ones(len(values), np.bool_))


def _typed(wire: Wire, options: Options) -> Reader | None:
    kind, name = wire.kind, wire.name
    if kind == "string" and name in _TEXTS:
        return strings(options.nfc)
    if kind in _BITS:
        return _number(kind, name, options)
    if kind in ("float", "double") and name is None:
        return floats
    if kind == "boolean" and name is None:
        return boolean
    if kind == "bytes" and name is None:
        return octets
    if kind == "bytes" and name == "org.apache.kafka.connect.data.Decimal":
        scale = scale_of(wire)
        return decimals(scale) if scale is not None and 0 <= scale <= 18 else None
    if kind == "string" and name in _STAMP_TEXTS:
        return stamp_texts
    return uuids if kind == "string" and name == "io.debezium.data.Uuid" else None


def _number(kind: str, name: str | None, options: Options) -> Reader | None:
    if name is None or name == "io.debezium.time.Year":
        return integers(_BITS[kind])
    if name in _DATES:
        return times.days
    if name in _TIMES:
        return times.times(_TIMES[name])
    return times.timestamps(_STAMPS[name]) if name in _STAMPS and options.zone is None else None


def _declared(rule: TypeRule, wire: Wire, options: Options) -> Reader | None:
    """A declared reading that says what the wire says anyway, or reads plain numbers and texts; any other is not for kernels."""
    bare, kind = wire.name is None, wire.kind
    counted = bare and kind in _BITS
    if rule.name == "boolean":
        return boolean if bare and kind == "boolean" else booleans_of_numbers if counted else None
    if rule.name == "integer" and counted:
        return integers(_BITS[kind])
    if rule.name == "string" and kind == "string":
        return strings(options.nfc)
    if rule.name == "uuid" and kind == "string":
        return uuids
    if rule.name == "bytes" and bare and kind == "bytes":
        return octets
    if rule.name == "date" and counted:
        return times.days
    if rule.name == "timestamp":
        if counted and rule.args and options.zone is None:
            return times.timestamps(rule.args[0])
        return stamp_texts if bare and kind == "string" and not rule.args else None
    if rule.name == "time" and counted and rule.args:
        return times.times(rule.args[0])
    return None


def _taken(values: Arrays, kinds: tuple[str, ...]) -> Bools:
    """Rows that hold a value, if the part is of such a kind; else none."""
    return ~values.null if values.node.kind in kinds else np.zeros(len(values), np.bool_)


def strings(nfc: bool) -> Reader:
    """Text as it is; with ``nfc`` what is not ASCII is in doubt (see ``texts.strings``)."""

    def read(values: Arrays) -> Column:
        if values.node.kind not in ("string", "enum"):
            return _doubt(values)
        array = values.array if values.node.kind == "string" else _labels(values)
        text = array.view(pa.binary())
        sure = ~placeholders(text)
        if nfc:
            sure &= bools(pc.string_is_ascii(array))
        return Column(S, text, sure | values.null)

    return read


def _labels(values: Arrays) -> pa.StringArray:
    """An enum's symbols: ``physical`` calls them s0, s1 ..."""
    coded = values.array.dictionary_encode()
    symbols = [None if one is None else values.node.symbols[int(one[1:])] for one in coded.dictionary.to_pylist()]
    return pa.array(symbols, pa.string()).take(coded.indices)


def integers(bits: int) -> Reader:
    """Integers of so many bits."""

    def read(values: Arrays) -> Column:
        if values.node.kind not in ("int", "long"):
            return _doubt(values)
        text = values.array.cast(pa.string()).view(pa.binary())
        sure = np.ones(len(values), np.bool_)
        if bits < (32 if values.node.kind == "int" else 64):
            value, _ = values.integers()
            sure = (value >= -(1 << (bits - 1))) & (value < 1 << (bits - 1))
        return Column(numbers.N, text, sure)

    return read


def boolean(values: Arrays) -> Column:
    """Booleans."""
    valid = _taken(values, ("boolean",))
    if not valid.any():
        return Column(numbers.B, pa.nulls(len(values), pa.binary()), values.null)
    return Column(numbers.B, numbers.bits_text(bools(values.array), valid), valid | values.null)


def booleans_of_numbers(values: Arrays) -> Column:
    """1 and 0; any other number is for the reference to refuse."""
    value, valid = values.integers()
    valid &= (value == 0) | (value == 1)
    return Column(numbers.B, numbers.bits_text(value == 1, valid), valid | values.null)


def floats(values: Arrays) -> Column:
    """Float64, and float32 widened exactly."""
    valid = _taken(values, ("float", "double"))
    if not valid.any():
        return Column(numbers.F, pa.nulls(len(values), pa.binary()), values.null)
    value = values.array.fill_null(0.0).to_numpy(zero_copy_only=False).astype(np.float64)
    valid &= np.isfinite(value)
    return numbers.float_texts(np.where(valid, value, 0.0), valid, values.null)


def octets(values: Arrays) -> Column:
    """Bytes; Debezium's placeholder is in doubt."""
    if values.node.kind != "bytes":
        return _doubt(values)
    data, offsets = data_of(values.array)
    text = binaries.hex_of(data[: int(offsets[-1])], offsets)
    null = values.null
    sure = ~bools(pc.is_in(values.array, _PLACEHOLDERS))
    return Column(binaries.X, binaries.masked(text, ~null), sure | null)


def decimals(scale: int) -> Reader:
    """Two's complements of at most 8 octets."""

    def read(values: Arrays) -> Column:
        if values.node.kind != "bytes":
            return _doubt(values)
        data, offsets = data_of(values.array)
        null = values.null
        column = numbers.unscaled(data, offsets, ~null, scale, null)
        return Column(column.tag, column.text, column.sure)

    return read


def stamp_texts(values: Arrays) -> Column:
    """ISO 8601 in UTC."""
    if values.node.kind != "string":
        return _doubt(values)
    null = values.null
    data, start, size = values.octets()
    return times.iso_texts(data, start, size, ~null, null)


def uuids(values: Arrays) -> Column:
    """Lower-case UUIDs with dashes; another spelling is in doubt."""
    if values.node.kind != "string":
        return _doubt(values)
    null = values.null
    data, start, size = values.octets()
    good = binaries.are_uuids(data, start, ~null & (size == 36))
    return Column(binaries.U, values.array.view(pa.binary()), good | null)


def _doubt(values: Arrays) -> Column:
    """What a kernel does not read."""
    return Column(S, pa.nulls(len(values), pa.binary()), values.null)


class Slow:
    """The reference's own reading, value by value: each distinct one once where Arrow can tell them apart."""

    def __init__(self, read: Callable[[Json], Item]) -> None:
        self._read = read
        self._known: dict[object, Item | None] = {}

    def __call__(self, values: Arrays) -> Column:
        array = values.array
        if pa.types.is_nested(array.type):
            return _column([self._item(values.node, one) for one in array.to_pylist()], values.null)
        coded = array.dictionary_encode()
        items = [self._kept(values.node, one) for one in coded.dictionary.to_pylist()]
        column = _column(items, np.array([item is None for item in items], np.bool_))
        index = coded.indices
        text = column.text.take(index)
        tag = column.tag if isinstance(column.tag, int) else column.tag[index.fill_null(0).to_numpy(zero_copy_only=False)]
        return Column(tag, text, values.null | bools(text.is_valid()))

    def _kept(self, node: Avro, value: object) -> Item | None:
        key = (node, value, str(value)) if isinstance(value, float) else (node, value)  # 0.0 == -0.0, and nan != nan
        if key not in self._known:
            item = self._item(node, value)
            if isinstance(value, str | bytes) and len(value) > MAX_KEPT_OCTETS:
                return item
            if len(self._known) >= MAX_KEPT:
                self._known.clear()
            self._known[key] = item
        return self._known[key]

    def _item(self, node: Avro, value: object) -> Item | None:
        """None: null, refused, or unknown to the connector."""
        if value is None:
            return None
        try:
            found = json_value(node, value)
            return None if found is None or is_unavailable(found) else self._read(found)
        except Refused:
            return None


def _column(items: list[Item | None], null: Bools) -> Column:
    text = pa.array([None if item is None else item[1] for item in items], pa.binary())
    tags = np.array([0 if item is None else ord(item[0]) for item in items] or [0], np.uint8)
    sure = null | bools(text.is_valid())
    return Column(int(tags[0]) if (tags == tags[0]).all() else tags, text, sure)
