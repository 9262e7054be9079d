"""Canonical texts of numbers and booleans: tags ``n``, ``f`` and ``b``."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.normalise.columnar.binaries import decoded
from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints
from stream_recon.normalise.columnar.cells import Cells, Column, Reader, binary, bools, data_of, lengths, text_view
from stream_recon.normalise.columnar.shape import Kind

N, F, B = ord("n"), ord("f"), ord("b")
_EXACT = 2.0**53
_TABLED = 4
"""Fractions of so many digits are looked up: 10,000 texts."""
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e10
"""Between these Arrow writes the shortest digits of a float64 without an exponent, as ECMAScript does; whole numbers apart."""


def integers(low: int, high: int) -> Reader:
    """Reads integers from ``low`` to ``high``, both within 64 bits."""

    def read(cells: Cells) -> Column:
        value, valid = cells.integers()
        zero = (value == 0) & (cells.end - cells.start != 1)
        valid &= (value >= low) & (value <= high) & ~zero
        return Column(N, cells.raw(valid), valid | cells.null)

    return read


def signed(bits: int) -> Reader:
    """Reads integers of so many bits, sign included."""
    return integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def boolean(cells: Cells) -> Column:
    """``true`` and ``false``."""
    valid = (cells.kind == Kind.TRUE) | (cells.kind == Kind.FALSE)
    return Column(B, bits_text(cells.kind == Kind.TRUE, valid), valid | cells.null)


def boolean_of_number(cells: Cells) -> Column:
    """``true``, ``false``, ``1`` and ``0``; any other number is for the reference to refuse."""
    digit = cells.texts.data[cells.start]
    number = (cells.kind == Kind.INTEGER) & (cells.end - cells.start == 1) & ((digit == 0x30) | (digit == 0x31))
    valid = number | (cells.kind == Kind.TRUE) | (cells.kind == Kind.FALSE)
    return Column(B, bits_text((cells.kind == Kind.TRUE) | (number & (digit == 0x31)), valid), valid | cells.null)


def bits_text(value: Bools, valid: Bools) -> pa.BinaryArray:
    """``1`` and ``0``, null where not valid."""
    codes = pa.array(value.astype(np.int8), mask=~valid)
    return pa.array([b"0", b"1"], pa.binary()).take(codes)


def plain_numbers(cells: Cells) -> Column:
    """Any number from its own digits; those with an exponent, or a zero with a sign, are in doubt."""
    valid = (cells.kind == Kind.INTEGER) | (cells.kind == Kind.NUMBER)
    return Column(N, *plain(cells.raw(valid), cells.kind == Kind.NUMBER, valid, cells.null))


def plain(raw: pa.BinaryArray, fraction: Bools, valid: Bools, null: Bools) -> tuple[pa.BinaryArray, Bools]:
    """Canonical decimals of JSON number texts, and which rows hold."""
    sure = valid | null
    if fraction.any():
        text = text_view(raw)
        dotted = bools(pc.match_substring_regex(text, r"^[^eE]*\.[^eE]*$"))
        sure &= ~fraction | dotted  # else an exponent, or an integer longer than those that the scan knows
        trimmed = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
        raw = pc.if_else(pa.array(fraction), trimmed, text).view(pa.binary())
    data, offsets = data_of(raw)
    two = np.flatnonzero(lengths(raw) == 2)
    first = offsets[:-1][two]
    minus_zero = two[(data[first] == 0x2D) & (data[first + 1] == 0x30)]
    sure[minus_zero] = False
    return raw, sure


def numbers_or_texts(cells: Cells) -> Column:
    """Exact numbers, bare or as strings of plain digits: a declared ``decimal``. Any other spelling is in doubt."""
    text = cells.strings()
    matched = bools(pc.match_substring_regex(text_view(text), r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"))
    if not matched.any():
        return plain_numbers(cells)
    number = (cells.kind == Kind.INTEGER) | (cells.kind == Kind.NUMBER)
    both = pc.coalesce(text, cells.raw(number)) if number.any() else text
    dotted = bools(pc.match_substring(text_view(both), "."))
    return Column(N, *plain(both, dotted | (cells.kind == Kind.NUMBER), matched | number, cells.null))


def connect_decimal(scale: int) -> Reader:
    """Reads base64 of a two's complement of at most 8 bytes, ``scale`` digits of it behind the point (0 to 18)."""
    assert 0 <= scale <= 18

    def read(cells: Cells) -> Column:
        data, offsets, good = decoded(cells)
        padded = np.concatenate([data, np.zeros(16, np.uint8)])
        return unscaled(padded, offsets[:-1], np.diff(offsets), good, scale, cells.null)

    return read


def unscaled(data: Bytes, start: Ints, size: Ints, good: Bools, scale: int, null: Bools) -> Column:
    """Two's complements of at most 8 bytes, ``scale`` digits of them behind the point; behind ``data`` there are 8 bytes more."""
    good &= (size > 0) & (size <= 8)
    value = big_endian(data, start, np.where(good, size, 8))
    good &= value != np.iinfo(np.int64).min
    return Column(N, scaled(value, scale, good), good | null)


def big_endian(data: Bytes, start: Ints, size: Ints) -> Ints:
    """The signed integers of ``size`` (1 to 8) bytes at each place."""
    words: Ints = np.ndarray((len(data) - 8,), dtype=">i8", buffer=data.data, strides=(1,))
    return words[start].astype(np.int64) >> (64 - 8 * size)


def scaled(value: Ints, scale: int, valid: Bools) -> pa.BinaryArray:
    """``value / 10**scale`` as canonical text; null where not valid."""
    if scale == 0:
        return pa.array(value, mask=~valid).cast(pa.string()).view(pa.binary())
    unit = 10**scale
    size = np.abs(value)
    whole, rest = size // unit, size % unit
    parts = [pa.array(whole, mask=~valid).cast(pa.string()), _fractions(rest, scale)]
    if value.min(initial=0) < 0:
        parts.insert(0, pa.array(["", "-"]).take(pa.array((value < 0).astype(np.int8))))
    return pc.binary_join_element_wise(*parts, "").view(pa.binary())


def _fractions(rest: Ints, scale: int) -> pa.StringArray:
    """``.`` and ``scale`` digits without the zeros at their end; nothing for 0."""
    if scale <= _TABLED:
        return _fraction_table(scale).take(pa.array(rest.astype(np.int32)))
    digits = np.full((len(rest), scale + 1), 0x2E, np.uint8)
    for i in range(scale, 0, -1):
        rest, digit = np.divmod(rest, 10)
        digits[:, i] = digit + 0x30
    tail = binary(digits.ravel(), np.arange(len(digits) + 1, dtype=np.int64) * (scale + 1)).view(pa.string())
    return pc.utf8_rtrim(pc.utf8_rtrim(tail, "0"), ".")


@cache
def _fraction_table(scale: int) -> pa.StringArray:
    return pa.array([f".{n:0{scale}d}".rstrip("0").rstrip(".") for n in range(10**scale)], pa.string())


def floats(single: bool) -> Reader:
    """Reads float64, or float32 (``single``) after narrowing; what ECMAScript writes with an exponent is in doubt."""

    def read(cells: Cells) -> Column:
        valid = ((cells.kind == Kind.INTEGER) | (cells.kind == Kind.NUMBER)) & (cells.end - cells.start <= 40)
        value = text_view(cells.raw(valid)).cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False)
        if single:
            with np.errstate(over="ignore"):
                narrow = value.astype(np.float32)
            direct = text_view(cells.raw(valid)).cast(pa.float32()).fill_null(0.0).to_numpy(zero_copy_only=False)
            valid &= narrow == direct
            value = narrow.astype(np.float64)
        return float_texts(value, valid, cells.null)

    return read


def float_texts(value: npt.NDArray[np.float64], valid: Bools, null: Bools) -> Column:
    """Float64 as text; what ECMAScript writes with an exponent is in doubt, and so is what is not finite."""
    size = np.abs(value)
    whole = (size < _EXACT) & (value == np.trunc(value))
    valid &= whole | ((size >= _PLAIN_FROM) & (size < _PLAIN_TO))
    text = pa.array(np.where(whole, 0.5, value), mask=~valid).cast(pa.string())
    if whole.any():
        integers_text = pa.array(np.where(whole, value, 0).astype(np.int64), mask=~valid).cast(pa.string())
        text = pc.if_else(pa.array(whole), integers_text, text)
    return Column(F, text.view(pa.binary()), valid | null)


def whole_numbers(cells: Cells) -> Column:
    """Integers of any size from their own digits."""
    valid = cells.kind == Kind.INTEGER
    return Column(N, *plain(cells.raw(valid), ~valid & False, valid, cells.null))


def fitting(inner: Reader, precision: int, scale: int) -> Reader:
    """Reads as ``inner``; what has more digits than decimal(precision, scale) is in doubt."""

    def read(cells: Cells) -> Column:
        column = inner(cells)
        data, offsets = data_of(column.text)
        size = np.diff(offsets)
        first = offsets[:-1]
        negative = np.concatenate([data, np.zeros(1, np.uint8)])[first] == 0x2D
        dot = pc.find_substring(text_view(column.text), ".").fill_null(-1).to_numpy(zero_copy_only=False)
        whole = np.where(dot < 0, size, dot) - negative
        fits = (whole <= precision - scale) & (np.where(dot < 0, 0, size - dot - 1) <= scale)
        return Column(column.tag, column.text, column.sure & (fits | cells.null))

    return read
