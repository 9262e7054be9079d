"""Bodies of what reconcile says: discrepancies and certificates (DESIGN sections 6 and 7). Values never appear, keys may."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from stream_recon.align.pieces import Versions, Words
from stream_recon.audit.merkle import Tree
from stream_recon.limits import LEAF_ENTRIES
from stream_recon.model.versions import State, key_bytes, shown_hash
from stream_recon.normalise.canonical import parse

_SHOWN_DIGITS = 4_000
"""Longer integers stay text: readers of JSON refuse them."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ENTRY = np.dtype([("key", "V16"), ("source_state", "u1"), ("source", "V32"), ("target_state", "u1"), ("target", "V32")])
_SHOWN_STATE = np.array([0, 0, 1, 2], np.uint8)


def instant(micros: int) -> str:
    """RFC 3339 in UTC with µs and ``Z``; beyond the years 1 to 9999 the expanded form of ISO 8601."""
    try:
        return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)
    except OverflowError:
        text = str(np.datetime64(micros, "us"))
        sign = "" if text[0] in "+-" else "+"
        return f"{sign}{text}Z"


def shown_key(text: bytes | None, columns: Sequence[str]) -> dict[str, Any]:
    """The key as people and programs read it: integers as numbers, all else as canonical text. A token stands as it is."""
    if text is None:
        return {}
    items = parse(text)
    out: dict[str, Any] = {}
    for name, item in zip(columns, items, strict=True):
        out[name] = None if item is None else _shown(item[0], item[1].decode())
    return out


def _shown(tag: str, text: str) -> int | str:
    return int(text) if tag == "n" and text.lstrip("-").isdigit() and len(text) <= _SHOWN_DIGITS else text


def dumps(body: dict[str, Any]) -> bytes:
    """JSON of one event: members in the order given, integers exact however long."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class Entries:
    """The RFC 6962 tree over what was compared, in order of key id: ``LEAF_ENTRIES`` entries a leaf."""

    def __init__(self) -> None:
        self._tree = Tree()
        self._left = b""

    def add(self, high: Words, low: Words, source: Versions, target: Versions) -> None:
        """Further keys, and what stood of them."""
        entries = np.zeros(len(high), _ENTRY)
        entries["key"] = np.frombuffer(key_bytes(high, low), "V16")
        for name, versions in (("source", source), ("target", target)):
            entries[f"{name}_state"] = _SHOWN_STATE[versions["state"]]
            entries[name] = _shown_hashes(versions)
        octets, size = self._left + entries.tobytes(), LEAF_ENTRIES * _ENTRY.itemsize
        whole = len(octets) - len(octets) % size
        for at in range(0, whole, size):
            self._tree.add(octets[at : at + size])
        self._left = octets[whole:]

    def root(self) -> str:
        """The head (hex), when all were added."""
        if self._left:
            self._tree.add(self._left)
            self._left = b""
        return self._tree.root.hex()


def _shown_hashes(versions: Versions) -> Any:
    present = versions["state"] == State.PRESENT
    large = "hash" in (versions.dtype.names or ())
    words = versions["hash" if large else "ident"].copy()
    words[~present] = 0
    if large:
        for i in np.flatnonzero(present & ~words.any(axis=1)):
            words[i] = np.frombuffer(shown_hash(versions[i]) or bytes(32), "<u8")
    return np.ascontiguousarray(words).view("V32").reshape(-1)
