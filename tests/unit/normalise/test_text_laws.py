"""Numbers, dates and JSON against other implementations of the same rules: decimal, datetime, ECMA-262, a small RFC 8785."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.errors import Refused
from stream_recon.normalise.types import calendar
from stream_recon.normalise.types.jsontext import json_text_item
from stream_recon.normalise.types.numbers import decimal_item, float_item, narrow, unscaled_item

LITERALS = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
WIDE = Context(prec=5000)


@given(LITERALS)
def test_a_number_keeps_its_value_and_has_one_text(literal: str) -> None:
    text = decimal_item(literal)[1].decode()
    assert Fraction(text) == Fraction(Decimal(literal))
    value = WIDE.normalize(Decimal(literal))
    assert text == ("0" if value == 0 else format(value, "f"))


@given(st.integers(-(10**60), 10**60), st.integers(-50, 50))
def test_a_decimal_is_its_unscaled_value_and_scale(unscaled: int, scale: int) -> None:
    assert Fraction(unscaled_item(unscaled, scale)[1].decode()) == Fraction(unscaled) / Fraction(10) ** scale


def test_digits_beyond_the_interpreters_own_bound() -> None:
    assert unscaled_item(10**9000 + 1, 0)[1] == b"1" + b"0" * 8999 + b"1"
    with pytest.raises(Refused, match="10000"):
        unscaled_item(10**10_000 + 1, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [  # ECMA-262, Number::toString; RFC 8785, appendix B
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (1.0000000000000001e23, "1.0000000000000001e+23"),
        (999999999999999700000.0, "999999999999999700000"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
        (1.5, "1.5"),
        (100.0, "100"),
    ],
)
def test_floats_of_ecmascript(value: float, text: str) -> None:
    assert float_item(value)[1].decode() == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_round_trips(value: float) -> None:
    assert float(float_item(value)[1]) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_widened_exactly(value: float) -> None:
    assert narrow(value) == value
    assert float(float_item(narrow(value))[1]) == value


@given(st.dates())
def test_dates_of_the_calendar(day: date) -> None:
    days = (day - date(1970, 1, 1)).days
    assert calendar.date_item(days)[1].decode() == day.isoformat()
    assert calendar.parse_date(day.isoformat()) == days


@given(st.integers(-(10**9), 10**9))
def test_days_come_back_from_their_text(days: int) -> None:
    assert calendar.parse_date(calendar.date_text(days)) == days


@given(st.datetimes(), st.timedeltas(min_value=timedelta(hours=-18), max_value=timedelta(hours=18)))
def test_timestamps_with_an_offset(moment: datetime, offset: timedelta) -> None:
    seconds = int(offset.total_seconds())
    sign, rest = ("-" if seconds < 0 else "+"), abs(seconds)
    text = f"{moment.isoformat()}{sign}{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    micros = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    nanos, zoned = calendar.parse_timestamp(text)
    assert zoned
    assert nanos == (micros - seconds * 1_000_000) * 1000


@given(st.datetimes())
def test_timestamps_print_as_datetime_does(moment: datetime) -> None:
    nanos, zoned = calendar.parse_timestamp(moment.isoformat())
    assert not zoned
    assert calendar.timestamp_item(nanos)[1].decode() == moment.isoformat(timespec="microseconds")


@given(st.integers(-(2**80), 2**80))
def test_timestamps_come_back_from_their_text(nanos: int) -> None:
    assert calendar.parse_timestamp(calendar.timestamp_item(nanos)[1].decode()) == (nanos, False)


JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def spelled(value: Any, *, canonical: bool) -> str:
    """A second RFC 8785, and a loose spelling of the same value."""
    if isinstance(value, Decimal):
        plain = "0" if value == 0 else format(WIDE.normalize(value), "f")
        return plain if canonical else f"{value:e}"
    if isinstance(value, list):
        return "[" + ",".join(spelled(one, canonical=canonical) for one in value) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: [*memoryview(key.encode("utf-16-be"))]) if canonical else sorted(value, reverse=True)
        gap = "" if canonical else " "
        body = f",{gap}".join(
            f"{spelled(key, canonical=canonical)}{gap}:{spelled(value[key], canonical=canonical)}" for key in keys
        )
        return "{" + body + "}"
    return json.dumps(value, ensure_ascii=not canonical)


@given(JSON_VALUES)
def test_json_has_one_text_however_it_was_spelled(value: Any) -> None:
    expected = spelled(value, canonical=True)
    assert json_text_item(spelled(value, canonical=False))[1].decode() == expected
    assert json_text_item(expected)[1].decode() == expected


def test_keys_sort_by_utf16_code_units() -> None:
    """RFC 8785, section 3.2.3: its own example."""
    text = '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5,"\\u0080":6,"\\u00f6":7}'
    expected = '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}'
    assert json_text_item(text)[1].decode() == expected


def test_escapes_of_rfc_8785() -> None:
    text = json.dumps('\u0000\b\t\n\f\r\u001f"\\/\u007fé')
    assert json_text_item(text)[1].decode() == '"\\u0000\\b\\t\\n\\f\\r\\u001f\\"\\\\/\u007fé"'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "[Infinity]",
        '{"a":1,"a":2}',
        '"\\ud800"',
        '{"\\ud800":1}',
        "[1",
        "01",
        '"\t"',
        "1 2",
        "[" * 129 + "]" * 129,
        "[" * 10**6,
    ],
)
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        json_text_item(text)


def test_nesting_up_to_the_bound() -> None:
    text = '{"a":' * 64 + "[" * 64 + "]" * 64 + "}" * 64
    assert json_text_item(text)[1].decode() == text
