"""What the wire says about a value: Kafka Connect's schema as JsonConverter embeds it, and the registry of its named types.

A reader takes one JSON value that is not null and gives its canonical item, or raises ``Refused``. Readers are made once for
each schema, not for each value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from zoneinfo import ZoneInfo

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.values import Json

Reader = Callable[[Json], Item]

KINDS: Final = frozenset(
    {"int8", "int16", "int32", "int64", "float", "double", "boolean", "string", "bytes", "array", "map", "struct"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Wire:
    """A Connect schema: ``kind`` is its type, ``name`` its logical type. ``items``: of an array; ``keys``, ``items``: of a map.

    Compared by identity: caches hold one for each schema text.
    """

    kind: str
    name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Wire] = field(default_factory=dict)
    items: Wire | None = None
    keys: Wire | None = None

    def field_named(self, name: str) -> Wire | None:
        return self.fields.get(name)


@dataclass(frozen=True, slots=True)
class Options:
    """What a topology declares about a column beside its type."""

    nfc: bool = False
    zone: ZoneInfo | None = None


Factory = Callable[[Wire, Options], Reader]
_NAMED: dict[str, Factory] = {}
_PLAIN: dict[str, Factory] = {}
_RESERVED: Final = ("io.debezium.", "org.apache.kafka.connect.")


def named(*names: str) -> Callable[[Factory], Factory]:
    """Register the reader of the logical types of these names."""

    def register(factory: Factory) -> Factory:
        for name in names:
            assert name not in _NAMED, name
            _NAMED[name] = factory
        return factory

    return register


def plain(*kinds: str) -> Callable[[Factory], Factory]:
    """Register the reader of the Connect types without a logical name."""

    def register(factory: Factory) -> Factory:
        for kind in kinds:
            assert kind in KINDS, kind
            assert kind not in _PLAIN, kind
            _PLAIN[kind] = factory
        return factory

    return register


def is_known(wire: Wire) -> bool:
    """Whether the wire form alone says how to read the value. Any struct has a name of its own: that of its record."""
    if wire.name is None or wire.name in _NAMED:
        return True
    return wire.kind == "struct" and not wire.name.startswith(_RESERVED)


def is_plain(wire: Wire) -> bool:
    """Whether its kind alone says how it is read."""
    return is_known(wire) and wire.name not in _NAMED


def typed_reader(wire: Wire, options: Options) -> Reader:
    """The reader of a value under a schema; of an unknown logical type, one that refuses by the type's name."""
    if not is_known(wire):
        return refuser(f"unknown type {_printable(wire.name)}: declare in `types` how to read it")
    factory = _PLAIN[wire.kind] if wire.name is None or wire.name not in _NAMED else _NAMED[wire.name]
    return factory(wire, options)


def _printable(name: str | None) -> str:
    return name if name is not None and name.isascii() and name.isprintable() and len(name) <= 200 else "(its name is no name)"


def refuser(reason: str) -> Reader:
    """A reader that refuses every value for this reason."""

    def read(_: Json) -> Item:
        raise Refused(reason)

    return read


def parse_wire(schema: Json) -> Wire:
    """A Connect schema as JsonConverter writes it. Raises ``Refused`` if it is none."""
    if not isinstance(schema, dict):
        raise Refused("schema: expected an object")
    kind, name, parameters = schema.get("type"), schema.get("name"), schema.get("parameters")
    if not isinstance(kind, str) or kind not in KINDS:
        raise Refused("schema: expected a type of Kafka Connect")
    if not (name is None or isinstance(name, str)) or not (parameters is None or isinstance(parameters, dict)):
        raise Refused("schema: expected name to be a string and parameters an object")
    texts = {key: text for key, text in (parameters or {}).items() if isinstance(text, str)}
    if kind == "struct":
        return Wire(kind, name, texts, fields=_fields(schema.get("fields")))
    if kind == "array":
        return Wire(kind, name, texts, items=parse_wire(schema.get("items")))
    if kind == "map":
        return Wire(kind, name, texts, keys=parse_wire(schema.get("keys")), items=parse_wire(schema.get("values")))
    return Wire(kind, name, texts)


def _fields(fields: Json) -> dict[str, Wire]:
    if not isinstance(fields, list):
        raise Refused("schema: expected a struct's fields to be an array")
    found: dict[str, Wire] = {}
    for one in fields:
        name = one.get("field") if isinstance(one, dict) else None
        if not isinstance(name, str) or name in found:
            raise Refused("schema: expected every field to have a name of its own")
        found[name] = parse_wire(one)
    return found
