"""The commit time of a row of a heartbeat table: the proof that the database's log was read so far (DESIGN 3.3 c)."""

from __future__ import annotations

from stream_recon.errors import Refused
from stream_recon.model.plan import Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.reader import AvroReader
from stream_recon.normalise.formats.connect import ConnectReader
from stream_recon.normalise.formats.debezium import event_time, is_control


def commit_time(form: Format, value: bytes, book: SchemaBook | None = None) -> int | None:
    """µs, or None for what is no row of a table: a connector's own heartbeat proves only that the connector lives."""
    if form is Format.JSON:
        return None
    reader = ConnectReader() if book is None else AvroReader(book)
    try:
        payload = reader.read(value).payload
        if not isinstance(payload, dict) or is_control(payload) or "op" not in payload:
            return None
        return event_time(payload)
    except Refused:
        return None
