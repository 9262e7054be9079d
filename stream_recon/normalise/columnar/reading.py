"""Which reader a column gets, from what is declared and what the wire says.

Only readings that the kernels do exactly as the reference are named here; every other goes, distinct value by distinct value,
through the reference's own reader.
"""

from __future__ import annotations

from stream_recon.model.plan import ColumnPlan, TypeRule
from stream_recon.normalise.columnar import binaries, numbers, texts, times
from stream_recon.normalise.columnar.cells import Reader
from stream_recon.normalise.types.declared import declared_reader
from stream_recon.normalise.types.jsontext import json_item
from stream_recon.normalise.types.scalars import scale_of
from stream_recon.normalise.types.wire import Options, Wire, typed_reader
from stream_recon.normalise.types.zones import load_zone

_INTS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_STRINGS = {"io.debezium.data.Enum", "io.debezium.data.Xml", "io.debezium.data.Ltree", "io.debezium.data.Tsvector"}
_COUNTS = {
    "io.debezium.time.Date": times.days,
    "org.apache.kafka.connect.data.Date": times.days,
    "io.debezium.time.Time": times.times("ms"),
    "org.apache.kafka.connect.data.Time": times.times("ms"),
    "io.debezium.time.MicroTime": times.times("us"),
    "io.debezium.time.NanoTime": times.times("ns"),
}
_STAMPS = {
    "io.debezium.time.Timestamp": "ms",
    "org.apache.kafka.connect.data.Timestamp": "ms",
    "io.debezium.time.MicroTimestamp": "us",
    "io.debezium.time.NanoTimestamp": "ns",
}
_STAMP_TEXTS = {"io.debezium.time.ZonedTimestamp", "io.debezium.time.IsoTimestamp"}


def reader_of(column: ColumnPlan, wire: Wire | None, nfc: bool) -> Reader:
    """The reader of a column with this wire form (None: JSON without a schema)."""
    options = Options(nfc, load_zone(column.timezone) if column.timezone is not None else None)
    if column.type is not None:
        return _declared(column.type, wire, options) or texts.Distinct(declared_reader(column.type, wire, options))
    if wire is None:
        return texts.by_value(texts.Distinct(lambda value: json_item(value, nfc=nfc)), nfc)
    return _typed(wire, options) or texts.Distinct(typed_reader(wire, options))


def _typed(wire: Wire, options: Options) -> Reader | None:
    if wire.name is None:
        return _plain(wire, options)
    if wire.name in _STAMPS and options.zone is None:
        return times.timestamps(_STAMPS[wire.name])
    if wire.name in _STAMP_TEXTS:
        return times.iso_timestamps
    if wire.name in _STRINGS:
        return texts.strings(options.nfc)
    if wire.name == "io.debezium.data.Uuid":
        return binaries.uuids
    if wire.name == "org.apache.kafka.connect.data.Decimal":
        scale = scale_of(wire)
        return numbers.connect_decimal(scale) if wire.kind == "bytes" and scale is not None and 0 <= scale <= 18 else None
    return _COUNTS.get(wire.name)


def _plain(wire: Wire, options: Options) -> Reader | None:
    if wire.kind in _INTS:
        return numbers.signed(_INTS[wire.kind])
    if wire.kind in ("float", "double"):
        return numbers.floats(single=wire.kind == "float")
    if wire.kind == "boolean":
        return numbers.boolean
    if wire.kind == "string":
        return texts.strings(options.nfc)
    return binaries.base64_bytes if wire.kind == "bytes" else None


def _declared(rule: TypeRule, wire: Wire | None, options: Options) -> Reader | None:
    bare = wire is None or wire.name is None
    kind = None if wire is None else wire.kind
    text = kind is None or (kind == "string" and bare)
    if rule.name == "uuid":
        return binaries.uuids
    if rule.name == "string":
        return texts.strings(options.nfc) if kind in (None, "string") else None
    if rule.name == "bytes" and rule.args != ("hex",):
        return binaries.base64_bytes if text or (kind == "bytes" and bare) else None
    if rule.name == "boolean":
        return numbers.boolean_of_number if bare and (kind in _INTS or kind in (None, "boolean")) else None
    if rule.name == "integer":
        return _integer(wire)
    if rule.name == "decimal":
        return _decimal(rule, wire, options)
    return _temporal(rule, wire, options)


def _integer(wire: Wire | None) -> Reader | None:
    if wire is None:
        return numbers.whole_numbers
    return numbers.signed(_INTS[wire.kind]) if wire.name is None and wire.kind in _INTS else None


def _decimal(rule: TypeRule, wire: Wire | None, options: Options) -> Reader | None:
    if wire is None or (wire.kind == "string" and wire.name is None):
        inner: Reader | None = numbers.numbers_or_texts
    elif wire.name == "org.apache.kafka.connect.data.Decimal" or (wire.name is None and wire.kind in _INTS):
        inner = _typed(wire, options)
    else:
        inner = None
    if inner is None or not rule.args:
        return inner
    precision, scale = ([int(argument) for argument in rule.args] + [0])[:2]
    return numbers.fitting(inner, precision, scale)


def _temporal(rule: TypeRule, wire: Wire | None, options: Options) -> Reader | None:
    bare = wire is None or wire.name is None
    counted = bare and (wire is None or wire.kind in _INTS)
    if rule.name == "date":
        return times.days if counted else _same(wire, options, ("Date",))
    if rule.name == "timestamp":
        if rule.args and counted and options.zone is None:
            return times.timestamps(rule.args[0])
        if not rule.args and (wire is None or (wire.name is None and wire.kind == "string")):
            return times.iso_timestamps
        return _same(wire, options, ("Timestamp",))
    if rule.name == "time":
        return times.times(rule.args[0]) if rule.args and counted else _same(wire, options, ("Time",))
    return None


def _same(wire: Wire | None, options: Options, endings: tuple[str, ...]) -> Reader | None:
    """The wire form's own reader, if it gives what was declared anyway."""
    if wire is None or wire.name is None or not wire.name.endswith(endings):
        return None
    return _typed(wire, options)
