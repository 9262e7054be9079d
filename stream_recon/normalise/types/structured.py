"""Readers of Debezium's structured times (``time.precision.mode=structured``): structs of the fields of a date and a clock.

    StructuredDate             year month day                                           specialValue
    StructuredTime                            hour minute second nanos                               precision
    StructuredZonedTime                       hour minute second nanos offsetSeconds                 precision
    StructuredTimestamp        year month day hour minute second nanos                  specialValue precision
    StructuredZonedTimestamp   year month day hour minute second nanos offsetSeconds zoneId specialValue precision
    StructuredDuration         years months days hours minutes seconds nanos                         precision

Either ``specialValue`` says which infinity it is, and the fields of the value are null, or it is null and all of them are set.
``zoneId`` and ``precision`` say nothing of the value: the offset decides what moment it is, and the precision is the column's.
A field that is not known here might change the meaning of the others: refused if it is not null.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types import calendar
from stream_recon.normalise.types.scalars import integer_of
from stream_recon.normalise.types.values import Json, refuse_kind
from stream_recon.normalise.types.wire import Options, Reader, Wire, named
from stream_recon.normalise.types.zones import local_to_utc

_TYPE: Final = "io.debezium.time.Structured"
_DATE: Final = {"year": "int32", "month": "int8", "day": "int8"}
_CLOCK: Final = {"hour": "int8", "minute": "int8", "second": "int8", "nanos": "int32"}
_OFFSET: Final = {"offsetSeconds": "int32"}
_DURATION: Final = {
    "years": "int32",
    "months": "int32",
    "days": "int32",
    "hours": "int32",
    "minutes": "int32",
    "seconds": "int64",
    "nanos": "int32",
}
_SPECIAL: Final = "specialValue"
_SAYS_NOTHING: Final = frozenset({"precision", "zoneId"})
_INFINITIES: Final = {"POSITIVE_INFINITY": b"infinity", "NEGATIVE_INFINITY": b"-infinity"}
_SECOND_NS: Final = 10**9
_MAX_OFFSET_SECONDS: Final = 18 * 3600
"""As far from UTC as Java's ZoneOffset goes, and as ISO 8601 text is read here."""


@named(_TYPE + "Date")
def _date(_: Wire, __: Options) -> Reader:
    def read(value: Json) -> Item:
        infinite = _infinity(value)
        return ("d", infinite) if infinite is not None else calendar.date_item(_days(_integers(value, _DATE)))

    return read


@named(_TYPE + "Time")
def _time(_: Wire, __: Options) -> Reader:
    return lambda value: calendar.time_item(_nanos(_integers(value, _CLOCK)))


@named(_TYPE + "ZonedTime")
def _zoned_time(_: Wire, __: Options) -> Reader:
    def read(value: Json) -> Item:
        fields = _integers(value, _CLOCK | _OFFSET)
        nanos, offset = _nanos(fields), _offset_ns(fields)
        return calendar.time_item(nanos if offset == 0 else (nanos - offset) % calendar.DAY_NS)  # 24:00 in UTC is kept

    return read


@named(_TYPE + "Timestamp")
def _timestamp(_: Wire, options: Options) -> Reader:
    zone = options.zone

    def read(value: Json) -> Item:
        infinite = _infinity(value)
        if infinite is not None:
            return ("t", infinite)
        nanos = _moment_ns(_integers(value, _DATE | _CLOCK))
        return calendar.timestamp_item(nanos if zone is None else local_to_utc(nanos, zone))

    return read


@named(_TYPE + "ZonedTimestamp")
def _zoned_timestamp(_: Wire, __: Options) -> Reader:
    every = _DATE | _CLOCK | _OFFSET

    def read(value: Json) -> Item:
        infinite = _infinity(value)
        if infinite is not None:
            return ("t", infinite)
        fields = _integers(value, every)
        return calendar.timestamp_item(_moment_ns(fields) - _offset_ns(fields))

    return read


@named(_TYPE + "Duration")
def _duration(_: Wire, __: Options) -> Reader:
    return lambda value: _duration_item(_integers(value, _DURATION))


def _duration_item(fields: dict[str, int]) -> Item:
    """``i``: every part, zeros too, as ``io.debezium.time.Interval`` writes it: nothing is averaged, and no part made another."""
    if abs(fields["nanos"]) >= _SECOND_NS:
        raise Refused("expected a duration, got a second or more in its nanos")
    total = fields["seconds"] * _SECOND_NS + fields["nanos"]
    seconds, fraction = divmod(abs(total), _SECOND_NS)
    digits = f"{seconds}.{fraction:09d}".rstrip("0").rstrip(".") if fraction else str(seconds)
    date = f"{fields['years']}Y{fields['months']}M{fields['days']}D"
    clock = f"{fields['hours']}H{fields['minutes']}M{'-' if total < 0 else ''}{digits}S"
    return ("i", f"P{date}T{clock}".encode("ascii"))


def _infinity(value: Json) -> bytes | None:
    """The text of an infinity; None of a value with fields. Raises ``Refused`` for any other special value."""
    special = _struct(value).get(_SPECIAL)
    if special is None:
        return None
    if not isinstance(special, str) or special not in _INFINITIES:
        raise Refused("expected a specialValue of POSITIVE_INFINITY or NEGATIVE_INFINITY, got another")
    _refuse_unknown(value, {_SPECIAL})
    return _INFINITIES[special]


def _integers(value: Json, kinds: dict[str, str]) -> dict[str, int]:
    """The fields of these names, each within its Connect type. Raises ``Refused``."""
    struct = _struct(value)
    _refuse_unknown(struct, kinds.keys())
    missing = [name for name in kinds if struct.get(name) is None]
    if missing:
        raise Refused(f"expected a struct of {', '.join(kinds)}, got none in {missing[0]}")
    return {name: integer_of(struct[name], kind) for name, kind in kinds.items()}


def _struct(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise refuse_kind("a struct of date and time", value)
    return value


def _refuse_unknown(struct: dict[str, Json], known: AbstractSet[str]) -> None:
    if any(field is not None and name not in known and name not in _SAYS_NOTHING for name, field in struct.items()):
        raise Refused(f"expected a struct of {', '.join(sorted(known))}, got another field, too")


def _days(fields: dict[str, int]) -> int:
    day = fields["year"], fields["month"], fields["day"]
    days = calendar.days_from_civil(*day)
    if calendar.civil_from_days(days) != day:  # a zero date, too
        raise Refused("expected a date of the calendar, got a day that does not exist")
    return days


def _nanos(fields: dict[str, int]) -> int:
    """Ns since midnight, 24:00:00 included."""
    hour, minute, second, fraction = (fields[name] for name in _CLOCK)
    nanos = ((hour * 60 + minute) * 60 + second) * _SECOND_NS + fraction
    is_clock = 0 <= hour <= 24 and 0 <= minute <= 59 and 0 <= second <= 59 and 0 <= fraction < _SECOND_NS
    if not is_clock or nanos > calendar.DAY_NS:
        raise Refused("expected a time of day, got an hour, minute, second or nanos that do not exist")
    return nanos


def _moment_ns(fields: dict[str, int]) -> int:
    """Ns since 1970-01-01T00:00 of the wall clock."""
    nanos = _nanos(fields)
    if nanos == calendar.DAY_NS:
        raise Refused("expected a timestamp, got hour 24")
    return _days(fields) * calendar.DAY_NS + nanos


def _offset_ns(fields: dict[str, int]) -> int:
    """East of UTC, ns."""
    seconds = fields["offsetSeconds"]
    if abs(seconds) > _MAX_OFFSET_SECONDS:
        raise Refused("expected an offset from UTC, got one beyond 18 hours")
    return seconds * _SECOND_NS
