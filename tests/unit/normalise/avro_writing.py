"""Avro written by hand, for tests: a schema and a value to octets, and schemas as the converters of Kafka Connect write them.

From the Avro specification alone: the encoder shares no code with what it tests. Values: None, bool, int, float, str, bytes,
list, dict (a record or a map), pairs (a map), a symbol as str. A union takes a value beside null, or names its branch:
``Branch(2, "text")``.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from stream_recon.model.messages import Decoded, Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, Ids, TypeRule
from stream_recon.model.schemas import SchemaText
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder

_LONG_SECONDS = 30
Schema = Any
"""An Avro schema as JSON."""


@dataclass(frozen=True)
class Branch:
    """A value of a union, and which of its types it is."""

    index: int
    value: Any


@dataclass(frozen=True)
class Octets:
    """What stands in a datum as it is, whatever the schema says."""

    octets: bytes


def varint(number: int) -> bytes:
    """A long: zig-zag, seven bits an octet, the lowest first."""
    bits = (number << 1) ^ (number >> 63) if -(2**63) <= number < 2**63 else number << 1
    out = bytearray()
    while bits > 0x7F:
        out.append(0x80 | (bits & 0x7F))
        bits >>= 7
    out.append(bits)
    return bytes(out)


def sized(data: bytes) -> bytes:
    """Octets with their number in front."""
    return varint(len(data)) + data


@dataclass
class Writer:
    """Writes datums of one schema; remembers the names that it defines. ``block``: elements in one block of an array or map;
    ``counted``: whether a block says its octets (a negative count).
    """

    schema: Schema
    references: Sequence[Schema] = ()
    block: int | None = None
    counted: bool = False
    _named: dict[str, tuple[Schema, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in (*self.references, self.schema):
            self._learn(one, "")

    def _learn(self, schema: Schema, namespace: str) -> None:
        if isinstance(schema, list):
            for one in schema:
                self._learn(one, namespace)
        elif isinstance(schema, dict):
            if schema["type"] in ("record", "enum", "fixed"):
                full, namespace = names(schema, namespace)
                self._named[full] = schema, namespace
            for one in schema.get("fields", ()):
                self._learn(one["type"], namespace)
            for inner in ("items", "values", "type"):
                if isinstance(schema.get(inner), dict | list):
                    self._learn(schema[inner], namespace)

    def write(self, value: Any) -> bytes:
        return self._write(self.schema, "", value)

    def _write(self, schema: Schema, namespace: str, value: Any) -> bytes:
        if isinstance(value, Octets):
            return value.octets
        if isinstance(schema, list):
            chosen = value if isinstance(value, Branch) else self._branch(schema, value)
            return varint(chosen.index) + self._write(schema[chosen.index], namespace, chosen.value)
        if isinstance(schema, dict) and isinstance(schema["type"], dict | list):
            return self._write(schema["type"], namespace, value)
        kind = schema["type"] if isinstance(schema, dict) else schema
        if kind in ("record", "enum", "fixed"):
            return self._write_named(schema, names(schema, namespace)[1], value)
        if kind in ("array", "map"):
            return self._write_blocks(schema, namespace, value)
        if kind in _PRIMITIVES:
            return bytes(_PRIMITIVES[kind](value))
        full = kind if "." in kind or not namespace else f"{namespace}.{kind}"
        found, inside = self._named[full if full in self._named else kind]
        return self._write_named(found, inside, value)

    @staticmethod
    def _branch(union: Schema, value: Any) -> Branch:
        if value is None:
            return Branch(union.index("null"), None)
        others = [i for i, one in enumerate(union) if one != "null"]
        assert len(others) == 1, "of a union of several types, name the branch"
        return Branch(others[0], value)

    def _write_named(self, schema: Schema, namespace: str, value: Any) -> bytes:
        if schema["type"] == "record":
            return b"".join(self._write(one["type"], namespace, value[one["name"]]) for one in schema["fields"])
        if schema["type"] == "enum":
            return varint(schema["symbols"].index(value))
        assert len(value) == schema["size"]
        return bytes(value)

    def _write_blocks(self, schema: Schema, namespace: str, value: Any) -> bytes:
        if schema["type"] == "array":
            items = [self._write(schema["items"], namespace, one) for one in value]
        else:
            pairs = value.items() if isinstance(value, Mapping) else value
            items = [sized(key.encode()) + self._write(schema["values"], namespace, one) for key, one in pairs]
        out, size = b"", self.block or max(len(items), 1)
        for at in range(0, len(items), size):
            part = items[at : at + size]
            body = b"".join(part)
            out += (varint(-len(part)) + varint(len(body)) if self.counted else varint(len(part))) + body
        return out + b"\0"


_PRIMITIVES: dict[str, Any] = {
    "null": lambda _: b"",
    "boolean": lambda value: b"\1" if value else b"\0",
    "int": varint,
    "long": varint,
    "float": lambda value: struct.pack("<f", value),
    "double": lambda value: struct.pack("<d", value),
    "bytes": sized,
    "string": lambda value: sized(value.encode("utf-8", "surrogatepass")),
}


def names(schema: Schema, namespace: str) -> tuple[str, str]:
    """The full name of a named type, and the namespace of what stands inside it."""
    if "." in schema["name"]:
        return schema["name"], schema["name"].rpartition(".")[0]
    inside = schema.get("namespace", namespace)
    return f"{inside}.{schema['name']}" if inside else schema["name"], inside


def confluent(number: int, datum: bytes) -> bytes:
    """Magic 0, a schema id of 4 octets, the datum."""
    return b"\0" + number.to_bytes(4, "big") + datum


def guided(guid: bytes, datum: bytes) -> bytes:
    """Magic 1, a GUID, the datum."""
    assert len(guid) == 16
    return b"\1" + guid + datum


def named(kind: str, connect: str | None = None, parameters: Mapping[str, Any] | None = None, **more: Any) -> Schema:
    """A primitive with what Connect's converters add: ``connect.name``, ``connect.version``, ``connect.parameters``."""
    if connect is None and parameters is None and not more:
        return kind
    out: dict[str, Any] = {"type": kind}
    if connect is not None:
        out |= {"connect.version": 1, "connect.name": connect}
    if parameters is not None:
        out["connect.parameters"] = dict(parameters)
    return out | more


def optional(schema: Schema, *, null_first: bool = True) -> Schema:
    """A nullable type: the converters write null first, unless there is a default."""
    return ["null", schema] if null_first else [schema, "null"]


def decimal(scale: int, precision: int = 64) -> Schema:
    """Connect's Decimal as the Avro converter writes it."""
    name = "org.apache.kafka.connect.data.Decimal"
    parameters = {"scale": str(scale), "connect.decimal.precision": str(precision)}
    return named("bytes", name, parameters, logicalType="decimal", precision=precision, scale=scale)


def two_complement(unscaled: int) -> bytes:
    """The fewest octets, big-endian."""
    return unscaled.to_bytes((unscaled + (unscaled < 0)).bit_length() // 8 + 1, "big", signed=True)


def record(name: str, fields: Mapping[str, Schema], **more: Any) -> Schema:
    """A record; a nullable field gets its default."""
    parts = []
    for key, schema in fields.items():
        part: dict[str, Any] = {"name": key, "type": schema}
        if isinstance(schema, list) and schema and schema[0] == "null":
            part["default"] = None
        parts.append(part)
    return {"type": "record", "name": name, "fields": parts, **more}


def map_of_pairs(keys: Schema, values: Schema) -> Schema:
    """A Connect map whose keys are not strings."""
    entry = record("MapEntry", {"key": keys, "value": values}, namespace="io.confluent.connect.avro")
    return {"type": "array", "items": entry | {"connect.internal.type": "MapEntry"}}


SOURCE: Schema = record(
    "Source",
    {
        "version": "string",
        "connector": "string",
        "ts_ms": "long",
        "snapshot": [
            {"type": "string", "connect.version": 1, "connect.parameters": {"allowed": "true,first,last,false"}},
            "null",
        ],
        "db": "string",
        "ts_us": optional("long"),
        "ts_ns": optional("long"),
    },
    namespace="io.debezium.connector.postgresql",
    **{"connect.name": "io.debezium.connector.postgresql.Source"},
)


def envelope(columns: Mapping[str, Schema], *, name: str = "pg.public.orders") -> Schema:
    """Debezium's envelope: ``Value`` is defined under ``before``, and named under ``after``."""
    value = record("Value", columns, **{"connect.name": f"{name}.Value"})
    block = record("block", {"id": "string", "total_order": "long"}, namespace="event", **{"connect.name": "event.block"})
    fields = {"before": optional(value), "after": optional("Value"), "source": SOURCE, "transaction": optional(block)}
    fields |= {"op": "string", "ts_ms": optional("long")}
    return record("Envelope", fields, namespace=name, **{"connect.version": 2, "connect.name": f"{name}.Envelope"})


def key_schema(columns: Mapping[str, Schema], *, name: str = "pg.public.orders") -> Schema:
    """The record of a message key."""
    return record("Key", columns, namespace=name, **{"connect.name": f"{name}.Key"})


def change(op: str, before: Any, after: Any, *, ts_us: int | None = 1_700_000_000_000_000, **more: Any) -> dict[str, Any]:
    """An envelope's value."""
    ms = 0 if ts_us is None else ts_us // 1000
    source = {"version": "3.0", "connector": "postgresql", "ts_ms": ms, "snapshot": "false", "db": "shop"}
    source |= {"ts_us": ts_us, "ts_ns": None}
    return {"before": before, "after": after, "source": source, "transaction": None, "op": op, "ts_ms": ms} | more


def text(schema: Schema) -> str:
    """A schema as a registry holds it."""
    return json.dumps(schema)


@dataclass
class Schemas:
    """A registry in memory: schemas by the octets that name them in front of a message."""

    ids: Ids = Ids.CONFLUENT
    held: dict[bytes, SchemaText] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    def add(self, schema: Schema, octets: bytes | None = None, references: Sequence[Schema] = ()) -> bytes:
        """Keeps a schema; the octets that name it."""
        name = b"\0" + (len(self.held) + 1).to_bytes(4, "big") if octets is None else octets
        self.held[name] = SchemaText(text(schema), tuple(map(text, references)))
        return name

    def schema(self, octets: bytes) -> SchemaText | None:
        self.asked.append(octets)
        return self.held.get(octets)


def feed(columns: Mapping[str, TypeRule | None], key: Sequence[str] = ("id",), *, large: Sequence[str] = ()) -> FeedPlan:
    """A feed in Avro of these columns, in byte order of their names."""
    plans = [ColumnPlan(name, name, type=columns[name], large=name in large, key=name in key) for name in sorted(columns)]
    return FeedPlan("maria", Format.DEBEZIUM_AVRO, tuple(plans))


def messages(pairs: Sequence[tuple[bytes | None, bytes | None]], *, before: int = 0, after: int = 0) -> Messages:
    """Keys and values of one partition, as a slice of longer arrays with ``before`` and ``after`` others around it."""
    noise = [(b"\0\0\0\0\1\2", b"\0\0\0\0\1\2noise")]
    whole = [*noise * before, *pairs, *noise * after]
    key, value = (
        pa.array(list(part), pa.binary()).slice(before, len(pairs)) for part in ([k for k, _ in whole], [v for _, v in whole])
    )
    offset = np.arange(len(pairs), dtype=np.int64)
    return Messages(Upstream("maria", "t", 0), offset, 1_700_000_000_000 + offset, key, value)


def decoders(plan: FeedPlan, schemas: Schemas) -> tuple[ReferenceDecoder, ColumnarDecoder]:
    """Both decoders of a feed, each with a book of its own."""
    vectorised = ReferenceDecoder(plan, SchemaBook(schemas))
    return ReferenceDecoder(plan, SchemaBook(schemas)), ColumnarDecoder(plan, vectorised, SchemaBook(schemas))


def promptly(decoder: ColumnarDecoder, batch: Messages) -> Decoded:
    """What it decodes; fails where it would not end."""
    found: list[Decoded] = []
    thread = threading.Thread(target=lambda: found.append(decoder.decode(batch)), daemon=True)
    thread.start()
    thread.join(_LONG_SECONDS)
    assert found, "raised, or gave no answer in time"
    return found[0]


def check_same(one: Decoded, other: Decoded, count: int) -> None:
    """Both say the same, and every message became exactly one of rows, control record, dead letter."""
    held = [*dict.fromkeys(one.rows["message"].to_pylist()), *one.control.tolist(), *(letter.message for letter in one.dead)]
    assert sorted(held) == list(range(count))
    assert [letter.reason for letter in one.dead] == [letter.reason for letter in other.dead]
    assert one.dead == other.dead
    assert one.control.tolist() == other.control.tolist()
    assert one.rows.to_pylist() == other.rows.to_pylist()
    assert one.rows.equals(other.rows)
