"""Avro schemas: names, meanings, what is refused, and bounds for schemas that are made to hurt."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from stream_recon.errors import Refused
from stream_recon.normalise.avro.datum import DatumReader
from stream_recon.normalise.avro.schema import MAX_DEPTH, MAX_NODES, Avro, parse_schema
from stream_recon.normalise.columnar.avro.walk import Walk, Want
from stream_recon.normalise.columnar.buffers import packed
from stream_recon.normalise.types.wire import Wire
from tests.unit.normalise.avro_writing import (
    SOURCE,
    Schema,
    Schemas,
    Writer,
    change,
    check_same,
    decimal,
    decoders,
    envelope,
    feed,
    map_of_pairs,
    messages,
    named,
    optional,
    record,
    text,
)

QUICK_SECONDS = 2.0
DECIMAL, DATE = "org.apache.kafka.connect.data.Decimal", "org.apache.kafka.connect.data.Date"
FIXED = {"type": "fixed", "name": "F", "size": 1}


def parsed(schema: Schema, *references: Schema) -> Avro:
    return parse_schema(text(schema), [text(one) for one in references])


def wire(schema: Schema) -> Wire:
    return parsed(schema).wire


@pytest.mark.parametrize(
    ("schema", "kind", "name"),
    [
        *[("boolean", "boolean", None), ("int", "int32", None), ("long", "int64", None), ("float", "float", None)],
        *[("double", "double", None), ("bytes", "bytes", None), ("string", "string", None), (FIXED, "bytes", None)],
        *[({"type": "int", "connect.type": one}, one, None) for one in ("int8", "int16")],
        *[({"type": "int", "connect.type": one}, "int32", None) for one in ("array", "map", "struct", "int64", "x", 5, None)],
        ({"type": "long", "connect.type": "int8"}, "int64", None),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, "string", None),
        (optional("int"), "int32", None),
        (optional("int", null_first=False), "int32", None),
        (["int"], "int32", None),
        (named("int", "io.debezium.time.Date"), "int32", "io.debezium.time.Date"),
        ({"type": "int", "logicalType": "date"}, "int32", DATE),
        ({"type": "int", "logicalType": "date", "connect.name": "io.debezium.time.Date"}, "int32", "io.debezium.time.Date"),
        ({"type": "string", "logicalType": "date"}, "string", None),
        ({"type": {"type": "int", "logicalType": "date"}}, "int32", DATE),
        ({"type": "array", "items": "int", "connect.name": "x.Y"}, "array", "x.Y"),
        ({"type": "map", "values": "int"}, "map", None),
        (map_of_pairs("int", "string"), "map", None),
        (record("R", {}, namespace="a.b"), "struct", "a.b.R"),
        (record("R", {}, **{"connect.name": "x.Y"}), "struct", "x.Y"),
        ({"type": "error", "name": "R", "fields": []}, "struct", "R"),
        (SOURCE, "struct", "io.debezium.connector.postgresql.Source"),
    ],
)
def test_what_a_type_means_to_connect(schema: Schema, kind: str, name: str | None) -> None:
    assert (wire(schema).kind, wire(schema).name) == (kind, name)


@pytest.mark.parametrize(
    ("schema", "scale"),
    [
        (decimal(4), "4"),
        (named("bytes", DECIMAL, {"scale": "3"}), "3"),
        (named("bytes", DECIMAL, {"scale": 3}), "3"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}, "2"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4}, "0"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2, "connect.name": DECIMAL}, "2"),
        ({**FIXED, "logicalType": "decimal", "precision": 2, "scale": 1}, "1"),
        (named("bytes", DECIMAL), None),
        (named("bytes", DECIMAL, {"scale": {"a": [1]}}), None),
    ],
)
def test_the_scale_of_a_decimal(schema: Schema, scale: str | None) -> None:
    assert wire(schema).name == DECIMAL
    assert wire(schema).parameters.get("scale") == scale


def test_a_map_of_pairs_is_a_map_and_other_records_are_a_list() -> None:
    assert parsed(map_of_pairs("int", "string")).pairs
    entry = record("Entry", {"key": "int", "value": "string"})
    assert not parsed({"type": "array", "items": entry}).pairs
    assert not parsed({"type": "array", "items": {**entry, "name": "MapEntry", "fields": entry["fields"][:1]}}).pairs
    swapped = record("MapEntry", {"value": "string", "key": "int"})
    found = parsed({"type": "array", "items": swapped})
    assert found.pairs
    assert found.wire.keys is not None
    assert found.wire.keys.kind == "int32"


def test_a_map_of_pairs_in_another_order_has_the_same_keys() -> None:
    hashes = []
    for fields in ({"key": "int", "value": "string"}, {"value": "string", "key": "int"}):
        columns = {"id": "long", "c": {"type": "array", "items": record("MapEntry", fields)}}
        schemas = Schemas()
        value = change("c", None, {"id": 1, "c": [{"key": 5, "value": "x"}]})
        row = schemas.add(envelope(columns)) + Writer(envelope(columns)).write(value)
        reference, vectorised = decoders(feed({"id": None, "c": None}), schemas)
        out = reference.decode(messages([(None, row)] * 20))
        check_same(out, vectorised.decode(messages([(None, row)] * 20)), 20)
        hashes += out.rows["hash"].to_pylist()
    assert len(hashes) == 40
    assert len(set(hashes)) == 1


@pytest.mark.parametrize(
    "use",
    [
        *[
            "F",
            "a.b.F",
            {"type": "F"},
            {"type": "a.b.F"},
            {"type": "array", "items": "F"},
            ["null", "F"],
            {"type": "map", "values": "F"},
        ],
        record("Inner", {"x": "F"}),
        record("Inner", {"x": "a.b.F"}, namespace="elsewhere"),
        record("elsewhere.Inner", {"x": "a.b.F"}),
    ],
)
def test_names_are_found_in_their_namespace(use: Schema) -> None:
    outer = record("Outer", {"d": FIXED, "u": use}, namespace="a.b")
    assert parsed(outer).kind == "record"
    assert parsed(record("Outer", {"u": use}, namespace="a.b"), {**FIXED, "namespace": "a.b"}).kind == "record"


@pytest.mark.parametrize("use", ["F", {"type": "F"}, ["null", "F"]])
def test_names_of_another_namespace_are_not_found(use: Schema) -> None:
    with pytest.raises(Refused, match="not known"):
        parsed(record("Outer", {"d": {**FIXED, "namespace": "x"}, "u": use}, namespace="a.b"))


def test_a_name_without_a_namespace_is_found_anywhere() -> None:
    assert parsed(record("Outer", {"u": "F"}, namespace="a.b"), FIXED).kind == "record"


SELF = record("R", {"next": optional("R")})
REFUSED: list[tuple[Any, str]] = [
    *[("", "not JSON"), ("{", "not JSON"), ("[" * 100_000, "not JSON"), ('"\\ud800"', "surrogate"), ("1" * 5000, "not JSON")],
    *[
        ("5", "expected a type"),
        ("null", "expected a type"),
        ("true", "expected a type"),
        ("{}", "expected a type"),
        ("NaN", "type"),
    ],
    *[("[]", "union"), ('[["int"]]', "union"), ('["null", ["int"]]', "union"), ('"strin"', "not known"), ('{"type": 5}', "type")],
    *[(SELF, "contains itself"), ({"type": "array", "items": SELF}, "contains itself")],
    *[(record("R", {"a": record("R", {})}), "twice"), (record("R", {"a": FIXED, "b": FIXED}), "twice")],
    *[({"type": "record", "fields": []}, "a name"), ({"type": "record", "name": 5, "fields": []}, "a name")],
    *[({"type": "record", "name": "R"}, "fields"), ({"type": "record", "name": "R", "fields": [5]}, "a name of its own")],
    *[
        ({"type": "record", "name": "R", "fields": [{"name": "a"}]}, "type"),
        ({"type": "record", "name": "R", "fields": {}}, "fields"),
    ],
    ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}] * 2}, "a name of its own"),
    *[({**FIXED, "size": one}, "size") for one in (-1, None, True, 1.5, "1", 2**24, 10**100)],
    *[({"type": "enum", "name": "E", "symbols": one}, "symbols") for one in list[Any]([None, [], [5], {}, "ab"])],
    *[({"type": "array", "items": one}, "no octets") for one in ("null", record("R", {}), {**FIXED, "size": 0})],
    ({"type": "array", "items": record("R", {"a": record("S", {"n": "null"}), "b": "null"})}, "no octets"),
    ({"type": "array", "items": record("R", {"a": "int", **{f"n{i}": "null" for i in range(1000)}})}, "no octets"),
    ({"type": "map", "values": record("R", {f"n{i}": "null" for i in range(1000)})}, "no octets"),
    *[({"type": "array"}, "type"), ({"type": "map", "values": None}, "type")],
    ({"type": "enum", "name": "E", "symbols": ["\ud800"]}, "surrogate"),
    (record("R", {"\udfff": "int"}), "surrogate"),
    ({"type": "int", "connect.name": "\ud800"}, "surrogate"),
]


@pytest.mark.parametrize(("schema", "reason"), REFUSED)
def test_what_is_no_schema_is_refused(schema: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse_schema(schema if isinstance(schema, str) else json.dumps(schema))


def exploding(levels: int) -> Schema:
    """Records that each name the one before twice."""
    fields: dict[str, Schema] = {"d0": record("N0", {"a": "int"})}
    for level in range(1, levels):
        fields[f"d{level}"] = record(f"N{level}", {"a": f"N{level - 1}", "b": f"N{level - 1}"})
    return record("X", fields)


def chained(levels: int) -> Schema:
    """Records that each hold the one before: deep, though nothing stands deep in the text."""
    fields: dict[str, Schema] = {"d0": record("N0", {"a": "int"})}
    for level in range(1, levels):
        fields[f"d{level}"] = record(f"N{level}", {"a": f"N{level - 1}"})
    return record("X", fields)


def nested(levels: int) -> Schema:
    schema: Schema = "int"
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def wrapped(levels: int) -> Schema:
    schema: Schema = "int"
    for _ in range(levels):
        schema = {"type": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        *[exploding(20), exploding(3000), chained(MAX_DEPTH + 2), chained(2000), nested(MAX_DEPTH + 1), wrapped(MAX_DEPTH + 2)],
        record("W", {f"a{i}": "int" for i in range(MAX_NODES)}),
        *[nested(400), wrapped(400)],
    ],
    ids=lambda schema: str(len(text(schema))),
)
def test_a_schema_made_to_hurt_is_refused_at_once(schema: Schema) -> None:
    start = time.process_time()
    with pytest.raises(Refused, match="too large"):
        parsed(schema)
    assert time.process_time() - start < QUICK_SECONDS


def test_references_that_explode_are_refused() -> None:
    texts: list[Schema] = [record("N0", {"a": "int"})]
    texts += [record(f"N{i}", {"a": f"N{i - 1}", "b": f"N{i - 1}"}) for i in range(1, 40)]
    with pytest.raises(Refused, match="too large"):
        parsed(record("X", {"a": "N39"}), *texts)


@pytest.mark.parametrize("schema", [exploding(9), chained(MAX_DEPTH // 2), nested(MAX_DEPTH - 6)])
def test_a_large_schema_within_the_bounds_is_read_alike(schema: Schema) -> None:
    columns = {"id": "long", "c": optional(schema)}
    schemas = Schemas()
    octets, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    pairs: list[tuple[bytes | None, bytes | None]] = [
        (None, octets + writer.write(change("c", None, {"id": at, "c": None}))) for at in range(20)
    ]
    reference, vectorised = decoders(feed({"id": None, "c": None}), schemas)
    out = reference.decode(messages(pairs))
    check_same(out, vectorised.decode(messages(pairs)), 20)
    assert out.rows.num_rows == 20


def test_a_field_may_have_any_name_and_the_same_name_as_its_neighbour_in_another_record() -> None:
    columns = {"id": "long", "a b": "int", "é": "int", "": "int", "f0": "int", "op": "string", "after": "int"}
    schemas = Schemas()
    octets, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    row = {"id": 1, "a b": 2, "é": 3, "": 4, "f0": 5, "op": "z", "after": 6}
    reference, vectorised = decoders(feed(dict.fromkeys(columns)), schemas)
    batch = messages([(None, octets + writer.write(change("c", None, row)))] * 20)
    out = reference.decode(batch)
    check_same(out, vectorised.decode(batch), 20)
    assert out.rows.num_rows == 20
    assert vectorised.statistics().vectorised == 20


LONGEST = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"
"""-2**63."""


@pytest.mark.parametrize(
    ("spelling", "holds"),
    [
        (b"\2\4x\2\2\6", True),
        (b"\2\4x\2\0", True),
        (b"\2\4x\2\4\6", False),  # no such branch
        (b"\2\4x\2\1\6", False),  # less than none
        (b"\2\4x\2\2", False),
        (b"\2\4x\2\2\6\0", False),
        (b"\2\4x\2\2" + LONGEST, True),
        (b"\2\4x\2\2" + LONGEST[:-1] + b"\2", False),  # 65 bits
        (b"\2\4x\2\2" + LONGEST[:-1] + b"\x81\0", False),  # 11 octets
        (b"\x82\0\4x\2\2\6", True),  # longer than need be
        (b"\2\x82\x80\x80\x80\x80\x80\x80\x80\x80\0x\2\6", True),
        (b"\xfe\xff\xff\xff\x0f\4x\2\2\6", True),
        (b"\x80\x80\x80\x80\x10\4x\2\2\6", False),  # 2**31 is no int
        (b"\2\3x\2\2\6", False),  # a length below nothing
        (b"\2\x7ex\2\2\6", False),  # behind the end
        (b"\2" + LONGEST + b"x\2\6", False),
        (b"\2\4\xc3\xa9\2\6", True),
        (b"\2\4\xc3\x28\2\6", False),  # not UTF-8
    ],
)
def test_a_walk_believes_what_the_reference_believes(spelling: bytes, holds: bool) -> None:
    node = parsed(record("R", {"a": "int", "s": "string", "u": optional("long")}))
    data = b"??" + spelling
    walk = Walk(packed(np.frombuffer(data + b"\6\6\6", np.uint8), np.array([0])), np.array([2]), np.array([len(data)]))
    walk.read(node, Want())
    assert walk.good.tolist() == [holds]
    try:
        DatumReader(node).read(spelling)
    except Refused:
        assert not holds
    else:
        assert holds
