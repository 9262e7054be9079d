"""One small registered function for each type: a wire form (Connect type, schema name, declared reading) to a canonical item.

    values     JSON without loss          wire       Connect schemas, the registry
    numbers, calendar, zones, jsontext    text of one family each
    scalars, temporal, structured, containers, geometry         registered readers of the wire's types
    rules, casts_*, declared    readings declared in a topology        unavailable    Debezium's placeholder

An unknown type is refused by its name. A null never comes here: it is ``~`` in every type.
"""

from __future__ import annotations

from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types import geometry, structured, temporal  # registers their readers
from stream_recon.normalise.types.declared import check_rule, declared_reader
from stream_recon.normalise.types.jsontext import json_item
from stream_recon.normalise.types.numbers import decimal_item
from stream_recon.normalise.types.scalars import boolean_item, string_item
from stream_recon.normalise.types.values import Json, Number
from stream_recon.normalise.types.wire import Options, Reader, Wire, parse_wire, typed_reader

__all__ = ["Options", "Reader", "Wire", "check_rule", "geometry", "parse_wire", "reader", "structured", "temporal"]


def reader(rule: TypeRule | None, wire: Wire | None, options: Options) -> Reader:
    """The reader of a column: its declared reading if there is one, else its schema's, else by the kind of JSON."""
    if rule is not None:
        return declared_reader(rule, wire, options)
    return typed_reader(wire, options) if wire is not None else _schemaless(options)


def _schemaless(options: Options) -> Reader:
    """DESIGN section 7: true/false is ``b``, a number ``n`` from its digits, a string ``s``, an object or array ``j``."""

    def read(value: Json) -> Item:
        if isinstance(value, bool):
            return boolean_item(value)
        if isinstance(value, Number):
            return decimal_item(value.literal)
        if isinstance(value, str):
            return string_item(value, options.nfc)
        return json_item(value, nfc=options.nfc)

    return read
