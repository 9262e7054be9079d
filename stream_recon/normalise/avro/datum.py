"""One Avro datum as the JSON value that Connect's JsonConverter would write for it. Read by fastavro: simple, exact, slow."""

from __future__ import annotations

import base64
import io
import math
import struct
from typing import Any, Final

import fastavro

from stream_recon.errors import Refused
from stream_recon.normalise.avro.schema import Avro, physical
from stream_recon.normalise.types.values import Json, Number, Several

_BROKEN: Final = (EOFError, IndexError, KeyError, OverflowError, TypeError, UnicodeDecodeError, ValueError, struct.error)
"""What fastavro raises for octets that are no datum of the schema."""


class DatumReader:
    """Reads datums of one schema."""

    def __init__(self, node: Avro) -> None:
        self._node = node
        self._schema = fastavro.parse_schema(physical(node, columns=False))

    def read(self, data: bytes) -> Json:
        """The value. Raises ``Refused`` if the octets are not exactly one datum."""
        stream = io.BytesIO(data)
        try:
            value: Any = fastavro.schemaless_reader(stream, self._schema, None)
        except (*_BROKEN, MemoryError):
            raise Refused("expected a datum of its Avro schema, got other octets") from None
        if stream.tell() != len(data):
            raise Refused("expected a datum of its Avro schema, got more octets behind it")
        return json_value(self._node, value)


def json_value(node: Avro, value: Any) -> Json:
    """A decoded value (fields by position: f0, f1 ...; symbols likewise) in the form of ``types.values``."""
    if node.kind == "union":
        return None if value is None else Several() if node.value is node else json_value(node.value, value)
    if value is None:
        return None
    if node.kind == "record":
        return {name: json_value(part, value.get(f"f{i}")) for i, (name, part) in enumerate(node.fields)}
    if node.kind in ("array", "map"):
        return _container(node, value)
    if node.kind in ("bytes", "fixed"):
        return base64.b64encode(value).decode("ascii")
    if node.kind in ("int", "long"):
        return Number(str(value))
    if node.kind in ("float", "double"):
        return _float(value)
    return node.symbols[int(value[1:])] if node.kind == "enum" else value


def _container(node: Avro, value: Any) -> Json:
    items = node.items
    assert items is not None
    if node.pairs:
        return [[json_value(part, one.get(f"f{i}")) for i, (_, part) in enumerate(items.fields)] for one in value]
    if node.kind == "array":
        return [json_value(items, one) for one in value]
    return {key: json_value(items, one) for key, one in value.items()}


def _float(value: float) -> Json:
    if math.isfinite(value):
        return Number(repr(value))
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
