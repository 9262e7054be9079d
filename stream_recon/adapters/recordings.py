"""Reads recorded topics: JSON lines in the shape of ``kcat -J``, plain or gzip, in any order (DESIGN 7, "Recordings").

    {"topic": "pg.public.orders", "partition": 2, "offset": 41, "ts": 1795239982552, "key": "..." , "payload": "..."}
                                                              broker time, ms;  or "key_b64" / "payload_b64" for bytes

``key`` and ``payload`` are JSON strings (their bytes are their UTF-8) or null; a null payload is a tombstone. Other fields are
passed over. Of several lines with one offset the first in the order of the files counts; the others are counted as repeated, and
those that say something else are named. A line that is not such JSON is refused by file and line, never shown: it holds rows.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.errors import InputError
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import Ids, SidePlan
from stream_recon.model.schemas import led

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, what is done and what there is in all (here: ``read``, bytes, bytes)."""

OFFSET_MAX = 2**63 - 2
"""So that the position after it fits 64 bits, too."""

PARTITION_MAX = 2**31 - 1

TIMESTAMP_MAX_MS = 253_402_300_799_999
"""The end of year 9999, the last time that RFC 3339 can write."""

CHUNK_LINES = 16_384
"""Messages of a partition that are held as Python objects before they become a chunk of Arrow."""

READ_BYTES = 8 * 1024**2
"""How much of a file is split into lines at a time."""

VALUES_MAX_BYTES = 2**31 - 1
"""What one Arrow binary array can hold: the keys, or the payloads, of one partition."""


@dataclass(frozen=True, slots=True)
class PartitionRecording:
    """What the files hold of one upstream partition.

    ``messages``: one for each offset, ascending. ``line``: int64, for each of them the number of its line over all files as
    read (0 is the first). ``repeated``: how many more lines had an offset already read; ``repeated_at``: int64, their offsets,
    ascending (one for each such line). ``conflicting``: offsets, ascending, at which a later line has another time, key or
    payload.
    """

    messages: Messages
    line: npt.NDArray[np.int64]
    repeated: int
    repeated_at: npt.NDArray[np.int64]
    conflicting: tuple[int, ...]


@dataclass(slots=True)
class _Partition:
    """Lines of one partition in the order read: full chunks as Arrow, the rest as lists."""

    offsets: list[int] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    chunks: list[pa.RecordBatch] = field(default_factory=list)

    def flush(self) -> None:
        columns = [pa.array(c, pa.int64()) for c in (self.offsets, self.timestamps, self.lines)]
        columns += [pa.array(c, pa.large_binary()) for c in (self.keys, self.values)]
        self.chunks.append(pa.RecordBatch.from_arrays(columns, names=["offset", "timestamp", "line", "key", "value"]))
        for column in (self.offsets, self.timestamps, self.lines, self.keys, self.values):
            column.clear()


def read_recordings(
    sides: Sequence[SidePlan], files: Mapping[str, Sequence[Path]], progress: Progress | None = None
) -> dict[Upstream, PartitionRecording]:
    """All partitions in ``files`` (side name -> files), in order of side, topic and partition; one without lines is none.

    Raises ``InputError`` (file and line) for a file that cannot be read, a line that is no message, and a topic that its side
    does not declare.
    """
    unknown = sorted(set(files) - {side.name for side in sides})
    assert not unknown, f"no side is named {unknown}"
    total = sum(_size(path) for paths in files.values() for path in paths)
    reader = _Reader(total, progress)
    for side in sides:
        for path in files.get(side.name, ()):
            reader.read(side, path)
    rank = {side.name: i for i, side in enumerate(sides)}
    ordered = sorted(reader.partitions, key=lambda u: (rank[u.side], u.topic, u.partition))
    return {upstream: _finished(upstream, reader.partitions.pop(upstream)) for upstream in ordered}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


class _Reader:
    """Goes through files line by line; ``partitions`` collects what they hold."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.partitions: dict[Upstream, _Partition] = {}
        self._total, self._progress = total, progress
        self._before = 0
        self._lines = 0

    def read(self, side: SidePlan, path: Path) -> None:
        number = 1
        try:
            with path.open("rb") as raw:
                for lines in _blocks(raw):
                    self._take(side, path, number, lines)
                    number += len(lines)
                    self._report(raw.tell())
                self._before += raw.tell()
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path}:{number}: cannot be read on: {reason}; record the file again") from error

    def _report(self, position: int) -> None:
        if self._progress is not None:
            self._progress("read", min(self._before + position, self._total), self._total)

    def _take(self, side: SidePlan, path: Path, number: int, lines: list[bytes]) -> None:
        """Adds ``lines``, the first of which is line ``number`` of ``path``. The one hot loop: a few microseconds a line."""
        found: dict[tuple[str, int], _Partition] = {}
        headed = side.registry.ids if side.registry is not None and side.registry.headers else None
        for i, line in enumerate(lines, number):
            if line.isspace():
                continue
            try:
                topic, partition, offset, timestamp, key, value = _message(line, headed)
                into = found.get((topic, partition))
                if into is None:
                    into = found[topic, partition] = self._partition(side, topic, partition)
            except _LineError as fault:
                raise InputError(f"{path}:{i}: {fault}") from fault.__cause__
            into.offsets.append(offset)
            into.timestamps.append(timestamp)
            into.lines.append(self._lines)
            into.keys.append(key)
            into.values.append(value)
            self._lines += 1
            if len(into.offsets) == CHUNK_LINES:
                into.flush()

    def _partition(self, side: SidePlan, topic: str, partition: int) -> _Partition:
        if topic not in side.topics:
            declared = ", ".join(side.topics)
            raise _LineError(
                f"topic {topic!r} is none of side {side.name}, which declares {declared}; "
                f"add it to topics: there, or give the file to the side that reads it"
            )
        return self.partitions.setdefault(Upstream(side.name, topic, partition), _Partition())


class _LineError(Exception):
    """What is wrong with one line, without its content; becomes an ``InputError`` with file and line."""


def _blocks(raw: IO[bytes]) -> Iterator[list[bytes]]:
    """The lines of a plain or gzip file (told by its first two bytes), some megabytes at a time."""
    gzipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    text = io.BufferedReader(gzip.GzipFile(fileobj=raw), READ_BYTES) if gzipped else raw
    first = True
    while lines := text.readlines(READ_BYTES):
        if first:
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            first = False
        yield lines


def _message(line: bytes, headed: Ids | None) -> tuple[str, int, int, int, bytes | None, bytes | None]:
    """Topic, partition, offset, timestamp in ms, key, payload; ``headed``: with ids of its headers. Raises ``_LineError``."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _LineError(
            f"no JSON (column {error.colno}); expected one object of the shape of kcat -J in each line (bytes that are no UTF-8: "
            "key_b64 and payload_b64)"
        ) from None
    if type(record) is not dict:
        raise _LineError("JSON, but no object; expected topic, partition, offset, ts, key, payload, as kcat -J writes them")
    topic = record.get("topic")
    if type(topic) is not str:
        _wrong(record, "topic", "text")
    partition, offset = _integer(record, "partition", PARTITION_MAX), _integer(record, "offset", OFFSET_MAX)
    timestamp = _integer(record, "ts", TIMESTAMP_MAX_MS)
    key, value = _octets(record, "key", "key_b64"), _octets(record, "payload", "payload_b64")
    if headed is not None:
        headers = list(_headers(record.get("headers") or []))
        key, value = led(key, "key", headers, headed), led(value, "value", headers, headed)
    return topic, partition, offset, timestamp, key, value


def _headers(written: Any) -> Iterator[tuple[str, bytes | None]]:
    """``[{"key": ..., "value" or "value_b64": ...}, ...]``, or ``[name, value, name, value, ...]`` as kcat writes them."""
    if isinstance(written, list) and all(isinstance(one, dict) for one in written):
        for one in written:
            coded = "value_b64" in one
            yield str(one.get("key")), _octets(one | ({} if coded or "value" in one else {"value": None}), "value", "value_b64")
    elif isinstance(written, list) and len(written) % 2 == 0 and all(isinstance(one, str | None) for one in written):
        for name, value in zip(written[::2], written[1::2], strict=True):
            yield str(name), None if value is None else value.encode()
    else:
        raise _LineError("headers are no list of names and values, as kcat -J writes them")


def _integer(record: dict[str, Any], name: str, maximum: int) -> int:
    value = record.get(name)
    if type(value) is not int or not 0 <= value <= maximum:
        unit = "milliseconds since 1970, an integer" if name == "ts" else "an integer"
        _wrong(record, name, f"{unit} from 0 to {maximum}")
    return value


def _octets(record: dict[str, Any], plain: str, coded: str) -> bytes | None:
    """The bytes of ``plain`` (text) or ``coded`` (base64); null stays null."""
    if coded not in record:
        value = record.get(plain)
        if type(value) is str:
            return value.encode()
        if value is not None or plain not in record:
            _wrong(record, plain, f"a JSON string or null (or {coded}: bytes in base64)")
        return None
    if plain in record:
        raise _LineError(f"both {plain} and {coded}; keep one of them")
    value = record[coded]
    if value is None:
        return None
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (TypeError, ValueError):
        _wrong(record, coded, "base64 or null")


def _wrong(record: dict[str, Any], name: str, expected: str) -> NoReturn:
    """Says what kind of thing stands there; never the thing itself, which may be part of a row."""
    if name not in record:
        raise _LineError(f"has no field {name}; expected {expected}")
    value = record[name]
    kinds = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        float: "a number with a fraction or too large",
    }
    kind = "null" if value is None else kinds.get(type(value), "a number out of bounds")
    raise _LineError(f"{name} is {kind}; expected {expected}")


def _finished(upstream: Upstream, partition: _Partition) -> PartitionRecording:
    """Sorted by offset, the first line of each offset kept."""
    partition.flush()
    table = pa.Table.from_batches(partition.chunks)
    partition.chunks.clear()
    offsets = table["offset"].to_numpy()
    order = np.argsort(offsets, kind="stable")
    ordered = offsets[order]
    again = np.zeros(len(ordered), dtype=bool)
    again[1:] = ordered[1:] == ordered[:-1]
    kept = order[~again]
    messages = Messages(
        upstream,
        offsets[kept],
        table["timestamp"].to_numpy()[kept],
        _values(upstream, table["key"], kept),
        _values(upstream, table["value"], kept),
    )
    first_of = kept[np.cumsum(~again) - 1]
    return PartitionRecording(
        messages=messages,
        line=table["line"].to_numpy()[kept],
        repeated=int(again.sum()),
        repeated_at=ordered[again],
        conflicting=_conflicts(table, order[again], first_of[again]),
    )


def fingerprint(read: Mapping[Upstream, PartitionRecording]) -> str:
    """SHA-256 of all that recordings say: the same for the same messages, however their lines are ordered or cut into files."""
    whole = hashlib.sha256()
    for upstream, recording in sorted(read.items()):
        messages = recording.messages
        whole.update(repr((upstream, len(messages), recording.repeated)).encode())
        for numbers in (messages.offset, messages.timestamp, recording.repeated_at):
            whole.update(np.ascontiguousarray(numbers, np.int64).tobytes())
        for octets in (messages.key, messages.value):
            lengths = pc.binary_length(octets).fill_null(-1)
            whole.update(lengths.to_numpy().astype(np.int64).tobytes())
            for chunk in pa.chunked_array([octets.fill_null(b"")]).chunks:
                _, offsets, data = chunk.buffers()
                bounds = np.frombuffer(offsets, np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
                if data is not None and len(chunk):
                    whole.update(memoryview(data)[bounds[0] : bounds[-1]])
    return whole.hexdigest()


def _values(upstream: Upstream, column: pa.ChunkedArray, kept: npt.NDArray[np.int64]) -> pa.BinaryArray:
    """``column`` in the order ``kept``, as one array."""
    in_order = len(kept) == len(column) and bool((kept[1:] > kept[:-1]).all())
    taken = column if in_order else column.take(pa.array(kept))
    if sum(chunk.nbytes for chunk in taken.chunks) > VALUES_MAX_BYTES + 16 * len(kept):
        octets = pc.sum(pc.binary_length(taken)).as_py() or 0
        if octets > VALUES_MAX_BYTES:
            raise InputError(
                f"{upstream.topic}/{upstream.partition} of side {upstream.side} holds {octets} bytes of keys or payloads, "
                f"and replay takes at most {VALUES_MAX_BYTES} of one partition; record fewer columns, or use more partitions"
            )
    return pa.concat_arrays([chunk.cast(pa.binary()) for chunk in taken.chunks])


def _conflicts(table: pa.Table, later: npt.NDArray[np.int64], first: npt.NDArray[np.int64]) -> tuple[int, ...]:
    """Offsets at which a ``later`` line differs from the ``first`` of its offset (row numbers, pairwise)."""
    if len(later) == 0:
        return ()
    one, other = table.take(pa.array(later)), table.take(pa.array(first))
    differs = np.zeros(len(later), dtype=bool)
    for name in ("timestamp", "key", "value"):
        a, b = one[name], other[name]
        same = pc.or_(pc.fill_null(pc.equal(a, b), fill_value=False), pc.and_(pc.is_null(a), pc.is_null(b)))
        differs |= ~same.to_numpy()
    return tuple(np.unique(one["offset"].to_numpy()[differs]).tolist())
