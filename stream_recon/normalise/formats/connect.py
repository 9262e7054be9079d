"""What Kafka Connect's JsonConverter writes: ``{"schema": ..., "payload": ...}``, or the payload alone; decided per message.

A schema is half a message and always the same: its text is remembered, and read again only if it changes.
"""

from __future__ import annotations

import re
from typing import Final

from stream_recon.errors import Refused
from stream_recon.normalise.formats.documents import Document
from stream_recon.normalise.types.values import Json, decode_utf8, loads, scan
from stream_recon.normalise.types.wire import Wire, parse_wire

_MAX_SCHEMAS: Final = 64
_SCHEMA: Final = re.compile(r'\s*\{\s*"schema"\s*:\s*')
_PAYLOAD: Final = re.compile(r'\s*,\s*"payload"\s*:\s*')
_END: Final = re.compile(r"\s*\}\s*")
_ENVELOPE: Final = frozenset({"schema", "payload"})


class ConnectReader:
    """Reads documents of one topic; remembers the schemas it has seen. The same bytes give the same document."""

    def __init__(self) -> None:
        self._schemas: dict[str, Wire | None] = {}

    def read(self, data: bytes, *, is_envelope: bool = True) -> Document:
        """Raises ``Refused``. ``is_envelope``: whether an object of only ``payload`` is one, too."""
        text = decode_utf8(data)
        return self._split(text) or self._whole(text, is_envelope)

    def _split(self, text: str) -> Document | None:
        """The document if its text begins with a schema seen before and the rest is exactly a payload."""
        start = _SCHEMA.match(text)
        if start is None:
            return None
        known = next((schema for schema in self._schemas if text.startswith(schema, start.end())), None)
        middle = None if known is None else _PAYLOAD.match(text, start.end() + len(known))
        if known is None or middle is None:
            return None
        try:
            payload, end = scan(text, middle.end(), inside=1)
        except Refused:
            return None  # the whole text says why, in the same words whatever was seen before
        return Document(payload, self._schemas[known]) if _END.fullmatch(text, end) else None

    def _whole(self, text: str, is_envelope: bool) -> Document:
        whole = loads(text)
        if not isinstance(whole, dict) or not is_enveloped(whole, is_envelope):
            return Document(whole, None)
        schema = whole.get("schema")
        wire = None if schema is None else parse_wire(schema)
        self._remember(text, wire)
        return Document(whole["payload"], wire)

    def _remember(self, text: str, wire: Wire | None) -> None:
        start = _SCHEMA.match(text)
        if start is not None:
            if len(self._schemas) >= _MAX_SCHEMAS:
                self._schemas.clear()
            self._schemas[text[start.end() : scan(text, start.end(), inside=1)[1]]] = wire


def is_enveloped(whole: dict[str, Json], is_envelope: bool) -> bool:
    """Whether an object is schema and payload. Where rows are bare (``is_envelope`` false), only if it cannot be a row."""
    if whole.keys() == _ENVELOPE:
        schema = whole["schema"]
        return is_envelope or schema is None or (isinstance(schema, dict) and schema.get("type") == "struct")
    return is_envelope and whole.keys() == {"payload"}


def struct_of(wire: Wire | None, field: str) -> Wire | None:
    """The struct of a field of an envelope's schema. Raises ``Refused`` if the schema has none such."""
    if wire is None:
        return None
    found = wire.field_named(field)
    if found is None or found.kind != "struct":
        raise Refused(f"schema: expected the field {field} to be a struct")
    return found
