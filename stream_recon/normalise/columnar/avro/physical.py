"""The schema that DataFusion's reader gets: the same octets without names and meanings, and without what it cannot read.

It knows no null: fields of only that are left out, and a union of nothing but null is the number of its branch. Logical types are
left to our readers. What it gives is read back by position: ``kept`` says which field is which.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import count
from typing import Any

import pyarrow as pa

from stream_recon.normalise.avro.datum import float_json, map_json
from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.types.values import Json, Number


def is_nothing(node: Avro) -> bool:
    """A union of nothing but null."""
    return node.kind == "union" and all(branch.kind == "null" for branch in node.branches)


def kept(node: Avro) -> list[tuple[str, Avro]]:
    """The fields of a record that have a column."""
    return [(name, part) for name, part in node.fields if part.kind != "null"]


def readable(node: Avro) -> bool:
    """Whether every union is a type beside null: of others Arrow makes unions, which most of its functions cannot take."""
    if node.kind == "union" and not is_nothing(node):
        return len(node.branches) == 2 and node.value is not node and readable(node.value)
    parts = [part for _, part in node.fields] + ([] if node.items is None else [node.items])
    return all(map(readable, parts))


def physical(node: Avro, names: Iterator[int] | None = None) -> Any:
    """The schema as JSON."""
    names = count() if names is None else names
    if node.kind == "union":
        return "int" if is_nothing(node) else [physical(branch, names) for branch in node.branches]
    if node.kind == "record":
        name = f"r{next(names)}"
        fields = [{"name": f"f{i}", "type": physical(part, names)} for i, (_, part) in enumerate(kept(node))]
        return {"type": "record", "name": name, "fields": fields}
    if node.items is not None:
        return {"type": node.kind, "items" if node.kind == "array" else "values": physical(node.items, names)}
    if node.kind == "enum":
        return {"type": "enum", "name": f"e{next(names)}", "symbols": [f"s{i}" for i in range(len(node.symbols))]}
    if node.kind == "fixed":
        return {"type": "fixed", "name": f"x{next(names)}", "size": node.size}
    return node.kind


def plain(values: pa.Array) -> pa.Array:
    """Values in the one form of each type that the kernels know."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_string_view(values.type) or pa.types.is_large_string(values.type):
        return values.cast(pa.string())
    if pa.types.is_binary_view(values.type) or pa.types.is_large_binary(values.type):
        return values.cast(pa.binary())
    return values


def json_value(node: Avro, value: Any) -> Json:
    """A value as Arrow gives it to Python, in the form of ``types.values``."""
    if value is None or node.kind == "null" or is_nothing(node):
        return None
    if node.kind == "union":
        return json_value(node.value, value)
    if node.kind == "record":
        found = dict.fromkeys((name for name, _ in node.fields), None)
        return found | {name: json_value(part, value[f"f{i}"]) for i, (name, part) in enumerate(kept(node))}
    if node.items is not None:
        return _container(node, node.items, value)
    if node.kind in ("bytes", "fixed"):
        return base64.b64encode(value).decode("ascii")
    if node.kind in ("int", "long"):
        return Number(str(value))
    if node.kind in ("float", "double"):
        return float_json(value)
    return node.symbols[int(value[1:])] if node.kind == "enum" else value


def _container(node: Avro, items: Avro, value: Any) -> Json:
    if node.kind == "map":
        return map_json([(key, json_value(items, one)) for key, one in value])
    found = [json_value(items, one) for one in value]
    return [[one["key"], one["value"]] for one in found] if node.pairs else found
