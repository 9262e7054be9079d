"""Seeded random values of each column type: as literals of both databases, and as Debezium puts them on the wire.

The wire text is made from the value here, not by the product: what the product reads from it must be what the database computes.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import struct
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

DEBEZIUM = "io.debezium."
LETTERS = [
    "a",
    "b",
    "B",
    "z",
    "0",
    "9",
    "_",
    " ",
    "~",
    ":",
    "'",
    '"',
    "\\",
    "/",
    "\t",
    "\n",
    "\r",
    "\b",
    "\x01",
    "\x1f",
    "\x7f",
    "$",
]
LETTERS += ["é", "e\u0301", "ß", "Ж", "€", "\u2028", "\ufb33", "\uffee", "\ufeff", "😀", "\U0001d7d8", "\U0010fffd"]


@dataclass(frozen=True, slots=True)
class Value:
    """One value: as JSON on the wire, and as literals (empty: the type is not that database's)."""

    wire: str
    postgresql: str = ""
    mariadb: str = ""


NULL = Value("null", "NULL", "NULL")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type: its columns in the databases and what computes their framed text (``{}`` is the column); its wire form."""

    make: Callable[[Random], Value]
    schema: Mapping[str, Any]
    postgresql: tuple[str, str] | None = None
    mariadb: tuple[str, str] | None = None
    declared: str | None = None


def wire(kind: str, name: str | None = None, **more: object) -> dict[str, object]:
    """A Connect schema."""
    return {"type": kind, **({"name": DEBEZIUM + name} if name else {}), **more}


def pq(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def mq(text: str) -> str:
    return f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)"


def both(literal: str, on_wire: str | None = None) -> Value:
    return Value(literal if on_wire is None else on_wire, literal, literal)


def integer(bits: int) -> Callable[[Random], Value]:
    return lambda random: both(str(random.getrandbits(random.randint(1, bits)) - (1 << (bits - 1))))


def unsigned(random: Random) -> Value:
    number = random.getrandbits(random.randint(1, 64))
    # The connector sends the bits of an unsigned number as they are; a topic in mode `precise` has the number itself.
    return Value(json.dumps(octets(number)), "", str(number))


def octets(unscaled: int) -> str:
    """Base64 of the big-endian two's complement."""
    data = unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)
    return base64.b64encode(data).decode()


def decimal(digits: int, scale: int) -> Callable[[Random], Value]:
    def make(random: Random) -> Value:
        unscaled = random.choice((1, -1)) * random.randrange(10 ** random.randint(0, digits))
        unscaled -= unscaled % 10 ** random.choice((0, 0, 1, scale))
        return both(
            format(Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -scale)), "f"), json.dumps(octets(unscaled))
        )

    return make


def free_numeric(random: Random) -> Value:
    if random.random() < 0.02:
        word = random.choice(("NaN", "Infinity", "-Infinity"))
        return Value(json.dumps(word), pq(word))
    digits = "".join(random.choices("0123456789", k=random.randint(1, 120)))
    text = random.choice(("", "-", "+")) + digits + random.choice(("", "." + random.choice(("0", "50", digits))))
    text += random.choice(("", "", f"e{random.randint(-300, 300)}"))
    return Value(json.dumps(text), pq(text))


def double(random: Random) -> Value:
    return floating(_double(random))


def _double(random: Random) -> float:
    way = random.randrange(4)
    if way == 0:
        number: float = struct.unpack("<d", random.randbytes(8))[0]
        return number if math.isfinite(number) else 0.0
    if way == 1:
        return float(f"{random.choice(('', '-'))}{random.randrange(10 ** random.randint(1, 17))}e{random.randint(-40, 30)}")
    if way == 2:
        return float(random.randint(-(2**70), 2**70) >> random.randint(0, 69))
    power = random.randint(0, 23)  # shortest digits on the edge of what rounds to it: halfway between two float64
    odd = 2**53 // 5**power + random.randrange(2**53 // 5**power + 1)
    return float((odd | 1) * 10**power << random.randint(0, 40))


def single(random: Random) -> Value:
    number: float = struct.unpack("<f", random.randbytes(4))[0]
    if not math.isfinite(number) or random.random() < 0.3:
        number = struct.unpack("<f", struct.pack("<f", random.randint(-(10**6), 10**6) / 10 ** random.randint(0, 8)))[0]
    return floating(number)


def floating(number: float) -> Value:
    return Value(repr(number), pq(repr(number)), repr(number) if "e" in repr(number) else f"{number!r}e0")


def special_double(random: Random) -> Value:
    word = random.choice(("NaN", "Infinity", "-Infinity"))
    return Value(json.dumps(word), pq(word)) if random.random() < 0.1 else double(random)


def letters(random: Random, most: int = 24) -> str:
    return "".join(random.choices(LETTERS, k=random.randint(0, most)))


def string(random: Random) -> Value:
    text = letters(random)
    return Value(json.dumps(text), pq(text), mq(text))


def padded(random: Random) -> Value:
    text = letters(random, 10)[:20]
    return Value(json.dumps(text.ljust(20)), pq(text))


def boolean(random: Random) -> Value:
    return Value(*random.choice((("true", "true", "1"), ("false", "false", "0"))))


def tinyint(random: Random) -> Value:
    return both(random.choice("01"))


def data(random: Random) -> Value:
    found = random.randbytes(random.choice((0, 1, 2, 16, 50)))
    return Value(json.dumps(base64.b64encode(found).decode()), f"'\\x{found.hex()}'", f"X'{found.hex()}'")


def bits(random: Random) -> Value:
    number = random.getrandbits(13)
    little = base64.b64encode(number.to_bytes(2, "little")).decode()
    return Value(json.dumps(little), f"B'{number:013b}'", f"b'{number:013b}'")


def day(random: Random) -> Value:
    ordinal = random.randint(1, dt.date.max.toordinal())
    return both(f"'{dt.date.fromordinal(ordinal)}'", str(ordinal - dt.date(1970, 1, 1).toordinal()))


def far_day(random: Random) -> Value:
    days = random.randint(-2_440_588, 2_145_042_905)  # all that PostgreSQL has
    return Value(str(days), f"date '1970-01-01' + {days}" if days >= 0 else f"date '1970-01-01' - {-days}")


EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - a column without a zone
FIRST, LAST = -62_135_596_800, 253_402_300_799
"""Seconds of the years 1 to 9999."""


def micros(random: Random, first: int = FIRST, last: int = LAST) -> int:
    return random.randint(first, last) * 10**6 + random.choice(
        (0, 1, 999_999, 1000 * random.randrange(1000), random.randrange(10**6))
    )


def timestamp(random: Random) -> Value:
    count = micros(random)
    return both(f"'{(EPOCH + dt.timedelta(microseconds=count)).isoformat(' ', 'microseconds')}'", str(count))


def instant(random: Random) -> Value:
    moment = EPOCH + dt.timedelta(microseconds=micros(random, 1, 2**31 - 2 * 86_400))
    offset = random.choice((0, 0, 1, -5, 14)) * 60 + random.choice((0, 30))
    there = moment + dt.timedelta(minutes=offset)
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    text = there.isoformat("T", "microseconds") + zone
    return Value(json.dumps(text), pq(text), f"'{moment.isoformat(' ', 'microseconds')}'")


def clock(random: Random) -> Value:
    count = random.choice((0, 86_400 * 10**6, random.randrange(86_400 * 10**6)))
    return both(f"'{clock_text(count)}'", str(count))


def zoned_clock(random: Random) -> Value:
    text = clock_text(random.randrange(86_400 * 10**6)) + random.choice(
        ("+00:00", "+02:00", "-09:30", "+14:00", "-12:00", "+05:45")
    )
    return Value(json.dumps(text), pq(text))


def clock_text(count: int) -> str:
    seconds, fraction = divmod(count, 10**6)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{fraction:06d}"


def identifier(random: Random) -> Value:
    text = str(uuid.UUID(bytes=random.randbytes(16), version=random.randint(1, 5)))  # MariaDB refuses others
    return Value(json.dumps(text), pq(random.choice((text, text.upper()))), pq(text))


def document(random: Random) -> Value:
    text = written(random, 0)
    return Value(json.dumps(text), pq(text), mq(text))


def written(random: Random, depth: int) -> str:
    """JSON, written by a careless hand."""
    space = random.choice(("", "", " ", "\n\t"))
    way = random.randrange(9 if depth < 4 else 6)
    if way < 6:
        scalars = (
            "null",
            "true",
            "false",
            written_string(random, letters(random, 6)),
            written_number(random),
            written_number(random),
        )
        return space + scalars[way] + space
    if way == 6:
        return f"{space}[{','.join(written(random, depth + 1) for _ in range(random.randint(0, 4)))}]"
    keys = {letters(random, 3) for _ in range(random.randint(0, 5))}
    members = [f"{space}{written_string(random, key)}{space}:{written(random, depth + 1)}" for key in sorted(keys)]
    random.shuffle(members)
    return "{" + ",".join(members) + space + "}"


def written_number(random: Random) -> str:
    whole = random.choice(("0", "7", "10", "100", str(random.randint(1, 10**30))))
    fraction = random.choice(("", "", ".0", ".50", f".{random.randrange(10**9)}"))
    exponent = random.choice(("", "", f"{random.choice('eE')}{random.choice(('', '+', '-'))}{random.randint(0, 25)}"))
    return random.choice(("", "-")) + whole + fraction + exponent


def written_string(random: Random, text: str) -> str:
    return json.dumps(text, ensure_ascii=random.random() < 0.5)


def array(element: Callable[[Random], Value], cast: str) -> Callable[[Random], Value]:
    def make(random: Random) -> Value:
        found = [NULL if random.random() < 0.1 else element(random) for _ in range(random.randint(0, 5))]
        return Value(f"[{','.join(one.wire for one in found)}]", f"ARRAY[{','.join(one.postgresql for one in found)}]::{cast}[]")

    return make


LABELS = ("a", "aa", "b", "B", "é", "😀", "c d", "~")


def labels(random: Random) -> Value:
    text = ",".join(random.sample(LABELS, random.randint(0, len(LABELS))))
    return Value(json.dumps(text), "", mq(text))


def interval(random: Random) -> Value:
    years, months, days = random.randint(0, 90), random.randint(0, 11), random.randint(-40, 40)
    sign, hours, minutes, count = (
        random.choice((1, -1)),
        random.randint(0, 50),
        random.randint(0, 59),
        random.randrange(60 * 10**6),
    )
    count = random.choice((0, count, count // 10**4 * 10**4))
    seconds = format(Decimal(sign * count) / 10**6, "f")
    seconds = seconds.rstrip("0").rstrip(".") if "." in seconds else seconds
    seconds = "0" if seconds == "-0" else seconds
    months *= (turn := random.choice((1, -1)))
    literal = (
        f"'{turn * years} years {months} months {days} days {sign * hours} hours {sign * minutes} minutes {seconds} seconds'"
    )
    return Value(json.dumps(f"P{turn * years}Y{months}M{days}DT{sign * hours}H{sign * minutes}M{seconds}S"), literal)
