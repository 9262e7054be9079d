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


class Tree:
    """A tree that grows leaf by leaf; memory grows with the logarithm of their number."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, bytes]] = []

    def add(self, leaf: bytes) -> None:
        """The next leaf."""
        stack, size, head = self._stack, 1, leaf_hash(leaf)
        while stack and stack[-1][0] == size:
            before, left = stack.pop()
            size, head = size + before, node_hash(left, head)
        stack.append((size, head))

    @property
    def root(self) -> bytes:
        """The head over all leaves so far."""
        if not self._stack:
            return hashlib.sha256().digest()
        *left, (_, head) = self._stack
        for _, node in reversed(left):
            head = node_hash(node, head)
        return head


def root(leaves: Iterable[bytes]) -> bytes:
    """The tree's head over leaves in order."""
    tree = Tree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root
