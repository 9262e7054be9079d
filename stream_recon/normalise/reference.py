"""The reference decoder: exact, one message at a time (DESIGN section 4). What the vectorised one cannot do comes here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_recon.errors import ConfigError, Refused
from stream_recon.model.messages import DeadLetter, Decoded, Messages, rows_schema
from stream_recon.model.plan import FeedPlan, Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.avro.reader import AvroOrJson, AvroReader
from stream_recon.normalise.canonical import Digester, RowDigest
from stream_recon.normalise.formats import MessageFormat, Row
from stream_recon.normalise.formats.canal import Canal
from stream_recon.normalise.formats.connect import ConnectReader
from stream_recon.normalise.formats.debezium import Debezium
from stream_recon.normalise.formats.documents import DocumentReader
from stream_recon.normalise.formats.flattened import is_added
from stream_recon.normalise.formats.json import PlainJson
from stream_recon.normalise.formats.maxwell import Maxwell
from stream_recon.normalise.masking import masked
from stream_recon.normalise.row_reader import RowReader, key_text


def message_format(feed: FeedPlan, rows: RowReader, avro: AvroReader | None) -> MessageFormat:
    """The format of a feed; ``avro`` reads what names its schemas."""
    if feed.format is Format.JSON:
        return PlainJson(rows)
    if feed.format is Format.CANAL_JSON:
        return Canal(rows)
    if feed.format is Format.MAXWELL_JSON:
        return Maxwell(rows)
    if feed.format is Format.DEBEZIUM_JSON:
        return Debezium(rows, ConnectReader(), ConnectReader())
    assert avro is not None, "Avro needs schemas"
    return Debezium(rows, AvroOrJson(avro), avro)


def _named(book: SchemaBook, messages: Messages) -> tuple[tuple[str, npt.NDArray[np.int64]], ...]:
    """Schemas that the book has by now, with the messages that name them."""
    found: dict[str, set[int]] = {}
    for part in (messages.key, messages.value):
        for at, message in enumerate(part.to_pylist()):
            name = None if message is None else book.named(message)
            if name is not None:
                found.setdefault(name, set()).add(at)
    return tuple((name, np.array(sorted(which), np.int64)) for name, which in found.items())


class ReferenceDecoder:
    """Decodes the messages of one feed. Raises ``ConfigError`` when made if the feed cannot work; nothing after."""

    def __init__(self, feed: FeedPlan, book: SchemaBook | None = None) -> None:
        names = [column.name.encode("utf-8") for column in feed.columns]
        assert names == sorted(set(names)), "columns stand in byte order of their names, each once"
        if not feed.key_columns:
            raise ConfigError(f"side {feed.side}: key: expected at least one column")
        self._large = tuple(column.large for column in feed.columns)
        self._schema = rows_schema(sum(self._large))
        self._digester = Digester(feed.hash_key)
        self._decoded = 0
        self._book = book
        self._rows = RowReader(feed)
        avro = None if book is None else AvroReader(book)
        self._format = message_format(feed, self._rows, avro)
        self._documents: DocumentReader = avro or ConnectReader()

    @property
    def seen(self) -> frozenset[str]:
        """Columns of the images that were read here; what a transformation adds to a flattened row is none."""
        return frozenset(name for name in self._rows.seen if self._rows.feed.format is Format.JSON or not is_added(name))

    @property
    def singly(self) -> int:
        """All messages so far."""
        return self._decoded

    def decode(self, messages: Messages) -> Decoded:
        """Every message, in order."""
        found = self.decode_some(messages, range(len(messages)))
        return found if self._book is None else replace(found, named=_named(self._book, messages))

    def decode_some(self, messages: Messages, which: Sequence[int]) -> Decoded:
        """The messages at these positions, in this order; ``message`` of a row is its position in all of ``messages``."""
        self._decoded += len(which)
        rows: list[tuple[Any, ...]] = []
        control: list[int] = []
        dead: list[DeadLetter] = []
        for position in which:
            at = int(position)
            key, value = messages.key[at].as_py(), messages.value[at].as_py()
            outcome = self._format.decode(key, value, int(messages.timestamp[at]))
            if outcome.reason is not None:
                text = None if outcome.key is None else key_text(outcome.key)
                dead.append(DeadLetter(at, outcome.reason, None if text is None else self._digester.key_id(text), text))
            elif outcome.rows:
                rows += [self._columns(at, index, row) for index, row in enumerate(outcome.rows)]
            else:
                control.append(at)
        assert len({row[0] for row in rows}) + len(control) + len(dead) == len(which)
        return Decoded(self._batch(rows), np.array(control, np.int32), tuple(dead))

    def masked(self, value: bytes) -> Any:
        """What may be told of a message that could not be understood."""
        try:
            return masked(self._documents.read(value, is_envelope=self._rows.feed.format is Format.DEBEZIUM_JSON).payload)
        except Refused:
            return f"{len(value)} octets"

    def _columns(self, message: int, index: int, row: Row) -> tuple[Any, ...]:
        text = None if row.key is None else key_text(row.key)
        key = None if text is None else self._digester.key_id(text)
        absent = RowDigest(None, None, (None,) * sum(self._large))
        digest = absent if row.cells is None else self._digester.row(row.cells, self._large)
        head = (message, index, int(row.op), row.t, key, text, digest.hash)
        return (*head, digest.rest, *digest.large) if digest.large else head

    def _batch(self, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(self._schema)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
