"""One chain of audit events for each digest partition of a pair: dense ``seq``, each body naming the hash of the one before.

A body is exact bytes: what is hashed, chained and, by a signer outside, signed. Who only follows chains needs nothing beyond the
standard library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stream_recon.audit.text import json_object
from stream_recon.errors import ProofError


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain stands: the next ``seq``, and the hash of the last body (hex; null before the first)."""

    seq: int = 0
    prev: str | None = None


def body_hash(body: bytes) -> str:
    """What the next body carries as ``prev``: hex SHA-256 of the exact bytes."""
    return hashlib.sha256(body).hexdigest()


def link(head: Head, type_: str, chain: str, content: Mapping[str, Any]) -> tuple[bytes, Head]:
    """The next body of a chain, and the chain's head after it."""
    import orjson

    body = orjson.dumps({"type": type_, "chain": chain, "seq": head.seq, "prev": head.prev, **content})
    return body, Head(head.seq + 1, body_hash(body))


@dataclass(frozen=True, slots=True)
class Broken:
    """Where a chain does not hold. ``line`` counts from 0 over all bodies."""

    line: int
    chain: str
    reason: str


def check(bodies: Iterable[bytes]) -> tuple[dict[str, Head], list[Broken]]:
    """Follows every chain through its bodies, in the order given; returns their heads and every break."""
    heads: dict[str, Head] = {}
    broken: list[Broken] = []
    for line, body in enumerate(bodies):
        try:
            event = json_object(body)
            chain, seq, prev = event["chain"], event["seq"], event["prev"]
        except (ProofError, KeyError):
            broken.append(Broken(line, "?", "expected an audit event, got something else"))
            continue
        head = heads.get(chain, Head())
        if (seq, prev) != (head.seq, head.prev):
            broken.append(Broken(line, chain, f"expected seq {head.seq} after {head.prev}, got seq {seq} after {prev}"))
        heads[chain] = Head(seq + 1, body_hash(body))
    return heads, broken
