"""Digest rows of whole batches: operation, time, key and hashes, wherever nothing is in doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from stream_recon.model.messages import Messages
from stream_recon.model.plan import BINLOG, FeedPlan, Format
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.columnar import events as ev
from stream_recon.normalise.columnar.avro.carrier import AvroCarrier
from stream_recon.normalise.columnar.buffers import Bools, Ints, Path
from stream_recon.normalise.columnar.carrier import Carrier, Fields, Written, wanted
from stream_recon.normalise.columnar.digests import Digests
from stream_recon.normalise.columnar.image import (
    Columns,
    Layouts,
    Wires,
    all_equal,
    all_sure,
    all_there,
    picked,
    wires_of,
)
from stream_recon.normalise.columnar.json_carrier import JsonCarrier

_US_PER_MS: Final = 1000


_Sorted = list[tuple[Written, Ints]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Messages whose keys and values have one schema each; None: without a key that is an object, without a value."""

    which: Ints
    key: Written | None
    value: Written | None


class RowMaker:
    """Makes the rows of one feed. Its state is caches only: what was decoded before never changes a row."""

    def __init__(self, feed: FeedPlan, book: SchemaBook | None = None) -> None:
        self._feed = feed
        self._is_change = feed.format is not Format.JSON
        self._keys = feed.key_columns
        self._others = tuple(c for c in feed.columns if not c.key)
        keyed = tuple((c.upstream or "",) for c in self._keys)
        paths = wanted(feed, is_change=self._is_change, envelope=ev.ENVELOPE)
        self._carrier: Carrier = (
            JsonCarrier(paths, keyed, is_change=self._is_change) if book is None else AvroCarrier(book, paths, keyed)
        )
        self._layouts = Layouts(feed, self._carrier)
        self._digests = Digests(feed)

    @staticmethod
    def can(feed: FeedPlan) -> bool:
        """Whether this feed can be vectorised at all: not with a computed key, and not where a message holds several rows."""
        return feed.format not in BINLOG and bool(feed.key_columns) and all(c.upstream is not None for c in feed.key_columns)

    @property
    def seen(self) -> frozenset[str]:
        """Upstream columns that were met."""
        return frozenset(self._carrier.seen)

    def rows(self, messages: Messages) -> tuple[list[pa.RecordBatch], Bools, tuple[tuple[str, Ints], ...]]:
        """Batches of rows, and which messages are in them, one row each (others are in doubt), and schemas that are named."""
        sure = np.zeros(len(messages), np.bool_)
        batches = []
        keys, unkeyed = self._carrier.keys(messages.key)
        values, null = self._carrier.values(messages.value)
        for group in self._groups(messages, keys, unkeyed, values, null):
            for batch, here in self._group_rows(messages, group):
                sure[here] = True
                batches.append(batch)
        return batches, sure, tuple((one.told, which) for one, which in (*keys, *values) if one.told is not None)

    @staticmethod
    def _groups(messages: Messages, keys: _Sorted, unkeyed: Ints, values: _Sorted, null: Ints) -> list[_Group]:
        """Every message whose key and value can be read here, in one group."""
        keyed: list[tuple[Written | None, Ints]] = [*keys, (None, unkeyed)]
        valued: list[tuple[Written | None, Ints]] = [*values, (None, null)]
        keyed, valued = ([part for part in parts if len(part[1])] for parts in (keyed, valued))
        if len(keyed) == 1 and len(keyed[0][1]) == len(messages):
            return [_Group(which, keyed[0][0], value) for value, which in valued]
        crossed = [_Group(np.intersect1d(a, b, assume_unique=True), key, value) for key, a in keyed for value, b in valued]
        return [group for group in crossed if len(group.which)]

    def _group_rows(self, messages: Messages, group: _Group) -> list[tuple[pa.RecordBatch, Ints]]:
        """The rows of a group, and the messages that they are; nothing if all is in doubt."""
        key_wire, value_wire = (None if one is None else one.wire for one in (group.key, group.value))
        wires = wires_of(key_wire, value_wire, is_change=self._is_change)
        fields, events, updates = self._events(messages, group, wires)
        present = events.present
        alive = events.sure & wires.sound
        if group.key is None:
            alive &= present
        elif group.key.wire is None and wires.after is not None:
            alive &= present  # a delete's key is then read by the schema of ``before``, or by none
        rows = np.flatnonzero(alive)
        if not len(rows):
            return []
        keys, sure = self._message_keys(messages, group, wires, rows)
        images: Columns = {}
        here = np.flatnonzero(present[rows])
        if fields is not None:
            images, keys, fine = self._images(fields, wires, rows[here], keys, here, updates)
            sure[here] &= fine
        assert keys is not None, "rows without a message key are present"
        sure &= all_sure(keys, len(rows)) & all_there(keys, len(rows))
        batch = self._digests.batch(group.which[rows], events, rows, keys, images, here)
        if not sure.all():
            batch = batch.filter(pa.array(sure))
        return [(batch, group.which[rows[sure]])]

    def _events(self, messages: Messages, group: _Group, wires: Wires) -> tuple[Fields | None, ev.Events, Bools]:
        """Fields of the values, what they do, and which may have changed their key."""
        broker = messages.timestamp[group.which] * _US_PER_MS
        none = np.zeros(len(broker), np.bool_)
        if group.value is None:
            return None, ev.absences(broker, timed=not self._is_change and self._feed.event_time is None), none
        fields = self._carrier.value_fields(messages.value, group.value, group.which)
        if self._is_change:
            events, updates = ev.changes(fields)
            return fields, events, updates & fields.objects[ev.BEFORE]
        name = self._feed.event_time
        if name is None:
            return fields, ev.rows_at_broker_time(fields, broker), none
        reader = self._layouts.time_reader(name, wires.after)
        return fields, ev.rows_at_column_time(fields, fields.cells[(name,)], reader), none

    def _message_keys(self, messages: Messages, group: _Group, wires: Wires, rows: Ints) -> tuple[Columns | None, Bools]:
        """Key columns from the message keys of these rows of a group; None if its messages have none."""
        if group.key is None:
            return None, np.ones(len(rows), np.bool_)
        fields = self._carrier.key_fields(messages.key, group.key, group.which[rows])
        cells = {c.upstream or "": fields.cells[(c.upstream or "",)] for c in self._keys}
        wire = wires.key if wires.key is not None else wires.after
        return self._layouts.columns(self._keys, wire, cells, np.arange(len(rows))), fields.sure.copy()

    def _images(
        self, fields: Fields, wires: Wires, rows: Ints, keys: Columns | None, here: Ints, updates: Bools
    ) -> tuple[Columns, Columns, Bools]:
        """Canonical columns of the present rows, the keys (from the images if from nowhere else), and which rows hold."""
        side: Path = ("after",) if self._is_change else ()
        cells = {path[-1]: values for path, values in fields.cells.items() if path[:-1] == side}
        others = self._layouts.columns(self._others, wires.after, cells, rows)
        own = self._layouts.columns(self._keys, wires.after if wires.after is not None else wires.key, cells, rows)
        fine = all_sure(others, len(rows)) & all_sure(own, len(rows))
        if keys is None:
            keys = own
        else:
            fine &= all_equal({name: picked(column, here) for name, column in keys.items()}, own, len(rows))
        changed = np.flatnonzero(updates[rows])
        if len(changed):
            fine[changed] &= self._same_before(fields, wires, rows[changed], {n: picked(c, changed) for n, c in own.items()})
        return others, keys, fine

    def _same_before(self, fields: Fields, wires: Wires, rows: Ints, own: Columns) -> Bools:
        """Updates whose ``before`` has the same key, or not all of one: no change of key hides in them."""
        cells = {c.upstream or "": fields.cells[("before", c.upstream or "")] for c in self._keys}
        before = self._layouts.columns(self._keys, wires.before if wires.before is not None else wires.key, cells, rows)
        partly = np.zeros(len(rows), np.bool_)
        for one in cells.values():
            partly |= one.taken(rows).null
        return partly | (all_sure(before, len(rows)) & all_equal(own, before, len(rows)))
