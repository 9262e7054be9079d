"""Declared readings of dates, timestamps and times of day: integers by a declared unit, texts without one."""

from __future__ import annotations

from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types import calendar, temporal
from stream_recon.normalise.types.rules import Native, misfit, native_of, rule_named
from stream_recon.normalise.types.scalars import integer_of
from stream_recon.normalise.types.values import Json, Number
from stream_recon.normalise.types.wire import Options, Reader, Wire
from stream_recon.normalise.types.zones import local_to_utc


@rule_named("date")
def _date(rule: TypeRule, wire: Wire | None, options: Options, _: Native) -> Reader:
    native = native_of(wire, Options(options.nfc))  # a day is one of the wall clock, whatever zone that is in

    def read(value: Json) -> Item:
        if isinstance(value, Number) and _is_bare(wire):
            return calendar.date_item(integer_of(value, "int32"))
        item = native(value) if wire is not None else None
        if item is not None and item[0] == "t" and item[1].endswith(b"T00:00:00.000000"):
            return ("d", item[1][: item[1].index(b"T")])
        if item is not None and item[0] == "d":
            return item
        if item is None and isinstance(value, str):
            return temporal.date_text_item(value)
        raise misfit(rule, value)

    return read


def _is_bare(wire: Wire | None) -> bool:
    """A number that says no more than that it is one."""
    return wire is None or wire.name is None


@rule_named("timestamp")
def _timestamp(rule: TypeRule, wire: Wire | None, options: Options, native: Native) -> Reader:
    counts = temporal.timestamp_reader(rule.args[0], options) if rule.args else None
    texts = temporal.timestamp_text_reader(options)

    def read(value: Json) -> Item:
        if isinstance(value, Number) and counts is not None and _is_bare(wire):
            return counts(value)
        item = native(value) if wire is not None else None
        if item is not None and item[0] == "t":
            return item
        if item is not None and item[0] == "d" and _is_day(item[1]):
            return _midnight(item[1].decode("ascii"), options)
        if item is None and isinstance(value, str) and counts is None:
            return texts(value)
        raise misfit(rule, value)

    return read


def _midnight(day: str, options: Options) -> Item:
    """``t`` of the beginning of a day: in the declared zone, else in UTC."""
    nanos = calendar.parse_date(day) * calendar.DAY_NS
    return calendar.timestamp_item(nanos if options.zone is None else local_to_utc(nanos, options.zone))


def _is_day(text: bytes) -> bool:
    """Whether a ``d`` text is a day."""
    return text.decode("ascii") not in calendar.INFINITIES


@rule_named("time")
def _time(rule: TypeRule, wire: Wire | None, _: Options, native: Native) -> Reader:
    counts = temporal.time_reader(rule.args[0]) if rule.args else None

    def read(value: Json) -> Item:
        if isinstance(value, Number) and counts is not None and _is_bare(wire):
            return counts(value)
        item = native(value) if wire is not None else None
        if item is not None and item[0] == "c":
            return item
        if item is None and isinstance(value, str) and counts is None:
            return temporal.time_text_item(value)
        raise misfit(rule, value)

    return read
