"""Canonical texts of bytes and UUIDs: tags ``x`` and ``u``; base64 for whoever needs it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stream_recon.normalise.columnar.buffers import Bools, Bytes, Ints, slices
from stream_recon.normalise.columnar.cells import Cells, Column, binary, data_of, lengths, placeholders
from stream_recon.normalise.columnar.shape import Kind

X, U = ord("x"), ord("u")
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SIX = np.full(256, 255, np.uint8)
_SIX[list(_ALPHABET)] = np.arange(64)
_HEX = np.frombuffer(bytes(c for i in range(256) for c in f"{i:02x}".encode()), np.uint8).reshape(256, 2)
_IS_HEX = np.zeros(256, np.bool_)
_IS_HEX[list(b"0123456789abcdef")] = True
_DASHES = np.array([8, 13, 18, 23])
_DIGITS = np.setdiff1d(np.arange(36), _DASHES)


def decoded(cells: Cells) -> tuple[Bytes, Ints, Bools]:
    """Standard base64, padded and canonical, of the string cells: bytes, n + 1 offsets, and which rows are that.

    Rows that are not have no bytes. Decoders differ about white space, missing padding and loose last bits: those are in doubt.
    """
    size = cells.end - cells.start - 2
    good = (cells.kind == Kind.STRING) & (size % 4 == 0)
    start = cells.start + 1
    text, ends = data_of(slices(cells.texts.data, start, np.where(good, start + size, start)))
    last = np.maximum(ends[1:], 4)
    padding = np.zeros(len(cells), np.int64)
    filled = np.flatnonzero(good & (size > 0))
    if len(filled):
        two = text[last[filled] - 2] == 0x3D
        padding[filled] = (text[last[filled] - 1] == 0x3D) + (two & (text[last[filled] - 1] == 0x3D)).astype(np.int64)
    body = text.copy()
    tail = np.flatnonzero(padding)
    body[last[tail] - 1] = 0x41
    body[last[tail[padding[tail] == 2]] - 2] = 0x41
    six = _SIX[body]
    _doubt(good, ends, np.flatnonzero(six == 255))
    loose = _SIX[body[last[tail] - 1 - padding[tail]]] & np.where(padding[tail] == 1, 0x03, 0x0F)
    good[tail[loose != 0]] = False
    quads = six.reshape(-1, 4).astype(np.uint32) @ np.array([1 << 18, 1 << 12, 1 << 6, 1], np.uint32)
    octets = np.stack([quads >> 16, quads >> 8, quads], axis=1).astype(np.uint8).ravel()
    offsets = ends // 4 * 3
    return _unpadded(octets, offsets, padding, good)


def _unpadded(octets: Bytes, offsets: Ints, padding: Ints, good: Bools) -> tuple[Bytes, Ints, Bools]:
    start, end = offsets[:-1], offsets[1:] - padding
    kept = slices(octets, start, np.where(good, end, start))
    data, ends = data_of(kept)
    return data, ends, good


def _doubt(good: Bools, ends: Ints, at: Ints) -> None:
    good[np.searchsorted(ends, at, side="right") - 1] = False


def base64_bytes(cells: Cells) -> Column:
    """Bytes that arrive as base64: ``x``; a form of the placeholder is in doubt (its hex, too, is base64 of something)."""
    data, offsets, good = decoded(cells)
    start = cells.start + 1
    good &= ~placeholders(slices(cells.texts.data, start, np.where(good, cells.end - 1, start), good))
    return Column(X, masked(hex_of(data, offsets), good), good | cells.null)


def masked(array: pa.BinaryArray, valid: Bools) -> pa.BinaryArray:
    """The same values, null where not valid."""
    if valid.all():
        return array
    bits = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(array), [bits, *array.buffers()[1:]])


def uuids(cells: Cells) -> Column:
    """Lower-case UUIDs with dashes; another spelling is in doubt."""
    good = (cells.kind == Kind.STRING) & (cells.end - cells.start == 38)
    start = cells.start + 1
    good &= are_uuids(cells.texts.data, start, good)
    text = slices(cells.texts.data, start, np.where(good, start + 36, start), good)
    assert int(lengths(text).max(initial=0)) in (0, 36)
    return Column(U, text, good | cells.null)


def are_uuids(data: Bytes, start: Ints, claimed: Bools) -> Bools:
    """Which of the ``claimed`` stretches of 36 octets are UUIDs."""
    good = claimed.copy()
    at = np.flatnonzero(claimed)
    chars = data[start[at][:, None] + np.arange(36)]
    fine = (chars[:, _DASHES] == 0x2D).all(axis=1) & _IS_HEX[chars[:, _DIGITS]].all(axis=1)
    good[at[~fine]] = False
    return good


def hex_of(data: Bytes, offsets: Ints) -> pa.BinaryArray:
    """Lower-case hex of stretches of bytes."""
    return binary(_HEX[data].ravel(), offsets * 2)


def hex_text(array: pa.FixedSizeBinaryArray) -> pa.BinaryArray:
    """Lower-case hex of fixed-size values."""
    width = array.type.byte_width
    octets = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
    return binary(_HEX[octets].ravel(), np.arange(len(array) + 1, dtype=np.int64) * (2 * width))
