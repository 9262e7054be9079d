"""Columns that could never be equal are told at the start, with what to declare."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TypeRule
from stream_recon.normalise.fitting import Wires, misfits, seen
from stream_recon.normalise.types.wire import Wire

TEXT = Wire("string")
DECIMAL = Wire("bytes", "org.apache.kafka.connect.data.Decimal")


def feed(side: str, rule: TypeRule | None = None, expression: str | None = None) -> FeedPlan:
    column = ColumnPlan("c", None if expression else "c", expression, ("c",), type=rule)
    return FeedPlan(side, Format.DEBEZIUM_JSON, (ColumnPlan("id", "id", reads=("id",), key=True), column))


def told(source: Wire, target: Wire, **declared: TypeRule) -> list[str]:
    wires = {"a": {"c": (source,)}, "b": {"c": (target,)}}
    return list(misfits(feed("a", declared.get("a")), feed("b", declared.get("b")), wires))


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [
        (Wire("boolean"), Wire("int16"), "declare on side b types: {c: boolean}"),
        (Wire("int16"), Wire("boolean"), "declare on side a types: {c: boolean}"),
        (DECIMAL, Wire("double"), "declare on side b types: {c: decimal(p, s)}"),
        (Wire("string", "io.debezium.data.Uuid"), TEXT, "declare on side b types: {c: uuid}"),
        (TEXT, Wire("string", "io.debezium.data.Json"), "declare on side a types: {c: json}"),
        (Wire("int64", "io.debezium.time.MicroTimestamp"), Wire("int32", "io.debezium.time.Date"), "{c: timestamp}"),
        (Wire("struct", "io.debezium.data.geometry.Point"), Wire("int32"), None),
        (Wire("bytes"), Wire("int32"), "compare.ignore"),
        (Wire("string", "io.debezium.data.EnumSet"), TEXT, "declare on side b types: {c: set}"),
        (TEXT, Wire("array"), "declare on side a types: {c: list}"),
    ],
)
def test_two_forms_that_never_meet(source: Wire, target: Wire, text: str | None) -> None:
    found = told(source, target)
    assert (found == []) == (text is None)
    assert text is None or (text in found[0] and "column c: side a has" in found[0])


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Wire("int32"), Wire("int64")),
        (Wire("int64"), DECIMAL),
        (Wire("float"), Wire("double")),
        (TEXT, Wire("string", "io.debezium.data.Enum")),
        (Wire("int32", "io.debezium.time.Time"), Wire("string", "io.debezium.time.ZonedTime")),
    ],
)
def test_forms_that_meet(source: Wire, target: Wire) -> None:
    assert told(source, target) == []


def test_what_is_declared_counts_and_what_is_not_known_is_nobodys_fault() -> None:
    assert told(Wire("boolean"), Wire("int16"), b=TypeRule("boolean")) == []
    assert told(Wire("boolean"), TEXT, a=TypeRule("string")) == []
    assert list(misfits(feed("a"), feed("b"), {"a": {"c": (TEXT,)}})) == []
    assert list(misfits(feed("a"), feed("b", expression="c"), {"a": {"c": (TEXT,)}, "b": {"c": (DECIMAL,)}})) == []


def test_a_column_whose_form_changed_may_meet_by_one_of_them() -> None:
    wires: dict[str, Wires] = {"a": {"c": (Wire("boolean"),)}, "b": {"c": (Wire("int16"), Wire("boolean"))}}
    assert list(misfits(feed("a"), feed("b"), wires)) == []


def test_schemas_are_found_in_front_of_messages() -> None:
    row = {"type": "struct", "optional": True, "fields": [{"field": "c", "type": "int16"}]}
    envelope = {
        "type": "struct",
        "fields": [{**row, "field": "before"}, {**row, "field": "after"}, {"field": "op", "type": "string"}],
    }
    texts = [{"field": name, "type": "string"} for name in ("before", "after", "source")]
    documents = {"type": "struct", "fields": texts}  # MongoDB's: what is in them no schema says
    values = [{"schema": s, "payload": {}} for s in (row, envelope, documents, None)]
    found = seen(pa.array([json.dumps(v, separators=(",", ":")).encode() for v in values] + [None], pa.binary()), None)
    assert [wire.kind for wire in found["c"]] == ["int16", "int16"]
    assert found.keys() == {"c"}


def test_a_row_with_a_column_named_after_is_no_envelope() -> None:
    inner = {"type": "struct", "field": "after", "fields": [{"field": "c", "type": "int16"}]}
    row = {"type": "struct", "fields": [{"field": "c", "type": "string"}, inner]}
    value = json.dumps({"schema": row, "payload": {}}, separators=(",", ":")).encode()
    found = seen(pa.array([value], pa.binary()), None)
    assert ([wire.kind for wire in found["c"]], [wire.kind for wire in found["after"]]) == (["string"], ["struct"])
