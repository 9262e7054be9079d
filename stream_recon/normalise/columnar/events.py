"""What each message does, and when: operation and event time of all payloads of a group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_recon.model.messages import Op
from stream_recon.normalise.columnar.buffers import Bools, Ints, Path
from stream_recon.normalise.columnar.carrier import Fields
from stream_recon.normalise.columnar.cells import Cells, Reader, bools, lengths, text_view
from stream_recon.normalise.columnar.shape import Kind
from stream_recon.normalise.columnar.times import T, iso_timestamps

OP: Final[Path] = ("op",)
AFTER: Final[Path] = ("after",)
BEFORE: Final[Path] = ("before",)
SOURCE: Final[Path] = ("source",)
_TIMES: Final = (("ts_us", 1, 1), ("ts_ns", 1, 1000), ("ts_ms", 1000, 1))
ENVELOPE: Final[tuple[Path, ...]] = (OP, AFTER, BEFORE, SOURCE, *(("source", name) for name, _, _ in _TIMES))
_OPS: Final = {"c": Op.UPSERT, "u": Op.UPSERT, "r": Op.READ, "d": Op.DELETE}
_OP_OF = np.full(256, 255, np.uint8)
for _letter, _op in _OPS.items():
    _OP_OF[ord(_letter)] = _op
_SAFE_MS: Final = 1 << 53
_STAMP_OCTETS: Final = 26


@dataclass(frozen=True, slots=True)
class Events:
    """For each message of a group: ``op``, ``time`` (µs; ``timed``: it has one), whether it is a present row, and an update."""

    op: npt.NDArray[np.uint8]
    time: Ints
    timed: Bools
    sure: Bools

    @property
    def present(self) -> Bools:
        out: Bools = (self.op == Op.UPSERT) | (self.op == Op.READ)
        return out


def absences(broker_us: Ints, timed: bool) -> Events:
    """Null payloads: deletes at the broker's time, or tombstones, which have none."""
    count = len(broker_us)
    op = np.full(count, Op.DELETE if timed else Op.TOMBSTONE, np.uint8)
    return Events(op, broker_us if timed else np.zeros(count, np.int64), np.full(count, timed), np.ones(count, np.bool_))


def changes(fields: Fields) -> tuple[Events, Bools]:
    """Debezium's envelopes, and which are updates: op and source time, ``after`` an object where the row is present."""
    letter, lettered = fields.cells[OP].letters()
    op = _OP_OF[letter]
    sure = fields.sure & lettered & (op != 255)
    present = (op == Op.UPSERT) | (op == Op.READ)
    sure &= fields.objects[AFTER] == present  # what a delete says in ``after`` would be read by nobody
    time, timed = _source_time(fields)
    sure &= timed & fields.objects[SOURCE]
    return Events(op, time, np.ones(len(op), np.bool_), sure), letter == ord("u")


def _source_time(fields: Fields) -> tuple[Ints, Bools]:
    """The first of ts_us, ts_ns, ts_ms that is not null, in µs."""
    count = len(fields.sure)
    time, open_rows, good = np.zeros(count, np.int64), np.ones(count, np.bool_), np.zeros(count, np.bool_)
    for name, up, down in _TIMES:
        cells = fields.cells[("source", name)]
        here = open_rows & ~cells.null
        if here.any():
            value, valid = cells.integers()
            valid &= ((value > -_SAFE_MS) & (value < _SAFE_MS)) | (up == 1)
            good |= here & valid
            time[here] = np.where(valid, value, 0)[here] * up // down
            open_rows &= ~here
        if not open_rows.any():
            break
    return time, good


def rows_at_broker_time(fields: Fields, broker_us: Ints) -> Events:
    """Plain rows without an event time column."""
    count = len(fields.sure)
    return Events(np.zeros(count, np.uint8), broker_us, np.ones(count, np.bool_), fields.sure.copy())


def rows_at_column_time(fields: Fields, cells: Cells, read: Reader | None) -> Events:
    """Plain rows with an event time column; ``read`` is its reader, None: a number is ms, a text ISO 8601."""
    count = len(fields.sure)
    if read is None:
        time, valid = cells.integers()
        valid &= (time > -_SAFE_MS) & (time < _SAFE_MS)
        time = np.where(valid, time, 0) * 1000
        read = iso_timestamps if (cells.kind == Kind.STRING).any() else None
    else:
        time, valid = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    if read is not None:
        column = read(cells)
        texts = column.sure & (column.tag == T) & bools(column.text.is_valid()) & (lengths(column.text) == _STAMP_OCTETS)
        kept = text_view(column.text).filter(pa.array(texts)).cast(pa.timestamp("us")).cast(pa.int64())
        time[texts] = kept.to_numpy()
        valid = valid | texts
    return Events(np.zeros(count, np.uint8), time, np.ones(count, np.bool_), fields.sure & valid)
