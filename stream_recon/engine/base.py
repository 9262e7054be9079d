"""The base state: for each key of a pair the versions of both sides at one time, one record in the store.

record = version of the source | version of the target | key text          (model.versions.version_dtype, twice)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from stream_recon.align.pieces import Versions, Words
from stream_recon.engine.pending import Pending
from stream_recon.limits import STORE_BATCH_KEYS
from stream_recon.model.versions import State, key_bytes, version_dtype

ALL_KEYS = range(256)
"""First octets of key ids."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of some keys; a key without one has ``State.NEVER`` on both sides and no text."""

    source: Versions
    target: Versions
    text: list[bytes | None]


class BaseState:
    """Reads and writes the records of one pair under ``prefix``."""

    def __init__(self, store: Pending, prefix: bytes, large: int) -> None:
        self._store = store
        self._prefix = prefix
        self._version = version_dtype(large)
        self._record = np.dtype([("source", self._version), ("target", self._version)])

    def read(self, high: Words, low: Words) -> Records:
        """The records of these keys, in their order."""
        both = np.zeros(len(high), self._record)
        text: list[bytes | None] = [None] * len(high)
        size = self._record.itemsize
        octets = key_bytes(high, low)
        for start in range(0, len(high), STORE_BATCH_KEYS):
            stop = min(start + STORE_BATCH_KEYS, len(high))
            values = self._store.get_many([self._prefix + octets[16 * i : 16 * i + 16] for i in range(start, stop)])
            found = [i for i, value in enumerate(values) if value is not None]
            if not found:
                continue
            data = b"".join(value[:size] for value in values if value is not None)
            both[np.array(found) + start] = np.frombuffer(data, self._record)
            for i in found:
                value = values[i]
                assert value is not None
                text[start + i] = value[size:]
        return Records(both["source"], both["target"], text)

    def keys(self, octets: range = ALL_KEYS) -> Iterator[tuple[Words, Words]]:
        """All keys that have a record, in order, some at a time; of those whose id begins with one of ``octets``."""
        batch: list[bytes] = []
        cut = len(self._prefix)
        prefixes = [b""] if octets == ALL_KEYS else [bytes([octet]) for octet in octets]
        for key, _ in chain.from_iterable(self._store.scan(self._prefix + prefix) for prefix in prefixes):
            batch.append(key[cut:])
            if len(batch) == STORE_BATCH_KEYS:
                yield _halves(batch)
                batch = []
        if batch:
            yield _halves(batch)

    def write(self, high: Words, low: Words, source: Versions, target: Versions, text: Sequence[bytes]) -> None:
        """Gives these keys these versions: a key never seen needs no record."""
        both = np.zeros(len(high), self._record)
        both["source"], both["target"] = source, target
        data, octets, size, prefix = both.tobytes(), key_bytes(high, low), self._record.itemsize, self._prefix
        keys = [prefix + octets[i : i + 16] for i in range(0, len(octets), 16)]
        self._store.put_many(keys, [data[i : i + size] + t for i, t in zip(range(0, len(data), size), text, strict=True)])
        for i in np.flatnonzero((source["state"] == State.NEVER) & (target["state"] == State.NEVER)):
            self._store.delete(keys[i])


def _halves(keys: Sequence[bytes]) -> tuple[Words, Words]:
    words = np.frombuffer(b"".join(keys), ">u8").astype(np.uint64)
    return words[::2].copy(), words[1::2].copy()
