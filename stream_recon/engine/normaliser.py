"""normalise: messages of upstream partitions in, digest blocks out, one for each digest partition and flush.

    Messages -> decoder -> rows | control | dead letters -> clock -> digest rows -> by key to digest partitions -> blocks

Holds no rows between flushes. What it must remember of a partition is its ``Progress``, kept with the committed position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_recon.engine.echoes import column, keys, without_echoes
from stream_recon.engine.progress import Progress, SetAside, home_partition, known
from stream_recon.model.digest import Block, Counts, Flag, Range, Undecodable, digest_schema
from stream_recon.model.messages import DeadLetter, Decoded, Messages, Op, Upstream
from stream_recon.normalise.clock import NEVER, ClockState, Stamps, stamp
from stream_recon.normalise.decoder import Decoder

_FLAGS = np.zeros(8, np.uint16)
_FLAGS[Op.READ] = Flag.SNAPSHOT
_FLAGS[Op.DELETE] = Flag.DELETE
_FLAGS[Op.TOMBSTONE] = Flag.DELETE | Flag.TOMBSTONE
_FLAGS[Op.TRUNCATE] = Flag.DELETE | Flag.TRUNCATE


@dataclass(frozen=True, slots=True)
class FeedClock:
    """How a feed's time behaves; durations in µs. ``bare_nulls``: a null payload is never the echo of a delete (format json)."""

    out_of_orderness: int
    max_future: int
    bare_nulls: bool = False


class Normaliser:
    """One feed. Not thread-safe; ``add`` and ``flush`` in any rhythm give blocks of the same content."""

    def __init__(
        self,
        topology: str,
        decoder: Decoder,
        clock: FeedClock,
        progress: Mapping[Upstream, Progress],
        *,
        parallelism: int,
        large: int = 0,
        generation: int = 1,
        masks: bool = False,
    ) -> None:
        """``masks``: dead letters carry their masked payload."""
        self._masks = masks
        self._topology = topology
        self._generation = generation
        self._decoder = decoder
        self._clock = clock
        self._progress = dict(progress)
        self._sent = {upstream: p.position for upstream, p in progress.items()}
        self._parallelism = parallelism
        self._schema = digest_schema(large)
        self._pending: dict[Upstream, list[pa.RecordBatch]] = {}
        self._first: dict[Upstream, int] = {}
        self._undecodable: dict[Upstream, list[Undecodable]] = {}
        self._repeated: dict[Upstream, int] = {}
        self._schemas: dict[Upstream, set[str]] = {}

    @property
    def progress(self) -> Mapping[Upstream, Progress]:
        """What to commit once every digest partition holds the flushed blocks."""
        return self._progress

    def assign(self, upstream: Upstream, progress: Progress) -> None:
        """Takes over a partition where it was committed; what lies behind that position is written once more."""
        assert not self._pending.get(upstream), "flush before a partition moves"
        self._progress[upstream] = progress
        self._sent[upstream] = progress.position

    def release(self, upstream: Upstream) -> None:
        """Gives a partition up to another worker."""
        assert not self._pending.get(upstream), "flush before a partition moves"
        for state in (*self._said, self._progress, self._sent, self._pending):
            state.pop(upstream, None)

    @property
    def _said(self) -> tuple[dict[Upstream, Any], ...]:
        """What the next ranges say beside their rows."""
        return self._first, self._undecodable, self._repeated, self._schemas

    @property
    def seen(self) -> frozenset[str]:
        """Upstream columns that any row so far had."""
        return self._decoder.seen

    @property
    def singly(self) -> int:
        """Messages that were decoded one by one."""
        return self._decoder.singly

    @property
    def pending_rows(self) -> int:
        """Digest rows that wait for a flush."""
        return sum(len(batch) for batches in self._pending.values() for batch in batches)

    @property
    def pending_bytes(self) -> int:
        """Their size."""
        return sum(batch.nbytes for batches in self._pending.values() for batch in batches)

    def announce(self, upstream: Upstream, position: int, others: Iterable[Progress] = ()) -> int | None:
        """Takes a partition that was not there before; returns the side's watermark (µs), with which it begins. ``others``: the
        side's partitions that other workers read.
        """
        assert upstream not in self._progress, "a partition appears once"
        mark = min((p.clock.watermark for p in (*self._progress.values(), *others)), default=NEVER)
        self.assign(upstream, Progress(position, ClockState(floor=mark, leading=False)))
        return known(mark)

    def repeat(self, upstream: Upstream, count: int) -> None:
        """Counts readings of positions that were read before."""
        self._repeated[upstream] = self._repeated.get(upstream, 0) + count
        self._pending.setdefault(upstream, [])

    def add(self, messages: Messages, end: int | None = None) -> list[SetAside]:
        """Takes the next messages of a partition, all at or above its position; returns what could not be understood.

        ``end`` is the position after the stretch (default: after its last message): positions without a message are unused.
        """
        return self._take(messages, self._decoder.decode(messages), end)

    def add_all(self, stretches: Sequence[Messages]) -> list[SetAside]:
        """``add`` of several stretches, each of a partition of its own, decoded together: a decoder costs so much a call."""
        decoded = self._decoder.decode(Messages.joined(stretches))
        found: list[SetAside] = []
        for part, messages in zip(decoded.split([len(m) for m in stretches]), stretches, strict=True):
            found += self._take(messages, part, None)
        return found

    def _take(self, messages: Messages, decoded: Decoded, end: int | None) -> list[SetAside]:
        upstream = messages.upstream
        at = self._progress[upstream]
        assert not len(messages) or messages.offset[0] >= at.position, "positions are read once and in order"
        rows, echoes, gone = without_echoes(decoded, at.clock.gone, bare_nulls=self._clock.bare_nulls)
        message = column(rows, "message", np.int32)
        stamps, clock = stamp(
            at.clock,
            column(rows, "op", np.uint8),
            column(rows, "t", np.int64),
            messages.timestamp[message] * 1000,
            out_of_orderness=self._clock.out_of_orderness,
            max_future=self._clock.max_future,
            filling=messages.offset[message] < at.filled if at.filled > at.position else None,
        )
        digest, undecodable = self._digest(messages, rows, stamps, decoded.dead, at.clock)
        latest = max([clock.latest, *(u.until for u in undecodable)])
        stop = max(end if end is not None else 0, int(messages.offset[-1]) + 1 if len(messages) else at.position)
        control, dead = len(decoded.control) + echoes, len(decoded.dead)
        counts = Counts(
            at.counts.rows + len(messages) - control - dead,
            at.counts.control + control,
            at.counts.dead_letters + dead,
            at.counts.unused + stop - at.position - len(messages),
            at.counts.late + int(stamps.late.sum()),
        )
        self._progress[upstream] = Progress(stop, replace(clock, gone=gone, latest=latest), counts, at.filled)
        self._pending.setdefault(upstream, []).append(digest)
        self._undecodable.setdefault(upstream, []).extend(undecodable)
        self._schemas.setdefault(upstream, set()).update(name for name, _ in decoded.named)
        if len(rows) and upstream not in self._first:
            self._first[upstream] = int(stamps.time[0])
        return [self._set_aside(messages, letter) for letter in decoded.dead]

    def _set_aside(self, messages: Messages, letter: DeadLetter) -> SetAside:
        at = letter.message
        value = messages.value[at].as_py() if self._masks else None
        masked = None if value is None else self._decoder.masked(value)
        return SetAside(messages.upstream, int(messages.offset[at]), int(messages.timestamp[at]), letter, masked)

    def lift(self, upstream: Upstream, to: int) -> None:
        """Notes a lift of a quiet partition; call ``flush`` first: the lift stands at the next position."""
        at = self._progress[upstream]
        self._progress[upstream] = replace(at, clock=at.clock.lifted(to))

    def skip(self, upstream: Upstream, to: int) -> None:
        """Positions up to ``to`` are lost: the next range, which may be empty, starts there: its reader takes that for a gap."""
        assert not self._pending.get(upstream), "flush before a gap"
        self._progress[upstream] = replace(self._progress[upstream], position=to)
        self._sent[upstream] = to
        self._pending[upstream] = []

    def flush(self) -> list[Block]:
        """One block for each digest partition, or none if nothing was read since the last flush."""
        touched = sorted(self._pending)
        if not touched:
            return []
        ranges = [self._range(upstream) for upstream in touched]
        tables = [pa.Table.from_batches(self._pending[upstream], self._schema) for upstream in touched]
        rows = pa.concat_tables(
            [t.set_column(0, self._schema.field(0), _constant(i, len(t), pa.uint16())) for i, t in enumerate(tables)]
        ).combine_chunks()
        batch = rows.to_batches()[0] if len(rows) else pa.RecordBatch.from_pylist([], schema=self._schema)
        blocks = self._blocks(ranges, batch)
        for upstream in touched:
            self._sent[upstream] = self._progress[upstream].position
        for pending in (self._pending, *self._said):
            pending.clear()
        return blocks

    def _digest(
        self, messages: Messages, rows: pa.RecordBatch, stamps: Stamps, dead: Sequence[DeadLetter], clock: ClockState
    ) -> tuple[pa.RecordBatch, list[Undecodable]]:
        """Digest rows in order of offset, and the stretches that dead letters leave open."""
        message = column(rows, "message", np.int32)
        op = column(rows, "op", np.uint8)
        flags = _FLAGS[op]
        flags |= np.where(stamps.late, np.uint16(Flag.LATE), np.uint16(0))
        flags |= np.where(stamps.broken, np.uint16(Flag.LIFT_BROKEN), np.uint16(0))
        present = (op == Op.UPSERT) | (op == Op.READ)
        partial = present & rows.column("hash").is_null().to_numpy(zero_copy_only=False)
        flags |= np.where(partial, np.uint16(Flag.PARTIAL), np.uint16(0))
        columns = {
            "range": np.zeros(len(rows), np.uint16),
            "key": rows.column("key"),
            "key_text": rows.column("key_text"),
            "hash": rows.column("hash"),
            "t": stamps.t,
            "time": stamps.time,
            "offset": messages.offset[message],
            "index": rows.column("index"),
            "flags": flags,
        }
        columns |= {name: rows.column(name) for name in self._schema.names[len(columns) :]}
        digest = pa.RecordBatch.from_arrays([_array(columns[n]) for n in self._schema.names], schema=self._schema)
        undecodable, marks = self._stretches(messages, message, stamps, op, rows, dead, clock)
        if not marks:
            return digest, undecodable
        digest = pa.concat_batches([pa.RecordBatch.from_pylist(marks, schema=self._schema), digest])
        offset = digest.column("offset").to_numpy()
        return digest.take(pa.array(np.argsort(offset, kind="stable"))), undecodable

    def _stretches(
        self,
        messages: Messages,
        message: npt.NDArray[np.int32],
        stamps: Stamps,
        op: npt.NDArray[np.uint8],
        rows: pa.RecordBatch,
        dead: Sequence[DeadLetter],
        clock: ClockState,
    ) -> tuple[list[Undecodable], list[dict[str, object]]]:
        """Where a key, or everything, is unknown for a while: undecodable messages, and tombstones before they take part."""
        marks: list[dict[str, object]] = []
        for i in np.flatnonzero((op == Op.TOMBSTONE) & (stamps.before < stamps.time)):
            key, text = rows.column("key")[i].as_py(), rows.column("key_text")[i].as_py()
            offset, since, until = int(messages.offset[message[i]]), int(stamps.before[i]), int(stamps.time[i])
            marks.append(_mark(key, text, since, offset, Flag.TOMBSTONE) | {"t": until})
        undecodable = []
        after = np.concatenate([[clock.watermark], stamps.after])
        for letter in dead:
            broker = int(messages.timestamp[letter.message]) * 1000
            since = int(after[np.searchsorted(message, letter.message)])
            since = broker - self._clock.out_of_orderness if since == NEVER else since
            offset = int(messages.offset[letter.message])
            undecodable.append(Undecodable(offset, since, max(broker, since)))
            if letter.key is not None:
                marks.append(_mark(letter.key, letter.key_text, since, offset, Flag(0)))
        return undecodable, marks

    def _range(self, upstream: Upstream) -> Range:
        at = self._progress[upstream]
        clock = at.clock
        return Range(
            upstream.side,
            upstream.topic,
            upstream.topic_id,
            upstream.partition,
            self._sent[upstream],
            at.position,
            known(clock.watermark),
            known(clock.raw),
            known(clock.loaded),
            known(clock.latest),
            clock.leading,
            self._first.get(upstream),
            at.counts,
            self._repeated.get(upstream, 0),
            tuple(self._undecodable.get(upstream, ())),
            tuple(sorted(self._schemas.get(upstream, ()))),
        )

    def _blocks(self, ranges: Sequence[Range], rows: pa.RecordBatch) -> list[Block]:
        """One for each digest partition: what is counted once stands in each upstream partition's home only."""
        homes = [home_partition(r.upstream, self._parallelism) for r in ranges]
        bare = [replace(r, counts=None, repeated=0, undecodable=()) for r in ranges]
        return [
            Block(
                self._topology,
                tuple(full if home == mine else less for full, less, mine in zip(ranges, bare, homes, strict=True)),
                part,
                generation=self._generation,
            )
            for home, part in enumerate(self._split(rows))
        ]

    def _split(self, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
        """Rows by digest partition; a truncate goes to each."""
        if self._parallelism == 1:
            return [rows]
        everywhere = rows.column("key").is_null().to_numpy(zero_copy_only=False)
        high = keys(rows.column("key")).view(">u8")[::2]
        place = (high % np.uint64(self._parallelism)).astype(np.uint16)
        if everywhere.any():
            return [rows.filter(pa.array((place == home) | everywhere)) for home in range(self._parallelism)]
        order = np.argsort(place, kind="stable")
        bounds = np.searchsorted(place[order], np.arange(self._parallelism + 1)).tolist()
        sorted_ = rows.take(pa.array(order))
        return [sorted_.slice(start, stop - start) for start, stop in pairwise(bounds)]


def _mark(key: bytes, text: bytes | None, time: int, offset: int, flag: Flag) -> dict[str, object]:
    flags = int(Flag.MARK | flag)
    return {"range": 0, "key": key, "key_text": text, "t": time, "time": time, "offset": offset, "index": 0, "flags": flags}


def _array(values: pa.Array | npt.NDArray[np.generic]) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values)


def _constant(value: int, length: int, type_: pa.DataType) -> pa.Array:
    return pa.array(np.full(length, value, type_.to_pandas_dtype()), type_)
