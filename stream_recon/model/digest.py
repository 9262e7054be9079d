"""What is in the digest log: Arrow IPC messages, a JSON header in the schema's metadata, rows as columns.

    message   = Arrow IPC stream: schema (metadata "stream_recon" = header), one record batch
    header    = {"format", "kind", "topology", ...}; kinds: open, block, lift, partition, stall, end
    row       = range | key | key_text | hash | t | time | offset | index | flags | rest | large_0 ...

docs/spec/digest-log.md is the published form of this page.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntFlag
from typing import Any

import orjson
import pyarrow as pa

from stream_recon.errors import LogError
from stream_recon.limits import LOG_FORMAT
from stream_recon.model.messages import Upstream


class Flag(IntFlag):
    """What a digest row is, beside its hash."""

    LATE = 1
    DELETE = 2
    TOMBSTONE = 4
    TRUNCATE = 8
    SNAPSHOT = 16
    PARTIAL = 32
    """Present, with a column that is unknown."""
    MARK = 64
    """Not a row: from its time on the key is unknown (an undecodable message, the stretch before a tombstone)."""
    LIFT_BROKEN = 128
    """Its event time lies below a lift of its partition."""


def digest_schema(large: int) -> pa.Schema:
    """Rows of a block. ``t`` is the event time, at most the broker's timestamp + max_future; ``time`` the effective time (µs)."""
    fields = [
        pa.field("range", pa.uint16(), nullable=False),
        pa.field("key", pa.binary(16)),
        pa.field("key_text", pa.binary()),
        pa.field("hash", pa.binary(32)),
        pa.field("t", pa.int64(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("index", pa.int16(), nullable=False),
        pa.field("flags", pa.uint16(), nullable=False),
    ]
    if large:
        fields.append(pa.field("rest", pa.binary(32)))
        fields += [pa.field(f"large_{i}", pa.binary()) for i in range(large)]
    return pa.schema(fields)


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages of an upstream partition from its start position to the end of a range: cumulative, so that a repeated or
    differently cut range cannot count twice. ``late`` counts rows.
    """

    rows: int = 0
    control: int = 0
    dead_letters: int = 0
    unused: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A dead letter: the windows from ``since`` to ``until`` (µs, both included) cannot be conclusive."""

    offset: int
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Range:
    """Positions ``[start, end)`` of one upstream partition, and where its time stands at ``end``.

    ``watermark`` (µs) includes lifts, ``raw`` does not; null before the first change. ``leading``: no change and no lift yet.
    ``loaded``: largest effective time of the snapshot reads in front, ``latest`` of all rows. ``first``: effective
    time of its first row, where a gap before it ends (null: none). ``counts`` only in the partition's home digest partition.
    ``schemas``: ids of the schemas that its messages name, sorted.
    """

    feed: str
    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    watermark: int | None
    raw: int | None
    loaded: int | None
    latest: int | None
    leading: bool
    first: int | None
    counts: Counts | None = None
    repeated: int = 0
    undecodable: tuple[Undecodable, ...] = ()
    schemas: tuple[str, ...] = ()

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.feed, self.topic, self.partition, self.topic_id)


@dataclass(frozen=True, slots=True)
class Feed:
    """One side as read for one or more pairs: its partitions in (topic, partition) order with their start positions.

    ``columns``: the side's upstream columns, in byte order, as they were seen when the share was opened (none: nothing was seen).
    A worker that starts later resolves with these and does not look anew.
    """

    id: str
    side: str
    partitions: tuple[tuple[str, str, int, int], ...]
    """(topic, topic id, partition, start position)"""
    order: str
    history: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison: names of the two feeds, and the rules id that both were hashed under."""

    target: str
    source_feed: str
    target_feed: str
    rules: str
    keys: tuple[str, ...] = ()
    large: int = 0


@dataclass(frozen=True, slots=True)
class By:
    """Who does something to a deployment, as the process knows itself: ``user`` of its system, ``host``, ``principal`` that its
    Kafka settings name (null: none), ``version`` of stream_recon.
    """

    user: str
    host: str
    principal: str | None
    version: str


@dataclass(frozen=True, slots=True)
class Open:
    """How a digest partition's share of a topology begins: everything that shapes answers.

    A higher ``generation`` begins the share anew; each other record belongs to the generation that it names. ``max_buffer``:
    octets of rows that a pair may keep of windows still open, in all digest partitions together (0: any number). It alone may
    change within a generation, by the same record with another value. ``by`` and ``reason``: who wrote this record, and why; they
    shape nothing.
    """

    topology: str
    source: str
    window: int
    settle: int
    clock_skew: int
    forget_deleted: int
    parallelism: int
    configuration: str
    feeds: tuple[Feed, ...]
    pairs: tuple[Pair, ...]
    generation: int = 1
    max_buffer: int = 0
    by: By | None = None
    reason: str | None = None

    def same(self, other: Open) -> bool:
        """Whether both open the same share, whatever it may keep and whoever wrote it."""
        return self._shape == other._shape

    @property
    def _shape(self) -> Open:
        return replace(self, max_buffer=0, by=None, reason=None)


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one or more ranges, of one digest partition; ``rows.range`` indexes ``ranges``."""

    topology: str
    ranges: tuple[Range, ...]
    generation: int = field(default=1, kw_only=True)
    rows: pa.RecordBatch = field(compare=False)


@dataclass(frozen=True, slots=True)
class Lift:
    """The watermark of a quiet partition, taken for ``to``; applies iff ``position`` is the partition's next one."""

    topology: str
    feed: str
    topic: str
    topic_id: str
    partition: int
    position: int
    to: int
    generation: int = 1

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.feed, self.topic, self.partition, self.topic_id)


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition that was not there when the share was opened: it begins at ``position`` with its side's ``watermark`` (µs;
    null: that bounds nothing yet). Under a new topic id it takes the place of the partition of that name.
    """

    topology: str
    feed: str
    topic: str
    topic_id: str
    partition: int
    position: int
    watermark: int | None
    generation: int = 1

    @property
    def upstream(self) -> Upstream:
        return Upstream(self.feed, self.topic, self.partition, self.topic_id)


@dataclass(frozen=True, slots=True)
class Stall:
    """A side is quiet while the other has moved, ``since`` (µs; null: it never spoke): ``waiting`` rows of the other side wait.
    Or it has ``resumed``. Shapes no verdict, so it stands in one digest partition only.
    """

    topology: str
    feed: str
    since: int | None
    waiting: int
    resumed: bool
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Drift:
    """Columns, sorted, that appeared on a side after the share was opened: no part of the comparison. Shapes no verdict, so it
    stands in one digest partition only.
    """

    topology: str
    feed: str
    columns: tuple[str, ...]
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Act:
    """``run`` was ``started`` or ``stopped``, with these ``stages``. Shapes no verdict, so it stands in one digest partition."""

    topology: str
    act: str
    stages: tuple[str, ...]
    by: By
    generation: int = 1


@dataclass(frozen=True, slots=True)
class End:
    """End of input: every watermark of the topology goes to infinity, once. ``ends``: where each upstream partition ends, as
    (feed, topic, topic id, partition, position): what is not there up to that was lost.
    """

    topology: str
    generation: int = 1
    ends: tuple[tuple[str, str, str, int, int], ...] = ()


Record = Open | Block | Lift | Partition | Stall | Drift | Act | End
_KINDS: dict[type, str] = {
    Open: "open",
    Block: "block",
    Lift: "lift",
    Partition: "partition",
    Stall: "stall",
    Drift: "drift",
    Act: "act",
    End: "end",
}
_META = b"stream_recon"
_EMPTY = pa.schema([])


def encode(record: Record) -> bytes:
    """One message of the log."""
    header: dict[str, Any] = {"format": LOG_FORMAT, "kind": _KINDS[type(record)]}
    if isinstance(record, Block):
        header |= {"topology": record.topology, "generation": record.generation, "ranges": record.ranges}
        rows = record.rows
    else:
        header |= {f.name: getattr(record, f.name) for f in fields(record)}
        rows = pa.RecordBatch.from_arrays([], schema=_EMPTY)
    schema = rows.schema.with_metadata({_META: orjson.dumps(header)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        if isinstance(record, Block):
            writer.write_batch(rows.replace_schema_metadata(schema.metadata))
    return bytes(sink.getvalue())


def decode(message: bytes) -> Record:
    """Inverse of ``encode``.

    Raises:
        LogError: the message is not one of ours, or of a version that this program does not know.
    """
    try:
        reader = pa.ipc.open_stream(message)
        header = orjson.loads(reader.schema.metadata[_META])
    except (pa.ArrowInvalid, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise LogError(f"digest log: expected a message of stream_recon, got {len(message)} other bytes") from error
    if header["format"] != LOG_FORMAT:
        raise LogError(
            f"digest log: expected format {LOG_FORMAT}, got {header['format']}: it was written by another version; "
            "use that version, or start with an empty state directory"
        )
    kind = header.pop("kind")
    del header["format"]
    if kind == "block":
        rows = reader.read_next_batch().replace_schema_metadata(None)
        return Block(header["topology"], tuple(_range(r) for r in header["ranges"]), rows, generation=header.get("generation", 1))
    if kind == "open":
        header["feeds"] = tuple(_feed(f) for f in header["feeds"])
        header["pairs"] = tuple(Pair(**{**p, "keys": tuple(p["keys"])}) for p in header["pairs"])
        header["by"] = None if header.get("by") is None else By(**header["by"])
        return Open(**header)
    if kind == "lift":
        return Lift(**header)
    if kind == "partition":
        return Partition(**header)
    if kind == "stall":
        return Stall(**header)
    if kind == "drift":
        return Drift(**{**header, "columns": tuple(header["columns"])})
    if kind == "act":
        return Act(**{**header, "stages": tuple(header["stages"]), "by": By(**header["by"])})
    if kind == "end":
        return End(**{**header, "ends": tuple((f, t, i, p, at) for f, t, i, p, at in header.get("ends", ()))})
    raise LogError(f"digest log: expected one of {', '.join(_KINDS.values())}, got a record of kind {kind!r}")


def _range(values: dict[str, Any]) -> Range:
    counts = values["counts"]
    values["counts"] = None if counts is None else Counts(**counts)
    values["undecodable"] = tuple(Undecodable(**u) for u in values["undecodable"])
    values["schemas"] = tuple(values.get("schemas", ()))
    return Range(**values)


def _feed(values: dict[str, Any]) -> Feed:
    values["partitions"] = tuple((t, i, p, s) for t, i, p, s in values["partitions"])
    values["columns"] = tuple(values.get("columns", ()))
    return Feed(**values)
