"""Debezium's envelope, in JSON (with Connect's schema or without) or Avro (DESIGN 3.1; TYPES, envelope).

    c, u -> UPSERT   r -> READ   d -> DELETE   t -> TRUNCATE (no key)   m -> control   null payload -> TOMBSTONE
    a changed key inside one ``u``: DELETE of the old (index 0) and UPSERT of the new (index 1), at one time

Heartbeats, transaction metadata and schema changes are control records, known by their shape. A column that the image does not
hold is null. Event time is ``source.ts_us``, else ``ts_ns``, else ``ts_ms``; the outer times are the connector's clock.

Rows that a transformation took out of their envelopes are for ``flattened``; what MongoDB's connector does otherwise stands in
``mongo``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stream_recon.errors import Refused
from stream_recon.model.messages import Op
from stream_recon.normalise.canonical import UNKNOWN
from stream_recon.normalise.formats import CONTROL, Outcome, Row
from stream_recon.normalise.formats.connect import struct_of
from stream_recon.normalise.formats.documents import Document, DocumentReader
from stream_recon.normalise.formats.flattened import Flattened, is_flattened, is_message
from stream_recon.normalise.formats.keys import Key, KeyReader
from stream_recon.normalise.formats.mongo import MongoKeys, is_mongo
from stream_recon.normalise.formats.times import micros
from stream_recon.normalise.row_reader import RowReader
from stream_recon.normalise.types import Wire
from stream_recon.normalise.types.extended import document as mongo_document
from stream_recon.normalise.types.values import Json, refuse_kind

_PRESENT: Final = {"c": Op.UPSERT, "u": Op.UPSERT, "r": Op.READ}
_HEARTBEAT: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
_TRANSACTION: Final = frozenset({"status", "id", "event_count", "data_collections", "ts_ms", "ts_us", "ts_ns"})


@dataclass(frozen=True, slots=True)
class _Envelope:
    fields: dict[str, Json]
    wire: Wire | None

    def image(self, name: str) -> tuple[Json, Wire | None]:
        """``before`` or ``after``, and its struct. Raises ``Refused``."""
        value = self.fields.get(name)
        if isinstance(value, str):
            return mongo_document(value)
        return value, self.struct(name)

    def readable(self, name: str) -> tuple[Json, Wire | None]:
        """The same; nothing for a text that is no document. Raises ``Refused`` for what the schema says of it."""
        try:
            return self.image(name)
        except Refused:
            return None, self.struct(name)

    def struct(self, name: str) -> Wire | None:
        """What the schema says of an image; a text is a document, and says it itself."""
        value = self.fields.get(name)
        return None if value is None or isinstance(value, str) else struct_of(self.wire, name)


class Debezium:
    """Decodes messages of one feed, one at a time. The result does not depend on what was decoded before."""

    def __init__(self, rows: RowReader, keys: DocumentReader, values: DocumentReader) -> None:
        self._rows = rows
        self._values = values
        self._keys = KeyReader(rows, MongoKeys(keys, rows.key_names), is_envelope=True)
        self._flattened = Flattened(rows, self._keys)

    def decode(self, key: bytes | None, value: bytes | None, timestamp: int) -> Outcome:
        """``timestamp``, the broker's, is used for flattened rows only: envelopes have a time of their own."""
        message_key = self._keys.document(key)
        envelope = None
        try:
            document = Document(None, None) if value is None else self._values.read(value)
            if document.payload is None and (value is None or document.wire is not None):
                return self._tombstone(message_key)
            if not isinstance(document.payload, dict):
                raise refuse_kind("a Debezium envelope (an object)", document.payload)
            envelope = _Envelope(document.payload, document.wire)
            if is_control(envelope.fields):
                return CONTROL
            if is_flattened(envelope.fields):
                return Outcome((self._flattened.row(envelope.fields, envelope.wire, message_key, timestamp),))
            return Outcome(self._rows_of(envelope, message_key))
        except Refused as error:
            return Outcome(reason=str(error), key=self._key_all_the_same(message_key, envelope))

    def _tombstone(self, message_key: Document | None) -> Outcome:
        key = self._keys.required(self._keys.from_message(message_key), None)
        return Outcome((Row(Op.TOMBSTONE, None, key),))

    def _rows_of(self, envelope: _Envelope, message_key: Document | None) -> tuple[Row, ...]:
        operation = envelope.fields.get("op")
        if operation == "t":
            return (Row(Op.TRUNCATE, event_time(envelope.fields), None),)
        if operation == "d":
            key = self._deleted_key(envelope, message_key)
            return (Row(Op.DELETE, event_time(envelope.fields), key),)
        if operation == "m":
            raise Refused("op: m says that it is no row, and an image of one is there")
        if not isinstance(operation, str) or operation not in _PRESENT:
            raise Refused("op: expected one of c, u, r, d, t, m, got none of them")
        return self._present(envelope, message_key, _PRESENT[operation])

    def _present(self, envelope: _Envelope, message_key: Document | None, op: Op) -> tuple[Row, ...]:
        image, wire = envelope.image("after")
        if image is None and envelope.fields.get("op") == "u" and is_mongo(envelope.fields, envelope.wire):
            return (self._unknown(envelope, message_key),)
        if not isinstance(image, dict):
            raise Refused(f"after: {refuse_kind('an object', image)}")
        key = self._keys.of_row(message_key, image, wire)
        time = event_time(envelope.fields)
        named = {column.name: item for column, item in zip(self._rows.key_columns, key, strict=True)}
        row = Row(op, time, key, self._rows.layout(wire).cells(image, named))
        old = self._old_key(envelope, message_key) if envelope.fields.get("op") == "u" else None
        return (row,) if old is None or old == key else (Row(Op.DELETE, time, old), row)

    def _unknown(self, envelope: _Envelope, message_key: Document | None) -> Row:
        """A row of which nothing is known but that it changed: no column of it may be filled from the version before."""
        key = self._deleted_key(envelope, message_key)
        return Row(Op.UPSERT, event_time(envelope.fields), key, (UNKNOWN,) * len(self._rows.feed.columns))

    def _old_key(self, envelope: _Envelope, message_key: Document | None) -> Key | None:
        if type(envelope.fields.get("before")) is not type(envelope.fields["after"]):
            return None  # nothing, or no image of the kind that this row has
        before, wire = envelope.image("before")
        if not isinstance(before, dict) or any(before.get(name) is None for name in self._rows.key_names):
            return None
        return self._keys.from_image(before, wire, message_key)

    def _deleted_key(self, envelope: _Envelope, message_key: Document | None) -> Key:
        """The key of a row that the message has no new image of."""
        key = self._keys.from_message(message_key, envelope.struct("before"))
        if key is not None:
            return key
        before, wire = envelope.image("before")
        return self._keys.required(self._keys.from_image(before, wire, message_key), before)

    def _key_all_the_same(self, message_key: Document | None, envelope: _Envelope | None) -> Key | None:
        """The key of a message that is a dead letter for another reason."""
        try:
            if envelope is None:
                return self._keys.from_message(message_key)
            if is_flattened(envelope.fields):
                return self._flattened.key(envelope.fields, envelope.wire, message_key)
            operation = envelope.fields.get("op")
            if operation == "t":
                return None
            if operation == "d":
                return self._deleted_key(envelope, message_key)
            return self._keys.of_row(message_key, *envelope.readable("after"))
        except Refused:
            return None


def is_control(fields: dict[str, Json]) -> bool:
    """Whether a payload is a control record by its shape: heartbeat, transaction metadata, schema change, logical message."""
    if is_flattened(fields):
        return is_message(fields)
    if "op" in fields:
        return bool(fields["op"] == "m") and fields.get("before") is None and fields.get("after") is None
    names = fields.keys()
    if "ts_ms" in names and names <= _HEARTBEAT:
        return True
    if fields.get("status") in ("BEGIN", "END") and "id" in names and names <= _TRANSACTION:
        return True
    return "databaseName" in names and not names.isdisjoint({"ddl", "tableChanges"})


def event_time(fields: dict[str, Json]) -> int:
    """µs. Raises ``Refused`` if ``source`` holds no integer time."""
    source = fields.get("source")
    if not isinstance(source, dict):
        raise Refused(f"source: {refuse_kind('an object', source)}")
    for name, up, down in (("ts_us", 1, 1), ("ts_ns", 1, 1000), ("ts_ms", 1000, 1)):
        value = source.get(name)
        if value is not None:
            return micros(f"source.{name}", value, up, down)
    raise Refused("source: expected ts_us, ts_ns or ts_ms, got none")
