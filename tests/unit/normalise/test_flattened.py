"""Rows that Debezium's ExtractNewRecordState made of envelopes, in JSON and in Avro: known by what the transformation adds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_recon.model.plan import Format
from stream_recon.normalise.formats.heartbeat import commit_time
from tests.unit.normalise.envelopes import (
    BROKER_US,
    Schemas,
    columns,
    feed,
    is_control,
    made,
    refusal,
    rows,
    sha,
    text_of,
)

JSON = Format.DEBEZIUM_JSON
AVRO = Format.DEBEZIUM_AVRO
PLAN = feed(JSON, "a")


def flat(number: Any = 1, a: Any = "x", **added: Any) -> dict[str, Any]:
    return {"id": number, "a": a, **{f"__{name}": value for name, value in added.items()}}


@pytest.mark.parametrize(("letter", "op"), [("c", "UPSERT"), ("u", "UPSERT"), ("r", "READ")])
def test_present_rows(letter: str, op: str) -> None:
    found = rows(PLAN, ({"id": 1}, flat(op=letter, deleted="false", source_ts_us=7)))
    assert found == [made(op, 7, "n1:1", "s1:xn1:1")]


@pytest.mark.parametrize(("value", "text"), [(None, "~"), ("", "s0:"), (0, "n1:0")])
def test_null_empty_and_zero_are_three_rows(value: Any, text: str) -> None:
    assert text_of(PLAN, flat(a=value, op="u")) == sha(f"{text}n1:1")


def test_unknown_is_the_fourth() -> None:
    assert text_of(PLAN, flat(a="__debezium_unavailable_value", op="u")) is None


def test_a_column_that_the_row_does_not_hold_is_null() -> None:
    assert text_of(PLAN, {"id": 1, "__op": "c"}) == sha("~n1:1")


@pytest.mark.parametrize("deleted", ["true", True])
@pytest.mark.parametrize("added", [{}, {"op": "d"}, {"op": None}])
def test_a_rewritten_delete_is_no_row_whatever_its_columns_hold(deleted: Any, added: dict[str, Any]) -> None:
    assert rows(PLAN, ({"id": 1}, flat(deleted=deleted, **added))) == [made("DELETE", BROKER_US, "n1:1")]
    assert rows(PLAN, (None, {"id": 1, "__deleted": deleted})) == [made("DELETE", BROKER_US, "n1:1")]


@pytest.mark.parametrize("deleted", ["false", False, None])
def test_what_is_not_deleted_is_there(deleted: Any) -> None:
    assert rows(PLAN, (None, flat(deleted=deleted))) == [made("UPSERT", BROKER_US, "n1:1", "s1:xn1:1")]


@pytest.mark.parametrize("snapshot", ["true", True, "first", "last", "last_in_data_collection", "incremental"])
def test_a_snapshot_read_is_one_where_only_its_source_says_so(snapshot: Any) -> None:
    assert [row.op for row in rows(PLAN, (None, flat(source_snapshot=snapshot)))] == ["READ"]
    assert [row.op for row in rows(PLAN, (None, flat(source_snapshot=snapshot, op="u")))] == ["UPSERT"]


@pytest.mark.parametrize("snapshot", ["false", False, None])
def test_a_change_is_none(snapshot: Any) -> None:
    assert [row.op for row in rows(PLAN, (None, flat(source_snapshot=snapshot)))] == ["UPSERT"]


def test_truncate_has_no_key() -> None:
    assert rows(PLAN, (None, {"__op": "t", "__source_ts_ms": 2})) == [made("TRUNCATE", 2000, None)]


def test_a_null_payload_is_a_tombstone_without_a_time() -> None:
    assert rows(PLAN, ({"id": 1}, None)) == [made("TOMBSTONE", None, "n1:1")]
    assert refusal(PLAN, None)[1] is None


@pytest.mark.parametrize(
    ("added", "time"),
    [
        ({"source_ts_us": 7, "source_ts_ns": 9000, "source_ts_ms": 1}, 7),
        ({"source_ts_ns": 9999, "source_ts_ms": 1}, 9),
        ({"source_ts_ms": 1}, 1000),
        ({"source_ts_ms": 0}, 0),
        ({"source_ts_us": None, "source_ts_ms": 1}, 1000),
        ({"source_ts_ms": "123456789"}, 123_456_789_000),
        ({"ts_ms": 1}, BROKER_US),
        ({}, BROKER_US),
    ],
)
@pytest.mark.parametrize("op", ["u", "d", "r"])
def test_event_time_is_the_sources_else_the_brokers(op: str, added: dict[str, Any], time: int) -> None:
    assert [row.t for row in rows(PLAN, ({"id": 1}, flat(op=op, **added)))] == [time]


@pytest.mark.parametrize("value", [None, "", "soon", 1.5, True, {}, 2**62])
def test_a_time_that_is_none_is_no_reason_to_take_another(value: Any) -> None:
    reason, key = refusal(PLAN, flat(op="u", source_ts_ms=value))
    assert reason.startswith("__source_ts_")
    assert key == "n1:1"


@pytest.mark.parametrize(
    ("added", "what"),
    [
        ({"op": "x"}, "__op"),
        ({"op": 1}, "__op"),
        ({"op": ""}, "__op"),
        ({"deleted": "yes"}, "__deleted"),
        ({"deleted": 0}, "__deleted"),
        ({"deleted": {}}, "__deleted"),
        ({"op": "u", "deleted": "true"}, "__deleted"),
        ({"op": "d", "deleted": "false"}, "__deleted"),
    ],
)
def test_what_is_not_understood_is_a_dead_letter(added: dict[str, Any], what: str) -> None:
    assert refusal(PLAN, flat(**added))[0].startswith(what)


def test_message_key_and_row_must_agree() -> None:
    reason, key = refusal(PLAN, flat(2, op="u"), {"id": 1})
    assert reason == "key column id: expected the message key and the row to agree, got two values"
    assert key is None


@pytest.mark.parametrize(
    "value",
    [
        {"__op": "m", "message": {}},
        {"ts_ms": 1},
        {"status": "BEGIN", "id": "1:2", "ts_ms": 1},
        {"databaseName": "d", "ddl": "create table t(id int)", "ts_ms": 1},
        {"op": "m", "source": {"ts_ms": 1}},
    ],
)
def test_control_records_stay_what_they_are(value: Any) -> None:
    assert is_control(PLAN, value)


@pytest.mark.parametrize("value", [{"id": 1, "a": "x"}, {"id": 1, "a": "x", "__v": 3}, {}])
def test_a_row_without_an_added_field_cannot_be_told_from_any_object(value: Any) -> None:
    assert refusal(PLAN, value, {"id": 1}) == ("op: expected one of c, u, r, d, t, m, got none of them", "n1:1")


def test_a_table_may_have_columns_that_are_called_like_parts_of_an_envelope() -> None:
    plan = feed(JSON, "op", "source")
    value = {"id": 1, "op": "m", "source": "web", "__deleted": "false"}
    assert rows(plan, (None, value)) == [made("UPSERT", BROKER_US, "n1:1", "n1:1s1:ms3:web")]


def test_an_added_field_beside_an_envelope_leaves_it_one() -> None:
    value = {"op": "c", "before": None, "after": {"id": 1, "a": "x"}, "source": {"ts_us": 9}, "__op": "d"}
    assert rows(PLAN, (None, value)) == [made("UPSERT", 9, "n1:1", "s1:xn1:1")]


def test_added_fields_are_no_columns_and_others_are() -> None:
    value = flat(op="u", deleted="false", source_ts_ms=1, source_lsn=3, table="t", lsn=4, transaction_id="5", v=6)
    assert columns(JSON, value, {"ts_ms": 1}, None) == {"id", "a", "__v"}


def test_columns_of_a_schema() -> None:
    fields = [{"field": name, "type": "int64"} for name in ("id", "a", "__op", "__source_ts_ms", "b")]
    schema = {"type": "struct", "fields": fields, "name": "s.t.Value"}
    assert columns(JSON, {"schema": schema, "payload": {"id": 1, "__op": "u"}}) == {"id", "a", "b"}


def test_a_schema_says_how_columns_are_read() -> None:
    plan = feed(JSON, "at", "amount")
    fields = [
        {"field": "id", "type": "int32"},
        {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
        {"field": "amount", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
        {"field": "__op", "type": "string"},
        {"field": "__source_ts_ms", "type": "int64"},
    ]
    payload = {"id": 1, "at": 1_000_001, "amount": "BII=", "__op": "u", "__source_ts_ms": 3}
    message = {"schema": {"type": "struct", "fields": fields}, "payload": payload}
    assert rows(plan, (None, message)) == [made("UPSERT", 3000, "n1:1", "n5:11.54t26:1970-01-01T00:00:01.000001n1:1")]


VALUE: dict[str, Any] = {
    "type": "record",
    "name": "Value",
    "namespace": "s.t",
    "fields": [
        {"name": "id", "type": "int"},
        {"name": "a", "type": ["null", "string"]},
        {"name": "__op", "type": ["null", "string"]},
        {"name": "__deleted", "type": ["null", "string"]},
        {"name": "__source_ts_us", "type": ["null", "long"]},
    ],
}
KEY: dict[str, Any] = {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "int"}]}


def test_in_avro() -> None:
    schemas = Schemas({1: VALUE, 2: KEY})
    plan = feed(AVRO, "a")

    def message(number: int, a: str | None, op: str | None, deleted: str | None, time: int | None) -> tuple[bytes, bytes]:
        value = {"id": number, "a": a, "__op": op, "__deleted": deleted, "__source_ts_us": time}
        return schemas.written(2, {"id": number}), schemas.written(1, value)

    found = rows(
        plan,
        message(1, "x", "c", "false", 7),
        message(1, None, "u", "false", 8),
        message(1, "x", "d", "true", 9),
        message(2, "", None, "true", 10),
        (schemas.written(2, {"id": 1}), None),
        schemas=schemas,
    )
    assert found == [
        made("UPSERT", 7, "n1:1", "s1:xn1:1"),
        made("UPSERT", 8, "n1:1", "~n1:1"),
        made("DELETE", 9, "n1:1"),
        made("DELETE", 10, "n1:2"),
        made("TOMBSTONE", None, "n1:1"),
    ]
    assert refusal(plan, message(1, "x", "u", "false", None)[1], schemas=schemas)[0] == "__source_ts_*: expected a time, got null"
    assert columns(AVRO, message(1, "x", "c", "false", 7)[1], schemas=schemas) == {"id", "a"}


def test_a_row_of_a_heartbeat_table_proves_the_time_that_its_source_says() -> None:
    def proven(value: Any) -> int | None:
        return commit_time(JSON, json.dumps(value).encode())

    assert proven(flat(op="u", source_ts_ms=3)) == 3000
    assert proven(flat(op="u")) is None
    assert proven(flat(op="u", source_ts_ms=None)) is None
    assert proven({"ts_ms": 3}) is None
