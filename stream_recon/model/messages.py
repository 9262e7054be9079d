"""What goes into normalise and what comes out of its decoders: columns of Arrow and numpy, never one object a row.

A *message* is one Kafka record. It becomes exactly one of: one or more rows, a control record, or a dead letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True, slots=True, order=True)
class Upstream:
    """One upstream partition. ``topic_id`` tells a recreated topic from its predecessor."""

    side: str
    topic: str
    partition: int
    topic_id: str = ""


@dataclass(frozen=True, slots=True)
class Messages:
    """A stretch of one upstream partition: offsets strictly ascending, all columns of one length.

    ``timestamp`` is the broker's, in ms since the epoch. ``key`` and ``value`` are ``pa.binary()`` arrays; null is a null
    key and a tombstone.
    """

    upstream: Upstream
    offset: npt.NDArray[np.int64]
    timestamp: npt.NDArray[np.int64]
    key: pa.BinaryArray
    value: pa.BinaryArray

    def __len__(self) -> int:
        return len(self.offset)

    @staticmethod
    def joined(stretches: Sequence[Messages]) -> Messages:
        """One behind the other, for a decoder, which looks at no position: that of the first stands for all."""
        if len(stretches) == 1:
            return stretches[0]
        return Messages(
            stretches[0].upstream,
            np.concatenate([m.offset for m in stretches]),
            np.concatenate([m.timestamp for m in stretches]),
            pa.concat_arrays([m.key for m in stretches]),
            pa.concat_arrays([m.value for m in stretches]),
        )


class Op(IntEnum):
    """What a row does to its key."""

    UPSERT = 0
    """A version that is present, from a change."""
    READ = 1
    """A version that is present, from a snapshot read: moves no watermark."""
    DELETE = 2
    """A version that is absent, with a time of its own."""
    TOMBSTONE = 3
    """A null payload without a time: whether it is a row or a control record is decided by its predecessor."""
    TRUNCATE = 4
    """A delete of every key with an earlier version; no key."""


def rows_schema(large: int) -> pa.Schema:
    """The rows that a decoder makes, in order of message and of index within the message.

    ``message``: position in the ``Messages`` that were decoded. ``t``: event time, µs (null for a tombstone). ``key``: first 16
    bytes of the SHA-256 of ``key_text``, the canonical text of the key columns (both null for a truncate). ``hash``: SHA-256
    of the row's text; null unless the row is present and every column is known. With ``large`` > 0 large columns:
    ``rest`` is the SHA-256 of the row's text in which every large column stands as ``?`` (null unless present), and ``large_i``
    is the 32-byte hash of that column's own framed text, empty bytes if the column is null, Arrow-null if it is unknown.
    A present row with a null ``hash`` and a null ``rest`` holds an unknown column that was not declared large.
    """
    fields = [
        pa.field("message", pa.int32(), nullable=False),
        pa.field("index", pa.int16(), nullable=False),
        pa.field("op", pa.uint8(), nullable=False),
        pa.field("t", pa.int64()),
        pa.field("key", pa.binary(16)),
        pa.field("key_text", pa.binary()),
        pa.field("hash", pa.binary(32)),
    ]
    if large:
        fields.append(pa.field("rest", pa.binary(32)))
        fields += [pa.field(f"large_{i}", pa.binary()) for i in range(large)]
    return pa.schema(fields)


_KINDS: Final = (
    ("schema", "schema"),
    ("key column", "key"),
    ("column", "column"),
    ("an expression", "column"),
    ("op", "envelope"),
    ("__op", "envelope"),
    ("type", "envelope"),
    ("data", "envelope"),
    ("old", "envelope"),
    ("es:", "time"),
    ("ts:", "time"),
    ("__source_ts", "time"),
    ("after", "envelope"),
    ("expected a Debezium envelope", "envelope"),
    ("source", "time"),
    ("event time", "time"),
    ("not JSON", "encoding"),
    ("not UTF-8", "encoding"),
    ("expected an Avro message", "encoding"),
)
_SCHEMA: Final = re.compile(r"schema id ([0-9a-f-]+)")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be understood. ``reason`` names class and place, never a value of the row.

    ``key`` and ``key_text`` are set if the key could be read all the same.
    """

    message: int
    reason: str
    key: bytes | None = None
    key_text: bytes | None = None

    @property
    def kind(self) -> str:
        """What is wrong with it, in one word: a class of reasons that one fix may mend."""
        return next((kind for head, kind in _KINDS if self.reason.startswith(head)), "message")

    @property
    def schema(self) -> str | None:
        """The id of its schema, if the reason has to do with that."""
        found = _SCHEMA.match(self.reason)
        return None if found is None else found[1]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch after decoding: every message is in exactly one of ``rows``, ``control`` and ``dead``.

    ``named``: ids of the schemas that keys and values were read with, and the messages, ascending, that name them; none in
    formats without.
    """

    rows: pa.RecordBatch
    control: npt.NDArray[np.int32]
    dead: tuple[DeadLetter, ...]
    named: tuple[tuple[str, npt.NDArray[np.int64]], ...] = ()

    def split(self, counts: Sequence[int]) -> list[Decoded]:
        """What was decoded of each stretch of so many messages: the inverse of ``Messages.joined``."""
        if len(counts) == 1:
            return [self]
        parts, base = [], 0
        message = self.rows.column("message").to_numpy()
        for count in counts:
            first, last = np.searchsorted(message, [base, base + count])
            own = pa.array(message[first:last] - np.int32(base))
            rows = self.rows.slice(first, last - first).set_column(0, self.rows.schema.field(0), own)
            control = self.control[(self.control >= base) & (self.control < base + count)] - np.int32(base)
            dead = tuple(replace(d, message=d.message - base) for d in self.dead if base <= d.message < base + count)
            cuts = ((name, which[slice(*np.searchsorted(which, [base, base + count]))] - base) for name, which in self.named)
            parts.append(Decoded(rows, control, dead, tuple((name, which) for name, which in cuts if len(which))))
            base += count
        return parts
