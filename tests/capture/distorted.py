"""What the connectors send otherwise than it was written: the databases were right, and nothing in a message tells it.

A reconciler can only report such rows; these are the ones it has to expect. Texts as in ``tables``, by side, table and column,
then by the row's id: below 100 the snapshot's, above the stream's.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.capture.tables import STREAM_FROM, many, pairs

Texts = dict[int, str]
Place = tuple[str, str, str]


def _both(**texts: str) -> Texts:
    """The same from the snapshot and from the stream; ``row1``: the first row of the table."""
    found: Texts = {}
    for name, text in texts.items():
        row = int(name.removeprefix("row"))
        found |= {row: text, row + STREAM_FROM - 1: text}
    return found


_ALWAYS: dict[Place, Texts] = {
    # The snapshot puts dates through Java's old calendar: it has the gap of 1582, and its years before 1 lose their sign.
    ("pg", "times", "day"): {3: "d:1582-10-20"},
    # Elements of an array go through the old calendar in the stream, too.
    ("pg", "edges", "moments"): _both(
        row1=many("t:infinity", "t:+292269055-12-02T23:00:00.000000"), row2=many("t:0044-03-15T00:00:00.000000")
    ),
    ("pg", "edges", "walls"): _both(row1=many("t:-0043-03-13T00:00:00.000000")),
    # An array of arrays arrives as a list of nulls.
    ("pg", "edges", "matrix"): _both(row1=many("~", "~")),
    # There are no zero dates in Java.
    ("maria", "times", "zero_day"): _both(row1="~"),
    ("maria", "times", "zero_wall"): _both(row1="~"),
}
_ENDLESS_IN_STREAM = {101: "d:+5877611-06-21", 102: "d:-5877611-06-22"}

_BY_DEFAULT: dict[Place, Texts] = {
    # decimal.handling.mode=precise has no NaN and no infinity.
    ("pg", "numbers", "free"): _both(row3="~"),
    ("pg", "edges", "amount"): _both(row1="~"),
    ("pg", "edges", "free"): _both(row1="~", row2="~"),
    # Infinite dates are numbers of days that overflow, otherwise in the snapshot than in the stream.
    ("pg", "edges", "day"): {1: "d:-1701532-04-05", 2: "d:-1711471-07-22", 4: "d:0044-03-15", **_ENDLESS_IN_STREAM},
    ("pg", "edges", "days"): _both(row1=many("d:-1701532-04-05", "d:-1711471-07-22"), row2=many("d:0044-03-15")),
    # bigint.unsigned.handling.mode=long: the bits are the value.
    ("maria", "numbers", "big_u"): _both(row2="n:-1"),
}
_BY_MODES: dict[Place, Texts] = {
    # hstore.handling.mode=map: nothing is lost, and the text is a map's.
    ("pg", "texts", "attrs"): _both(row1=pairs("s:a", "s:1", "s:b", "~"), row2="m:"),
    # Not distorted: infinities arrive as texts, and a decimal of so many digits is none of them.
    ("pg", "edges", "free"): _both(row1="!", row2="!"),
    # time.precision.mode=isostring has no hour 24, and both infinite dates are late ones.
    ("pg", "times", "clock_us"): _both(row2="c:00:00:00.000000"),
    ("pg", "edges", "day"): {1: "d:+292278994-08-16", 2: "d:+292269055-12-02", 4: "d:0044-03-15", **_ENDLESS_IN_STREAM},
    ("pg", "edges", "days"): _both(row1=many("d:+292278994-08-16", "d:+292269055-12-02"), row2=many("d:0044-03-15")),
    # interval.handling.mode=numeric: a year has 365.25 days, a month a twelfth of it; what is too much is the greatest number.
    ("pg", "times", "gap"): _both(row1="i:37091106780000us", row2="i:-86400000000us"),
    ("pg", "edges", "gap"): _both(row1="i:47325600000000us", row2="i:9223372036854775807us", row3="i:1us"),
    # time.precision.mode=connect cuts off after ms, and has no times beyond a day.
    ("maria", "times", "clock_us"): _both(row1="c:23:59:59.999000"),
    ("maria", "times", "clock_long"): _both(row2="~", row3="~"),
    ("maria", "times", "wall_us"): _both(row1="t:1969-12-31T23:59:59.999000"),
}

_BY_STRUCTURED: dict[Place, Texts] = {
    # time.precision.mode=structured says infinities, but has no hour 24, and the years of dates lose their sign as by default.
    ("pg", "times", "clock_us"): _both(row2="~"),
    ("pg", "edges", "day"): {4: "d:0044-03-15"},
    ("pg", "edges", "days"): _both(row2=many("d:0044-03-15")),
    # decimal.handling.mode=precise, as by default.
    ("pg", "edges", "amount"): _both(row1="~"),
    ("pg", "edges", "free"): _both(row1="~", row2="~"),
}

DISTORTED: Mapping[str, Mapping[Place, Texts]] = {
    "json": _ALWAYS | _BY_DEFAULT,
    "modes": _ALWAYS | _BY_MODES,
    "structured": _ALWAYS | _BY_STRUCTURED,
}
"""By the capture's format; ``avro`` is ``json`` in other octets."""
