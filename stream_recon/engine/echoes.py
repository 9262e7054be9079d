"""Decoded rows without the tombstones that only repeat the delete before them; columns of rows as numpy."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.model.messages import Decoded, Op

T = TypeVar("T", bound=np.generic)


def without_echoes(decoded: Decoded, gone: bytes | None, *, bare_nulls: bool) -> tuple[pa.RecordBatch, int, bytes | None]:
    """Takes out the tombstones that only repeat the delete before them; returns their number and the last key deleted."""
    rows = decoded.rows
    op = column(rows, "op", np.uint8)
    keyed = op != Op.TRUNCATE
    place = column(rows, "message", np.int32)[keyed].astype(np.int64)
    key = keys(rows.column("key"))[keyed]
    absent = op[keyed] == Op.DELETE
    tombstone = op[keyed] == Op.TOMBSTONE
    letters = [d for d in decoded.dead if d.key is not None]
    if letters:
        place = np.concatenate([place, np.array([d.message for d in letters], np.int64)])
        order = np.argsort(place, kind="stable")
        key = np.concatenate([key, np.frombuffer(b"".join(d.key or b"" for d in letters), "V16")])[order]
        absent = np.concatenate([absent, np.zeros(len(letters), bool)])[order]
        tombstone = np.concatenate([tombstone, np.zeros(len(letters), bool)])[order]
    if not len(key):
        return rows, 0, gone
    was = np.concatenate([[gone is not None], absent[:-1]])
    before = np.concatenate([np.frombuffer(gone or bytes(16), "V16"), key[:-1]])
    echo = tombstone & was & (before == key) & (not bare_nulls)
    last = key[-1].tobytes() if absent[-1] else None
    if not echo.any():
        return rows, 0, last
    if letters:
        back = np.empty(len(echo), bool)
        back[order] = echo
        echo = back[: int(keyed.sum())]
    keep = np.ones(len(op), bool)
    keep[np.flatnonzero(keyed)[echo]] = False
    return rows.filter(pa.array(keep)), int(echo.sum()), last


def column(rows: pa.RecordBatch, name: str, dtype: type[T]) -> npt.NDArray[T]:
    """A column as numpy; zeros where null."""
    values = rows.column(name)
    if values.null_count:
        values = pc.fill_null(values, 0)
    return values.to_numpy(zero_copy_only=False).astype(dtype, copy=False)  # type: ignore[no-any-return]


def keys(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.void]:
    """The 16-byte keys; a null's bytes are whatever the buffer holds."""
    data = column.buffers()[1]
    if data is None:
        return np.zeros(len(column), "V16")
    return np.frombuffer(data, "V16", count=len(column), offset=column.offset * 16)
