"""``json``: the payload is the row (DESIGN section 7).

    object -> UPSERT    null -> DELETE at the broker timestamp; with ``event_time`` declared a TOMBSTONE, which has no time

The key is the object in the message key, or the key columns of the payload. An absent field is null. Nothing is a control
record and nothing a placeholder. Connect's ``{"schema", "payload"}`` is understood.
"""

from __future__ import annotations

from typing import Final

from stream_recon.errors import Refused
from stream_recon.model.messages import Op
from stream_recon.model.plan import TypeRule
from stream_recon.normalise.formats import Outcome, Row
from stream_recon.normalise.formats.connect import ConnectReader
from stream_recon.normalise.formats.documents import Document
from stream_recon.normalise.formats.keys import Key, KeyReader
from stream_recon.normalise.formats.times import broker_time, fitting
from stream_recon.normalise.row_reader import Image, RowReader
from stream_recon.normalise.types import Wire
from stream_recon.normalise.types.calendar import parse_timestamp
from stream_recon.normalise.types.values import Json, Number, refuse_kind

_UNDECLARED: Final = {True: TypeRule("timestamp", ("ms",)), False: TypeRule("timestamp")}
"""How an event time without a declared type is read: a number as ms, like Kafka's own; else ISO 8601 text."""


class PlainJson:
    """Decodes messages of one feed, one at a time. The result does not depend on what was decoded before."""

    def __init__(self, rows: RowReader) -> None:
        self._rows = rows
        self._event_time = rows.feed.event_time
        self._connect = ConnectReader()
        self._keys = KeyReader(rows, ConnectReader(), is_envelope=False)

    def decode(self, key: bytes | None, value: bytes | None, timestamp: int) -> Outcome:
        """``timestamp``: the broker's, ms."""
        message_key = self._keys.document(key)
        document = Document(None, None)
        try:
            if value is not None:
                document = self._connect.read(value, is_envelope=False)
            if document.payload is None and (value is None or document.wire is not None):
                return Outcome((self._deleted(message_key, timestamp),))
            if not isinstance(document.payload, dict):
                raise refuse_kind("a row (an object)", document.payload)
            return Outcome((self._present(message_key, document.payload, document.wire, timestamp),))
        except Refused as error:
            return Outcome(reason=str(error), key=self._key_all_the_same(message_key, document))

    def _deleted(self, message_key: Document | None, timestamp: int) -> Row:
        key = self._keys.required(self._keys.from_message(message_key), None)
        if self._event_time is None:
            return Row(Op.DELETE, broker_time(timestamp), key)
        return Row(Op.TOMBSTONE, None, key)

    def _present(self, message_key: Document | None, image: Image, wire: Wire | None, timestamp: int) -> Row:
        key = self._keys.of_row(message_key, image, wire)
        time = broker_time(timestamp) if self._event_time is None else self._time(self._event_time, image, wire)
        named = {column.name: item for column, item in zip(self._rows.key_columns, key, strict=True)}
        return Row(Op.UPSERT, time, key, self._rows.layout(wire).cells(image, named))

    def _time(self, name: str, image: Image, wire: Wire | None) -> int:
        """The event time column, µs (cut off, never rounded up). Raises ``Refused``."""
        value = image.get(name)
        if value is None:
            raise Refused(f"event time column {name}: expected a timestamp, got null or none")
        typed = name in self._rows.types or (wire is not None and (field := wire.field_named(name)) is not None and field.name)
        rule = None if typed else _UNDECLARED[isinstance(value, Number)]
        try:
            item = self._rows.reader_of(name, rule, wire)(value)
        except Refused as error:
            raise Refused(f"event time column {name}: {error}") from None
        tag, text = item
        if tag != "t" or text.endswith(b"infinity"):
            raise Refused(f"event time column {name}: expected a timestamp, got another value")
        return fitting(f"event time column {name}", parse_timestamp(text.decode("ascii"))[0] // 1000)

    def _key_all_the_same(self, message_key: Document | None, document: Document) -> Key | None:
        """The key of a message that is a dead letter for another reason."""
        image: Json = document.payload
        try:
            if isinstance(image, dict):
                return self._keys.of_row(message_key, image, document.wire)
            return self._keys.from_message(message_key)
        except Refused:
            return None
