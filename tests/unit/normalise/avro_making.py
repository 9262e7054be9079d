"""Schemas as connectors write them, values of them, and octets bent out of shape, all from one source of chance."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any

from tests.unit.normalise.avro_writing import (
    Branch,
    Schema,
    decimal,
    map_of_pairs,
    named,
    names,
    optional,
    record,
    two_complement,
    varint,
)

UNREAD = "__debezium_unavailable_value"
_NUMBERS = [0, 1, -1, 63, 64, -64, -65, 127, 128, -129, 8191, 8192, 20_000, 86_399_999, 86_400_000, -719_162, -719_163, 2_932_897]
INTS = [*_NUMBERS, 2**31 - 1, -(2**31)]
LONGS = [
    *[*INTS, 2**63 - 1, -(2**63), 2**62, 9223372036825200000, -9223372036832400000, 1_700_000_000_123_456, 86_400_000_000],
    *[253_402_300_799_999_999, 253_402_300_800_000_000, -62_135_596_800_000_001, 1_700_000_000_000_000_001, 2**53, 10**18],
]
_INFINITE = [float("nan"), float("inf"), -float("inf")]
DOUBLES = [0.0, -0.0, 1.5, 0.1, -12.25, 1e21, 1e22, 1e-7, 5e-324, 1.7e308, 123456789.125, 2.0**53, *_INFINITE]
FLOATS = [0.0, -0.0, 1.5, 0.1, 1e-40, 3.4028234e38, 16777217.0, *_INFINITE]
STRINGS = [
    *["", "x", "été 😀", "\0", "1", "-0", "1.50", "NaN", "true", "a,b,a", "[1, 2]", "1e2", "ab", "q83v"],
    *['{"b": 1.10, "a": [null, "x"]}', '{"a":1,"a":2}', "04:00:00Z", "P1Y2M3DT4H5M6.78S", "y" * 70, "z" * 600],
    *["2026-11-21T04:00:00Z", "2026-11-21T04:00:00.123456789+02:00", "2026-02-29T00:00:00Z", "2026-11-21", "infinity"],
    *["a1b2c3d4-0000-4000-8000-000000000000", "A1B2C3D4-0000-4000-8000-000000000000"],
    *[UNREAD, base64.b64encode(UNREAD.encode()).decode(), UNREAD.encode().hex(), f'{{"{UNREAD}":"{UNREAD}"}}'],
]
_POINT = bytes.fromhex("0101000000000000000000f03f0000000000000040")
BYTES = [
    *[b"", b"\0", b"\xff", b"\x7f\xff", b"\x80" + b"\0" * 7, b"\x80" + b"\0" * 8, b"abc", UNREAD.encode(), _POINT],
    *[base64.b64decode(UNREAD.encode().hex()), two_complement(10**38), two_complement(-(10**80)), two_complement(10**10_001)],
]
_VALUES: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True, False],
    "int": INTS,
    "long": LONGS,
    "float": FLOATS,
    "double": DOUBLES,
    "string": STRINGS,
    "bytes": BYTES,
}
_TIME, _DATA, _CONNECT = "io.debezium.time.", "io.debezium.data.", "org.apache.kafka.connect.data."
_LOGICAL: list[tuple[str, str, list[str]]] = [
    ("int", _TIME, ["Date", "Time", "Year"]),
    ("int", _CONNECT, ["Date", "Time"]),
    ("long", _TIME, ["MicroTime", "NanoTime", "Timestamp", "MicroTimestamp", "NanoTimestamp"]),
    ("long", _TIME, ["MicroDuration", "NanoDuration", "Time", "Date"]),
    ("long", _CONNECT, ["Timestamp", "Unheard"]),
    ("string", _TIME, ["ZonedTimestamp", "ZonedTime", "IsoDate", "IsoTime", "IsoTimestamp", "Interval"]),
    ("string", _DATA, ["Json", "Xml", "Ltree", "Tsvector", "Uuid", "Enum", "EnumSet"]),
    ("bytes", _DATA, ["Bits"]),
    ("bytes", _CONNECT, ["Decimal"]),
    ("double", _TIME, ["MicroDuration"]),
]
_FITTING: dict[str, list[Any]] = {
    "int": [0, 1, 19_000],
    "long": [0, 1, 1_700_000_000_000],
    "MicroTimestamp": [0, 1_700_000_000_123_456, -1],
    "NanoTimestamp": [0, 1_700_000_000_123_456_000, 1_700_000_000_123_456_789],
    "MicroTime": [0, 86_399_999_999],
    "NanoTime": [0, 86_399_999_999_000],
    "Time": [0, 86_399_999],
    "string": ["", "x", "été 😀", "y" * 70, "z" * 600],
    "ZonedTimestamp": ["2026-11-21T04:00:00Z", "2026-11-21T04:00:00.123456Z", "2026-11-21T04:00:00.123456789+02:00"],
    "IsoTimestamp": ["2026-11-21T04:00:00Z", "2026-11-21T04:00:00"],
    "ZonedTime": ["04:00:00Z", "04:00:00+02:00"],
    "IsoTime": ["04:00:00Z"],
    "IsoDate": ["2026-11-21Z", "2026-11-21"],
    "Interval": ["P1Y2M3DT4H5M6.78S"],
    "Json": ['{"b": 1.10, "a": [null, "x"]}', "1e2", "null"],
    "Uuid": ["a1b2c3d4-0000-4000-8000-000000000000"],
    "EnumSet": ["", "a,b,a"],
    "bytes": [b"", b"\0", b"abc"],
    "wkb": [_POINT],
    "Bits": [b"", b"\1"],
    "Decimal": [b"\0", b"\xff", b"\x01\x02\x03", b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 8],
}
"""Values that a type can read, by the end of its name, else by its kind."""
_BARE: list[tuple[str, str]] = [
    *[
        ("int", "date"),
        ("int", "time-millis"),
        ("long", "time-micros"),
        ("long", "timestamp-millis"),
        ("long", "timestamp-micros"),
    ],
    *[
        ("long", "timestamp-nanos"),
        ("long", "local-timestamp-micros"),
        ("string", "uuid"),
        ("bytes", "decimal"),
        ("int", "nonsense"),
    ],
]


class Maker:
    """Makes schemas and values; remembers what names stand for."""

    def __init__(self, chance: random.Random, calm: float = 0.0) -> None:
        """``calm``: the share of values and types that are nothing special."""
        self.r = chance
        self.calm = calm
        self.named: dict[str, Schema] = {}
        self.made = 0

    def schema(self, depth: int = 3) -> Schema:
        """A type of a column."""
        plain: list[Callable[[], Schema]] = [self._scalar] * 5 + [self._logical] * 6 + [self._enum, self._fixed, self._reference]
        nested: list[Callable[[int], Schema]] = [self._record, self._array, self._map, self._pairs, self._geometry]
        if self.r.random() > self.calm:
            nested.append(self._union)
        if depth and self.r.random() < 0.3:
            return self.r.choice([*nested, self._nullable, self._nullable])(depth - 1)
        made = self.r.choice(plain)()
        nullable = made != "null" and self.r.random() < 0.5
        return optional(made, null_first=self.r.random() < 0.8) if nullable else made

    def _scalar(self) -> Schema:
        kind = self.r.choice([*_VALUES, "long", "string"])
        if kind == "null" and self.r.random() < self.calm:
            kind = "boolean"
        if kind == "int" and self.r.random() < 0.5:
            return {"type": "int", "connect.type": self.r.choice(["int8", "int16", "int32", "map"])}
        return {"type": "string", "avro.java.string": "String"} if kind == "string" and self.r.random() < 0.3 else kind

    def _logical(self) -> Schema:
        if self.r.random() < 0.2:
            kind, logical = self.r.choice(_BARE)
            return {"type": kind, "logicalType": logical, "precision": 20, "scale": self.r.choice([0, 3])}
        if self.r.random() < 0.2:
            return decimal(self.r.choice([0, 2, 4, 18, 19, -2, 60]))
        kind, start, ends = self.r.choice(_LOGICAL)
        parameters = {"length": self.r.choice(["8", "16", "x"]), "scale": self.r.choice(["2", "x"])}
        return named(kind, start + self.r.choice(ends), parameters)

    def _name(self, schema: Schema) -> Schema:
        self.named[names(schema, "")[0]] = schema
        return schema

    def _fresh(self, kind: str) -> str:
        self.made += 1
        return f"{self.r.choice(['pg.', 'io.x.'])}{kind}{self.made}"

    def _enum(self) -> Schema:
        symbols = [f"L{i}" for i in range(self.r.choice([1, 3, 64, 65, 200]))]
        symbols[0] = self.r.choice(["L0", UNREAD, "é"])
        return self._name({"type": "enum", "name": self._fresh("E"), "symbols": symbols})

    def _fixed(self) -> Schema:
        more = self.r.choice([{}, {"logicalType": "decimal", "precision": 9, "scale": 2}])
        return self._name(
            {
                "type": "fixed",
                "name": self._fresh("F"),
                "size": self.r.choice([1, 4, 9, 28, 0][: 4 + (self.r.random() > self.calm)]),
                **more,
            }
        )

    def _reference(self) -> Schema:
        return self.r.choice([*self.named, "string"])

    def _nullable(self, depth: int) -> Schema:
        inner = self.schema(depth)
        return inner if isinstance(inner, list) or inner == "null" else optional(inner)

    def _record(self, depth: int) -> Schema:
        name = self._fresh("R")
        connect = self.r.choice([{}, {"connect.name": name}, {"connect.name": "io.debezium.data.VariableScaleDecimal"}])
        fields = {f"f{i}": self.schema(depth) for i in range(self.r.randrange(4))}
        if self.r.random() < self.calm:
            fields["id"] = "int"
        return self._name(record(name, fields, **connect))

    def _geometry(self, _: int) -> Schema:
        kind = self.r.choice(["Geometry", "Geography"])
        fields = {"wkb": "bytes", "srid": optional("int")}
        return self._name(record(self._fresh(kind), fields, **{"connect.name": f"io.debezium.data.geometry.{kind}"}))

    def _array(self, depth: int) -> Schema:
        items = self.schema(depth)
        return {"type": "array", "items": items} if self._takes_octets(items) else {"type": "map", "values": items}

    def _takes_octets(self, schema: Schema) -> bool:
        schema = self.named.get(schema, schema) if isinstance(schema, str) else schema
        if isinstance(schema, dict) and schema["type"] == "record":
            return any(self._takes_octets(one["type"]) for one in schema["fields"])
        return schema != "null" and not (isinstance(schema, dict) and schema.get("size") == 0)

    def _map(self, depth: int) -> Schema:
        return {"type": "map", "values": self.schema(depth)}

    def _pairs(self, depth: int) -> Schema:
        entry = map_of_pairs(self.r.choice(["int", "long", "string"]), self.schema(depth))
        entry["items"]["namespace"] = self._fresh("n")
        self._name(entry["items"])
        return entry

    def _union(self, _: int) -> Schema:
        return self.r.sample(["null", "int", "string", "bytes", "double", "boolean"], self.r.choice([1, 2, 3]))

    def value(self, schema: Schema, at: str = "") -> Any:
        """A value of a type, at a border more often than not. ``at``: the field that it stands in."""
        if isinstance(schema, list):
            index = self.r.randrange(len(schema))
            return Branch(index, self.value(schema[index], at))
        if isinstance(schema, str):
            return self._plain(schema, at) if schema in _VALUES else self.value(self.named[schema], at)
        kind = schema["type"]
        if kind == "record":
            return {one["name"]: self.value(one["type"], one["name"]) for one in schema["fields"]}
        if kind == "enum":
            return self.r.choice(schema["symbols"])
        if kind == "fixed":
            return UNREAD.encode() if schema["size"] == 28 and self.r.random() < 0.5 else self.r.randbytes(schema["size"])
        if kind == "array":
            return [self.value(schema["items"]) for _ in range(self.r.choice([0, 1, 2, 3]))]
        if kind == "map":
            keys = self.r.sample(["a", "b", "é"], self.r.choice([0, 1, 2]))
            return [
                (key, self.value(schema["values"])) for key in (keys if self.r.random() < self.calm else [*keys, "a", UNREAD])
            ]
        return self._plain(kind, schema.get("connect.name", at).rpartition(".")[2])

    def _plain(self, kind: str, name: str) -> Any:
        if self.r.random() > self.calm:
            return self.r.choice(_VALUES[kind])
        return self.r.choice(_FITTING.get(name, _FITTING.get(kind, _VALUES[kind])))


def bent(r: random.Random, data: bytes) -> bytes:
    """The octets with something wrong in them, or by luck still lawful."""
    at = r.randrange(len(data) + 1)
    way = r.randrange(9)
    if way == 0:
        return data[:at]
    if way == 1:
        return data + r.randbytes(r.choice([1, 4]))
    if way == 2:
        return data[:at] + bytes([r.choice([0, 1, 2, 3, 4, 0x7F, 0x80, 0xFF, r.randrange(256)])]) + data[at + 1 :]
    if way == 3:
        return data[:at] + data[at + 1 :]
    if way == 4:
        huge = r.choice([2**31, 2**32, 2**63 - 1, -(2**63), -1, -2, 2**40])
        return data[:at] + varint(huge) + data[at + 1 :]
    if way == 5:
        return data[:at] + b"\x80" * r.choice([1, 4, 9, 10, 30]) + data[at:]
    if way == 6:
        octet = data[at : at + 1] or b"\0"
        return data[:at] + bytes([octet[0] | 0x80]) + r.choice([b"\0", b"\x80\0"]) + data[at + 1 :]
    if way == 7:
        octet = data[at : at + 1] or b"\0"
        return data[:at] + bytes([octet[0] ^ (1 << r.randrange(8))]) + data[at + 1 :]
    return r.choice([b"", b"\0", b"\1", b"\0\0\0", b"\2" + data, data[:5], b"\1" + r.randbytes(16), b'{"id":1}', r.randbytes(20)])
