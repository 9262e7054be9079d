"""Which upstream columns a recording holds: what ``replay`` compares if the topology names none (DESIGN section 7).

Runs once over a whole recording, before the decoders are made. Only names are taken; what does not parse, control records and
null payloads contribute nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson
import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import BINLOG, Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.framing import split
from stream_recon.normalise.avro.reader import AvroReader
from stream_recon.normalise.formats import canal, maxwell
from stream_recon.normalise.formats.binlog import is_of_table
from stream_recon.normalise.formats.connect import is_enveloped
from stream_recon.normalise.formats.debezium import is_control
from stream_recon.normalise.formats.flattened import is_added, is_flattened
from stream_recon.normalise.formats.mongo import ID, has_documents
from stream_recon.normalise.types.values import decode_utf8, loads

_IMAGES: Final = ("before", "after")
_SCHEMA_HEAD: Final = b'{"schema":'
_PAYLOAD_MARK: Final = b'},"payload":'
"""Where JsonConverter ends a schema. A schema text never holds it: inside one, this field name would stand after a struct's
own braces only as a key, and Connect's schemas have no such key."""


def discover(form: Format, value: pa.BinaryArray, book: SchemaBook | None = None, *, table: str | None = None) -> frozenset[str]:
    """Upstream column names in the payloads ``value``: of the schemas' images, else of the row images themselves.

    ``book``: the schemas that messages in Avro name; ``table``: whose columns, where a topic holds several.
    """
    if book is not None:
        return _avro_names(value, book)
    find = _finder(form, table)
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


def _finder(form: Format, table: str | None) -> Callable[[Any], tuple[Iterable[str], bool]]:
    """What finds the names in a parsed payload, and says whether its schema told them."""
    if form in BINLOG:
        is_aside = canal.is_control if form is Format.CANAL_JSON else maxwell.is_control
        return lambda document: (_binlog_names(document, table, is_aside), False)
    return _debezium_names if form is Format.DEBEZIUM_JSON else _row_names


def _avro_names(value: pa.BinaryArray, book: SchemaBook) -> frozenset[str]:
    """Columns of every schema that a message was written with, if it is one of changes; of MongoDB's, in every document."""
    names: set[str] = set()
    seen: set[bytes] = set()
    reader = AvroReader(book)
    for scalar in value:
        data = scalar.as_py()
        try:
            octets = b"" if data is None else split(data, book.ids)[0]
            if not octets or octets in seen:
                continue
            wire = book.schema(octets).wire
            if has_documents(wire):
                names.update(_image_names(reader.read(data).payload))
                continue
        except Refused:
            continue
        seen.add(octets)
        if is_flattened({name: {} if part.kind == "struct" else None for name, part in wire.fields.items()}):
            names.update(name for name in wire.fields if not is_added(name))
        elif "op" in wire.fields:
            names.update(name for image in _IMAGES if image in wire.fields for name in wire.fields[image].fields)
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
    if not isinstance(payload, dict) or is_control(payload):
        return (), False
    if is_flattened(payload):
        found = payload if schema is None else _field_names(schema)
        return [name for name in found if not is_added(name)], schema is not None
    if "op" not in payload:
        return (), False
    if schema is not None:
        for name in ("after", "before"):
            image = next((field for field in _fields(schema) if field.get("field") == name), None)
            if image is not None and image.get("type") == "struct":
                return _field_names(image), True
    return _image_names(payload), False


def _image_names(payload: dict[str, Any]) -> list[str]:
    """Names in the images of an envelope; a text is one of MongoDB's documents."""
    images = [_document(payload.get(name)) for name in _IMAGES]
    return [name for image in images if isinstance(image, dict) for name in image]


def _document(image: Any) -> Any:
    if not isinstance(image, str):
        return image
    try:
        found = _parse(image.encode("utf-8", "surrogatepass"))
    except Refused:
        return None
    return found if isinstance(found, dict) and ID in found else None


def _binlog_names(document: Any, table: str | None, is_aside: Callable[[dict[str, Any]], bool]) -> Iterable[str]:
    """Names in the rows of Canal's messages and Maxwell's."""
    if not isinstance(document, dict) or not is_of_table(document, table) or is_aside(document):
        return ()
    data = document.get("data")
    return [name for row in (data if isinstance(data, list) else [data]) if isinstance(row, dict) for name in row]


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
