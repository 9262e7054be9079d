"""The commit time of a row of a heartbeat table: the proof that the database's log was read so far (DESIGN 3.3 c)."""

from __future__ import annotations

from stream_recon.errors import Refused
from stream_recon.model.plan import BINLOG, Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.reader import AvroReader
from stream_recon.normalise.formats import canal, maxwell
from stream_recon.normalise.formats.binlog import message_of
from stream_recon.normalise.formats.connect import ConnectReader
from stream_recon.normalise.formats.debezium import event_time, is_control
from stream_recon.normalise.formats.flattened import is_flattened, source_time


def commit_time(form: Format, value: bytes, book: SchemaBook | None = None) -> int | None:
    """µs, or None for what is no row of a table: a connector's own heartbeat proves only that the connector lives."""
    if form is Format.JSON:
        return None
    try:
        if form in BINLOG:
            message, of = message_of(value), canal if form is Format.CANAL_JSON else maxwell
            return None if of.is_control(message) or "data" not in message else of.row_time(message)
        payload = (ConnectReader() if book is None else AvroReader(book)).read(value).payload
        if not isinstance(payload, dict) or is_control(payload):
            return None
        if is_flattened(payload):
            return source_time(payload)
        return event_time(payload) if "op" in payload else None
    except Refused:
        return None
