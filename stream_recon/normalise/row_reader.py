"""A row image to its compared columns: which upstream columns are read, how, and what stands in the row's text.

    image (object) + wire (its struct, or None) --Layout--> one Cell for each column of the feed

Knows nothing of envelopes. Made once for each schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pyarrow as pa

from stream_recon.errors import Refused
from stream_recon.model.plan import BINLOG, DEBEZIUM, ColumnPlan, FeedPlan, TypeRule
from stream_recon.normalise.canonical import UNKNOWN, Cell, Item, framed, token
from stream_recon.normalise.expressions import Expressions, arrow_type, to_items
from stream_recon.normalise.types import Options, Reader, Wire, check_rule, reader
from stream_recon.normalise.types.unavailable import is_unavailable
from stream_recon.normalise.types.values import Json
from stream_recon.normalise.types.zones import load_zone

Image = dict[str, Json]
_MAX_LAYOUTS: Final = 256
"""Schemas kept at once: a topic has a few; beyond, they are made again."""


class RowReader:
    """Reads rows and keys of one feed. Raises ``ConfigError`` when made if a declared type, zone or expression cannot work."""

    def __init__(self, feed: FeedPlan) -> None:
        self.feed = feed
        self.types: Mapping[str, TypeRule] = dict(feed.types)
        self.key_columns = feed.key_columns
        self.has_placeholders = feed.format in DEBEZIUM
        self.absent_is_unknown = feed.format in BINLOG
        self.rest_expressions = self._expressions([column for column in feed.columns if not column.key])
        self.key_expressions = self._expressions(feed.key_columns)
        zones = dict(feed.timezones)
        zones.update((c.upstream, c.timezone) for c in feed.columns if c.upstream is not None and c.timezone is not None)
        self._options = {name: Options(feed.unicode_nfc, load_zone(zone)) for name, zone in zones.items()}
        self._plain_options = Options(feed.unicode_nfc)
        self._layouts: dict[Wire | None, Layout] = {}
        self.seen: set[str] = set()
        """Upstream columns of all images so far."""
        for column in feed.columns:
            if column.type is not None:
                check_rule(column.type)
        for rule in self.types.values():
            check_rule(rule)

    def _expressions(self, columns: Sequence[ColumnPlan]) -> Expressions:
        for rule in self.types.values():
            check_rule(rule)
        return Expressions(columns, self.types, typed_by_schema=self.feed.format in DEBEZIUM)

    def layout(self, wire: Wire | None) -> Layout:
        """The readers for images of this struct (None: JSON without a schema)."""
        found = self._layouts.get(wire)
        if found is None:
            if len(self._layouts) >= _MAX_LAYOUTS:
                self._layouts.clear()
            found = self._layouts[wire] = Layout(self, wire)
        return found

    def reader_of(self, name: str, rule: TypeRule | None, wire: Wire | None) -> Reader:
        """The reader of one upstream column."""
        field = None if wire is None else wire.field_named(name)
        return reader(rule if rule is not None else self.types.get(name), field, self._options.get(name, self._plain_options))

    @property
    def key_names(self) -> frozenset[str]:
        """Upstream columns that the key is made of."""
        return frozenset(name for column in self.key_columns for name in reads(column))


def reads(column: ColumnPlan) -> tuple[str, ...]:
    """The upstream columns that a column is made of."""
    return column.reads if column.upstream is None else (column.upstream,)


class Layout:
    """The readers of one feed for one schema."""

    def __init__(self, rows: RowReader, wire: Wire | None) -> None:
        self._rows = rows
        self._readers = {
            column.name: rows.reader_of(column.upstream, column.type, wire)
            for column in rows.feed.columns
            if column.upstream is not None
        }
        names = {*rows.rest_expressions.reads, *rows.key_expressions.reads}
        self._inputs = {name: rows.reader_of(name, None, wire) for name in names}
        self._types: dict[str, pa.DataType | None] = {
            name: arrow_type(rows.types.get(name), None if wire is None else wire.field_named(name)) for name in names
        }

    def key(self, image: Image) -> tuple[Item, ...]:
        """The key columns' items, in order of their names. Raises ``Refused`` if one is missing, null or has no form."""
        computed = self._computed(self._rows.key_expressions, image)
        items: list[Item] = []
        for column in self._rows.key_columns:
            missing = [name for name in reads(column) if name not in image]
            if missing:
                raise Refused(f"key column {column.name}: expected the column {missing[0]}, got none")
            cell = self._covered(column, computed[column.name] if column.upstream is None else self._cell(column, image))
            if cell.item is None:
                raise Refused(f"key column {column.name}: expected a value, got null")
            items.append(cell.item)
        return tuple(items)

    def key_column(self, column: ColumnPlan, image: Image) -> Item | None:
        """One key column that is a plain upstream column of the image."""
        return self._covered(column, self._cell(column, image)).item

    def cells(self, image: Image, key: Mapping[str, Item]) -> list[Cell]:
        """Every compared column, in order of their names; the key columns' items are given."""
        self._rows.seen.update(image)
        computed = self._computed(self._rows.rest_expressions, image)
        cells: list[Cell] = []
        for column in self._rows.feed.columns:
            if column.key:
                cells.append(Cell(key[column.name]))
            else:
                plain = computed[column.name] if column.upstream is None else self._cell(column, image)
                cells.append(self._covered(column, plain))
        return cells

    def _covered(self, column: ColumnPlan, cell: Cell) -> Cell:
        """The cell, or its token if the column has tokens; null stays null."""
        tokens = self._rows.feed.tokens
        if not column.token or cell.item is None:
            return cell
        assert tokens is not None
        return Cell(token(cell.item, tokens.key, tokens.version))

    def _cell(self, column: ColumnPlan, image: Image) -> Cell:
        assert column.upstream is not None
        return self._read(column.name, column.upstream, image, self._readers[column.name], key=column.key)

    def _read(self, name: str, upstream: str, image: Image, read: Reader, *, key: bool = False) -> Cell:
        value: Json = image.get(upstream)
        if value is None:
            is_unread = self._rows.absent_is_unknown and not key and upstream not in image
            return UNKNOWN if is_unread else Cell(None)
        if not key and self._rows.has_placeholders and is_unavailable(value):
            return UNKNOWN
        try:
            return Cell(read(value))
        except Refused as error:
            raise Refused(f"column {name}: {error}") from None

    def _computed(self, expressions: Expressions, image: Image) -> dict[str, Cell]:
        if not expressions.columns:
            return {}
        inputs = {name: self._read(name, name, image, self._inputs[name]) for name in expressions.reads}
        row = {name: None if cell.unknown else cell.item for name, cell in inputs.items()}
        outputs = expressions.evaluate(expressions.batch(self._types, [row]))
        return {
            column.name: UNKNOWN if any(inputs[name].unknown for name in column.reads) else Cell(to_items(column, output)[0])
            for column, output in zip(expressions.columns, outputs, strict=True)
        }


def key_text(items: Sequence[Item]) -> bytes:
    """The canonical text of a key."""
    return b"".join([framed(item) for item in items])
