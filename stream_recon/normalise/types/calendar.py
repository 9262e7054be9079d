"""Dates, times and timestamps as text, in the proleptic Gregorian calendar with astronomical years (DESIGN section 4).

    d   2026-11-21   +10000-01-01   0000-12-31   -0001-02-03   infinity   -infinity
    t   2026-11-21T04:00:00.000001      (a ``d``, then T and a ``c``)
    c   04:00:00.000000   24:00:00.000000      (at least 6 fraction digits, to 9 if they are not zero)

``datetime`` ends at the year 9999; these are whole numbers: days since 1970-01-01 and ns of the day.
"""

from __future__ import annotations

import re
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item

DAY_NS: Final = 86_400 * 10**9
INFINITIES: Final = {"infinity", "-infinity"}
_DATE: Final = r"([0-9]{4}|[+](?=[1-9])[0-9]{5,9}|-(?!0000-)(?:[0-9]{4}|[1-9][0-9]{4,8}))-([0-9]{2})-([0-9]{2})"
"""A year has four digits; with a sign as many as it needs, no zeros in front of more than four (ISO 8601, expanded)."""
_TIME: Final = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
_ZONE: Final = r"(Z|[+-][0-9]{2}(?::?[0-9]{2}(?::?[0-9]{2})?)?)?"
_DATE_TEXT: Final = re.compile(rf"{_DATE}Z?", re.ASCII)
_TIME_TEXT: Final = re.compile(rf"{_TIME}{_ZONE}", re.ASCII)
_TIMESTAMP_TEXT: Final = re.compile(rf"{_DATE}[T ]{_TIME}{_ZONE}", re.ASCII)
_DAYS_IN_MONTH: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01; years count from March, so that the leap day is the last."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month, day: the inverse of ``days_from_civil``."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def date_text(days: int) -> str:
    """The text of a date; years outside 0..9999 carry a sign (ISO 8601, expanded)."""
    year, month, day = civil_from_days(days)
    digits = f"{year:04d}" if 0 <= year <= 9999 else f"{'-' if year < 0 else '+'}{abs(year):04d}"
    return f"{digits}-{month:02d}-{day:02d}"


def clock_text(nanos: int) -> str:
    """The text of a time of day, 0 <= nanos <= 24 h."""
    assert 0 <= nanos <= DAY_NS
    seconds, fraction = divmod(nanos, 10**9)
    digits = f"{fraction:09d}"
    kept = digits[:6] + digits[6:].rstrip("0")
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{kept}"


def date_item(days: int) -> Item:
    """``d`` of days since 1970-01-01."""
    return ("d", date_text(days).encode("ascii"))


def time_item(nanos: int) -> Item:
    """``c`` of ns since midnight. Raises ``Refused`` outside 0..24 h (MySQL's TIME may lie there)."""
    if not 0 <= nanos <= DAY_NS:
        raise Refused("expected a time of day, got one outside 00:00 to 24:00")
    return ("c", clock_text(nanos).encode("ascii"))


def timestamp_item(nanos: int) -> Item:
    """``t`` of ns since 1970-01-01T00:00 UTC."""
    days, of_day = divmod(nanos, DAY_NS)
    return ("t", f"{date_text(days)}T{clock_text(of_day)}".encode("ascii"))


def parse_date(text: str) -> int:
    """Days since 1970-01-01 of ISO text (``Z`` may follow: Debezium's IsoDate). Raises ``Refused``, for a zero date too."""
    match = _DATE_TEXT.fullmatch(text)
    if match is None:
        raise Refused("expected a date, got other text")
    return _days(match[1], match[2], match[3])


def parse_time(text: str) -> int:
    """Ns since midnight, in UTC if the text holds an offset (wrapping over midnight). Raises ``Refused``."""
    match = _TIME_TEXT.fullmatch(text)
    if match is None:
        raise Refused("expected a time of day, got other text")
    nanos = _nanos(match[1], match[2], match[3], match[4])
    shift = _offset_ns(match[5])
    return nanos if not shift else (nanos - shift) % DAY_NS


def parse_timestamp(text: str) -> tuple[int, bool]:
    """Ns since the epoch, and whether the text named its offset (else it is local). Raises ``Refused``, for hour 24 too."""
    match = _TIMESTAMP_TEXT.fullmatch(text)
    if match is None:
        raise Refused("expected a timestamp, got other text")
    nanos = _nanos(match[4], match[5], match[6], match[7])
    if nanos == DAY_NS:
        raise Refused("expected a timestamp, got hour 24")
    shift = _offset_ns(match[8])
    return _days(match[1], match[2], match[3]) * DAY_NS + nanos - (shift or 0), shift is not None


def _days(year_text: str, month_text: str, day_text: str) -> int:
    year, month, day = int(year_text), int(month_text), int(day_text)
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS_IN_MONTH[month - 1] + leap:
        raise Refused("expected a date of the calendar, got a day that does not exist")
    return days_from_civil(year, month, day)


def _nanos(hour_text: str, minute_text: str, second_text: str | None, fraction: str | None) -> int:
    hour, minute, second = int(hour_text), int(minute_text), int(second_text or "0")
    digits = (fraction or "").rstrip("0")
    if len(digits) > 9:
        raise Refused("expected at most 9 fraction digits of a second, got more")
    nanos = ((hour * 60 + minute) * 60 + second) * 10**9 + int(digits.ljust(9, "0"))
    if hour > 24 or minute > 59 or second > 59 or nanos > DAY_NS:
        raise Refused("expected a time of day, got an hour, minute or second that does not exist")
    return nanos


def _offset_ns(zone: str | None) -> int | None:
    """East of UTC, ns; None: the text names no zone."""
    if zone is None:
        return None
    digits = zone[1:].replace(":", "").ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:])
    offset = (hours * 60 + minutes) * 60 + seconds
    if offset > 18 * 3600 or minutes > 59 or seconds > 59:
        raise Refused("expected an offset from UTC, got one beyond 18 hours")
    return (-1 if zone[0] == "-" else 1) * offset * 10**9
