"""Canonical texts of dates and times of the years 1 to 9999: tags ``d``, ``t`` and ``c``. Whatever lies beyond is in doubt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pyarrow as pa

from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints
from stream_recon.normalise.columnar.cells import Cells, Column, binary, data_of
from stream_recon.normalise.columnar.shape import Kind

D, T, C = ord("d"), ord("t"), ord("c")
FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, days since 1970-01-01."""
DAY_US = 86_400_000_000
_WIDTH = 26
"""Octets of ``2026-11-21T04:00:00.000001``."""
_FORM = np.frombuffer(b"0000-00-00T00:00:00.000000", np.uint8)
_MARKS = np.flatnonzero(_FORM != 0x30)
_DIGITS = np.flatnonzero(_FORM == 0x30)
_DAYS_IN_MONTH = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0, 0] + [0] * 83)


class Counted(Protocol):
    """Cells of any format that may be integers."""

    @property
    def null(self) -> Bools: ...

    def integers(self) -> tuple[Ints, Bools]: ...


def days(cells: Counted) -> Column:
    """Days since 1970-01-01."""
    value, valid = cells.integers()
    valid &= (value >= FIRST_DAY) & (value <= LAST_DAY)
    dates = pa.array(np.where(valid, value, 0).astype(np.int32), mask=~valid).view(pa.date32())
    return Column(D, dates.cast(pa.string()).view(pa.binary()), valid | cells.null)


def _micros(cells: Counted, unit: str) -> tuple[Ints, Bools]:
    """Values of a unit (ms, us, ns) as µs, and which rows hold one; a fraction of a µs is in doubt."""
    value, valid = cells.integers()
    if unit == "ms":
        valid &= (value > -(1 << 50)) & (value < 1 << 50)
        return np.where(valid, value, 0) * 1000, valid
    if unit == "ns":
        valid &= value % 1000 == 0
        return value // 1000, valid
    return value, valid


def timestamps(unit: str) -> Callable[[Counted], Column]:
    """Reads integers of a unit (ms, us, ns) since 1970-01-01T00:00 UTC."""

    def read(cells: Counted) -> Column:
        value, valid = _micros(cells, unit)
        valid &= (value >= FIRST_DAY * DAY_US) & (value < (LAST_DAY + 1) * DAY_US)
        stamps = pa.array(np.where(valid, value, 0), mask=~valid).view(pa.timestamp("us"))
        data, offsets = data_of(stamps.cast(pa.string()))
        chars = data.copy()
        chars.reshape(-1, _WIDTH)[:, 10] = ord("T")
        return Column(T, binary(chars, offsets, stamps), valid | cells.null)

    return read


def times(unit: str) -> Callable[[Counted], Column]:
    """Reads integers of a unit (ms, us, ns) since midnight."""

    def read(cells: Counted) -> Column:
        value, valid = _micros(cells, unit)
        valid &= (value >= 0) & (value < DAY_US)
        clock = pa.array(np.where(valid, value, 0), mask=~valid).view(pa.time64("us"))
        return Column(C, clock.cast(pa.string()).view(pa.binary()), valid | cells.null)

    return read


def iso_timestamps(cells: Cells) -> Column:
    """``2026-11-21T04:00:00Z`` with none or 1 to 6 fraction digits; any other spelling is in doubt."""
    return iso_texts(cells.texts.data, cells.start + 1, cells.end - cells.start - 2, cells.kind == Kind.STRING, cells.null)


def iso_texts(data: Bytes, start: Ints, size: Ints, good: Bools, null: Bools) -> Column:
    """The same of stretches of ``data``, behind which there are at least 26 octets."""
    good = good & ((size == 20) | ((size >= 22) & (size <= 27)))
    at = np.flatnonzero(good)
    chars, fine = _iso(data, start[at], size[at])
    good[at[~fine]] = False
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(good)]) * _WIDTH
    mask = pa.array(np.zeros(len(good), np.int8), mask=~good)
    return Column(T, binary(chars[fine].ravel(), offsets, mask), good | null)


def _iso(data: Bytes, start: Ints, size: Ints) -> tuple[Bytes, Bools]:
    """The canonical texts, (n, 26), of UTC texts of 20 or 22 to 27 octets, and which are such times."""
    column = np.arange(_WIDTH)
    chars = data[start[:, None] + column]
    fine = data[start + size - 1] == ord("Z")
    beyond = column >= np.where(size == 20, 19, size - 1)[:, None]
    chars = np.where(beyond, _FORM, chars)
    fine &= (chars[:, _MARKS] == _FORM[_MARKS]).all(axis=1)
    fine &= ((chars[:, _DIGITS] - np.uint8(0x30)) <= 9).all(axis=1)
    two = (chars[:, [0, 2, 5, 8, 11, 14, 17]].astype(np.int64) - 0x30) * 10 + chars[:, [1, 3, 6, 9, 12, 15, 18]] - 0x30
    two = np.where(fine[:, None], two, 0)
    year, month, day = two[:, 0] * 100 + two[:, 1], two[:, 2], two[:, 3]
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    fine &= (year >= 1) & (day >= 1) & (day <= _DAYS_IN_MONTH[month] + leap)
    fine &= (two[:, 4] <= 23) & (two[:, 5] <= 59) & (two[:, 6] <= 59)
    return chars, fine
