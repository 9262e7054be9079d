"""RFC 6962 trees: leaf hash ``SHA-256(0x00 || leaf)``, node hash ``SHA-256(0x01 || left || right)``, empty tree ``SHA-256()``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\0" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1."""
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree's head over leaves in order; memory grows with the logarithm of their number."""
    stack: list[tuple[int, bytes]] = []
    for leaf in leaves:
        size, head = 1, leaf_hash(leaf)
        while stack and stack[-1][0] == size:
            before, left = stack.pop()
            size, head = size + before, node_hash(left, head)
        stack.append((size, head))
    if not stack:
        return hashlib.sha256().digest()
    head = stack.pop()[1]
    while stack:
        head = node_hash(stack.pop()[1], head)
    return head
