"""Which upstream columns a recording holds: what ``replay`` compares if the topology names none (DESIGN section 7).

Runs once over a whole recording, before the decoders are made. Only names are taken; what does not parse, control records and
null payloads contribute nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import orjson
import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.framing import split
from stream_recon.normalise.formats.connect import is_enveloped
from stream_recon.normalise.formats.debezium import is_control
from stream_recon.normalise.types.values import decode_utf8, loads

_SCHEMA_HEAD: Final = b'{"schema":'
_PAYLOAD_MARK: Final = b'},"payload":'
"""Where JsonConverter ends a schema. A schema text never holds it: inside one, this field name would stand after a struct's
own braces only as a key, and Connect's schemas have no such key."""


def discover(form: Format, value: pa.BinaryArray, book: SchemaBook | None = None) -> frozenset[str]:
    """Upstream column names in the payloads ``value``: of the schemas' images, else of the row images themselves. ``book``: the
    schemas that messages in Avro name.
    """
    if book is not None:
        return _avro_names(value, book)
    find = _debezium_names if form is Format.DEBEZIUM_JSON else _row_names
    schemas: set[bytes] = set()
    names: set[str] = set()
    for scalar in value:
        data = scalar.as_py()
        if data is None or _seen(data, schemas):
            continue
        try:
            document = _parse(data)
        except Refused:
            continue
        found, by_schema = find(document)
        names.update(found)
        if by_schema:
            _remember(data, schemas)
    return frozenset(names)


def _avro_names(value: pa.BinaryArray, book: SchemaBook) -> frozenset[str]:
    """Columns of every schema that a message was written with, if it is one of changes."""
    names: set[str] = set()
    seen: set[bytes] = set()
    for scalar in value:
        data = scalar.as_py()
        try:
            octets = b"" if data is None else split(data, book.ids)[0]
            if not octets or octets in seen:
                continue
            seen.add(octets)
            wire = book.schema(octets).wire
        except Refused:
            continue
        if "op" in wire.fields:
            names.update(name for image in ("before", "after") if image in wire.fields for name in wire.fields[image].fields)
    return frozenset(names)


def _parse(data: bytes) -> Any:
    """Raises ``Refused`` exactly where the decoders do: orjson is quick, but stricter (1e400, deep nesting, lone surrogates)."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return loads(decode_utf8(data))


def _seen(data: bytes, schemas: set[bytes]) -> bool:
    """Whether the payload stands under a schema whose columns are known."""
    return data.startswith(_SCHEMA_HEAD) and any(data.startswith(schema) for schema in schemas)


def _remember(data: bytes, schemas: set[bytes]) -> None:
    end = data.find(_PAYLOAD_MARK)
    if data.startswith(_SCHEMA_HEAD) and end > 0:
        schemas.add(data[: end + len(_PAYLOAD_MARK)])


def _debezium_names(document: Any) -> tuple[Iterable[str], bool]:
    payload, schema = _split(document, bare=True)
    if not isinstance(payload, dict) or is_control(payload) or "op" not in payload:
        return (), False
    if schema is not None:
        for name in ("after", "before"):
            image = next((field for field in _fields(schema) if field.get("field") == name), None)
            if image is not None:
                return _field_names(image), True
    rows = [payload.get(name) for name in ("before", "after")]
    return [name for row in rows if isinstance(row, dict) for name in row], False


def _row_names(document: Any) -> tuple[Iterable[str], bool]:
    payload, schema = _split(document, bare=False)
    if schema is not None:
        return _field_names(schema), True
    return (payload if isinstance(payload, dict) else ()), False


def _split(document: Any, *, bare: bool) -> tuple[Any, dict[str, Any] | None]:
    """Payload and schema; ``bare``: an object of only ``payload`` is an envelope, too (as ``formats.connect`` has it)."""
    if not isinstance(document, dict):
        return None, None
    if not is_enveloped(document, bare):
        return document, None
    schema = document.get("schema")
    return document["payload"], schema if isinstance(schema, dict) else None


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    fields = schema.get("fields")
    return [field for field in fields if isinstance(field, dict)] if isinstance(fields, list) else []


def _field_names(schema: dict[str, Any]) -> list[str]:
    return [field["field"] for field in _fields(schema) if isinstance(field.get("field"), str)]
