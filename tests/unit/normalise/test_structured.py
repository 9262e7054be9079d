"""Debezium's structured times (``time.precision.mode=structured``): fields by hand, beside their canonical texts."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa
import pytest

from stream_recon.errors import Refused
from stream_recon.model.plan import TypeRule
from stream_recon.normalise.expressions import arrow_type
from stream_recon.normalise.types import Options, Wire, parse_wire, reader
from stream_recon.normalise.types.values import loads
from stream_recon.normalise.types.zones import load_zone
from tests.unit.normalise.avro_writing import Schema, optional, record
from tests.unit.normalise.test_avro_types import COUNT, Case, decoded, in_json
from tests.unit.normalise.test_fitting import told

PREFIX = "io.debezium.time.Structured"
DATE = {"year": "int32", "month": "int8", "day": "int8"}
CLOCK = {"hour": "int8", "minute": "int8", "second": "int8", "nanos": "int32"}
ZONE = {"offsetSeconds": "int32"}
SPECIAL, PRECISION = {"specialValue": "string"}, {"precision": "int32"}
PARTS = ("years", "months", "days", "hours", "minutes")
FIELDS: dict[str, dict[str, str]] = {
    "Date": DATE | SPECIAL,
    "Time": CLOCK | PRECISION,
    "ZonedTime": CLOCK | ZONE | PRECISION,
    "Timestamp": DATE | CLOCK | SPECIAL | PRECISION,
    "ZonedTimestamp": DATE | CLOCK | ZONE | {"zoneId": "string"} | SPECIAL | PRECISION,
    "Duration": dict.fromkeys(PARTS, "int32") | {"seconds": "int64", "nanos": "int32"} | PRECISION,
}
"""As Debezium 3.7 declares them: every field may be null."""
AVRO: dict[str, Schema] = {
    "int8": {"type": "int", "connect.type": "int8"},
    "int32": "int",
    "int64": "long",
    "string": "string",
}
INFINITE = {"specialValue": "POSITIVE_INFINITY"}
ENDLESS = {"specialValue": "NEGATIVE_INFINITY"}
BERLIN = Options(zone=load_zone("Europe/Berlin"))


def struct(kind: str, *values: int | str | None, **more: int | str) -> dict[str, Any]:
    """A value: its first fields in order, others by name, null where nothing is said."""
    return dict.fromkeys(FIELDS[kind]) | dict(zip(FIELDS[kind], values, strict=False)) | more


def connect(kind: str) -> dict[str, Any]:
    parts = [{"type": each, "optional": True, "field": name} for name, each in FIELDS[kind].items()]
    return {"type": "struct", "name": PREFIX + kind, "version": 1, "fields": parts}


def avro(kind: str) -> Schema:
    fields = {name: optional(AVRO[each]) for name, each in FIELDS[kind].items()}
    more = {"connect.version": 1, "connect.name": PREFIX + kind}
    return record(f"Structured{kind}", fields, namespace="io.debezium.time", **more)


def read(kind: str, value: Any, options: Options | None = None, rule: TypeRule | None = None) -> str:
    """Tag and text from JSON with its schema."""
    tag, text = reader(rule, parse_wire(loads(json.dumps(connect(kind)))), options or Options())(loads(json.dumps(value)))
    return f"{tag}:{text.decode()}"


GOLDEN: list[tuple[str, dict[str, Any], str]] = [
    ("Date", struct("Date", 2026, 11, 21), "d:2026-11-21"),
    ("Date", struct("Date", 2024, 2, 29), "d:2024-02-29"),
    ("Date", struct("Date", 10000, 1, 1), "d:+10000-01-01"),
    ("Date", struct("Date", 0, 12, 31), "d:0000-12-31"),
    ("Date", struct("Date", -43, 3, 15), "d:-0043-03-15"),
    ("Date", struct("Date", **INFINITE), "d:infinity"),
    ("Date", struct("Date", **ENDLESS), "d:-infinity"),
    ("Time", struct("Time", 0, 0, 0, 0), "c:00:00:00.000000"),
    ("Time", struct("Time", 4, 5, 6, 789_000_000, 3), "c:04:05:06.789000"),
    ("Time", struct("Time", 23, 59, 59, 999_999_999, 9), "c:23:59:59.999999999"),
    ("Time", struct("Time", 1, 2, 3, 100), "c:01:02:03.0000001"),
    ("Time", struct("Time", 24, 0, 0, 0, 6), "c:24:00:00.000000"),
    ("ZonedTime", struct("ZonedTime", 4, 5, 6, 789_000_000, 7200, 6), "c:02:05:06.789000"),
    ("ZonedTime", struct("ZonedTime", 23, 0, 0, 0, -18_000), "c:04:00:00.000000"),
    ("ZonedTime", struct("ZonedTime", 0, 30, 0, 0, 7200), "c:22:30:00.000000"),
    ("ZonedTime", struct("ZonedTime", 0, 0, 0, 1, 1), "c:23:59:59.000000001"),
    ("ZonedTime", struct("ZonedTime", 24, 0, 0, 0, 0), "c:24:00:00.000000"),
    ("ZonedTime", struct("ZonedTime", 24, 0, 0, 0, 3600), "c:23:00:00.000000"),
    ("ZonedTime", struct("ZonedTime", 0, 0, 0, 0, -64_800), "c:18:00:00.000000"),
    ("Timestamp", struct("Timestamp", 1969, 12, 31, 23, 59, 59, 999_999_000, precision=6), "t:1969-12-31T23:59:59.999999"),
    ("Timestamp", struct("Timestamp", 2026, 3, 29, 2, 30, 0, 123_000_000), "t:2026-03-29T02:30:00.123000"),
    ("Timestamp", struct("Timestamp", 10000, 1, 1, 0, 0, 0, 1), "t:+10000-01-01T00:00:00.000000001"),
    ("Timestamp", struct("Timestamp", -43, 3, 15, 0, 0, 0, 0), "t:-0043-03-15T00:00:00.000000"),
    ("Timestamp", struct("Timestamp", **INFINITE, precision=6), "t:infinity"),
    ("Timestamp", struct("Timestamp", **ENDLESS), "t:-infinity"),
    (
        "ZonedTimestamp",
        struct("ZonedTimestamp", 2026, 11, 21, 4, 0, 0, 123_456_000, 7200, "Europe/Helsinki"),
        "t:2026-11-21T02:00:00.123456",
    ),
    ("ZonedTimestamp", struct("ZonedTimestamp", 2026, 12, 31, 23, 0, 0, 0, -3600), "t:2027-01-01T00:00:00.000000"),
    ("ZonedTimestamp", struct("ZonedTimestamp", 1900, 1, 1, 0, 0, 0, 0, 0, "Z", precision=6), "t:1900-01-01T00:00:00.000000"),
    ("ZonedTimestamp", struct("ZonedTimestamp", 1, 1, 1, 0, 0, 0, 0, 1), "t:0000-12-31T23:59:59.000000"),
    ("ZonedTimestamp", struct("ZonedTimestamp", **INFINITE, precision=6), "t:infinity"),
    ("ZonedTimestamp", struct("ZonedTimestamp", **ENDLESS), "t:-infinity"),
    ("Duration", struct("Duration", 1, 2, 3, 4, 5, 6, 780_000_000, 6), "i:P1Y2M3DT4H5M6.78S"),
    ("Duration", struct("Duration", 0, 0, -1, 0, 0, 0, 0), "i:P0Y0M-1DT0H0M0S"),
    ("Duration", struct("Duration", 0, 0, 0, -3, 0, 100, 0), "i:P0Y0M0DT-3H0M100S"),
    ("Duration", struct("Duration", 0, 0, 0, 0, 0, 0, -1000), "i:P0Y0M0DT0H0M-0.000001S"),
    ("Duration", struct("Duration", 0, 0, 0, 0, 0, -1, -500_000_000), "i:P0Y0M0DT0H0M-1.5S"),
    ("Duration", struct("Duration", 0, 0, 0, 0, 0, -2, 500_000_000), "i:P0Y0M0DT0H0M-1.5S"),
    (
        "Duration",
        struct("Duration", -178_000_000, 0, 0, 0, 0, 2**63 - 1, 1),
        "i:P-178000000Y0M0DT0H0M9223372036854775807.000000001S",
    ),
]
IDS = [f"{kind} {text}" for kind, _, text in GOLDEN]


@pytest.mark.parametrize(("kind", "value", "text"), GOLDEN, ids=IDS)
def test_fields_have_the_text_of_their_value_in_json_and_in_avro(kind: str, value: dict[str, Any], text: str) -> None:
    assert read(kind, value) == text
    tag, _, rest = text.partition(":")
    row = hashlib.sha256(f"{tag}{len(rest)}:{rest}n1:7".encode()).digest()
    assert in_json(Case(avro(kind), value, connect(kind), value, text)) == row
    for schema in (avro(kind), optional(avro(kind))):
        assert {found["hash"] for found in decoded(schema, value).rows.to_pylist()} == {row}


def test_a_list_of_them_is_a_list() -> None:
    days = [struct("Date", 2026, 2, 28), None, struct("Date", **INFINITE)]
    schema = {"type": "array", "items": optional(avro("Date"))}
    row = hashlib.sha256(b"l26:d10:2026-02-28~d8:infinity" + b"n1:7").digest()
    assert {found["hash"] for found in decoded(schema, days).rows.to_pylist()} == {row}


def test_null_is_null() -> None:
    row = hashlib.sha256(b"~n1:7").digest()
    assert {found["hash"] for found in decoded(optional(avro("Date")), None).rows.to_pylist()} == {row}


NO_DAY, NO_CLOCK, NONE_IN, OTHER = "a day that does not exist", "do not exist", "got none in", "got another"
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("Date", struct("Date", 0, 0, 0), NO_DAY),
    ("Date", struct("Date", 2026, 0, 1), NO_DAY),
    ("Date", struct("Date", 2026, 13, 1), NO_DAY),
    ("Date", struct("Date", 2026, 1, 0), NO_DAY),
    ("Date", struct("Date", 2026, -1, 1), NO_DAY),
    ("Date", struct("Date", 2026, 4, 31), NO_DAY),
    ("Date", struct("Date", 2026, 2, 29), NO_DAY),
    ("Date", struct("Date"), NONE_IN + " year"),
    ("Date", struct("Date", 2026, 1), NONE_IN + " day"),
    ("Date", struct("Date", specialValue=""), OTHER),
    ("Date", struct("Date", specialValue="ZERO"), OTHER),
    ("Date", struct("Date", 2026, 1, 1, **INFINITE), OTHER),
    ("Date", struct("Date", 2026, **INFINITE), OTHER),
    ("Time", struct("Time", 24, 0, 0, 1), NO_CLOCK),
    ("Time", struct("Time", 24, 1, 0, 0), NO_CLOCK),
    ("Time", struct("Time", 25, 0, 0, 0), NO_CLOCK),
    ("Time", struct("Time", -1, 0, 0, 0), NO_CLOCK),
    ("Time", struct("Time", 0, 60, 0, 0), NO_CLOCK),
    ("Time", struct("Time", 1, -1, 0, 0), NO_CLOCK),
    ("Time", struct("Time", 0, 0, 60, 0), NO_CLOCK),
    ("Time", struct("Time", 0, 1, -1, 0), NO_CLOCK),
    ("Time", struct("Time", 0, 0, 0, 10**9), NO_CLOCK),
    ("Time", struct("Time", 0, 0, 1, -1), NO_CLOCK),
    ("Time", struct("Time", None, 0, 0, 0), NONE_IN + " hour"),
    ("Time", struct("Time", 1, 2, 3, precision=0), NONE_IN + " nanos"),
    ("ZonedTime", struct("ZonedTime", 4, 5, 6, 0), NONE_IN + " offsetSeconds"),
    ("ZonedTime", struct("ZonedTime", 4, 5, 6, 0, 64_801), "beyond 18 hours"),
    ("ZonedTime", struct("ZonedTime", 4, 5, 6, 0, -64_801), "beyond 18 hours"),
    ("ZonedTime", struct("ZonedTime", 24, 0, 0, 1, 3600), NO_CLOCK),
    ("Timestamp", struct("Timestamp", 0, 0, 0, 0, 0, 0, 0), NO_DAY),
    ("Timestamp", struct("Timestamp", 2026, 2, 30, 0, 0, 0, 0), NO_DAY),
    ("Timestamp", struct("Timestamp", 2026, 1, 1, 24, 0, 0, 0), "hour 24"),
    ("Timestamp", struct("Timestamp", 2026, 6, 30, 23, 59, 60, 0), NO_CLOCK),
    ("Timestamp", struct("Timestamp", 2026, 6, 30), NONE_IN + " hour"),
    ("Timestamp", struct("Timestamp", hour=0, **INFINITE), OTHER),
    ("ZonedTimestamp", struct("ZonedTimestamp", 2026, 1, 1, 24, 0, 0, 0, 0), "hour 24"),
    ("ZonedTimestamp", struct("ZonedTimestamp", 2026, 1, 1, 0, 0, 0, 0, zoneId="UTC"), NONE_IN + " offsetSeconds"),
    ("ZonedTimestamp", struct("ZonedTimestamp", 2026, 1, 1, 0, 0, 0, 0, 64_801), "beyond 18 hours"),
    ("Duration", struct("Duration", 1, 2, 3, 4, 5, 6), NONE_IN + " nanos"),
    ("Duration", struct("Duration", 0, 0, 0, 0, 0, 0, 10**9), "in its nanos"),
    ("Duration", struct("Duration", 0, 0, 0, 0, 0, 0, -(10**9)), "in its nanos"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), WRONG)
def test_what_is_no_value_is_refused(kind: str, value: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(kind, value)
    dead = decoded(avro(kind), value).dead
    assert len(dead) == COUNT
    assert all(reason in letter.reason and letter.key_text == b"n1:7" for letter in dead)


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("value", ["2026-11-21", 0, "", False, [], {}])
def test_what_is_no_struct_of_fields_is_refused(kind: str, value: Any) -> None:
    with pytest.raises(Refused, match="expected a struct of"):
        read(kind, value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (struct("Date", "2026", 1, 1), "a string"),
        (struct("Date", 2026, 128, 1), "outside its range"),
        (struct("Date", 2**31, 1, 1), "outside its range"),
        (struct("Date", True, 1, 1), "a boolean"),
        (struct("Date", specialValue=0), OTHER),
    ],
)
def test_a_field_of_another_kind_is_refused(value: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read("Date", value)


@pytest.mark.parametrize("kind", FIELDS)
def test_a_field_that_is_not_known_is_refused_unless_it_is_null(kind: str) -> None:
    value, text = next((value, text) for each, value, text in GOLDEN if each == kind)
    assert read(kind, value | {"negative": None}) == text
    with pytest.raises(Refused, match="got another field, too"):
        read(kind, value | {"negative": False})


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("Timestamp", struct("Timestamp", 2026, 7, 1, 0, 0, 0, 1), "t:2026-06-30T22:00:00.000000001"),
        ("Timestamp", struct("Timestamp", 2026, 12, 1, 0, 0, 0, 0), "t:2026-11-30T23:00:00.000000"),
        ("Timestamp", struct("Timestamp", **INFINITE), "t:infinity"),
        ("ZonedTimestamp", struct("ZonedTimestamp", 2026, 7, 1, 0, 0, 0, 0, 0), "t:2026-07-01T00:00:00.000000"),
        ("Date", struct("Date", 2026, 7, 1), "d:2026-07-01"),
        ("Time", struct("Time", 1, 0, 0, 0), "c:01:00:00.000000"),
    ],
)
def test_a_declared_zone_shifts_what_has_none(kind: str, value: dict[str, Any], text: str) -> None:
    assert read(kind, value, BERLIN) == text


@pytest.mark.parametrize(("month", "day"), [(3, 29), (10, 25)], ids=["does not exist", "exists twice"])
def test_a_local_time_that_is_not_one_moment_is_refused(month: int, day: int) -> None:
    with pytest.raises(Refused, match="Europe/Berlin"):
        read("Timestamp", struct("Timestamp", 2026, month, day, 2, 30, 0, 0), BERLIN)


@pytest.mark.parametrize(
    ("kind", "value", "rule", "text"),
    [
        ("Date", struct("Date", 2026, 7, 1), "date", "d:2026-07-01"),
        ("Date", struct("Date", 2026, 7, 1), "timestamp", "t:2026-06-30T22:00:00.000000"),
        ("Timestamp", struct("Timestamp", 2026, 7, 1, 0, 0, 0, 0), "date", "d:2026-07-01"),
        ("Timestamp", struct("Timestamp", 2026, 7, 1, 0, 0, 0, 0), "timestamp", "t:2026-06-30T22:00:00.000000"),
        ("ZonedTime", struct("ZonedTime", 1, 0, 0, 0, 3600), "time", "c:00:00:00.000000"),
    ],
)
def test_a_declared_reading_reads_them(kind: str, value: dict[str, Any], rule: str, text: str) -> None:
    assert read(kind, value, BERLIN, TypeRule(rule)) == text


OTHERS = {
    "Date": Wire("int32", "io.debezium.time.Date"),
    "Time": Wire("int64", "io.debezium.time.MicroTime"),
    "ZonedTime": Wire("string", "io.debezium.time.ZonedTime"),
    "Timestamp": Wire("int64", "io.debezium.time.MicroTimestamp"),
    "ZonedTimestamp": Wire("string", "io.debezium.time.ZonedTimestamp"),
    "Duration": Wire("string", "io.debezium.time.Interval"),
}


@pytest.mark.parametrize("kind", FIELDS)
def test_they_meet_what_says_the_same_otherwise_and_nothing_else(kind: str) -> None:
    wire = parse_wire(loads(json.dumps(connect(kind))))
    assert told(wire, OTHERS[kind]) == told(OTHERS[kind], wire) == []
    assert len(told(wire, Wire("boolean"))) == len(told(Wire("boolean"), wire)) == 1


@pytest.mark.parametrize("kind", FIELDS)
def test_an_expression_reads_them_as_what_they_are(kind: str) -> None:
    times = {"Date": pa.date32(), "Time": pa.time64("us"), "ZonedTime": pa.time64("us"), "Duration": None}
    assert arrow_type(None, parse_wire(loads(json.dumps(connect(kind))))) == times.get(kind, pa.timestamp("us"))
