"""Declared readings of documents and containers: json, list, set, map."""

from __future__ import annotations

from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import Item
from stream_recon.normalise.types.containers import array_reader, comma_set_item, natural_reader
from stream_recon.normalise.types.jsontext import json_item, json_text_item
from stream_recon.normalise.types.rules import Native, holds_text, misfit, rule_named
from stream_recon.normalise.types.scalars import text_of
from stream_recon.normalise.types.values import Json, Repeated, loads
from stream_recon.normalise.types.wire import Options, Reader, Wire, typed_reader


@rule_named("json")
def _json(rule: TypeRule, wire: Wire | None, options: Options, _: Native) -> Reader:
    def read(value: Json) -> Item:
        if isinstance(value, str) and holds_text(wire):
            return json_text_item(value, nfc=options.nfc)
        if wire is not None:
            raise misfit(rule, value)
        return json_item(value, nfc=options.nfc)

    return read


@rule_named("list")
def _list(rule: TypeRule, wire: Wire | None, options: Options, _: Native) -> Reader:
    return _container(rule, wire, options, list)


@rule_named("map")
def _map(rule: TypeRule, wire: Wire | None, options: Options, _: Native) -> Reader:
    return _container(rule, wire, options, dict)


@rule_named("set")
def _set(rule: TypeRule, wire: Wire | None, options: Options, _: Native) -> Reader:
    if wire is not None and wire.kind == "array":
        return array_reader(wire, options, as_set=True)
    inner = _container(rule, wire, options, list)
    is_json = wire is not None and wire.name == "io.debezium.data.Json"
    return lambda value: inner(value) if is_json or not isinstance(value, str) else comma_set_item(value, options)


def _container(rule: TypeRule, wire: Wire | None, options: Options, kind: type) -> Reader:
    """A container with a schema by its schema; else JSON, or text that holds JSON, all the way down."""
    if wire is not None and wire.kind in {"array", "map", "struct"}:
        if (wire.kind == "array") != (kind is list):
            return _misfit_reader(rule)
        return typed_reader(wire, options)
    natural = natural_reader(options, as_set=rule.name == "set")

    def read(value: Json) -> Item:
        is_text = isinstance(value, str) and holds_text(wire)
        found = loads(text_of(value)) if is_text else value
        if isinstance(found, Repeated) or not isinstance(found, kind):
            raise misfit(rule, value)
        return natural(found)

    return read


def _misfit_reader(rule: TypeRule) -> Reader:
    def read(value: Json) -> Item:
        raise misfit(rule, value)

    return read
