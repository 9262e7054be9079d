"""Avro schemas: names resolved, and what each part means to Kafka Connect.

``connect.name``, ``connect.type`` and ``connect.parameters`` are what Connect's converters keep of their schemas; where they are
missing the logical types of the Avro specification say the same things. Refused: what is no schema, a type that contains itself,
and an array or a map of elements that take no octets, or hold much that takes none (a few octets could claim any number of them).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stream_recon.errors import Refused
from stream_recon.normalise.types.wire import Wire

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
MAX_NODES: Final = 20_000
"""Parts of one schema with all names written out: far beyond real tables, and a bound for schemas made to explode."""
MAX_DEPTH: Final = 64
"""Parts inside each other, also through names: readers call themselves for each."""
_MAX_FREE: Final = 8
"""Parts without octets in one element of an array or a map. Converters write none."""
_NARROW: Final = frozenset({"int8", "int16", "int32"})
"""What ``connect.type`` can say of an int."""

_CONNECT: Final = {
    "boolean": "boolean",
    "int": "int32",
    "long": "int64",
    "float": "float",
    "double": "double",
    "bytes": "bytes",
    "fixed": "bytes",
    "string": "string",
    "enum": "string",
}
_LOGICAL: Final = {
    ("int", "date"): "org.apache.kafka.connect.data.Date",
    ("int", "time-millis"): "org.apache.kafka.connect.data.Time",
    ("long", "time-micros"): "io.debezium.time.MicroTime",
    ("long", "timestamp-millis"): "org.apache.kafka.connect.data.Timestamp",
    ("long", "timestamp-micros"): "io.debezium.time.MicroTimestamp",
    ("long", "timestamp-nanos"): "io.debezium.time.NanoTimestamp",
    ("long", "local-timestamp-millis"): "org.apache.kafka.connect.data.Timestamp",
    ("long", "local-timestamp-micros"): "io.debezium.time.MicroTimestamp",
    ("long", "local-timestamp-nanos"): "io.debezium.time.NanoTimestamp",
    ("bytes", "decimal"): "org.apache.kafka.connect.data.Decimal",
    ("fixed", "decimal"): "org.apache.kafka.connect.data.Decimal",
    ("string", "uuid"): "io.debezium.data.Uuid",
}
_SEVERAL: Final = Wire("string", "avro.union of several types")
_NULL: Final = Wire("string", "avro.null")


@dataclass(frozen=True, slots=True, eq=False)
class Avro:
    """One part of a schema. ``kind``: a primitive, or record, enum, fixed, array, map, union; ``wire``: what it means.

    ``fields``: of a record, in order; ``items``: of an array or map; ``branches``: of a union; ``symbols``, ``size``: of an enum,
    a fixed. ``pairs``: an array that is a Connect map whose keys are not strings.
    """

    kind: str
    wire: Wire
    fields: tuple[tuple[str, Avro], ...] = ()
    items: Avro | None = None
    branches: tuple[Avro, ...] = ()
    symbols: tuple[str, ...] = ()
    size: int = 0
    pairs: bool = False

    nodes: int = field(init=False)
    """Parts of it, itself included, with all names written out."""
    depth: int = field(init=False)
    """Parts inside each other below it."""
    free: int = field(init=False)
    """Parts that take no octets."""

    def __post_init__(self) -> None:
        parts = (*(part for _, part in self.fields), *self.branches, *(() if self.items is None else (self.items,)))
        empty = self.kind == "null" or (self.kind == "fixed" and not self.size) or (self.kind == "record" and not self.fields)
        object.__setattr__(self, "nodes", 1 + sum(part.nodes for part in parts))
        object.__setattr__(self, "depth", 1 + max((part.depth for part in parts), default=-1))
        object.__setattr__(self, "free", empty + sum(part.free for _, part in self.fields))

    @property
    def value(self) -> Avro:
        """The part without the null beside it; itself where there is more than one other type, or nothing but null."""
        others = [branch for branch in self.branches if branch.kind != "null"]
        return others[0] if self.kind == "union" and len(others) == 1 else self


@dataclass(slots=True)
class _Reading:
    named: dict[str, Avro | None] = field(default_factory=dict)
    nodes: int = 0


def parse_schema(text: str, references: Sequence[str] = ()) -> Avro:
    """A schema in JSON; ``references``: schemas whose names it may use, in order. Raises ``Refused``."""
    reading = _Reading()
    node = None
    for one in (*references, text):
        try:
            document = json.loads(one)
            json.dumps(document, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise Refused("schema: expected Unicode text, got a lone surrogate") from None
        except (ValueError, RecursionError):
            raise Refused("schema: not JSON") from None
        node = _part(document, "", reading, 0)
    assert node is not None
    return node


def _part(schema: Any, namespace: str, reading: _Reading, depth: int) -> Avro:
    reading.nodes += 1
    if reading.nodes > MAX_NODES or depth > MAX_DEPTH:
        raise Refused("schema: too large")
    if isinstance(schema, list):
        branches = tuple(_part(one, namespace, reading, depth + 1) for one in schema)
        if not branches or any(branch.kind == "union" for branch in branches):
            raise Refused("schema: expected a union of types")
        others = [branch for branch in branches if branch.kind != "null"]
        return Avro("union", others[0].wire if len(others) == 1 else _SEVERAL if others else _NULL, branches=branches)
    if isinstance(schema, str):
        return _primitive(schema, {}) if schema in PRIMITIVES else _known(schema, namespace, reading, depth)
    if not isinstance(schema, dict):
        raise Refused("schema: expected a type")
    kind = schema.get("type")
    if isinstance(kind, list | dict):
        return _part(kind, namespace, reading, depth + 1)
    if not isinstance(kind, str):
        raise Refused("schema: expected a type")
    if kind in PRIMITIVES:
        return _primitive(kind, schema)
    if kind in ("array", "map"):
        return _container(kind, schema, namespace, reading, depth)
    if kind in ("record", "error", "enum", "fixed"):
        return _named("record" if kind == "error" else kind, schema, namespace, reading, depth)
    return _known(kind, namespace, reading, depth)


def _known(name: str, namespace: str, reading: _Reading, depth: int) -> Avro:
    full = name if "." in name or not namespace else f"{namespace}.{name}"
    for candidate in (full, name):
        if candidate in reading.named:
            found = reading.named[candidate]
            if found is None:
                raise Refused("schema: a type that contains itself cannot be read")
            reading.nodes += found.nodes
            if reading.nodes > MAX_NODES or depth + found.depth > MAX_DEPTH:
                raise Refused("schema: too large")
            return found
    raise Refused("schema: expected a type, got a name that is not known")


def _primitive(kind: str, schema: Mapping[str, Any]) -> Avro:
    return Avro(kind, _NULL if kind == "null" else _wire(kind, schema))


def _wire(kind: str, schema: Mapping[str, Any]) -> Wire:
    connect = schema.get("connect.type")
    name = schema.get("connect.name")
    parameters = _parameters(schema)
    logical = schema.get("logicalType")
    if name is None and isinstance(logical, str):
        name = _LOGICAL.get((kind, logical))
    if logical == "decimal" and "scale" not in parameters:
        parameters["scale"] = str(schema.get("scale", 0))
    known = connect if kind == "int" and isinstance(connect, str) and connect in _NARROW else _CONNECT[kind]
    return Wire(known, name if isinstance(name, str) else None, parameters)


def _parameters(schema: Mapping[str, Any]) -> dict[str, str]:
    found = schema.get("connect.parameters")
    return {k: str(v) for k, v in found.items() if not isinstance(v, dict | list)} if isinstance(found, dict) else {}


def _container(kind: str, schema: Mapping[str, Any], namespace: str, reading: _Reading, depth: int) -> Avro:
    items = _part(schema.get("items" if kind == "array" else "values"), namespace, reading, depth + 1)
    if items.free > _MAX_FREE or (kind == "array" and _is_empty(items)):
        raise Refused("schema: an array of elements that take no octets cannot be read")
    name = schema.get("connect.name")
    named = name if isinstance(name, str) else None
    parameters = _parameters(schema)
    if kind == "map":
        return Avro(kind, Wire("map", named, parameters, keys=Wire("string"), items=items.wire), items=items)
    entry = dict(items.fields)
    if items.kind == "record" and set(entry) == {"key", "value"} and _is_map_entry(schema.get("items")):
        return Avro(
            kind, Wire("map", named, parameters, keys=entry["key"].wire, items=entry["value"].wire), items=items, pairs=True
        )
    return Avro(kind, Wire("array", named, parameters, items=items.wire), items=items)


def _is_map_entry(items: Any) -> bool:
    """Connect's converters write a map whose keys are not strings as an array of such records."""
    return isinstance(items, dict) and (items.get("connect.internal.type") == "MapEntry" or items.get("name") == "MapEntry")


def _is_empty(node: Avro) -> bool:
    """Whether a value takes no octets."""
    if node.kind == "record":
        return all(_is_empty(part) for _, part in node.fields)
    return node.kind == "null" or (node.kind == "fixed" and node.size == 0)


def _named(kind: str, schema: Mapping[str, Any], namespace: str, reading: _Reading, depth: int) -> Avro:
    name, own = schema.get("name"), schema.get("namespace")
    if not isinstance(name, str) or not (own is None or isinstance(own, str)):
        raise Refused("schema: expected a name")
    if "." in name:
        namespace, full = name.rpartition(".")[0], name
    else:
        namespace = namespace if own is None else own
        full = f"{namespace}.{name}" if namespace else name
    if full in reading.named:
        raise Refused("schema: a name is defined twice")
    reading.named[full] = None
    if kind == "record":
        node = _record(schema, full, namespace, reading, depth)
    elif kind == "enum":
        symbols = schema.get("symbols")
        if not isinstance(symbols, list) or not symbols or not all(isinstance(s, str) for s in symbols):
            raise Refused("schema: expected an enum's symbols")
        node = Avro(kind, _wire(kind, schema), symbols=tuple(symbols))
    else:
        size = schema.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 24:
            raise Refused("schema: expected the size of a fixed")
        node = Avro(kind, _wire(kind, schema), size=size)
    reading.named[full] = node
    return node


def _record(schema: Mapping[str, Any], full: str, namespace: str, reading: _Reading, depth: int) -> Avro:
    fields = schema.get("fields")
    if not isinstance(fields, list):
        raise Refused("schema: expected a record's fields")
    parts: dict[str, Avro] = {}
    for one in fields:
        name = one.get("name") if isinstance(one, dict) else None
        if not isinstance(name, str) or name in parts:
            raise Refused("schema: expected every field to have a name of its own")
        parts[name] = _part(one.get("type"), namespace, reading, depth + 1)
    connect = schema.get("connect.name")
    parameters = _parameters(schema)
    known = connect if isinstance(connect, str) else full
    return Avro(
        "record",
        Wire("struct", known, parameters, fields={name: part.wire for name, part in parts.items()}),
        fields=tuple(parts.items()),
    )
