"""Versions of keys as columns: one numpy record a version, the same in memory, in segments and in the base state.

    time | t | offset | part | index | flags | state | holes | ident (32 bytes, 32 more for each large column) | hash (32)

``ident`` is what is compared. Without large columns it is the row hash; with them it is ``rest`` and the hash of each large
column, so that one that arrived unknown can be filled from the version before. ``hash`` is the row hash, for events.
"""

from __future__ import annotations

import hashlib
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.model.digest import Flag

NULL_HASH = hashlib.sha256(b"~").digest()
"""What stands for a large column that is null: the hash of its framed text."""


class State(IntEnum):
    """What is known of a key at a time."""

    NEVER = 0
    """No version was seen."""
    ABSENT = 1
    PRESENT = 2
    UNKNOWN = 3


def version_dtype(large: int) -> np.dtype[np.void]:
    """The record of one version, for a topology with ``large`` large columns (at most 16)."""
    assert 0 <= large <= 16, "one bit a large column"
    fields = [
        ("time", "<i8"),
        ("t", "<i8"),
        ("offset", "<i8"),
        ("part", "<u2"),
        ("index", "<i2"),
        ("flags", "<u2"),
        ("state", "u1"),
        ("_", "u1"),
        ("ident", "<u8", (4 * (1 + large),)),
    ]
    if large:
        fields += [("hash", "<u8", (4,)), ("holes", "<u2"), ("_pad", "<u2"), ("_pad2", "<u4")]
    dtype = np.dtype(fields)
    assert dtype.itemsize % 8 == 0, "records are moved as words"
    return dtype


def take(versions: npt.NDArray[np.void], places: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """``versions[places]``, several times as fast: numpy moves words in bulk, records one field at a time."""
    return words(versions).take(places, axis=0).reshape(-1).view(versions.dtype)


def words(versions: npt.NDArray[np.void]) -> npt.NDArray[np.uint64]:
    """The same memory, one row of words a version."""
    return versions.view("<u8").reshape(len(versions), versions.dtype.itemsize // 8)


def key_halves(column: pa.FixedSizeBinaryArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The 16-byte key ids as two big-endian halves, so that their order as numbers is the order of the octets."""
    data = column.buffers()[1]
    halves = np.frombuffer(data, ">u8", count=2 * len(column), offset=16 * column.offset) if data else np.empty(0, ">u8")
    return halves[::2].astype(np.uint64), halves[1::2].astype(np.uint64)


def key_words(octets: bytes) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Inverse of ``key_bytes``."""
    halves = np.frombuffer(octets, ">u8").astype(np.uint64)
    return halves[::2].copy(), halves[1::2].copy()


def key_bytes(high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]) -> bytes:
    """16 bytes a key, one after the other."""
    both = np.empty((len(high), 2), ">u8")
    both[:, 0] = high
    both[:, 1] = low
    return both.tobytes()


def from_digest(rows: pa.RecordBatch, part: npt.NDArray[np.uint16], large: int) -> npt.NDArray[np.void]:
    """Digest rows as versions; ``part`` numbers the upstream partition of each."""
    out = np.zeros(len(rows), version_dtype(large))
    for name in ("time", "t", "offset", "index", "flags"):
        out[name] = rows.column(name).to_numpy()
    out["part"] = part
    flags = out["flags"]
    out["state"] = np.where(flags & Flag.DELETE, State.ABSENT, State.PRESENT)
    out["state"][(flags & Flag.MARK) != 0] = State.UNKNOWN
    present = out["state"] == State.PRESENT
    known, hashes = _words(rows.column("hash"))
    if not large:
        out["ident"] = hashes
        out["state"][present & ~known] = State.UNKNOWN
        return out
    out["hash"] = hashes
    rest_known, out["ident"][:, :4] = _words(rows.column("rest"))
    for i in range(large):
        column = rows.column(f"large_{i}")
        unknown = column.is_null().to_numpy(zero_copy_only=False)
        out["holes"] |= np.where(present & unknown, np.uint16(1 << i), np.uint16(0))
        out["ident"][:, 4 * (i + 1) : 4 * (i + 2)] = _large_words(column)
    out["ident"][~present] = 0
    out["state"][present & ~rest_known] = State.UNKNOWN
    return out


def _words(column: pa.FixedSizeBinaryArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64]]:
    """32-byte values as four words each; zeros where null."""
    known = column.is_valid().to_numpy(zero_copy_only=False)
    data = column.buffers()[1]
    if data is None:
        return known, np.zeros((len(column), 4), np.uint64)
    words = np.frombuffer(data, "<u8", count=4 * len(column), offset=32 * column.offset).reshape(-1, 4).copy()
    words[~known] = 0
    return known, words


def _large_words(column: pa.BinaryArray) -> npt.NDArray[np.uint64]:
    """Hashes of one large column: its 32 bytes, ``NULL_HASH`` for a null, zeros for an unknown."""
    out = np.zeros((len(column), 4), np.uint64)
    out[:] = np.frombuffer(NULL_HASH, "<u8")
    lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    hashed = column.filter(pa.array(lengths == 32)).cast(pa.binary(32))
    out[lengths == 32] = _words(hashed)[1]
    out[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return out


def identity(version: np.void) -> bytes | None:
    """32 bytes that are equal for two present versions iff they hold the same row, filled or not; None unless present."""
    if version["state"] != State.PRESENT:
        return None
    octets = version["ident"].tobytes()
    return octets if len(octets) == 32 else hashlib.sha256(octets).digest()


def shown_hash(version: np.void) -> bytes | None:
    """The row hash that an event names (32 bytes), or None unless the version is present.

    A version whose large column was filled has no row hash of its own: its ``identity`` stands for it
    (docs/decisions/0004).
    """
    if version["state"] == State.PRESENT and "hash" in (version.dtype.names or ()) and version["hash"].any():
        return bytes(version["hash"].tobytes())
    return identity(version)
