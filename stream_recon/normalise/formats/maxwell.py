"""``maxwell-json``: one row a message, as Maxwell's daemon writes it.

    {"database": "shop", "table": "orders", "type": "update", "ts": 1798000000, "data": {"id": 7, ...}, "old": {"total": 3}}

    insert, update -> UPSERT     bootstrap-insert -> READ     delete -> DELETE     null payload -> TOMBSTONE
    bootstrap-start, bootstrap-complete, table-*, database-* -> control

Event time is ``ts``, whole seconds; where a message has none, the broker's timestamp. A value is read by its kind of JSON, or as
declared: times are texts (``timestamp``, ``date``, ``time``), binary columns base64 (``bytes``), sets arrays (``set``).
The key of a tombstone is the message key, ``{"database": ..., "table": ..., "pk.id": 7}``.
"""

from __future__ import annotations

from typing import Final

from stream_recon.errors import Refused
from stream_recon.model.messages import Op
from stream_recon.normalise.formats import CONTROL, Outcome, Row
from stream_recon.normalise.formats.binlog import BinlogRows, is_of_table, message_of
from stream_recon.normalise.formats.keys import Key
from stream_recon.normalise.formats.times import US_PER_S, broker_time, micros
from stream_recon.normalise.row_reader import Image, RowReader
from stream_recon.normalise.types.values import Json, refuse_kind

_PRESENT: Final = {"insert": Op.UPSERT, "bootstrap-insert": Op.READ}
_ROWS: Final = frozenset({*_PRESENT, "update", "delete"})
_CONTROL: Final = frozenset({"bootstrap-start", "bootstrap-complete"})
_DDL: Final = ("table-", "database-")
_KEY_PREFIX: Final = "pk."


class Maxwell:
    """Decodes messages of one feed, one at a time. The result does not depend on what was decoded before."""

    def __init__(self, rows: RowReader) -> None:
        self._table = rows.feed.table
        self._rows = BinlogRows(rows)

    def decode(self, key: bytes | None, value: bytes | None, timestamp: int) -> Outcome:
        """``timestamp``: the broker's, ms."""
        message: dict[str, Json] = {}
        try:
            if value is None:
                return self._tombstone(key)
            message = message_of(value)
            if is_control(message) or not is_of_table(message, self._table):
                return CONTROL
            return Outcome(self._rows_of(message, timestamp))
        except Refused as error:
            return Outcome(reason=str(error), key=self._key_all_the_same(message))

    def _tombstone(self, key: bytes | None) -> Outcome:
        if key is None:
            raise Refused("expected a message key beside a null payload, got null")
        message = message_of(key)
        if not is_of_table(message, self._table):
            return CONTROL
        image = {name.removeprefix(_KEY_PREFIX): value for name, value in message.items() if name.startswith(_KEY_PREFIX)}
        return Outcome((self._rows.deleted(Op.TOMBSTONE, None, image, None),))

    def _rows_of(self, message: dict[str, Json], timestamp: int) -> tuple[Row, ...]:
        kind = message.get("type")
        if not isinstance(kind, str) or kind not in _ROWS:
            raise Refused("type: expected one of insert, update, delete, bootstrap-insert, got none of them")
        found = row_time(message)
        time = broker_time(timestamp) if found is None else found
        image = _image(message, "data")
        if kind == "delete":
            return (self._rows.deleted(Op.DELETE, time, image, None),)
        if kind == "update":
            return self._rows.changed(time, image, {} if message.get("old") is None else _image(message, "old"), None)
        return (self._rows.present(_PRESENT[kind], time, image, None),)

    def _key_all_the_same(self, message: dict[str, Json]) -> Key | None:
        """The key of a message that is a dead letter for another reason."""
        try:
            return self._rows.key(_image(message, "data"), None)
        except Refused:
            return None


def is_control(message: dict[str, Json]) -> bool:
    """Whether a message is no row: progress of a bootstrap, or a change of the schema."""
    kind = message.get("type")
    return isinstance(kind, str) and (kind in _CONTROL or kind.startswith(_DDL))


def row_time(message: dict[str, Json]) -> int | None:
    """When a row was written, µs; None if the message does not say. Raises ``Refused``."""
    return None if "ts" not in message else micros("ts", message["ts"], US_PER_S)


def _image(message: dict[str, Json], name: str) -> Image:
    image = message.get(name)
    if not isinstance(image, dict):
        raise Refused(f"{name}: {refuse_kind('an object', image)}")
    return image
