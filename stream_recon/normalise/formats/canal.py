"""``canal-json``: Alibaba Canal's flat messages; one holds the rows of one statement.

    {"data": [{"id": "7", "total": "12.50"}], "old": [{"total": "3.00"}], "type": "UPDATE", "es": 1798000000000, "isDdl": false,
     "mysqlType": {"id": "int(11)", "total": "decimal(10,2)"}, "database": "shop", "table": "orders", "pkNames": ["id"], ...}

    INSERT, UPDATE -> UPSERT     DELETE -> DELETE     TRUNCATE -> TRUNCATE     null payload -> TOMBSTONE
    any other DDL, heartbeats, XA, GTID, TiDB's watermarks -> control

Event time is ``es`` (ms), when MySQL executed it; where a message has none, the broker's timestamp. ``ts`` is Canal's clock.
Every value is text, read by ``mysqlType`` (``types.mysql``). One row that cannot be read makes its whole message a dead letter. A
statement that was logged as a statement (``QUERY`` that is no DDL) changes rows that nobody sees: a dead letter.
"""

from __future__ import annotations

from typing import Final

from stream_recon.errors import Refused
from stream_recon.model.messages import Op
from stream_recon.normalise.formats import CONTROL, Outcome, Row
from stream_recon.normalise.formats.binlog import BinlogRows, is_of_table, message_of
from stream_recon.normalise.formats.keys import Key
from stream_recon.normalise.formats.times import US_PER_MS, broker_time, micros
from stream_recon.normalise.row_reader import Image, RowReader
from stream_recon.normalise.types.mysql import MysqlValues
from stream_recon.normalise.types.typed import row_of
from stream_recon.normalise.types.values import Json, refuse_kind
from stream_recon.normalise.types.wire import Wire

_ROWS: Final = frozenset({"INSERT", "UPDATE", "DELETE"})
_CONTROL: Final = frozenset(
    ["CREATE", "ALTER", "ERASE", "RENAME", "CINDEX", "DINDEX", "GTID", "XACOMMIT", "XAROLLBACK", "MHEARTBEAT", "TIDB_WATERMARK"],
)
_MAX_ROWS: Final = 2**14
"""Each may be a delete and an upsert, and an index among them has 16 bits."""


class Canal:
    """Decodes messages of one feed, one at a time. The result does not depend on what was decoded before."""

    def __init__(self, rows: RowReader) -> None:
        feed = rows.feed
        zones = {name for name, _ in feed.timezones} | {c.upstream for c in feed.columns if c.upstream and c.timezone}
        types = dict(rows.types) | {c.upstream: c.type for c in feed.columns if c.upstream and c.type is not None}
        self._table = feed.table
        self._rows = BinlogRows(rows)
        self._values = MysqlValues(types, frozenset(zones))

    def decode(self, key: bytes | None, value: bytes | None, timestamp: int) -> Outcome:
        """``timestamp``: the broker's, ms."""
        message: dict[str, Json] = {}
        try:
            if value is None:
                return self._tombstone(key)
            message = message_of(value)
            if not is_of_table(message, self._table):
                return CONTROL
            kind = message.get("type")
            if kind == "TRUNCATE":
                return Outcome((Row(Op.TRUNCATE, _time(message, timestamp), None),))
            return CONTROL if is_control(message) else Outcome(self._rows_of(message, timestamp))
        except Refused as error:
            return Outcome(reason=str(error), key=self._key_all_the_same(message))

    def _tombstone(self, key: bytes | None) -> Outcome:
        if key is None:
            raise Refused("expected a message key beside a null payload, got null")
        return Outcome((self._rows.deleted(Op.TOMBSTONE, None, message_of(key), None),))

    def _rows_of(self, message: dict[str, Json], timestamp: int) -> tuple[Row, ...]:
        kind = message.get("type")
        if kind == "QUERY":
            raise Refused(
                "type QUERY: a statement without its rows: set binlog_format=ROW, or canal.instance.filter.query.dml=true"
            )
        if not isinstance(kind, str) or kind not in _ROWS:
            raise Refused("type: expected one of INSERT, UPDATE, DELETE, TRUNCATE, got none of them")
        time = _time(message, timestamp)
        rows: list[Row] = []
        images = _images(message, "data")
        olds = _images(message, "old", len(images)) if kind == "UPDATE" and message.get("old") is not None else [{}] * len(images)
        for data, old in zip(images, olds, strict=True):
            image, wire = self._typed(message, data)
            if kind == "DELETE":
                rows.append(self._rows.deleted(Op.DELETE, time, image, wire))
            elif kind == "UPDATE":
                rows += self._changed(message, time, data, old)
            else:
                rows.append(self._rows.present(Op.UPSERT, time, image, wire))
        return tuple(rows)

    def _changed(self, message: dict[str, Json], time: int, data: Image, old: Image) -> tuple[Row, ...]:
        image, wire = self._typed(message, data)
        former, _ = self._typed(message, old)
        return self._rows.changed(time, image, former, wire)

    def _typed(self, message: dict[str, Json], image: Image) -> tuple[Image, Wire]:
        types = message.get("mysqlType")
        known = types if isinstance(types, dict) else {}
        return row_of({name: self._values.typed(name, known.get(name), value) for name, value in image.items()})

    def _key_all_the_same(self, message: dict[str, Json]) -> Key | None:
        """The key of a message of one row that is a dead letter for another reason."""
        try:
            images = _images(message, "data")
            return self._rows.key(*self._typed(message, images[0])) if len(images) == 1 else None
        except Refused:
            return None


def is_control(message: dict[str, Json]) -> bool:
    """Whether a message holds no row: a change of the schema (a truncate, too: ask that before), or a mark of the log."""
    kind = message.get("type")
    return message.get("isDdl") is True or (isinstance(kind, str) and kind in _CONTROL)


def row_time(message: dict[str, Json]) -> int | None:
    """When a statement was executed, µs; None if the message does not say. Raises ``Refused``."""
    return None if "es" not in message else micros("es", message["es"], US_PER_MS)


def _time(message: dict[str, Json], timestamp: int) -> int:
    found = row_time(message)
    return broker_time(timestamp) if found is None else found


def _images(message: dict[str, Json], name: str, count: int | None = None) -> list[Image]:
    images = message.get(name)
    if not isinstance(images, list):
        raise Refused(f"{name}: {refuse_kind('an array of rows', images)}")
    if not images:
        raise Refused(f"{name}: expected an array of rows, got an empty one")
    if len(images) > _MAX_ROWS or (count is not None and len(images) != count):
        raise Refused(f"{name}: expected as many rows as `data` holds, at most {_MAX_ROWS}, got another number")
    found = [{} if image is None and count is not None else image for image in images]
    if not all(isinstance(image, dict) for image in found):
        raise Refused(f"{name}: expected an array of rows (objects), got another element")
    return found
