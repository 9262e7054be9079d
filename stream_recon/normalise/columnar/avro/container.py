"""Many datums of one schema to one Arrow batch, by DataFusion's reader of Avro's object container files.

    header | id datum mark | id datum mark | ... | sync        in memory; ``id`` and datum are a message as it was sent

Datums stand behind each other without a length between them, so a broken one could be read as the beginning of the next. A mark
of 12 octets behind each, its number among them, proves where each one ends: a batch in which a mark is not where it must be is
read again in halves, and what is left over goes to the reference decoder.

Where octets are left when all datums that a block claims are read, DataFusion turns in a circle for ever. Its batches are as long
as the block claims, and no second one is asked for: then it does not look behind them, and the last mark is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datafusion import SessionConfig, SessionContext

from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.avro.physical import physical, readable
from stream_recon.normalise.columnar.avro.proof import proven
from stream_recon.normalise.columnar.buffers import Bools, Ints
from stream_recon.normalise.columnar.cells import data_of

MIN_MESSAGES: Final = 16
"""Below this a plan costs more than the reference decoder, which reads one message in about 0.1 ms."""
_SYNC: Final = b"stream_recon-avr"
_SALT_OCTETS: Final = 8
_MARK_OCTETS: Final = 12
_MAX_HALVINGS: Final = 64
"""Plans spent on one batch with broken datums, about 1 ms each."""


Scratch = Callable[[Sequence[bytes | memoryview]], AbstractContextManager[str]]
"""Makes a file of some parts for a while, and gives its path: the reader takes nothing else."""


class ContainerReader:
    """Reads the datums of one schema, a record."""

    def __init__(self, node: Avro, octets: int, scratch: Scratch) -> None:
        """``octets``: length of the ids in front."""
        self._node = node
        self._octets = octets
        self._scratch = scratch
        self._readable = readable(node)
        parts = [
            {"name": "id", "type": {"type": "fixed", "name": "id", "size": octets}},
            {"name": "datum", "type": physical(node)},
            {"name": "mark", "type": {"type": "fixed", "name": "mark", "size": _MARK_OCTETS}},
        ]
        schema = json.dumps({"type": "record", "name": "message", "fields": parts}).encode("ascii")
        meta = [b"avro.schema", schema, b"avro.codec", b"null"]
        self._head = b"Obj\1" + _long(2) + b"".join(_long(len(one)) + one for one in meta) + b"\0" + _SYNC

    def read(self, messages: pa.BinaryArray) -> list[tuple[Ints, pa.StructArray]]:
        """Datums, and the positions of their messages; those that could not be read are in none. ``messages``: ids and datums."""
        found: list[tuple[Ints, pa.StructArray]] = []
        waiting = [np.arange(len(messages))] if self._readable else []
        spent = 0
        while waiting and spent < _MAX_HALVINGS:
            spent += 1
            which = waiting.pop()
            if len(which) < MIN_MESSAGES:
                continue
            datums = self._batch(messages if len(which) == len(messages) else messages.take(pa.array(which)))
            if datums is not None:
                values, good = datums
                found.append((which, values) if good.all() else (which[good], values.filter(pa.array(good))))
            else:
                waiting += [which[: len(which) // 2], which[len(which) // 2 :]]
        return found

    def _batch(self, messages: pa.BinaryArray) -> tuple[pa.StructArray, Bools] | None:
        """Datums, and which of them are proven; None if it cannot be told where each ends."""
        marks = _marks(messages)
        body, offsets = data_of(pc.binary_join_element_wise(messages, marks, pa.scalar(b"", pa.binary())))
        count, size = len(messages), int(offsets[-1])
        try:
            with self._scratch([self._head, _long(count), _long(size), body.data, _SYNC]) as path:
                batches = _context(count).read_avro(path, file_extension="").limit(count).collect()
        except Exception:  # noqa: BLE001 - datafusion raises a bare Exception for octets that it cannot read, and knows no other
            return None
        if sum(len(batch) for batch in batches) != count:
            return None
        table = pa.Table.from_batches(batches).combine_chunks()
        if not table.column("mark").combine_chunks().equals(marks.cast(pa.binary(_MARK_OCTETS))):
            return None
        datums = table.column("datum").combine_chunks()
        return datums, proven(self._node, datums, body, offsets[:-1] + self._octets, offsets[1:] - _MARK_OCTETS)


def _marks(messages: pa.BinaryArray) -> pa.BinaryArray:
    """What stands behind each message: 8 octets that no message could know, and its number."""
    data, offsets = data_of(messages)
    salt = hashlib.sha256(offsets.tobytes() + data[int(offsets[0]) : int(offsets[1])].tobytes()).digest()[:_SALT_OCTETS]
    marks = np.empty((len(messages), _MARK_OCTETS), np.uint8)
    marks[:, :_SALT_OCTETS] = np.frombuffer(salt, np.uint8)
    marks[:, _SALT_OCTETS:] = np.arange(len(messages), dtype=">u4").view(np.uint8).reshape(-1, 4)
    ends = np.arange(len(messages) + 1, dtype=np.int32) * _MARK_OCTETS
    return pa.Array.from_buffers(pa.binary(), len(messages), [None, pa.py_buffer(ends), pa.py_buffer(marks)])


def _long(number: int) -> bytes:
    """Avro's variable-length integer of a number that is not negative."""
    number <<= 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _context(rows: int) -> SessionContext:
    """A session for one file: one batch, on the calling thread's core. Making it costs 0.1 ms."""
    return SessionContext(SessionConfig().with_target_partitions(1).with_batch_size(rows))
