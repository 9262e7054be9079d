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


@pytest.mark.parametrize(
    ("mysql_type", "value", "framed"),
    [
        ("tinyint(4)", "-128", "n4:-128"),
        ("tinyint(1)", "1", "n1:1"),
        ("smallint(5) unsigned", "65535", "n5:65535"),
        ("mediumint", "0", "n1:0"),
        ("int(10) unsigned zerofill", "0000000042", "n2:42"),
        ("INTEGER", "7", "n1:7"),
        ("bigint(20)", "-9223372036854775808", "n20:-9223372036854775808"),
        ("bigint(20) unsigned", "18446744073709551615", "n20:18446744073709551615"),
        ("year(4)", "2026", "n4:2026"),
        ("decimal(10,2)", "12.50", "n4:12.5"),
        ("decimal(65,30) unsigned", "0.000000000000000000000000000001", "n32:0.000000000000000000000000000001"),
        ("numeric", "-0.00", "n1:0"),
        ("float", "3.14", "f17:3.140000104904175"),
        ("float(7,4) unsigned", "1.0E-5", "f23:0.000009999999747378752"),
        ("double", "3.14", "f4:3.14"),
        ("double(10,2)", "1.0E22", "f5:1e+22"),
        ("real", "-0.0", "f1:0"),
        ("date", "2026-11-21", "d10:2026-11-21"),
        ("datetime", "2026-11-21 04:00:00", "t26:2026-11-21T04:00:00.000000"),
        ("datetime(6)", "2026-11-21 04:00:00.000001", "t26:2026-11-21T04:00:00.000001"),
        ("time", "23:59:59", "c15:23:59:59.000000"),
        ("time(3)", "04:00:00.120", "c15:04:00:00.120000"),
        ("bit(1)", "1", "b1:1"),
        ("bit", "0", "b1:0"),
        ("bit(8)", "1", "x2:01"),
        ("bit(12)", "2049", "x4:0108"),
        ("bit(64)", "18446744073709551615", "x16:ffffffffffffffff"),
        ("binary(4)", "\x00\x01ÿ\x80", "x8:0001ff80"),
        ("varbinary(9)", "", "x0:"),
        ("longblob", "\x00\xe9", "x4:00e9"),
        ("json", '{"b": 1.10, "a": [1e2, null]}', 'j24:{"a":[100,null],"b":1.1}'),
        ("json", "null", "j4:null"),
        ("char(36)", "", "s0:"),
        ("varchar(255) CHARACTER SET utf8mb4", "é", "s2:é"),
        ("longtext", "7", "s1:7"),
        ("TEXT", "null", "s4:null"),
    ],
)
def test_values_by_mysql_type(mysql_type: str, value: str, framed: str) -> None:
    plan = feed(CANAL, "v")
    types = {"id": "int", "v": mysql_type}
    assert text_of(plan, message("INSERT", {"id": "1", "v": value}, types=types)) == sha(f"n1:1{framed}")
    assert text_of(plan, message("INSERT", {"id": "1", "v": None}, types=types)) == sha("n1:1~")


@pytest.mark.parametrize(
    ("mysql_type", "value", "reason"),
    [
        ("int(11)", "1.5", "expected an integer, got other text"),
        ("int(11)", "", "expected an integer, got other text"),
        ("bigint(20)", "9223372036854775808", "expected an integer (int64), got one outside its range"),
        ("decimal(10,2)", "many", "expected a decimal (base64 text or a number), got a string"),
        ("double", "1e400", "expected a float64, got a number beyond its range"),
        ("float", "", "expected a number, got a string"),
        ("date", "0000-00-00", "expected a date of the calendar, got a day that does not exist"),
        ("datetime", "0000-00-00 00:00:00", "expected a date of the calendar, got a day that does not exist"),
        ("time", "-01:00:00", "expected a time of day, got other text"),
        ("time", "838:59:59", "expected a time of day, got other text"),
        ("bit(1)", "2", "expected the number of a bit value, got one that does not fit"),
        ("bit(8)", "A", "expected the number of a bit value, got one that does not fit"),
        ("bit(65)", "1", "expected the number of a bit value, got one that does not fit"),
        ("blob", "€", "expected octets as text in ISO-8859-1, got other text"),
        ("json", "{", "not JSON"),
        (
            "timestamp",
            "2026-11-21 04:00:00",
            "type timestamp stands in the zone of Canal's server: declare that zone in `timezone`, such as UTC or Asia/Shanghai",
        ),
        (
            "enum('a','b')",
            "1",
            "type enum stands as a label or as its number: declare in `types` how to read it, such as string",
        ),
        (
            "set('a','b')",
            "a,b",
            "type set stands as a label or as its number: declare in `types` how to read it, such as string",
        ),
        ("point", "\x00", "unknown type point: declare in `types` how to read it"),
        (None, "x", "expected a type in mysqlType, got none: declare in `types` how to read it"),
        ("", "x", "expected a type in mysqlType, got none: declare in `types` how to read it"),
        (7, "x", "expected a type in mysqlType, got none: declare in `types` how to read it"),
    ],
)
def test_what_is_ambiguous_or_does_not_fit_is_refused_by_name(mysql_type: Any, value: str, reason: str) -> None:
    value_of = message("INSERT", {"id": "1", "v": value}, types={"id": "int", "v": mysql_type})
    assert refusal(feed(CANAL, "v"), value_of) == (f"column v: {reason}", "n1:1")
    assert len(rows(PLAN, (None, {**value_of, "data": [{"id": "1", "a": None, "v": value}]}))) == 1, "not compared, not read"


@pytest.mark.parametrize(
    ("zone", "text"), [("UTC", "2026-07-01T04:00:00.000000"), ("Asia/Shanghai", "2026-06-30T20:00:00.000000")]
)
@pytest.mark.parametrize("mysql_type", ["timestamp", "TIMESTAMP(6)", "datetime"])
def test_a_declared_zone_says_where_texts_stand(mysql_type: str, zone: str, text: str) -> None:
    plan = feed(CANAL, "v", zones={"v": zone})
    value = message("INSERT", {"id": "1", "v": "2026-07-01 04:00:00"}, types={"id": "int", "v": mysql_type})
    assert text_of(plan, value) == sha(f"n1:1t26:{text}")


@pytest.mark.parametrize(
    ("mysql_type", "declared", "value", "framed"),
    [
        ("tinyint(1)", "boolean", "1", "b1:1"),
        ("bigint(20)", "timestamp(ms)", "1000", "t26:1970-01-01T00:00:01.000000"),
        ("int(11)", "decimal(10, 2)", "5", "n1:5"),
        ("decimal(10,2)", "float", "12.50", "f4:12.5"),
        ("double", "decimal", "0.1", "n3:0.1"),
        ("float", "decimal", "3.14", "n4:3.14"),
        ("float", "float", "3.14", "f17:3.140000104904175"),
        ("varchar(20)", "decimal(10, 2)", "12.50", "n4:12.5"),
        ("char(36)", "uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "u36:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("longtext", "json", "[1.0]", "j3:[1]"),
        ("varchar(30)", "timestamp", "2026-11-21T04:00:00+01:00", "t26:2026-11-21T03:00:00.000000"),
        ("varchar(9)", "bytes(hex)", "FF10", "x4:ff10"),
        ("enum('a','b')", "string", "a", "s1:a"),
        ("enum('a','b')", "integer", "2", "n1:2"),
        ("set('a','b')", "set", "b,a", "l8:s1:as1:b"),
        ("geometry", "string", "", "s0:"),
        (None, "integer", "-5", "n2:-5"),
        (None, "decimal(10, 2)", "1.50", "n3:1.5"),
        (None, "boolean", "0", "b1:0"),
        (None, "float", "0.50", "f3:0.5"),
        (None, "timestamp(us)", "1", "t26:1970-01-01T00:00:00.000001"),
        (None, "timestamp", "2026-11-21 04:00:00", "t26:2026-11-21T04:00:00.000000"),
        (None, "date", "2026-11-21", "d10:2026-11-21"),
        (None, "string", "007", "s3:007"),
    ],
)
def test_declared_readings(mysql_type: str | None, declared: str, value: str, framed: str) -> None:
    plan = feed(CANAL, "v", types={"v": declared, "id": "integer"})
    types = {"id": "int", "v": mysql_type} if mysql_type is not None else None
    assert text_of(plan, message("INSERT", {"id": "1", "v": value}, types=types)) == sha(f"n1:1{framed}")


@pytest.mark.parametrize(
    ("mysql_type", "declared", "value"),
    [
        ("varchar(9)", "integer", "5"),
        ("int(11)", "string", "5"),
        (None, "integer", "5.5"),
        (None, "integer", "x"),
        (None, "date", "5"),
    ],
)
def test_a_declared_reading_that_does_not_fit_is_refused(mysql_type: str | None, declared: str, value: str) -> None:
    plan = feed(CANAL, "v", types={"v": declared})
    types = {"id": "int"} | ({} if mysql_type is None else {"v": mysql_type})
    assert refusal(plan, message("INSERT", {"id": "1", "v": value}, types=types))[0].startswith("column v: expected")


def test_expressions_read_declared_columns() -> None:
    plan = feed(
        CANAL, types={"price": "decimal(10, 2)", "count": "integer"}, expressions={"total": ("price * count", ("count", "price"))}
    )
    types = {"id": "int", "price": "decimal(10,2)", "count": "int"}
    value = message("INSERT", {"id": "1", "price": "2.50", "count": "3"}, types=types)
    assert text_of(plan, value) == sha("n1:1n3:7.5")
    assert text_of(plan, message("UPDATE", {"id": "1", "price": "2.50"}, types=types)) is None


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
