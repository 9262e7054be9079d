"""Readers of dates, times and timestamps as Debezium and Kafka Connect put them on the wire."""

from __future__ import annotations

from typing import Final

from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types import calendar
from stream_recon.normalise.types.scalars import integer_of, text_of
from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.wire import Options, Reader, Wire, named
from stream_recon.normalise.types.zones import local_to_utc

UNITS: Final = {"ms": 1_000_000, "us": 1_000, "ns": 1}
"""Ns in a unit."""
_ENDS: Final = {2**63 - 1: b"infinity", -(2**63): b"-infinity"}
_PGJDBC: Final = {9223372036825200000: b"infinity", -9223372036832400000: b"-infinity"}
INFINITIES: Final = {"ms": _PGJDBC | _ENDS, "us": _PGJDBC | _ENDS, "ns": _ENDS}
"""PostgreSQL's infinite timestamps: pgjdbc's, which Debezium passes on in ms (and, says its documentation, in µs), or the ends of
int64, which it sends in µs and ns.
"""
_INFINITE_TEXTS: Final = {"+292278994-08-16T23:00:00Z": b"infinity", "-292275055-05-16T23:00:00Z": b"-infinity"}
"""The same, as ``isostring`` spells them."""


@named("io.debezium.time.Date", "org.apache.kafka.connect.data.Date")
def _date(_: Wire, __: Options) -> Reader:
    return lambda value: calendar.date_item(integer_of(value, "int32"))


@named("io.debezium.time.Time", "org.apache.kafka.connect.data.Time")
def _time(_: Wire, __: Options) -> Reader:
    return time_reader("ms")


@named("io.debezium.time.MicroTime")
def _micro_time(_: Wire, __: Options) -> Reader:
    return time_reader("us")


@named("io.debezium.time.NanoTime")
def _nano_time(_: Wire, __: Options) -> Reader:
    return time_reader("ns")


def time_reader(unit: str) -> Reader:
    """``c`` of an integer count since midnight."""
    factor = UNITS[unit]
    return lambda value: calendar.time_item(integer_of(value) * factor)


@named("io.debezium.time.Timestamp", "org.apache.kafka.connect.data.Timestamp")
def _timestamp(_: Wire, options: Options) -> Reader:
    return timestamp_reader("ms", options)


@named("io.debezium.time.MicroTimestamp")
def _micro_timestamp(_: Wire, options: Options) -> Reader:
    return timestamp_reader("us", options)


@named("io.debezium.time.NanoTimestamp")
def _nano_timestamp(_: Wire, options: Options) -> Reader:
    return timestamp_reader("ns", options)


def timestamp_reader(unit: str, options: Options) -> Reader:
    """``t`` of an integer count since the epoch: of UTC, or of the wall clock of the declared zone."""
    factor, zone, infinite = UNITS[unit], options.zone, INFINITIES[unit]

    def read(value: Json) -> Item:
        count = integer_of(value)
        if count in infinite:
            return ("t", infinite[count])
        nanos = count * factor
        return calendar.timestamp_item(nanos if zone is None else local_to_utc(nanos, zone))

    return read


@named("io.debezium.time.ZonedTimestamp")
def _timestamp_text(_: Wire, options: Options) -> Reader:
    return timestamp_text_reader(options)


@named("io.debezium.time.IsoTimestamp")
def _iso_timestamp(_: Wire, options: Options) -> Reader:
    read = timestamp_text_reader(options)
    return lambda value: ("t", _INFINITE_TEXTS[value]) if isinstance(value, str) and value in _INFINITE_TEXTS else read(value)


@named("io.debezium.time.ZonedTime", "io.debezium.time.IsoTime")
def _time_text(_: Wire, __: Options) -> Reader:
    return time_text_item


@named("io.debezium.time.IsoDate")
def _date_text(_: Wire, __: Options) -> Reader:
    return date_text_item


def timestamp_text_reader(options: Options) -> Reader:
    """``t`` of ISO 8601 text: its offset if it names one, else the declared zone, else UTC."""

    def read(value: Json) -> Item:
        text = text_of(value, "a timestamp as text")
        if text in calendar.INFINITIES:
            return ("t", text.encode("ascii"))
        nanos, zoned = calendar.parse_timestamp(text)
        return calendar.timestamp_item(nanos if zoned or options.zone is None else local_to_utc(nanos, options.zone))

    return read


def date_text_item(value: Json) -> Item:
    """``d`` of ISO 8601 text. Raises ``Refused``."""
    text = text_of(value, "a date as text")
    return ("d", text.encode("ascii")) if text in calendar.INFINITIES else calendar.date_item(calendar.parse_date(text))


def time_text_item(value: Json) -> Item:
    """``c`` of ISO 8601 text, in UTC if it names an offset. Raises ``Refused``."""
    return calendar.time_item(calendar.parse_time(text_of(value, "a time of day as text")))
