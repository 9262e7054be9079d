"""What Canal and Maxwell have in common: rows of MySQL's binary log in JSON, without a schema beside them.

* A topic often carries every table of a database: ``table`` of a side says which one is read; messages of others are control
  records. Without it every message is taken for one of the table.
* A column that ``data`` does not hold was not written to the log (``binlog_row_image``), or not passed on: unknown, not null.
  In an update that is an unchanged column, which may be filled from the version before; in an insert it is the column's default,
  which may not: such a row is unknown as a whole if the column is declared large.
* ``old`` holds the former values of the columns that changed: with a key column among them, a delete of the old key (index 0) and
  an upsert of the new one (index 1), at one time.
* The key comes from the row: message keys are the tools' own.
"""

from __future__ import annotations

from stream_recon.errors import Refused
from stream_recon.model.messages import Op
from stream_recon.normalise.canonical import UNKNOWN
from stream_recon.normalise.formats import Row
from stream_recon.normalise.formats.keys import Key
from stream_recon.normalise.row_reader import Image, RowReader
from stream_recon.normalise.types import Wire
from stream_recon.normalise.types.values import Json, decode_utf8, loads, refuse_kind


def message_of(value: bytes) -> dict[str, Json]:
    """The object that a message is. Raises ``Refused``."""
    message = loads(decode_utf8(value))
    if not isinstance(message, dict):
        raise refuse_kind("a message (an object)", message)
    return message


def is_of_table(message: dict[str, Json], table: str | None) -> bool:
    """Whether a message is about the table that is read: ``table``, or ``database.table``."""
    if table is None:
        return True
    return table in (message.get("table"), f"{message.get('database')}.{message.get('table')}")


class BinlogRows:
    """Makes the rows of one feed."""

    def __init__(self, rows: RowReader) -> None:
        self._rows = rows

    def present(self, op: Op, time: int, image: Image, wire: Wire | None) -> Row:
        """A row with all its columns: of an insert, or of a table that is read whole. Raises ``Refused``."""
        row = self._present(op, time, image, wire)
        assert row.cells is not None
        unread = any(cell.unknown and plan.large for cell, plan in zip(row.cells, self._rows.feed.columns, strict=True))
        return Row(op, time, row.key, (UNKNOWN,) * len(row.cells)) if unread else row

    def changed(self, time: int, image: Image, old: Image, wire: Wire | None) -> tuple[Row, ...]:
        """An update; ``old``: former values of what changed. Raises ``Refused``."""
        row = self._present(Op.UPSERT, time, image, wire)
        before = {**image, **old}
        if self._rows.key_names.isdisjoint(old) or any(before.get(name) is None for name in self._rows.key_names):
            return (row,)
        key = self.key(before, wire)
        return (row,) if key == row.key else (Row(Op.DELETE, time, key), row)

    def deleted(self, op: Op, time: int | None, image: Image, wire: Wire | None) -> Row:
        """A delete, or a tombstone. Raises ``Refused``."""
        return Row(op, time, self.key(image, wire))

    def key(self, image: Image, wire: Wire | None) -> Key:
        """The key of a row. Raises ``Refused``."""
        missing = min(self._rows.key_names - image.keys(), default=None)
        if missing is not None:
            raise Refused(f"key column {missing}: expected it in the row, got none: is this another table? declare `table`")
        return self._rows.layout(wire).key(image)

    def _present(self, op: Op, time: int, image: Image, wire: Wire | None) -> Row:
        key = self.key(image, wire)
        named = {column.name: item for column, item in zip(self._rows.key_columns, key, strict=True)}
        return Row(op, time, key, self._rows.layout(wire).cells(image, named))
