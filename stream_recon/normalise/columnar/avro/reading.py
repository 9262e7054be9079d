"""Which reader an Avro column gets: kernels for what is one number or one text, the reference's own reading for the rest."""

from __future__ import annotations

import base64
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.errors import Refused
from stream_recon.model.plan import ColumnPlan, TypeRule
from stream_recon.normalise.avro.datum import DatumReader
from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.columnar import binaries, numbers, times
from stream_recon.normalise.columnar.avro.spans import Spans
from stream_recon.normalise.columnar.cells import Column, bools, data_of, placeholders, text_view
from stream_recon.normalise.columnar.texts import MAX_KEPT, MAX_KEPT_OCTETS, S, spread
from stream_recon.normalise.types import reader as reference_reader
from stream_recon.normalise.types.scalars import scale_of
from stream_recon.normalise.types.unavailable import is_unavailable
from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.wire import Options, Wire
from stream_recon.normalise.types.zones import load_zone

Reader = Callable[[Spans], Column]

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


def absent(values: Spans) -> Column:
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


def strings(nfc: bool) -> Reader:
    """Text as it is; with ``nfc`` what is not ASCII is in doubt (see ``texts.strings``)."""

    def read(values: Spans) -> Column:
        if values.node.kind not in ("string", "enum"):
            return _doubt(values)
        text = values.octets() if values.node.kind == "string" else _labels(values)
        sure = ~placeholders(text)
        if nfc:
            sure &= bools(pc.string_is_ascii(text_view(text)))
        return Column(S, text, sure | values.null)

    return read


def _labels(values: Spans) -> pa.BinaryArray:
    symbols = pa.array([symbol.encode("utf-8") for symbol in values.node.symbols], pa.binary())
    return symbols.take(pa.array(np.clip(values.number, 0, len(symbols) - 1), mask=values.null))


def integers(bits: int) -> Reader:
    """Integers of so many bits."""

    def read(values: Spans) -> Column:
        value, valid = values.integers()
        text = pa.array(value, mask=~valid).cast(pa.string()).view(pa.binary())
        if bits < 64:
            valid &= (value >= -(1 << (bits - 1))) & (value < 1 << (bits - 1))
        return Column(numbers.N, text, valid | values.null)

    return read


def boolean(values: Spans) -> Column:
    """Booleans."""
    valid = ~values.null & (values.node.kind == "boolean")
    return Column(numbers.B, numbers.bits_text(values.texts.data[values.start] == 1, valid), valid | values.null)


def booleans_of_numbers(values: Spans) -> Column:
    """1 and 0; any other number is for the reference to refuse."""
    value, valid = values.integers()
    valid &= (value == 0) | (value == 1)
    return Column(numbers.B, numbers.bits_text(value == 1, valid), valid | values.null)


def floats(values: Spans) -> Column:
    """Float64, and float32 widened exactly."""
    if values.node.kind not in ("float", "double"):
        return _doubt(values)
    words = values.words()
    if values.node.kind == "float":
        with np.errstate(invalid="ignore"):  # a signalling NaN
            value = words.astype(np.uint32).view(np.float32).astype(np.float64)
    else:
        value = words.view(np.float64)
    valid = ~values.null & np.isfinite(value)
    return numbers.float_texts(np.where(valid, value, 0.0), valid, values.null)


def octets(values: Spans) -> Column:
    """Bytes; Debezium's placeholder is in doubt."""
    if values.node.kind != "bytes":
        return _doubt(values)
    sent = values.octets()
    text = binaries.hex_of(*data_of(sent))
    sure = ~bools(pc.is_in(sent, _PLACEHOLDERS))
    return Column(binaries.X, binaries.masked(text, ~values.null), sure | values.null)


def decimals(scale: int) -> Reader:
    """Two's complements of at most 8 octets."""

    def read(values: Spans) -> Column:
        if values.node.kind != "bytes":
            return _doubt(values)
        return numbers.unscaled(values.texts.data, values.start, values.end - values.start, ~values.null, scale, values.null)

    return read


def stamp_texts(values: Spans) -> Column:
    """ISO 8601 in UTC."""
    if values.node.kind != "string":
        return _doubt(values)
    return times.iso_texts(values.texts.data, values.start, values.end - values.start, ~values.null, values.null)


def uuids(values: Spans) -> Column:
    """Lower-case UUIDs with dashes; another spelling is in doubt."""
    if values.node.kind != "string":
        return _doubt(values)
    good = binaries.are_uuids(values.texts.data, values.start, ~values.null & (values.end - values.start == 36))
    return Column(binaries.U, values.octets(), good | values.null)


def _doubt(values: Spans) -> Column:
    """What a kernel does not read."""
    return Column(S, pa.nulls(len(values), pa.binary()), values.null)


class Slow:
    """The reference's own reading, value by value: each distinct one once."""

    def __init__(self, read: Callable[[Json], Item]) -> None:
        self._read = read
        self._known: dict[tuple[Avro, bytes], Item | None] = {}

    def __call__(self, values: Spans) -> Column:
        coded = values.octets().dictionary_encode()
        items = [self._kept(values.node, one) for one in coded.dictionary.to_pylist()]
        return spread(items, coded.indices, ~values.null)

    def _kept(self, node: Avro, sent: bytes) -> Item | None:
        try:
            return self._known[node, sent]
        except KeyError:
            item = self._item(node, sent)
        if len(sent) <= MAX_KEPT_OCTETS:
            if len(self._known) >= MAX_KEPT:
                self._known.clear()
            self._known[node, sent] = item
        return item

    def _item(self, node: Avro, sent: bytes) -> Item | None:
        """None: null, refused, or unknown to the connector."""
        try:
            found = _json(node, sent)
            return None if found is None or is_unavailable(found) else self._read(found)
        except (Refused, UnicodeDecodeError):
            return None


def _json(node: Avro, sent: bytes) -> Json:
    """A value as the reference reads it. Raises ``Refused``."""
    if node.kind == "string":
        return sent.decode("utf-8")
    return base64.b64encode(sent).decode("ascii") if node.kind == "bytes" else DatumReader(node).read(sent)
