"""From canonical columns to digest rows: row texts, hashes, and the record batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.model.messages import rows_schema
from stream_recon.model.plan import FeedPlan
from stream_recon.normalise.canonical import KEY_ID_OCTETS
from stream_recon.normalise.columnar.buffers import Bytes, Ints
from stream_recon.normalise.columnar.cells import Column
from stream_recon.normalise.columnar.events import Events
from stream_recon.normalise.columnar.frame import Hasher, framed, joined, large_parts
from stream_recon.normalise.columnar.image import Columns, picked


class Digests:
    """Hashes the rows of one feed."""

    def __init__(self, feed: FeedPlan) -> None:
        self._columns = feed.columns
        self._keys = feed.key_columns
        self._large = feed.large_columns
        self._schema = rows_schema(len(self._large))
        self._hasher = Hasher(feed.hash_key)

    def batch(self, which: Ints, events: Events, rows: Ints, keys: Columns, others: Columns, here: Ints) -> pa.RecordBatch:
        """Rows of the messages ``which``; ``rows``: their places in ``events``, ``here``: those of them that are present.

        ``keys`` has a value for each row, ``others`` for each present row. Rows in doubt get some hash or other.
        """
        count = len(which)
        key_text = joined([part for c in self._keys for part in framed(keys[c.name])])
        texts, large = [key_text], []
        if len(here):
            present = {**{c.name: picked(keys[c.name], here) for c in self._keys}, **others}
            framed_large = [joined(framed(present[c.name])) for c in self._large]
            hashes = self._hasher.sha256(framed_large)
            keyed = self._hasher.digests(framed_large)
            texts += [_spread(text, here, count) for text in self._row_texts(present, hashes)]
            large = [_spread(_or_empty(present[c.name], one), here, count) for c, one in zip(self._large, keyed, strict=True)]
        hashed = self._hasher.digests(texts)
        nothing = 2 if self._large else 1
        hashed += [pa.nulls(count, pa.binary(32))] * (1 + nothing - len(hashed))
        large += [pa.nulls(count, pa.binary())] * (len(self._large) - len(large))
        head = [
            pa.array(which.astype(np.int32)),
            pa.array(np.zeros(count, np.int16)),
            pa.array(events.op[rows]),
            pa.array(events.time[rows], mask=~events.timed[rows]),
        ]
        return pa.RecordBatch.from_arrays([*head, _key_ids(hashed[0]), key_text, *hashed[1:], *large], schema=self._schema)

    def _row_texts(self, present: dict[str, Column], hashes: list[pa.FixedSizeBinaryArray]) -> list[pa.BinaryArray]:
        """The row's text, and that of ``rest`` if there are large columns."""
        digest = {c.name: hashed for c, hashed in zip(self._large, hashes, strict=True)}
        full: list[pa.Array] = []
        rest: list[pa.Array] = []
        for c in self._columns:
            parts = framed(present[c.name])
            full += large_parts(present[c.name], digest[c.name]) if c.large else parts
            rest += [pa.repeat(pa.scalar(b"?", pa.binary()), len(parts[0]))] if c.large else parts
        return [joined(full), joined(rest)] if self._large else [joined(full)]


def _or_empty(column: Column, digest: pa.FixedSizeBinaryArray) -> pa.BinaryArray:
    """What a row carries of a large column: its hash, empty if it is null."""
    return pc.if_else(column.text.is_valid(), digest.cast(pa.binary()), pa.scalar(b"", pa.binary()))


def _spread(array: pa.Array, here: Ints, count: int) -> pa.Array:
    """The values at the places ``here`` of ``count``, null elsewhere."""
    if len(here) == count:
        return array
    index = np.zeros(count, np.int32)
    absent = np.ones(count, np.bool_)
    index[here] = np.arange(len(here))
    absent[here] = False
    return array.take(pa.array(index, mask=absent))


def _key_ids(hashes: pa.FixedSizeBinaryArray) -> pa.FixedSizeBinaryArray:
    octets: Bytes = np.frombuffer(hashes.buffers()[1], np.uint8, len(hashes) * 32, hashes.offset * 32).reshape(-1, 32)
    kept = np.ascontiguousarray(octets[:, :KEY_ID_OCTETS])
    return pa.Array.from_buffers(pa.binary(KEY_ID_OCTETS), len(hashes), [None, pa.py_buffer(kept)])
