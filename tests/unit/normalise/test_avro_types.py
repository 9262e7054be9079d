"""Every type of CDC as an Avro column: its canonical text, written by hand, and the same row hash as the same column in JSON.

A case: the Avro type and value, the Connect schema and JSON value that JsonConverter writes for it, and the framed text.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from stream_recon.model.messages import Decoded
from stream_recon.model.plan import Format, TypeRule
from stream_recon.normalise.reference import ReferenceDecoder
from tests.unit.normalise.avro_writing import (
    Schema,
    Schemas,
    Writer,
    change,
    check_same,
    decimal,
    decoders,
    envelope,
    feed,
    key_schema,
    map_of_pairs,
    messages,
    named,
    optional,
    record,
    two_complement,
)

UNREAD = "__debezium_unavailable_value"
COUNT = 17
TIME, DATA, CONNECT = "io.debezium.time.", "io.debezium.data.", "org.apache.kafka.connect.data."


@dataclass(frozen=True)
class Case:
    avro: Schema
    value: Any
    connect: dict[str, Any]
    json: Any
    text: str
    rule: TypeRule | None = None


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def plain(kind: str, connect: str, value: Any, text: str, rule: TypeRule | None = None) -> Case:
    return Case(kind, value, {"type": connect}, value, text, rule)


def logical(kind: str, connect: str, name: str, value: Any, text: str) -> Case:
    return Case(named(kind, name), value, {"type": connect, "name": name}, value, text)


def number(unscaled: int, scale: int, text: str) -> Case:
    octets, name = two_complement(unscaled), CONNECT + "Decimal"
    parameters = {"scale": str(scale)}
    return Case(decimal(scale), octets, {"type": "bytes", "name": name, "parameters": parameters}, b64(octets), text)


def many(*parts: Any) -> Case:
    """A case in several lines."""
    return Case(*parts)


def struct(name: str | None, fields: dict[str, str], avro: dict[str, Schema], *rest: Any) -> Case:
    """A struct of nullable fields; ``rest``: its value in Avro, in JSON, the text."""
    parts = [{"type": kind, "optional": True, "field": field} for field, kind in fields.items()]
    schema = record("T", avro) if name is None else record("T", avro, **{"connect.name": name})
    value, written, text = rest
    return Case(schema, value, {"type": "struct", "name": name or "T", "fields": parts}, written, text)


NARROW = {"type": "int", "connect.type": "int16"}
POINT = bytes.fromhex("0101000000000000000000f03f0000000000000040")
POINT_BIG = bytes.fromhex("00000000013ff00000000000004000000000000000")
POINT_TEXT = "m66:s4:sridn4:4326s3:wkbx42:0101000000000000000000f03f0000000000000040"
GEO: dict[str, Schema] = {"wkb": "bytes", "srid": optional("int")}
GEO_JSON = {"wkb": "bytes", "srid": "int32"}
VARIABLE: dict[str, Schema] = {"scale": "int", "value": "bytes"}
VARIABLE_JSON = {"scale": "int32", "value": "bytes"}
UUID = "a1b2c3d4-0000-4000-8000-000000000000"
VECTOR: Schema = {"type": "array", "items": "double", "connect.name": DATA + "DoubleVector"}
FLOATS: Schema = {"type": "array", "items": "float", "connect.name": DATA + "FloatVector"}
SPARSE: dict[str, Schema] = {"dimensions": "int", "vector": map_of_pairs("int", "double")}

CASES: dict[str, Case] = {
    "boolean true": plain("boolean", "boolean", True, "b1:1"),
    "boolean false": plain("boolean", "boolean", False, "b1:0"),
    "int8": Case({"type": "int", "connect.type": "int8"}, -128, {"type": "int8"}, -128, "n4:-128"),
    "int16": Case(NARROW, 32767, {"type": "int16"}, 32767, "n5:32767"),
    "int32 low": plain("int", "int32", -(2**31), "n11:-2147483648"),
    "int32 zero": plain("int", "int32", 0, "n1:0"),
    "int64 high": plain("long", "int64", 2**63 - 1, "n19:9223372036854775807"),
    "int64 low": plain("long", "int64", -(2**63), "n20:-9223372036854775808"),
    "string empty": plain("string", "string", "", "s0:"),
    "string": plain("string", "string", "été 😀\0", "s11:été 😀\0"),
    "bytes": Case("bytes", b"\0\xff", {"type": "bytes"}, b64(b"\0\xff"), "x4:00ff"),
    "bytes empty": Case("bytes", b"", {"type": "bytes"}, "", "x0:"),
    "fixed": Case({"type": "fixed", "name": "F", "size": 2}, b"\0\xff", {"type": "bytes"}, b64(b"\0\xff"), "x4:00ff"),
    "enum": Case({"type": "enum", "name": "E", "symbols": ["a", "b"]}, "b", {"type": "string"}, "b", "s1:b"),
    "float64": plain("double", "double", 0.1, "f3:0.1"),
    "float64 large": plain("double", "double", 1e21, "f5:1e+21"),
    "float64 whole": plain("double", "double", 1e20, "f21:100000000000000000000"),
    "float64 small": plain("double", "double", 5e-324, "f6:5e-324"),
    "float64 minus zero": plain("double", "double", -0.0, "f1:0"),
    "float64 nan": Case("double", float("nan"), {"type": "double"}, "NaN", "f3:NaN"),
    "float64 infinite": Case("double", -float("inf"), {"type": "double"}, "-Infinity", "f9:-Infinity"),
    "float32": Case("float", 0.1, {"type": "float"}, 0.1, "f19:0.10000000149011612"),
    "float32 minus zero": plain("float", "float", -0.0, "f1:0"),
    "float32 nan": Case("float", float("nan"), {"type": "float"}, "NaN", "f3:NaN"),
    "null": Case(optional("string"), None, {"type": "string", "optional": True}, None, "~"),
    "null second": Case(optional("long", null_first=False), None, {"type": "int64", "optional": True}, None, "~"),
    "nullable": Case(optional("string", null_first=False), "", {"type": "string", "optional": True}, "", "s0:"),
    "date": logical("int", "int32", TIME + "Date", 20778, "d10:2026-11-21"),
    "date connect": logical("int", "int32", CONNECT + "Date", -1, "d10:1969-12-31"),
    "date year 10000": logical("int", "int32", TIME + "Date", 2932897, "d12:+10000-01-01"),
    "date year 0": logical("int", "int32", TIME + "Date", -719163, "d10:0000-12-31"),
    "time": logical("int", "int32", TIME + "Time", 86_399_999, "c15:23:59:59.999000"),
    "time of 64 bits": logical("long", "int64", TIME + "Time", 1, "c15:00:00:00.001000"),
    "time connect": logical("int", "int32", CONNECT + "Time", 86_400_000, "c15:24:00:00.000000"),
    "time us": logical("long", "int64", TIME + "MicroTime", 1, "c15:00:00:00.000001"),
    "time ns": logical("long", "int64", TIME + "NanoTime", 1_001, "c18:00:00:00.000001001"),
    "timestamp ms": logical("long", "int64", TIME + "Timestamp", -1, "t26:1969-12-31T23:59:59.999000"),
    "timestamp connect": logical("long", "int64", CONNECT + "Timestamp", 0, "t26:1970-01-01T00:00:00.000000"),
    "timestamp us": logical("long", "int64", TIME + "MicroTimestamp", 1, "t26:1970-01-01T00:00:00.000001"),
    "timestamp last": logical("long", "int64", TIME + "MicroTimestamp", 253402300799999999, "t26:9999-12-31T23:59:59.999999"),
    "timestamp beyond": logical("long", "int64", TIME + "MicroTimestamp", 253402300800000000, "t28:+10000-01-01T00:00:00.000000"),
    "infinite": logical("long", "int64", TIME + "MicroTimestamp", 9223372036825200000, "t8:infinity"),
    "minus infinite": logical("long", "int64", TIME + "MicroTimestamp", -9223372036832400000, "t9:-infinity"),
    "timestamp ns": logical("long", "int64", TIME + "NanoTimestamp", 1, "t29:1970-01-01T00:00:00.000000001"),
    "infinite ns": logical("long", "int64", TIME + "NanoTimestamp", 2**63 - 1, "t8:infinity"),
    "minus infinite ns": logical("long", "int64", TIME + "NanoTimestamp", -(2**63), "t9:-infinity"),
    "zoned": logical("string", "string", TIME + "ZonedTimestamp", "2026-11-21T06:00:00+02:00", "t26:2026-11-21T04:00:00.000000"),
    "zoned Z": logical("string", "string", TIME + "ZonedTimestamp", "2026-11-21T04:00:00.5Z", "t26:2026-11-21T04:00:00.500000"),
    "zoned time": logical("string", "string", TIME + "ZonedTime", "01:00:00+02:00", "c15:23:00:00.000000"),
    "iso date": logical("string", "string", TIME + "IsoDate", "2017-09-15Z", "d10:2017-09-15"),
    "iso time": logical("string", "string", TIME + "IsoTime", "09:15:00Z", "c15:09:15:00.000000"),
    "iso timestamp": logical("string", "string", TIME + "IsoTimestamp", "2017-09-15T01:02:03Z", "t26:2017-09-15T01:02:03.000000"),
    "year": logical("int", "int32", TIME + "Year", 2026, "n4:2026"),
    "interval": logical("string", "string", TIME + "Interval", "P1Y2M3DT4H5M6.78S", "i17:P1Y2M3DT4H5M6.78S"),
    "duration": logical("long", "int64", TIME + "MicroDuration", -5, "i4:-5us"),
    "duration ns": logical("long", "int64", TIME + "NanoDuration", 5, "i3:5ns"),
    "duration oracle": logical("double", "double", TIME + "MicroDuration", 1.5, "i5:1.5us"),
    "decimal": number(1250, 2, "n4:12.5"),
    "decimal minus": number(-5, 2, "n5:-0.05"),
    "decimal zero": number(0, 4, "n1:0"),
    "decimal scale 0": number(2**64, 0, "n20:18446744073709551616"),
    "decimal minus scale": number(-12, -3, "n6:-12000"),
    "decimal 39 digits": number(10**38 + 1, 1, f"n40:1{'0' * 37}.1"),
    "decimal 80 digits": number(-(10**79) - 3, 0, f"n81:-1{'0' * 78}3"),
    "decimal scale 40": number(1, 40, f"n42:0.{'0' * 39}1"),
    "variable decimal": struct(
        DATA + "VariableScaleDecimal", VARIABLE_JSON, VARIABLE, {"scale": 3, "value": b"\x7b"}, {"scale": 3, "value": "ew=="},
        "n5:0.123",
    ),
    "bits": many(
        *[named("bytes", DATA + "Bits", {"length": "16"}), b"\1"],
        *[{"type": "bytes", "name": DATA + "Bits", "parameters": {"length": "16"}}, b64(b"\1"), "x4:0100"],
    ),
    "json": logical("string", "string", DATA + "Json", '{"b": 1.10, "a": 1e2}', 'j17:{"a":100,"b":1.1}'),
    "json null": logical("string", "string", DATA + "Json", "null", "j4:null"),
    "xml": logical("string", "string", DATA + "Xml", "<a/>", "s4:<a/>"),
    "ltree": logical("string", "string", DATA + "Ltree", "a.b", "s3:a.b"),
    "tsvector": logical("string", "string", DATA + "Tsvector", "'a':1", "s5:'a':1"),
    "uuid": logical("string", "string", DATA + "Uuid", UUID, f"u36:{UUID}"),
    "enum label": logical("string", "string", DATA + "Enum", "x", "s1:x"),
    "enum set": logical("string", "string", DATA + "EnumSet", "b,a", "l8:s1:as1:b"),
    "geometry": struct(
        DATA + "geometry.Geometry", GEO_JSON, GEO, {"wkb": POINT, "srid": 4326}, {"wkb": b64(POINT), "srid": 4326}, POINT_TEXT
    ),
    "geometry big-endian": struct(
        DATA + "geometry.Geography", GEO_JSON, GEO, {"wkb": POINT_BIG, "srid": 4326},
        {"wkb": b64(POINT_BIG), "srid": 4326}, POINT_TEXT,
    ),
    "vector": many(
        *[VECTOR, [1.0, -0.5]],
        *[{"type": "array", "name": DATA + "DoubleVector", "items": {"type": "double"}}, [1.0, -0.5], "l11:f1:1f4:-0.5"],
    ),
    "float vector": many(
        *[FLOATS, [0.5]],
        *[{"type": "array", "name": DATA + "FloatVector", "items": {"type": "float"}}, [0.5], "l6:f3:0.5"],
    ),
    "array": many(
        *[{"type": "array", "items": optional("int")}, [2, None, 1]],
        *[{"type": "array", "items": {"type": "int32"}}, [2, None, 1], "l9:n1:2~n1:1"],
    ),
    "array empty": Case({"type": "array", "items": "int"}, [], {"type": "array", "items": {"type": "int32"}}, [], "l0:"),
    "hstore": many(
        *[{"type": "map", "values": optional("string")}, {"b": None, "a": "x"}],
        *[{"type": "map", "keys": {"type": "string"}, "values": {"type": "string"}}, {"b": None, "a": "x"}, "m13:s1:as1:xs1:b~"],
    ),
    "map of numbers": many(
        *[map_of_pairs("int", "string"), [{"key": 10, "value": "x"}, {"key": 9, "value": ""}]],
        *[{"type": "map", "keys": {"type": "int32"}, "values": {"type": "string"}}, [[10, "x"], [9, ""]], "m16:n2:10s1:xn1:9s0:"],
    ),
    "struct": struct(
        None, {"b": "int32", "a": "string"}, {"b": "int", "a": optional("string")}, {"b": 1, "a": None}, {"b": 1, "a": None},
        "m13:s1:a~s1:bn1:1",
    ),
    "boolean of a number": Case(NARROW, 1, {"type": "int16"}, 1, "b1:1", TypeRule("boolean")),
    "hex": plain("string", "string", "00FF", "x4:00ff", TypeRule("bytes", ("hex",))),
    "date declared": plain("int", "int32", 0, "d10:1970-01-01", TypeRule("date")),
    "timestamp declared": plain("long", "int64", 1, "t26:1970-01-01T00:00:00.001000", TypeRule("timestamp", ("ms",))),
    "decimal declared": plain("string", "string", "1.50", "n3:1.5", TypeRule("decimal", ("9", "2"))),
    "uuid declared": plain("string", "string", UUID.upper(), f"u36:{UUID}", TypeRule("uuid")),
    "json declared": plain("string", "string", "[1.0]", "j3:[1]", TypeRule("json")),
    "set declared": many(
        *[{"type": "array", "items": "int"}, [2, 1], {"type": "array", "items": {"type": "int32"}}, [2, 1], "l8:n1:1n1:2"],
        TypeRule("set"),
    ),
}  # fmt: skip
"""Name of each: the row of the list of types."""
SPECIFIED: dict[str, tuple[Schema, Any, str]] = {
    "date": ({"type": "int", "logicalType": "date"}, 0, "d10:1970-01-01"),
    "time-millis": ({"type": "int", "logicalType": "time-millis"}, 1, "c15:00:00:00.001000"),
    "time-micros": ({"type": "long", "logicalType": "time-micros"}, 1, "c15:00:00:00.000001"),
    "timestamp-millis": ({"type": "long", "logicalType": "timestamp-millis"}, 1, "t26:1970-01-01T00:00:00.001000"),
    "timestamp-micros": ({"type": "long", "logicalType": "timestamp-micros"}, 1, "t26:1970-01-01T00:00:00.000001"),
    "timestamp-nanos": ({"type": "long", "logicalType": "timestamp-nanos"}, 1, "t29:1970-01-01T00:00:00.000000001"),
    "local": ({"type": "long", "logicalType": "local-timestamp-micros"}, 1, "t26:1970-01-01T00:00:00.000001"),
    "uuid": ({"type": "string", "logicalType": "uuid"}, UUID, f"u36:{UUID}"),
    "decimal": ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\x7b", "n4:1.23"),
    "decimal without scale": ({"type": "bytes", "logicalType": "decimal", "precision": 9}, b"\x7b", "n3:123"),
    "decimal fixed": (
        {"type": "fixed", "name": "D", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 1},
        b"\xff" * 4,
        "n4:-0.1",
    ),
    "unheard": ({"type": "int", "logicalType": "unheard"}, 5, "n1:5"),
}
UNKNOWN_TEXTS: list[tuple[Schema, Any, str]] = [
    (named("int", "com.example.Thing"), 5, "unknown type com.example.Thing"),
    (
        record("T", {"date": "int"}, **{"connect.name": TIME + "StructuredEra"}),
        {"date": 1},
        "unknown type io.debezium.time.StructuredEra",
    ),
    (
        record("T", {"date": "int"}, **{"connect.name": TIME + "StructuredDate"}),
        {"date": 1},
        "expected a struct of day, month, year, got another field, too",
    ),
    (named("int", TIME + "Time"), 86_400_001, "outside 00:00 to 24:00"),
    (named("long", TIME + "MicroTime"), -1, "outside 00:00 to 24:00"),
    (named("string", DATA + "Uuid"), UUID.upper(), "expected a UUID in lower case"),
    (named("string", DATA + "Json"), '{"a":1,"a":2}', "column c"),
    (named("bytes", CONNECT + "Decimal"), b"\1", "expected a parameter scale"),
    (decimal(0), two_complement(10**10_000), "at most 10000 digits"),
    (decimal(-9_999), b"\x0a", "at most 10000 digits"),
    ({"type": "map", "values": "int"}, [("a", 1), ("a", 2)], "repeated key"),
    (map_of_pairs("int", "int"), [{"key": 1, "value": 1}] * 2, "repeated key"),
]


def decoded(schema: Schema, value: Any, rule: TypeRule | None = None) -> Decoded:
    """What both decoders make of one value, many times over."""
    columns = {"id": "long", "c": schema}
    schemas, keys = Schemas(), key_schema({"id": "long"})
    name, key = schemas.add(envelope(columns)), schemas.add(keys)
    octets = name + Writer(envelope(columns)).write(change("c", None, {"id": 7, "c": value}))
    plan = feed({"id": None, "c": rule})
    reference, vectorised = decoders(plan, schemas)
    batch = messages([(key + Writer(keys).write({"id": 7}), octets)] * COUNT)
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), COUNT)
    return out


def in_json(case: Case) -> bytes:
    """The row's hash if it comes in Debezium's JSON with its schema."""
    fields = [{"type": "int64", "field": "id"}, {**case.connect, "field": "c"}]
    image = {"type": "struct", "optional": True, "fields": fields}
    times = {"type": "struct", "field": "source", "fields": [{"type": "int64", "field": "ts_us"}]}
    parts = [{**image, "field": "before"}, {**image, "field": "after"}, times, {"type": "string", "field": "op"}]
    payload = {"before": None, "after": {"id": 7, "c": case.json}, "source": {"ts_us": 1}, "op": "c"}
    value = json.dumps({"schema": {"type": "struct", "fields": parts}, "payload": payload}).encode()
    plan = replace(feed({"id": None, "c": case.rule}), format=Format.DEBEZIUM_JSON)
    out = ReferenceDecoder(plan).decode(messages([(None, value)]))
    assert not out.dead, out.dead
    found = out.rows["hash"][0].as_py()
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_column_has_the_text_of_its_type_in_avro_and_in_json(name: str) -> None:
    case = CASES[name]
    wanted = hashlib.sha256(case.text.encode() + b"n1:7").digest()
    assert {row["hash"] for row in decoded(case.avro, case.value, case.rule).rows.to_pylist()} == {wanted}
    assert in_json(case) == wanted


@pytest.mark.parametrize(
    "name", [name for name, case in CASES.items() if case.value is not None and not isinstance(case.avro, list)]
)
def test_a_nullable_column_has_the_same_text(name: str) -> None:
    case = CASES[name]
    wanted = hashlib.sha256(case.text.encode() + b"n1:7").digest()
    for null_first in (True, False):
        out = decoded(optional(case.avro, null_first=null_first), case.value, case.rule)
        assert {row["hash"] for row in out.rows.to_pylist()} == {wanted}


@pytest.mark.parametrize("name", SPECIFIED)
def test_a_logical_type_of_avro_alone_says_the_same(name: str) -> None:
    schema, value, text = SPECIFIED[name]
    wanted = hashlib.sha256(text.encode() + b"n1:7").digest()
    assert {row["hash"] for row in decoded(schema, value).rows.to_pylist()} == {wanted}


@pytest.mark.parametrize(("schema", "value", "reason"), UNKNOWN_TEXTS)
def test_what_has_no_form_is_a_dead_letter_with_its_key(schema: Schema, value: Any, reason: str) -> None:
    out = decoded(schema, value)
    assert len(out.dead) == COUNT
    assert all(reason in letter.reason and letter.key_text == b"n1:7" for letter in out.dead)
    assert all(str(value) not in letter.reason for letter in out.dead if isinstance(value, str))


def kind(schema: Schema) -> str:
    return schema if isinstance(schema, str) else json.dumps(schema)


@pytest.mark.parametrize("key", ["int", "long", "string", NARROW, optional("long"), named("string", DATA + "Uuid"), decimal(0)])
@pytest.mark.parametrize("column", ["int", "long", "string", named("string", DATA + "Uuid"), decimal(0)])
def test_a_key_may_be_written_otherwise_than_its_column(key: Schema, column: Schema) -> None:
    values = {
        "int": 7,
        "long": 7,
        "string": UUID,
        json.dumps(named("string", DATA + "Uuid")): UUID,
        json.dumps(decimal(0)): b"\7",
    }
    schemas, keys, columns = Schemas(), key_schema({"id": key}), {"id": column}
    name, octets = schemas.add(keys), schemas.add(envelope(columns))
    message = octets + Writer(envelope(columns)).write(change("c", None, {"id": values[kind(column)]}))
    batch = messages([(name + Writer(keys).write({"id": values.get(kind(key), 7)}), message)] * COUNT)
    reference, vectorised = decoders(feed({"id": None}), schemas)
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), COUNT)
    tags = {"string": "s", "int": "n", "long": "n"}
    of_key, of_column = (tags.get(kind(one), "u" if "Uuid" in kind(one) else "n") for one in (key, column))
    assert out.rows.num_rows == (COUNT if of_key == of_column else 0)


@pytest.mark.parametrize(
    ("key", "value"), [("long", 7), ("string", "7"), ("bytes", b"7"), (optional(key_schema({"id": "long"})), {"id": 7})]
)
def test_a_key_that_is_no_record_leaves_it_to_the_row(key: Schema, value: Any) -> None:
    schemas, columns = Schemas(), {"id": "long"}
    name, octets = schemas.add(key), schemas.add(envelope(columns))
    message = octets + Writer(envelope(columns)).write(change("u", {"id": 7}, {"id": 7}))
    deleted = octets + Writer(envelope(columns)).write(change("d", {"id": 7}, None))
    written = name + Writer(key).write(value)
    batch = messages([(written, message), (written, deleted), (written, None)] * 20)
    reference, vectorised = decoders(feed({"id": None}), schemas)
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), 60)
    assert set(out.rows["key_text"].to_pylist()) == {b"n1:7"}
    assert out.rows.num_rows == (60 if isinstance(key, list) else 40)  # a tombstone has no other key


def test_an_envelope_that_may_be_null_is_read_and_null_is_a_tombstone() -> None:
    schemas, keys = Schemas(), key_schema({"id": "long"})
    schema = optional(envelope({"id": "long"}))
    name, key = schemas.add(schema), schemas.add(keys)
    written = key + Writer(keys).write({"id": 7})
    row, nothing = (name + Writer(schema).write(one) for one in (change("c", None, {"id": 7}), None))
    batch = messages([(written, row), (written, nothing)] * COUNT)
    reference, vectorised = decoders(feed({"id": None}), schemas)
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), 2 * COUNT)
    assert out.rows["op"].to_pylist() == [0, 3] * COUNT
