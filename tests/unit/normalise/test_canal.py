"""Alibaba Canal's flat messages: several rows each, every value a text that ``mysqlType`` says how to read."""

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
    refusal,
    rows,
    sha,
    text_of,
)

CANAL = Format.CANAL_JSON
PLAN = feed(CANAL, "a")
TYPES = {"id": "int(11)", "a": "varchar(20)"}


def message(kind: str, *data: Any, old: Any = None, types: Any = TYPES, **changed: Any) -> dict[str, Any]:
    whole = {
        "data": list(data) or None,
        "database": "shop",
        "es": 7,
        "id": 3,
        "isDdl": False,
        "mysqlType": types,
        "old": old,
        "pkNames": ["id"],
        "sql": "",
        "sqlType": {},
        "table": "orders",
        "ts": 99,
        "type": kind,
    }
    return {name: value for name, value in {**whole, **changed}.items() if value != "(absent)"}


def row(number: str, a: str | None = "x") -> dict[str, Any]:
    return {"id": number, "a": a}


@pytest.mark.parametrize("kind", ["INSERT", "UPDATE"])
def test_one_message_holds_several_rows(kind: str) -> None:
    found = rows(PLAN, (None, message(kind, row("1"), row("2", ""), row("3", None), row("4", "0"))))
    assert found == [
        made("UPSERT", 7000, "n1:1", "s1:xn1:1"),
        made("UPSERT", 7000, "n1:2", "s0:n1:2"),
        made("UPSERT", 7000, "n1:3", "~n1:3"),
        made("UPSERT", 7000, "n1:4", "s1:0n1:4"),
    ]


def test_rows_of_a_message_are_numbered() -> None:
    decoded = decode(PLAN, (None, message("INSERT", row("1"), row("2"))), (None, message("DELETE", row("1"))))
    assert [(r["message"], r["index"]) for r in decoded.rows.to_pylist()] == [(0, 0), (0, 1), (1, 0)]


def test_delete() -> None:
    found = rows(PLAN, (None, message("DELETE", row("1"), row("2"))))
    assert found == [made("DELETE", 7000, "n1:1"), made("DELETE", 7000, "n1:2")]


def test_a_changed_key_is_a_delete_and_an_upsert_in_the_order_of_the_rows() -> None:
    value = message("UPDATE", row("2"), row("3"), row("5"), old=[{"id": "1"}, {"a": "y"}, {"id": "5"}])
    assert rows(PLAN, (None, value)) == [
        made("DELETE", 7000, "n1:1"),
        made("UPSERT", 7000, "n1:2", "s1:xn1:2"),
        made("UPSERT", 7000, "n1:3", "s1:xn1:3"),
        made("UPSERT", 7000, "n1:5", "s1:xn1:5"),
    ]


def test_a_part_of_a_compound_key_changes() -> None:
    plan = feed(CANAL, "a", key=("id", "shop"))
    data = {"id": "1", "shop": "b", "a": "x"}
    types = {**TYPES, "shop": "char(2)"}
    value = message("UPDATE", data, old=[{"shop": "a"}], types=types)
    assert [r.key for r in rows(plan, (None, value))] == ["n1:1s1:a", "n1:1s1:b"]
    assert [r.op for r in rows(plan, (None, message("UPDATE", data, old=[{"shop": None}], types=types)))] == ["UPSERT"]


@pytest.mark.parametrize("is_ddl", [True, False])
def test_truncate_is_no_mere_change_of_the_schema(is_ddl: bool) -> None:
    assert rows(PLAN, (None, message("TRUNCATE", isDdl=is_ddl, mysqlType=None))) == [made("TRUNCATE", 7000, None)]


@pytest.mark.parametrize(
    "value",
    [
        message("CREATE", isDdl=True, pkNames=None),
        message("ALTER", isDdl=True),
        message("ERASE", isDdl=True),
        message("QUERY", isDdl=True, sql="create database d"),
        message("SOMETHING NEW", isDdl=True),
        message("GTID"),
        message("TIDB_WATERMARK"),
    ],
)
def test_changes_of_the_schema_are_control_records(value: Any) -> None:
    assert is_control(PLAN, value)


def test_time_is_when_mysql_executed_it_else_the_brokers() -> None:
    assert [r.t for r in rows(PLAN, (None, message("INSERT", row("1"), es=0)))] == [0]
    assert [r.t for r in rows(PLAN, (None, message("INSERT", row("1"), es="(absent)")))] == [BROKER_US]


@pytest.mark.parametrize("es", [None, "7", 7.5, True, 2**62])
def test_a_time_that_is_none_makes_a_dead_letter(es: Any) -> None:
    reason, key = refusal(PLAN, message("INSERT", row("1"), es=es))
    assert reason.startswith("es: expected")
    assert key == "n1:1"


def test_a_tombstone_has_the_key_of_the_message() -> None:
    assert rows(PLAN, ({"id": 1}, None)) == [made("TOMBSTONE", None, "n1:1")]
    assert refusal(PLAN, None)[0] == "expected a message key beside a null payload, got null"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "expected a message (an object), got an array"),
        (b"{", "not JSON"),
        ({}, "type: expected one of INSERT, UPDATE, DELETE, TRUNCATE, got none of them"),
        (message("insert", row("1")), "type: expected one of INSERT, UPDATE, DELETE, TRUNCATE, got none of them"),
        (message("INSERT"), "data: expected an array of rows, got null"),
        (message("INSERT", data=[]), "data: expected an array of rows, got an empty one"),
        (message("INSERT", 1), "data: expected an array of rows (objects), got another element"),
        (message("UPDATE", row("1"), old=[]), "old: expected an array of rows, got an empty one"),
        (
            message("UPDATE", row("1"), old=[{}, {}]),
            "old: expected as many rows as `data` holds, at most 16384, got another number",
        ),
        (
            message("QUERY", sql="update t set a = 1"),
            "type QUERY: a statement without its rows: set binlog_format=ROW, or canal.instance.filter.query.dml=true",
        ),
        (
            message("INSERT", {"a": "x"}),
            "key column id: expected it in the row, got none: is this another table? declare `table`",
        ),
        (message("INSERT", row("")), "column id: expected an integer, got other text"),
    ],
)
def test_what_is_not_understood_is_a_dead_letter(value: Any, reason: str) -> None:
    assert refusal(PLAN, value)[0] == reason


def test_one_bad_row_is_the_whole_message_and_a_key_is_told_only_where_there_is_one() -> None:
    bad = {"id": "2", "a": "x", "n": "many"}
    plan = feed(CANAL, "n")
    types = {**TYPES, "n": "int(11)"}
    assert refusal(plan, message("INSERT", bad, types=types)) == ("column n: expected an integer, got other text", "n1:2")
    assert refusal(plan, message("INSERT", {**row("1"), "n": "1"}, bad, types=types))[1] is None


def test_another_table_of_the_topic_is_a_control_record() -> None:
    for table in ("orders", "shop.orders"):
        assert len(rows(feed(CANAL, "a", table=table), (None, message("INSERT", row("1"))))) == 1
    for table in ("order", "other.orders", "shop"):
        plan = feed(CANAL, "a", table=table)
        assert is_control(plan, message("INSERT", row("1")))
        assert is_control(plan, message("TRUNCATE", isDdl=True))
        assert is_control(plan, message("INSERT", {"other": "1"}))


def test_a_column_that_was_not_logged_is_unknown_not_null() -> None:
    assert text_of(PLAN, message("UPDATE", {"id": "1"})) is None
    assert text_of(PLAN, message("UPDATE", row("1", None))) == sha("~n1:1")
    (found,) = decode(feed(CANAL, "a", "b", large=("b",)), (None, message("UPDATE", row("1")))).rows.to_pylist()
    assert (found["hash"], found["rest"], found["large_0"]) == (None, sha("s1:x?n1:1"), None)


def test_a_default_that_was_not_logged_is_never_filled_from_a_version_before() -> None:
    (found,) = decode(feed(CANAL, "a", "b", large=("b",)), (None, message("INSERT", row("1")))).rows.to_pylist()
    assert (found["hash"], found["rest"], found["large_0"]) == (None, None, None)


def test_debeziums_placeholder_is_a_text_like_any_other() -> None:
    text = "__debezium_unavailable_value"
    assert text_of(PLAN, message("INSERT", row("1", text))) == sha(f"s28:{text}n1:1")


def test_columns_are_those_of_the_rows_of_the_table() -> None:
    values = (
        message("INSERT", row("1"), {"id": "2", "b": None}),
        message("INSERT", {"c": "1"}, table="other"),
        message("CREATE", isDdl=True),
        b"{",
        None,
    )
    assert columns(CANAL, *values) == {"id", "a", "b", "c"}
    assert columns(CANAL, *values, table="shop.orders") == {"id", "a", "b"}


def test_a_row_of_a_heartbeat_table_proves_its_time() -> None:
    def proven(value: Any) -> int | None:
        return commit_time(CANAL, json.dumps(value).encode())

    assert proven(message("UPDATE", row("1"))) == 7000
    assert proven(message("CREATE", isDdl=True)) is None
    assert proven(message("UPDATE", row("1"), es="(absent)")) is None
    assert proven([]) is None
