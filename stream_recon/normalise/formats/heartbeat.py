"""The commit time of a row of a heartbeat table: the proof that the database's log was read so far (DESIGN 3.3 c)."""

from __future__ import annotations

from stream_recon.errors import Refused
from stream_recon.model.plan import Format
from stream_recon.normalise.formats.connect import ConnectReader
from stream_recon.normalise.formats.debezium_json import event_time, is_control


def commit_time(form: Format, value: bytes) -> int | None:
    """µs, or None for what is no row of a table: a connector's own heartbeat proves only that the connector lives."""
    if form is not Format.DEBEZIUM_JSON:
        return None
    try:
        payload = ConnectReader().read(value).payload
        if not isinstance(payload, dict) or is_control(payload) or "op" not in payload:
            return None
        return event_time(payload)
    except Refused:
        return None
