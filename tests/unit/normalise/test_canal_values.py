"""Values of Canal's messages: texts, read by ``mysqlType`` or as declared; what neither says is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from stream_recon.model.plan import Format
from tests.unit.normalise.envelopes import feed, refusal, rows, sha, text_of

CANAL = Format.CANAL_JSON
PLAN = feed(CANAL, "a")


def message(kind: str, *data: Any, types: Any) -> dict[str, Any]:
    return {"data": list(data), "es": 7, "isDdl": False, "mysqlType": types, "old": None, "table": "orders", "type": kind}


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
