"""Messages of Maxwell's daemon: one row each, values by their kind of JSON or as declared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stream_recon.model.plan import Format
from stream_recon.normalise.formats.heartbeat import commit_time
from tests.unit.normalise.envelopes import (
    BROKER_US,
    columns,
    decode,
    feed,
    is_control,
    made,
    octets,
    refusal,
    rows,
    sha,
    text_of,
)

MAXWELL = Format.MAXWELL_JSON
PLAN = feed(MAXWELL, "a")


def message(kind: Any, data: Any, **more: Any) -> dict[str, Any]:
    whole = {"database": "shop", "table": "orders", "type": kind, "ts": 7, "xid": 5, "commit": True, "data": data, **more}
    return {name: value for name, value in whole.items() if value != "(absent)"}


def row(number: Any = 1, a: Any = "x") -> dict[str, Any]:
    return {"id": number, "a": a}


@pytest.mark.parametrize(("kind", "op"), [("insert", "UPSERT"), ("update", "UPSERT"), ("bootstrap-insert", "READ")])
def test_present_rows(kind: str, op: str) -> None:
    assert rows(PLAN, (None, message(kind, row(), xoffset=0))) == [made(op, 7_000_000, "n1:1", "s1:xn1:1")]


@pytest.mark.parametrize(("value", "text"), [(None, "~"), ("", "s0:"), (0, "n1:0")])
def test_null_empty_and_zero_are_three_rows(value: Any, text: str) -> None:
    assert text_of(PLAN, message("insert", row(a=value))) == sha(f"{text}n1:1")


@pytest.mark.parametrize("kind", ["insert", "update", "bootstrap-insert"])
def test_unknown_is_the_fourth(kind: str) -> None:
    assert text_of(PLAN, message(kind, {"id": 1})) is None


def test_what_an_update_does_not_say_may_be_filled_and_what_an_insert_does_not_say_may_not() -> None:
    plan = feed(MAXWELL, "a", "b", large=("b",))
    (update,) = decode(plan, (None, message("update", row()))).rows.to_pylist()
    (insert,) = decode(plan, (None, message("insert", row()))).rows.to_pylist()
    assert (update["hash"], update["rest"], update["large_0"]) == (None, sha("s1:x?n1:1"), None)
    assert (insert["hash"], insert["rest"], insert["large_0"]) == (None, None, None)


def test_delete() -> None:
    assert rows(PLAN, (None, message("delete", row()))) == [made("DELETE", 7_000_000, "n1:1")]
    assert rows(PLAN, (None, message("delete", {"id": 1}))) == [made("DELETE", 7_000_000, "n1:1")]


def test_a_changed_key_is_a_delete_and_an_upsert() -> None:
    assert rows(PLAN, (None, message("update", row(2), old={"id": 1, "a": "y"}))) == [
        made("DELETE", 7_000_000, "n1:1"),
        made("UPSERT", 7_000_000, "n1:2", "s1:xn1:2"),
    ]
    for old in ({"a": "y"}, {"id": 2}, {"id": None}, {}, None):
        assert [r.op for r in rows(PLAN, (None, message("update", row(2), old=old)))] == ["UPSERT"]


@pytest.mark.parametrize(
    "kind", ["bootstrap-start", "bootstrap-complete", "table-create", "table-alter", "table-drop", "database-create"]
)
def test_progress_and_changes_of_the_schema_are_control_records(kind: str) -> None:
    assert is_control(PLAN, message(kind, {}, ts=1_477_053_126_000))
    assert is_control(PLAN, {"type": kind})


def test_another_table_of_the_topic_is_a_control_record() -> None:
    for table in ("orders", "shop.orders"):
        assert len(rows(feed(MAXWELL, "a", table=table), (None, message("insert", row())))) == 1
    for table in ("Orders", "other.orders"):
        assert is_control(feed(MAXWELL, "a", table=table), message("insert", {"other": 1}))


def test_time_is_in_seconds_else_the_brokers() -> None:
    assert [r.t for r in rows(PLAN, (None, message("insert", row(), ts=0)))] == [0]
    assert [r.t for r in rows(PLAN, (None, message("insert", row(), ts="(absent)")))] == [BROKER_US]


@pytest.mark.parametrize("ts", [None, "7", 7.5, True, 2**62])
def test_a_time_that_is_none_makes_a_dead_letter(ts: Any) -> None:
    reason, key = refusal(PLAN, message("insert", row(), ts=ts))
    assert reason.startswith("ts: expected")
    assert key == "n1:1"


def test_a_tombstone_has_its_key_in_the_message_key() -> None:
    key = {"database": "shop", "table": "orders", "pk.id": 1}
    assert rows(PLAN, (key, None)) == [made("TOMBSTONE", None, "n1:1")]
    assert rows(feed(MAXWELL, "a", table="shop.orders"), (key, None)) == [made("TOMBSTONE", None, "n1:1")]
    assert is_control(feed(MAXWELL, "a", table="other"), None, key)
    for unread in (None, ["shop", "orders", [{"id": 1}]], {"id": 1}):
        assert refusal(PLAN, None, unread)[1] is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "expected a message (an object), got an array"),
        (b"", "not JSON"),
        (message("replace", row()), "type: expected one of insert, update, delete, bootstrap-insert, got none of them"),
        (message(None, row()), "type: expected one of insert, update, delete, bootstrap-insert, got none of them"),
        (message("insert", None), "data: expected an object, got null"),
        (message("update", row(), old=[]), "old: expected an object, got an array"),
        (message("insert", {"a": 1}), "key column id: expected it in the row, got none: is this another table? declare `table`"),
        (message("insert", row(None)), "key column id: expected a value, got null"),
        (message("insert", {"encrypted": {"iv": "x", "bytes": "y"}}), None),
    ],
)
def test_what_is_not_understood_is_a_dead_letter(value: Any, reason: str | None) -> None:
    found = refusal(PLAN, value)[0]
    assert found.startswith("key column id: expected it in the row") if reason is None else found == reason


def test_a_column_that_cannot_be_read_leaves_the_key() -> None:
    plan = feed(MAXWELL, "a", types={"a": "integer"})
    assert refusal(plan, message("insert", row())) == ("column a: expected integer, got a string that does not fit", "n1:1")


@pytest.mark.parametrize(
    ("value", "declared", "framed"),
    [
        (18446744073709551615, None, "n20:18446744073709551615"),
        (b"3.140", None, "n4:3.14"),
        (b"3.140", "float", "f4:3.14"),
        (True, None, "b1:1"),
        ("AAECAw==", None, "s8:AAECAw=="),
        ("AAECAw==", "bytes(base64)", "x8:00010203"),
        ("2016-10-21 05:33:37.523000", "timestamp", "t26:2016-10-21T05:33:37.523000"),
        ("1979-10-01", "date", "d10:1979-10-01"),
        ("12:23:33.123456", "time", "c15:12:23:33.123456"),
        ("0000-00-00 00:00:00", None, "s19:0000-00-00 00:00:00"),
        (["foo", "baz"], None, 'j13:["foo","baz"]'),
        (["foo", "baz"], "set", "l12:s3:bazs3:foo"),
        ([], "set", "l0:"),
        ({"b": 1, "a": [2]}, None, 'j15:{"a":[2],"b":1}'),
        (1, "boolean", "b1:1"),
        ("12.50", "decimal(10, 2)", "n4:12.5"),
        ("__debezium_unavailable_value", None, "s28:__debezium_unavailable_value"),
    ],
)
def test_values_by_their_kind_or_as_declared(value: Any, declared: str | None, framed: str) -> None:
    plan = feed(MAXWELL, "v", types=None if declared is None else {"v": declared})
    written = value if isinstance(value, bytes) else octets(value)
    assert written is not None
    whole = b'{"type":"insert","ts":1,"data":{"id":1,"v":' + written + b"}}"
    assert text_of(plan, whole) == sha(f"n1:1{framed}")


def test_a_declared_zone_says_where_texts_stand() -> None:
    plan = feed(MAXWELL, "v", types={"v": "timestamp"}, zones={"v": "Asia/Shanghai"})
    value = message("insert", {"id": 1, "v": "2026-07-01 04:00:00"})
    assert text_of(plan, value) == sha("n1:1t26:2026-06-30T20:00:00.000000")


def test_columns_are_those_of_the_rows_of_the_table() -> None:
    values = (
        message("insert", row()),
        message("insert", {"id": 1, "b": None}),
        message("insert", {"c": 1}, table="other"),
        message("table-create", "(absent)", sql="create table t(z int)"),
        b"{",
        None,
    )
    assert columns(MAXWELL, *values) == {"id", "a", "b", "c"}
    assert columns(MAXWELL, *values, table="orders") == {"id", "a", "b"}


def test_a_row_of_a_heartbeat_table_proves_its_time() -> None:
    def proven(value: Any) -> int | None:
        return commit_time(MAXWELL, json.dumps(value).encode())

    assert proven(message("update", row())) == 7_000_000
    assert proven(message("table-alter", {}, ts=1_477_053_126_000)) is None
    assert proven(message("update", row(), ts="(absent)")) is None
    assert proven({"ts_ms": 1}) is None
