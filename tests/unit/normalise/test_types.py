"""Golden tables, one for each type, from docs/spec/canonical-form.md. In each: null, unknown, '' and 0 are four rows."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import Any

import pytest

from stream_recon.errors import ConfigError, Refused
from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import UNKNOWN, Cell, framed
from stream_recon.normalise.expressions import arrow_type
from stream_recon.normalise.types import Options, Wire, calendar, check_rule, parse_wire, reader
from stream_recon.normalise.types.unavailable import is_unavailable
from stream_recon.normalise.types.values import Number, loads
from stream_recon.normalise.types.zones import load_zone

PLACEHOLDER = "__debezium_unavailable_value"
REFUSED = "refused"
UNKNOWN_TEXT = "unknown"
INT = {"type": "int64"}
STRING = {"type": "string"}
BYTES = {"type": "bytes"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def dec(unscaled: int) -> str:
    return b64(unscaled.to_bytes((unscaled.bit_length() + 8) // 8, "big", signed=True))


def named(kind: str, name: str, **parameters: str) -> dict[str, Any]:
    prefix = "org.apache.kafka.connect.data." if name == "Decimal" else ""
    fields: dict[str, Any] = {"fields": []} if kind == "struct" else {}
    return {"type": kind, "name": prefix + name, "parameters": parameters, **fields}


def array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def rule(text: str | None) -> TypeRule | None:
    if text is None:
        return None
    name, _, arguments = text.partition("(")
    return TypeRule(name, tuple(part.strip() for part in arguments.rstrip(")").split(",")) if arguments else ())


def read(schema: dict[str, Any] | None, declared: str | None, literal: str, options: Options) -> str:
    """Like a row reader: null, placeholder, else the reader's framed text."""
    wire = None if schema is None else parse_wire(loads(json.dumps(schema)))
    value = loads(literal)
    try:
        if value is None:
            cell = Cell(None)
        elif is_unavailable(value):
            cell = UNKNOWN
        else:
            cell = Cell(reader(rule(declared), wire, options)(value))
    except Refused:
        return REFUSED
    return UNKNOWN_TEXT if cell.unknown else framed(cell.item).decode()


Table = tuple[dict[str, Any] | None, str | None, list[tuple[Any, str]]]
D = "io.debezium.time."
STRUCT = {"type": "struct", "name": "a.B", "fields": [{"field": "y", **INT}, {"field": "x", **STRING}]}
TABLES: dict[str, Table] = {
    "boolean": ({"type": "boolean"}, None, [(True, "b1:1"), (False, "b1:0"), (0, REFUSED), ("", REFUSED)]),
    "int64": (INT, None, [(0, "n1:0"), (-3, "n2:-3"), (2**63 - 1, "n19:9223372036854775807"), (2**63, REFUSED), ("", REFUSED)]),
    "int16": ({"type": "int16"}, None, [(0, "n1:0"), (32767, "n5:32767"), (32768, REFUSED), (True, REFUSED), ("", REFUSED)]),
    "float64": (
        {"type": "double"},
        None,
        [(0, "f1:0"), ("", REFUSED), ("NaN", "f3:NaN"), ("-Infinity", "f9:-Infinity"), (0.1, "f3:0.1"), ("nan", REFUSED)],
    ),
    "float32": ({"type": "float"}, None, [(0, "f1:0"), ("", REFUSED), (3.14, "f17:3.140000104904175"), (1e39, REFUSED)]),
    "float32, rounded once": (
        {"type": "float"},
        None,
        [
            (7.038531e-26, "f21:7.038530691851209e-26"),
            (7.0385313e-26, "f21:7.038531308148791e-26"),
            (-7.038531e-26, "f22:-7.038530691851209e-26"),
            (1.0000000596046448, "f18:1.0000001192092896"),
        ],
    ),
    "string": (STRING, None, [("", "s0:"), ("0", "s1:0"), (0, REFUSED), (" a ", "s3: a "), ("é", "s2:é"), ("\ud800", REFUSED)]),
    "bytes": (BYTES, None, [("", "x0:"), ("AA==", "x2:00"), (0, REFUSED), ("A", REFUSED), (b64(b"\xff\x10"), "x4:ff10")]),
    "decimal": (
        named("bytes", "Decimal", scale="4"),
        None,
        [(dec(0), "n1:0"), (dec(12500), "n4:1.25"), (dec(-1), "n7:-0.0001"), ("", REFUSED), (0, "n1:0"), (True, REFUSED)],
    ),
    "decimal, scale below zero": (
        named("bytes", "Decimal", scale="-2"),
        None,
        [(dec(5), "n3:500"), (dec(0), "n1:0")],
    ),
    "decimal without a scale": (named("bytes", "Decimal"), None, [(dec(5), REFUSED)]),
    "variable decimal": (
        named("struct", "io.debezium.data.VariableScaleDecimal"),
        None,
        [({"scale": 2, "value": dec(-150)}, "n4:-1.5"), ({"scale": 0, "value": dec(0)}, "n1:0"), ("", REFUSED), (0, REFUSED)],
    ),
    "date": (
        named("int32", D + "Date"),
        None,
        [(0, "d10:1970-01-01"), (2932897, "d12:+10000-01-01"), (-719529, "d11:-0001-12-31"), ("", REFUSED)],
    ),
    "time": (named("int32", D + "Time"), None, [(0, "c15:00:00:00.000000"), (86400000, "c15:24:00:00.000000"), (-1, REFUSED)]),
    "micro time": (named("int64", D + "MicroTime"), None, [(1, "c15:00:00:00.000001"), (86400000001, REFUSED), ("", REFUSED)]),
    "nano time": (named("int64", D + "NanoTime"), None, [(1, "c18:00:00:00.000000001"), (1000, "c15:00:00:00.000001")]),
    "timestamp": (
        named("int64", D + "Timestamp"),
        None,
        [(0, "t26:1970-01-01T00:00:00.000000"), (-1, "t26:1969-12-31T23:59:59.999000")],
    ),
    "micro timestamp": (
        named("int64", D + "MicroTimestamp"),
        None,
        [
            (1, "t26:1970-01-01T00:00:00.000001"),
            (9223372036825200000, "t8:infinity"),
            (-9223372036832400000, "t9:-infinity"),
            (2**63 - 1, "t8:infinity"),
            (2**63 - 2, "t29:+294247-01-10T04:00:54.775806"),
            (253402300800000000, "t28:+10000-01-01T00:00:00.000000"),
            (-62167219200000001, "t27:-0001-12-31T23:59:59.999999"),
        ],
    ),
    "nano timestamp": (
        named("int64", D + "NanoTimestamp"),
        None,
        [
            (1, "t29:1970-01-01T00:00:00.000000001"),
            (2**63 - 1, "t8:infinity"),
            (-(2**63), "t9:-infinity"),
            (0, "t26:1970-01-01T00:00:00.000000"),
        ],
    ),
    "zoned timestamp": (
        named("string", D + "ZonedTimestamp"),
        None,
        [
            ("2026-11-21T04:00:00.123456+02:00", "t26:2026-11-21T02:00:00.123456"),
            ("2026-11-21T04:00Z", "t26:2026-11-21T04:00:00.000000"),
            ("2026-11-21T23:00:00.1234567-03", "t27:2026-11-22T02:00:00.1234567"),
            ("+10000-01-01T00:00:00Z", "t28:+10000-01-01T00:00:00.000000"),
            ("infinity", "t8:infinity"),
            ("2016-12-31T23:59:60Z", REFUSED),
            ("2026-11-21T24:00:00Z", REFUSED),
            ("2026-02-29T00:00:00Z", REFUSED),
            ("0000-00-00T00:00:00Z", REFUSED),
            ("", REFUSED),
            (0, REFUSED),
        ],
    ),
    "zoned time": (
        named("string", D + "ZonedTime"),
        None,
        [("01:00:00+02:00", "c15:23:00:00.000000"), ("24:00:00Z", "c15:24:00:00.000000"), ("23:59:60Z", REFUSED), ("", REFUSED)],
    ),
    "iso date": (
        named("string", D + "IsoDate"),
        None,
        [("2017-09-15Z", "d10:2017-09-15"), ("0000-00-00", REFUSED), ("", REFUSED)],
    ),
    "year": (named("int32", D + "Year"), None, [(0, "n1:0"), (2026, "n4:2026"), ("", REFUSED)]),
    "interval": (
        named("string", D + "Interval"),
        None,
        [("P1Y2M3DT4H5M6.78S", "i17:P1Y2M3DT4H5M6.78S"), ("", REFUSED), ("P", REFUSED), (0, REFUSED)],
    ),
    "micro duration": (named("int64", D + "MicroDuration"), None, [(0, "i3:0us"), (-5, "i4:-5us"), ("", REFUSED)]),
    "uuid": (
        named("string", "io.debezium.data.Uuid"),
        None,
        [
            ("", REFUSED),
            ("A0000000-0000-4000-8000-000000000001", REFUSED),
            ("a0000000-0000-4000-8000-000000000001", "u36:a0000000-0000-4000-8000-000000000001"),
        ],
    ),
    "json": (
        named("string", "io.debezium.data.Json"),
        None,
        [
            ("null", "j4:null"),
            ("", REFUSED),
            ("0", "j1:0"),
            ('{"b":1.10,"a":[1e2,-0.0]}', 'j21:{"a":[100,0],"b":1.1}'),
            ('{"a":1,"a":1}', REFUSED),
        ],
    ),
    "enum": (named("string", "io.debezium.data.Enum", allowed="a,b"), None, [("a", "s1:a"), ("", "s0:"), (0, REFUSED)]),
    "enum set": (named("string", "io.debezium.data.EnumSet"), None, [("b,a", "l8:s1:as1:b"), ("", "l0:"), (0, REFUSED)]),
    "bits": (
        named("bytes", "io.debezium.data.Bits", length="12"),
        None,
        [(b64(b"\1"), "x4:0100"), (b64(b"\1\2"), "x4:0102"), (b64(b"\1\2\3"), REFUSED), ("", "x4:0000")],
    ),
    "array": (
        array(STRING),
        None,
        [([], "l0:"), (["", None], "l4:s0:~"), (["b", "a"], "l8:s1:bs1:a"), ("", REFUSED), (0, REFUSED)],
    ),
    "map": (
        {"type": "map", "keys": STRING, "values": INT},
        None,
        [({}, "m0:"), ({"b": 1, "a": None}, "m13:s1:a~s1:bn1:1"), ([["a", 0]], "m8:s1:an1:0")],
    ),
    "struct": (STRUCT, None, [({"x": "", "y": 0}, "m15:s1:xs0:s1:yn1:0"), ({}, "m10:s1:x~s1:y~"), ("", REFUSED), (0, REFUSED)]),
    "unknown type": (named("string", "com.example.Isbn"), None, [("", REFUSED), ("0", REFUSED)]),
    "no schema": (
        None,
        None,
        [
            ("", "s0:"),
            (0, "n1:0"),
            (True, "b1:1"),
            ([], "j2:[]"),
            ({"b": None, "a": 0}, 'j16:{"a":0,"b":null}'),
            (1.50, "n3:1.5"),
        ],
    ),
    "declared boolean": (
        None,
        "boolean",
        [(True, "b1:1"), (0, "b1:0"), (1, "b1:1"), (2, REFUSED), ("", REFUSED), ("true", REFUSED)],
    ),
    "declared boolean over int16": (
        {"type": "int16"},
        "boolean",
        [(0, "b1:0"), (1, "b1:1"), (True, "b1:1"), (-1, REFUSED), ("", REFUSED)],
    ),
    "declared integer": (
        None,
        "integer",
        [(0, "n1:0"), (True, "n1:1"), (5.0, "n1:5"), (1.5, REFUSED), ("", REFUSED), ("12", REFUSED)],
    ),
    "declared decimal": (
        None,
        "decimal",
        [("NAN", "n3:NaN"), ("1E+3", "n4:1000"), ("", REFUSED), (0, "n1:0"), ("abc", REFUSED), (True, REFUSED)],
    ),
    "declared decimal(4, 2)": (
        None,
        "decimal(4, 2)",
        [("12.340", "n5:12.34"), (123, REFUSED), (1.234, REFUSED), ("", REFUSED), (0, "n1:0")],
    ),
    "declared decimal over double": (
        {"type": "double"},
        "decimal",
        [(0.1, "n3:0.1"), (1e21, "n22:1000000000000000000000"), ("", REFUSED)],
    ),
    "declared decimal over bytes": (
        named("bytes", "Decimal", scale="1"),
        "decimal(3, 1)",
        [(dec(125), "n4:12.5"), (dec(12345), REFUSED)],
    ),
    "declared float": (None, "float", [(1e21, "f5:1e+21"), (0, "f1:0"), ("NaN", "f3:NaN"), ("1.5", REFUSED), ("", REFUSED)]),
    "declared string": (None, "string", [("", "s0:"), ("0", "s1:0"), (0, REFUSED), (True, REFUSED)]),
    "declared string over uuid": (named("string", "io.debezium.data.Uuid"), "string", [("A", "s1:A"), ("", "s0:")]),
    "declared bytes(base64)": (None, "bytes(base64)", [("", "x0:"), ("_-8=", "x4:ffef"), ("0", REFUSED), (0, REFUSED)]),
    "declared bytes(hex)": (None, "bytes(hex)", [("", "x0:"), ("FF00", "x4:ff00"), ("0", REFUSED), (0, REFUSED)]),
    "declared date": (
        None,
        "date",
        [(0, "d10:1970-01-01"), ("2026-11-21", "d10:2026-11-21"), ("", REFUSED), ("infinity", "d8:infinity")],
    ),
    "declared date over timestamp": (named("int64", D + "Timestamp"), "date", [(86400000, "d10:1970-01-02"), (1, REFUSED)]),
    "declared timestamp": (
        None,
        "timestamp",
        [("2026-11-21 04:00:00", "t26:2026-11-21T04:00:00.000000"), (0, REFUSED), ("", REFUSED)],
    ),
    "declared timestamp(ms)": (
        None,
        "timestamp(ms)",
        [(1, "t26:1970-01-01T00:00:00.001000"), ("2026-11-21", REFUSED), ("", REFUSED)],
    ),
    "declared timestamp(us)": (
        INT,
        "timestamp(us)",
        [(0, "t26:1970-01-01T00:00:00.000000"), (1.5, REFUSED), (9223372036825200000, "t8:infinity")],
    ),
    "declared timestamp(ns)": (INT, "timestamp(ns)", [(2**63 - 1, "t8:infinity"), (-(2**63), "t9:-infinity")]),
    "declared time": (None, "time", [("04:00", "c15:04:00:00.000000"), (0, REFUSED), ("", REFUSED)]),
    "declared time(us)": (None, "time(us)", [(0, "c15:00:00:00.000000"), ("04:00", REFUSED)]),
    "declared uuid": (
        None,
        "uuid",
        [("A0000000-0000-4000-8000-000000000001", "u36:a0000000-0000-4000-8000-000000000001"), ("", REFUSED), (0, REFUSED)],
    ),
    "declared json": (
        None,
        "json",
        [("null", "j4:null"), ("", REFUSED), (0, "j1:0"), ("0", "j1:0"), ({"a": "é"}, 'j10:{"a":"é"}')],
    ),
    "declared list": (
        None,
        "list",
        [([0, [""]], "l10:n1:0l3:s0:"), ("[0]", "l4:n1:0"), ("", REFUSED), (0, REFUSED), ({}, REFUSED)],
    ),
    "declared set": (
        None,
        "set",
        [(["b", "a", "a"], "l12:s1:as1:as1:b"), ([[2, 1]], "l11:l8:n1:1n1:2"), ("b,a", "l8:s1:as1:b"), ("", "l0:")],
    ),
    "declared map": (
        None,
        "map",
        [({"b": {"x": 0}, "a": None}, "m20:s1:a~s1:bm8:s1:xn1:0"), ("{}", "m0:"), ("", REFUSED), (0, REFUSED)],
    ),
    "declared over an unknown type": (named("string", "com.example.Isbn"), "string", [("", "s0:"), ("0", "s1:0")]),
}
CASES = [
    pytest.param(schema, declared, json.dumps(value), expected, id=f"{name}: {value!r}"[:60])
    for name, (schema, declared, rows) in TABLES.items()
    for value, expected in [(None, "~"), (PLACEHOLDER, UNKNOWN_TEXT), *rows]
]


@pytest.mark.parametrize(("schema", "declared", "literal", "expected"), CASES)
def test_golden(schema: dict[str, Any] | None, declared: str | None, literal: str, expected: str) -> None:
    assert read(schema, declared, literal, Options()) == expected


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("1.10", "n3:1.1"),
        ("-0", "n1:0"),
        ("-0.000", "n1:0"),
        ("1e2", "n3:100"),
        ("1.5E-3", "n6:0.0015"),
        ("0e999999999999", "n1:0"),
        ("12345678901234567890123456789012345.5", "n37:12345678901234567890123456789012345.5"),
        ("1e9999", "n10000:1" + "0" * 9999),
        ("1e10000", REFUSED),
        ("1e400000", REFUSED),
        ("1e99999999999999999999", REFUSED),
        ("1e-9999", "n10001:0." + "0" * 9998 + "1"),
        ("1e-10000", REFUSED),
        ("9" * 10_001, REFUSED),
    ],
)
def test_numbers_keep_their_digits(literal: str, expected: str) -> None:
    assert read(None, None, literal, Options()) == expected


NAME_BASED = str(uuid.UUID(bytes=hashlib.md5(PLACEHOLDER.encode()).digest(), version=3))


@pytest.mark.parametrize(
    "value",
    [
        PLACEHOLDER,
        b64(PLACEHOLDER.encode()),
        PLACEHOLDER.encode().hex(),
        [PLACEHOLDER],
        [b64(PLACEHOLDER.encode())],
        list(PLACEHOLDER.encode()),
        [NAME_BASED],
        {PLACEHOLDER: PLACEHOLDER},
        json.dumps({PLACEHOLDER: PLACEHOLDER}, separators=(",", ":")),
    ],
)
def test_every_form_of_the_placeholder(value: Any) -> None:
    """TYPES: unchanged TOAST. The UUID is java.util.UUID.nameUUIDFromBytes of the placeholder."""
    assert is_unavailable(loads(json.dumps(value)))
    assert not is_unavailable(loads(json.dumps([value])) if isinstance(value, list | dict) else loads(json.dumps(value + "x")))


@pytest.mark.parametrize("value", [None, "", 0, [], {}, [""], [0], {"a": PLACEHOLDER}, [PLACEHOLDER, PLACEHOLDER], NAME_BASED])
def test_what_only_resembles_the_placeholder(value: Any) -> None:
    assert not is_unavailable(loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01T12:00:00", "t26:2026-07-01T10:00:00.000000"),
        ("2026-01-01T12:00:00", "t26:2026-01-01T11:00:00.000000"),
        ("2026-07-01T12:00:00Z", "t26:2026-07-01T12:00:00.000000"),
        ("2026-03-29T02:30:00", REFUSED),  # skipped
        ("2026-10-25T02:30:00", REFUSED),  # twice
        ("+10000-01-01T00:00:00", "t26:9999-12-31T23:00:00.000000"),
        ("+12026-07-01T12:00:00", "t28:+12026-07-01T10:00:00.000000"),
        ("+12026-03-29T02:30:00", REFUSED),  # a Sunday as in 2026: skipped then, too
        ("0001-01-01T00:00:00", "t26:0000-12-31T23:06:32.000000"),
        ("-4000-01-01T00:00:00", "t27:-4001-12-31T23:06:32.000000"),
        ("infinity", "t8:infinity"),
    ],
)
def test_local_time_in_a_declared_zone(text: str, expected: str) -> None:
    assert read(None, "timestamp", json.dumps(text), Options(zone=load_zone("Europe/Berlin"))) == expected


def test_for_ever_in_a_zone_behind_utc() -> None:
    options = Options(zone=load_zone("America/New_York"))
    assert read(None, "timestamp", '"9999-12-31T23:59:59"', options) == "t28:+10000-01-01T04:59:59.000000"


def test_a_zone_shifts_integers_without_zone_and_no_instants() -> None:
    options = Options(zone=load_zone("Europe/Berlin"))
    assert read(named("int64", D + "MicroTimestamp"), None, "7200000000", options) == "t26:1970-01-01T01:00:00.000000"
    assert (
        read(named("string", D + "ZonedTimestamp"), None, '"1970-01-01T02:00:00Z"', options) == "t26:1970-01-01T02:00:00.000000"
    )


def test_nfc_reaches_strings_keys_and_json() -> None:
    options = Options(nfc=True)
    assert read(STRING, None, '"e\\u0301"', options) == "s2:é"
    assert read(None, "json", '{"e\\u0301":"e\\u0301"}', options) == 'j11:{"é":"é"}'
    assert read(None, "json", '{"e\\u0301":1,"\\u00e9":2}', options) == REFUSED


def test_an_unknown_type_is_refused_by_its_name() -> None:
    with pytest.raises(Refused, match=r"com\.example\.Isbn"):
        reader(None, parse_wire(named("string", "com.example.Isbn")), Options())("secret")


def test_geometry_is_the_same_in_both_byte_orders() -> None:
    schema = named("struct", "io.debezium.data.geometry.Point")
    little = bytes.fromhex("0101000000000000000000f03f0000000000000040")
    big = bytes.fromhex("00000000013ff00000000000004000000000000000")
    texts = {
        read(schema, None, json.dumps({"x": 1.0, "y": 2.0, "wkb": b64(wkb), "srid": None}), Options()) for wkb in (little, big)
    }
    assert texts == {f"m60:s4:srid~s3:wkbx42:{little.hex()}"}
    assert read(schema, None, json.dumps({"wkb": b64(big[:-1])}), Options()) == REFUSED


@pytest.mark.parametrize("text", ["decimal(2, 3)", "decimal(x)", "bytes(octal)", "timestamp(s)", "list(int)", "uuid(4)", "money"])
def test_a_declared_type_that_is_none(text: str) -> None:
    declared = rule(text)
    assert declared is not None
    with pytest.raises(ConfigError, match="expected boolean"):
        check_rule(declared)


def test_a_zone_that_is_none() -> None:
    with pytest.raises(ConfigError, match="Mars"):
        load_zone("Mars/Olympus")


@pytest.mark.parametrize("text", ["2026-11-21T04:00:00+18:30", "2026-11-21T04:00:00-18:00:01"])
def test_an_offset_beyond_18_hours_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="beyond 18 hours"):
        calendar.parse_timestamp(text)


@pytest.mark.parametrize("text", ["-0000-01-01", "000002026-01-01", "+2026-01-01", "-00044-01-01", "02026-01-01"])
def test_a_year_is_written_in_one_way(text: str) -> None:
    with pytest.raises(Refused):
        calendar.parse_date(text)


BERLIN = Options(zone=load_zone("Europe/Berlin"))


def test_a_day_is_one_of_the_wall_clock() -> None:
    read = reader(TypeRule("date"), Wire("int64", "io.debezium.time.Timestamp"), BERLIN)
    assert read(Number("1782864000000")) == ("d", b"2026-07-01")  # its midnight
    with pytest.raises(Refused):
        read(Number("1782871200000"))  # 02:00, which is midnight in UTC


def test_the_beginning_of_a_day_is_that_of_the_declared_zone() -> None:
    read = reader(TypeRule("timestamp"), Wire("int32", "io.debezium.time.Date"), BERLIN)
    assert read(Number("0")) == ("t", b"1969-12-31T23:00:00.000000")


def test_a_set_holds_all_the_way_down_with_a_schema_and_without() -> None:
    inner = Wire("struct", fields={"a": Wire("array", items=Wire("int64")), "b": Wire("map", keys=Wire("string"), items=LISTS)})
    value = [{"a": [Number("2"), Number("1")], "b": {"k": [Number("4"), Number("3")]}}]
    typed = reader(TypeRule("set"), Wire("array", items=inner), Options())
    assert typed(value) == reader(TypeRule("set"), None, Options())(value)


LISTS = Wire("array", items=Wire("int64"))


@pytest.mark.parametrize(("literal", "text"), [("1.0", b"1"), ("0.0", b"0")])
def test_a_float_of_0_or_1_is_a_boolean_if_declared(literal: str, text: bytes) -> None:
    assert reader(TypeRule("boolean"), Wire("double"), Options())(Number(literal)) == ("b", text)


@pytest.mark.parametrize("name", ["io.debezium.data.DoubleVector", "io.debezium.data.FloatVector"])
def test_a_name_over_another_form_than_its_own_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="expected an array by its schema, got int32"):
        reader(None, Wire("int32", name), Options())(Number("1"))


def test_a_duration_has_no_form_in_an_expression() -> None:
    assert arrow_type(None, Wire("int64", "io.debezium.time.MicroDuration")) is None
