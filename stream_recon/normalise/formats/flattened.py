"""Rows that Debezium's ExtractNewRecordState ("unwrap") made of envelopes: the row alone, what is left of its envelope beside it.

    {"id": 7, "amount": "12.50", "__op": "u", "__deleted": "false", "__source_ts_ms": 1798000000000}

    __op c, u -> UPSERT  r -> READ  d -> DELETE  t -> TRUNCATE     without it: __deleted true -> DELETE, else
    __source_snapshot says that it is one -> READ, else UPSERT     null payload -> TOMBSTONE, as in Debezium's envelope

Event time is ``__source_ts_us``, else ``__source_ts_ns``, else ``__source_ts_ms``; where the transformation adds none of them,
the broker's timestamp, as in format json: also of a delete. The added fields (``add.fields``, prefix ``__``) are known by name
and are no columns; any other name with two underscores, such as Mongoose's ``__v``, is a column. Without one added field a row
cannot be told from any other object: it is a dead letter, and format json reads it.

A rewritten delete's other columns are the row that was: only its key is read. What the transformation put into headers
(``add.headers``) is not seen here.
"""

from __future__ import annotations

from typing import Final

from stream_recon.errors import Refused
from stream_recon.model.messages import Op
from stream_recon.normalise.formats import Row
from stream_recon.normalise.formats.documents import Document
from stream_recon.normalise.formats.keys import Key, KeyReader
from stream_recon.normalise.formats.times import broker_time, micros_of_text
from stream_recon.normalise.row_reader import RowReader
from stream_recon.normalise.types import Wire
from stream_recon.normalise.types.values import Json

_OP: Final = "__op"
_DELETED: Final = "__deleted"
_SNAPSHOT: Final = "__source_snapshot"
_PREFIXES: Final = ("__source_", "__transaction_")
_OF_ENVELOPE: Final = "op deleted before after patch transaction ts_ms ts_us ts_ns"
_OF_SOURCE: Final = (
    "version connector name snapshot db schema table collection sequence lsn txId xmin file pos row thread gtid server_id query "
    "scn commit_scn lcr_position rs_id ssn redo_thread user_name change_lsn commit_lsn event_serial_no rs ord h lsid txnNumber "
    "wallTime keyspace shard vgtid"
)
_ADDED: Final = frozenset(f"__{name}" for name in f"{_OF_ENVELOPE} {_OF_SOURCE}".split())
_OPS: Final = {"c": Op.UPSERT, "u": Op.UPSERT, "r": Op.READ, "d": Op.DELETE, "t": Op.TRUNCATE}
_FLAGS: Final[dict[Json, bool]] = {"true": True, "false": False, True: True, False: False}
_NO_SNAPSHOT: Final = (None, False, "false")
_TIMES: Final = (("__source_ts_us", 1, 1), ("__source_ts_ns", 1, 1000), ("__source_ts_ms", 1000, 1))


def is_added(name: str) -> bool:
    """Whether a field is one that the transformation adds: no column."""
    return name in _ADDED or name.startswith(_PREFIXES)


def is_flattened(fields: dict[str, Json]) -> bool:
    """Whether a payload is a flattened row, by its shape: an added field, and no envelope around a row."""
    names = fields.keys()
    if "op" in names and (isinstance(fields.get("source"), dict) or not names.isdisjoint({"before", "after"})):
        return False
    return any(is_added(name) for name in names)


def is_message(fields: dict[str, Json]) -> bool:
    """Whether a flattened payload is a logical decoding message, which is no row."""
    return bool(fields.get(_OP) == "m")


def source_time(fields: dict[str, Json]) -> int | None:
    """When the database committed, µs; None if the message does not say. Raises ``Refused``."""
    there = False
    for name, up, down in _TIMES:
        there = there or name in fields
        if fields.get(name) is not None:
            return micros_of_text(name, fields[name], up, down)
    if there:
        raise Refused("__source_ts_*: expected a time, got null")
    return None


class Flattened:
    """Reads flattened rows of one feed."""

    def __init__(self, rows: RowReader, keys: KeyReader) -> None:
        self._rows = rows
        self._keys = keys

    def row(self, fields: dict[str, Json], wire: Wire | None, message_key: Document | None, timestamp: int) -> Row:
        """The row of a payload, which ``wire`` describes. Raises ``Refused``."""
        operation = _operation(fields)
        found = source_time(fields)
        time = broker_time(timestamp) if found is None else found
        if operation is Op.TRUNCATE:
            return Row(operation, time, None)
        if operation is Op.DELETE:
            return Row(operation, time, self.key(fields, wire, message_key))
        key = self._keys.of_row(message_key, fields, wire)
        named = {column.name: item for column, item in zip(self._rows.key_columns, key, strict=True)}
        return Row(operation, time, key, self._rows.layout(wire).cells(fields, named))

    def key(self, fields: dict[str, Json], wire: Wire | None, message_key: Document | None) -> Key:
        """The key of a row, or of the row that a delete names. Raises ``Refused``."""
        if _operation(fields) is not Op.DELETE:
            return self._keys.of_row(message_key, fields, wire)
        key = self._keys.from_message(message_key, wire)
        return self._keys.required(self._keys.from_image(fields, wire, message_key) if key is None else key, fields)


def _operation(fields: dict[str, Json]) -> Op:
    deleted = _flag(fields.get(_DELETED))
    letter = fields.get(_OP)
    if letter is None:
        if deleted:
            return Op.DELETE
        return Op.UPSERT if fields.get(_SNAPSHOT) in _NO_SNAPSHOT else Op.READ
    operation = _OPS.get(letter) if isinstance(letter, str) else None
    if operation is None:
        raise Refused(f"{_OP}: expected one of c, u, r, d, t, m, got none of them")
    if deleted is not None and deleted != (operation is Op.DELETE):
        raise Refused(f"{_DELETED}: expected it to say what {_OP} says, got the contrary")
    return operation


def _flag(value: Json) -> bool | None:
    if value is None:
        return None
    if not isinstance(value, str | bool) or value not in _FLAGS:
        raise Refused(f"{_DELETED}: expected true or false, got another value")
    return _FLAGS[value]
