"""MongoDB through Debezium: documents as texts of Extended JSON in all three spellings, as rows of their top-level fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_recon.model.plan import Format
from tests.unit.normalise.envelopes import Schemas, columns, decode, feed, made, refusal, rows, sha, text_of

JSON = Format.DEBEZIUM_JSON
AVRO = Format.DEBEZIUM_AVRO
SOURCE = {"connector": "mongodb", "ts_ms": 7, "db": "shop", "collection": "orders"}
ID = ("_id",)
PLAN = feed(JSON, "a", key=ID)


def change(op: str, after: Any = None, before: Any = None, **more: Any) -> dict[str, Any]:
    texts = {name: json.dumps(d) if isinstance(d, dict) else d for name, d in (("before", before), ("after", after))}
    return {**texts, "source": SOURCE, "op": op, "ts_ms": 99, **more}


def doc(number: Any = 1, a: Any = "x") -> dict[str, Any]:
    return {"_id": number, "a": a}


@pytest.mark.parametrize(("op", "made_op"), [("c", "UPSERT"), ("u", "UPSERT"), ("r", "READ")])
def test_present_documents(op: str, made_op: str) -> None:
    assert rows(PLAN, ({"id": "1"}, change(op, doc()))) == [made(made_op, 7000, "n1:1", "n1:1s1:x")]


@pytest.mark.parametrize(("value", "text"), [(None, "~"), ("", "s0:"), (0, "n1:0")])
def test_null_empty_and_zero_are_three_rows(value: Any, text: str) -> None:
    assert text_of(PLAN, change("c", doc(a=value))) == sha(f"n1:1{text}")
    assert text_of(PLAN, change("c", {"_id": 1})) == sha("n1:1~")


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        ("1004", "n4:1004"),
        ('{"$numberLong" : "1004"}', "n4:1004"),
        ('{"$numberInt":"1004"}', "n4:1004"),
        ('"1004"', "s4:1004"),
        ('{"$oid" : "596E275826f08b2730779e1f"}', "s24:596e275826f08b2730779e1f"),
        ('{"$binary" : "a2Fma2E=", "$type" : "00"}', "x10:6b61666b61"),
        ('{"$uuid":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}', "u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ('{"hi" : "kafka", "nums" : [10.0, {"$numberInt":"2"}]}', 'j28:{"hi":"kafka","nums":[10,2]}'),
    ],
)
def test_keys(identity: str, key: str) -> None:
    value = change("c", f'{{"_id": {identity}, "a": "x"}}')
    found = rows(PLAN, ({"id": identity}, value), (None, value), ({"id": identity}, change("d")), ({"id": identity}, None))
    assert found == [
        made("UPSERT", 7000, key, f"{key}s1:x"),
        made("UPSERT", 7000, key, f"{key}s1:x"),
        made("DELETE", 7000, key),
        made("TOMBSTONE", None, key),
    ]


def test_a_delete_takes_its_key_from_the_document_before_where_the_message_has_none() -> None:
    assert rows(PLAN, (None, change("d", before=doc()))) == [made("DELETE", 7000, "n1:1")]
    assert refusal(PLAN, change("d"))[1] is None
    by_sku = feed(JSON, "a", key=("sku",))
    before = {"_id": 1, "sku": "k"}
    assert rows(by_sku, ({"id": "1"}, change("d", before=before))) == [made("DELETE", 7000, "s1:k")]
    assert refusal(by_sku, change("d"), {"id": "1"})[0].startswith("key column sku: expected it in the message key or the row")


def test_message_key_and_document_must_agree() -> None:
    reason, _ = refusal(PLAN, change("c", doc(2)), {"id": "1"})
    assert reason == "key column _id: expected the message key and the row to agree, got two values"


def test_another_key_than_the_id_may_change() -> None:
    plan = feed(JSON, key=("sku",))
    value = change("u", {"_id": 1, "sku": "new"}, {"_id": 1, "sku": "old"})
    assert rows(plan, ({"id": "1"}, value)) == [
        made("DELETE", 7000, "s3:old"),
        made("UPSERT", 7000, "s3:new", "s3:new"),
    ]


DESCRIPTION = {"updatedFields": '{"a": "y"}', "removedFields": None, "truncatedArrays": None}


def test_an_update_without_its_document_is_unknown() -> None:
    found = rows(PLAN, ({"id": "1"}, change("u", updateDescription=DESCRIPTION)), (None, change("u", before=doc())))
    assert found == [made("UPSERT", 7000, "n1:1"), made("UPSERT", 7000, "n1:1")]


@pytest.mark.parametrize("large", [("a",), ()])
def test_no_column_of_it_is_filled_as_if_it_had_not_changed(large: tuple[str, ...]) -> None:
    plan = feed(JSON, "a", key=ID, large=large)
    (found,) = decode(plan, ({"id": "1"}, change("u", updateDescription=DESCRIPTION))).rows.to_pylist()
    assert found["hash"] is None
    assert found.get("rest") is None
    assert found.get("large_0") is None


def test_only_an_update_may_come_without_and_only_mongodbs() -> None:
    for op in ("c", "r"):
        assert refusal(PLAN, change(op), {"id": "1"}) == ("after: expected an object, got null", "n1:1")
    other = {**change("u"), "source": {"connector": "postgresql", "ts_ms": 7}}
    assert refusal(PLAN, other, {"_id": 1}) == ("after: expected an object, got null", "n1:1")


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1]", "expected a document of MongoDB (an object), got an array"),
        ("{}", "expected a document of MongoDB, got an object without _id"),
        ('{"_id":1,"_id":1}', "expected a document of MongoDB (an object), got an object with a repeated key"),
        ('{"_id":1,"a":NaN}', "not JSON: a bare NaN or Infinity"),
    ],
)
def test_a_text_that_is_no_document_is_a_dead_letter_with_the_key_of_the_message(after: str, reason: str) -> None:
    assert refusal(PLAN, change("c", after), {"id": "1"}) == (reason, "n1:1")


def test_expressions_read_fields_by_their_types() -> None:
    plan = feed(JSON, key=ID, expressions={"total": ("price * count", ("count", "price"))})
    value = change("c", '{"_id": 1, "price": {"$numberInt": "2"}, "count": {"$numberLong": "3"}}')
    assert text_of(plan, value) == sha("n1:1n1:6")
    bare = change("c", '{"_id": 1, "price": 2, "count": 3}')
    assert refusal(plan, bare)[0] == "column count: an expression reads it, but its form says no type: declare it in `types`"
    declared = feed(
        JSON, key=ID, types={"price": "integer", "count": "integer"}, expressions={"total": ("price * count", ("count", "price"))}
    )
    assert text_of(declared, bare) == sha("n1:1n1:6")


def test_with_a_schema_around_the_texts() -> None:
    text = {"type": "string", "name": "io.debezium.data.Json", "optional": True}
    source = {"field": "source", "type": "struct", "fields": [{"field": "ts_ms", "type": "int64"}]}
    fields = [{"field": "before", **text}, {"field": "after", **text}, source, {"field": "op", "type": "string"}]
    schema = {"type": "struct", "fields": fields, "name": "shop.orders.Envelope"}

    def message(op: str, after: str | None) -> Any:
        return {"schema": schema, "payload": {"before": None, "after": after, "source": {"ts_ms": 7}, "op": op}}

    key = {"schema": {"type": "struct", "fields": [{"field": "id", "type": "string"}]}, "payload": {"id": "1"}}
    found = rows(PLAN, (key, message("c", '{"_id":1,"a":"x"}')), (key, message("u", None)), (key, message("d", None)))
    assert found == [made("UPSERT", 7000, "n1:1", "n1:1s1:x"), made("UPSERT", 7000, "n1:1"), made("DELETE", 7000, "n1:1")]
    assert columns(JSON, message("c", '{"_id":1,"a":"x"}'), message("c", '{"_id":2,"b":1}')) == {"_id", "a", "b"}


ENVELOPE: dict[str, Any] = {
    "type": "record",
    "name": "Envelope",
    "namespace": "shop.orders",
    "fields": [
        {"name": "before", "type": ["null", {"type": "string", "connect.name": "io.debezium.data.Json"}]},
        {"name": "after", "type": ["null", {"type": "string", "connect.name": "io.debezium.data.Json"}]},
        {
            "name": "source",
            "type": {"type": "record", "name": "Source", "fields": [{"name": "ts_ms", "type": "long"}]},
        },
        {"name": "op", "type": "string"},
    ],
}
KEY: dict[str, Any] = {"type": "record", "name": "Key", "namespace": "shop.orders", "fields": [{"name": "id", "type": "string"}]}


def test_in_avro() -> None:
    schemas = Schemas({1: ENVELOPE, 2: KEY})
    plan = feed(AVRO, "a", key=ID)

    def message(op: str, after: str | None, before: str | None = None) -> tuple[bytes, bytes]:
        value = {"before": before, "after": after, "source": {"ts_ms": 7}, "op": op}
        return schemas.written(2, {"id": '{"$numberLong":"1"}'}), schemas.written(1, value)

    found = rows(
        plan,
        message("c", '{"_id":{"$numberLong":"1"},"a":{"$date":1}}'),
        message("u", None),
        message("d", None, '{"_id":1}'),
        (message("d", None)[0], None),
        schemas=schemas,
    )
    assert found == [
        made("UPSERT", 7000, "n1:1", "n1:1t26:1970-01-01T00:00:00.001000"),
        made("UPSERT", 7000, "n1:1"),
        made("DELETE", 7000, "n1:1"),
        made("TOMBSTONE", None, "n1:1"),
    ]
    values = (message("c", '{"_id":1,"a":1}')[1], message("u", None)[1], message("r", '{"_id":1,"b":1}')[1])
    assert columns(AVRO, *values, schemas=schemas) == {"_id", "a", "b"}


def test_columns_are_the_fields_of_all_documents() -> None:
    found = columns(
        JSON, change("c", doc()), change("u"), change("d", before={"_id": 1, "__v": 0}), change("c", "{"), change("c", "{}")
    )
    assert found == {"_id", "a", "__v"}


def test_flattened_documents_have_their_key_as_it_is_in_the_row() -> None:
    value = {"_id": "596e275826f08b2730779e1f", "a": "x", "__op": "u", "__deleted": "false"}
    key = {"id": "596e275826f08b2730779e1f"}
    assert [r.key for r in rows(PLAN, (key, value), ({"id": 1}, {**value, "_id": 1}))] == ["s24:596e275826f08b2730779e1f", "n1:1"]
    assert refusal(PLAN, None, key)[1] is None
