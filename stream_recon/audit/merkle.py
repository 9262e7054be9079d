"""RFC 6962 trees: leaf hash ``SHA-256(0x00 || leaf)``, node hash ``SHA-256(0x01 || left || right)``, empty tree ``SHA-256()``.

A proof is a list of node hashes. That of inclusion leads from a leaf up to the root; that of consistency shows that a tree begins
with the leaves of a smaller one. Proofs are made from leaf hashes, and checked without them by the algorithms of RFC 9162
(2.1.3.2 and 2.1.4.2), which says of the same trees how to do it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice


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
        self.add_hash(leaf_hash(leaf))

    def add_hash(self, head: bytes) -> None:
        """The next leaf, by its hash."""
        stack, size = self._stack, 1
        while stack and stack[-1][0] == size:
            before, left = stack.pop()
            size, head = size + before, node_hash(left, head)
        stack.append((size, head))

    def copy(self) -> Tree:
        """One that grows on its own."""
        other = Tree()
        other._stack = list(self._stack)
        return other

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return sum(size for size, _ in self._stack)

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


def root_of_hashes(hashes: Iterable[bytes]) -> bytes:
    """The tree's head over leaf hashes in order."""
    tree = Tree()
    for one in hashes:
        tree.add_hash(one)
    return tree.root


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """From the leaf ``index`` of ``0 <= index < len(hashes)`` up to the root: RFC 6962 section 2.1.1."""
    assert 0 <= index < len(hashes)
    proof: list[bytes] = []
    low, high = 0, len(hashes)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            proof.append(root_of_hashes(hashes[middle:high]))
            high = middle
        else:
            proof.append(root_of_hashes(hashes[low:middle]))
            low = middle
    return proof[::-1]


def consistency_proof(hashes: Sequence[bytes], size: int) -> list[bytes]:
    """That the tree begins with its first ``0 < size <= len(hashes)`` leaves: RFC 6962 section 2.1.2."""
    assert 0 < size <= len(hashes)
    proof: list[bytes] = []
    low, high = 0, len(hashes)
    while size < high:
        middle = low + _split(high - low)
        if size <= middle:
            proof.append(root_of_hashes(hashes[middle:high]))
            high = middle
        else:
            proof.append(root_of_hashes(hashes[low:middle]))
            low = middle
    if low:
        proof.append(root_of_hashes(hashes[low:high]))
    return proof[::-1]


def consistency_of(before: Tree, hashes: Iterator[bytes], size: int) -> list[bytes]:
    """That the tree of ``size`` leaves, ``0 < before.size <= size``, begins with ``before``: RFC 6962 section 2.1.2, from the
    leaf hashes behind it alone, in one pass. What is held grows with the logarithm of ``size``.
    """
    assert 0 < before.size <= size
    if before.size == size:
        return []
    left = iter([head for _, head in before._stack])  # its largest whole subtrees
    path: list[bytes | None] = []
    ends: list[int] = []
    low, high = 0, size
    while before.size < high:
        middle = low + _split(high - low)
        if before.size <= middle:
            path.append(None)
            ends.append(high)
            high = middle
        else:
            path.append(next(left))
            low = middle
    proof = [next(left)] if low else []
    at = before.size
    for node in reversed(path):  # those behind ``before``, None, come in the order of the leaves
        if node is None:
            end = ends.pop()
            proof.append(root_of_hashes(islice(hashes, end - at)))
            at = end
        else:
            proof.append(node)
    return proof


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` leads from the leaf hash at ``index`` to the ``root`` of a tree of ``size`` leaves."""
    if not 0 <= index < size or any(len(one) != 32 for one in (leaf, *proof)):
        return False
    here, last, head = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            head = node_hash(node, head)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            head = node_hash(head, node)
        here, last = here >> 1, last >> 1
    return last == 0 and head == root


def consistent(size1: int, root1: bytes, size2: int, root2: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that the tree of ``size2`` leaves begins with that of ``size1``. An empty tree is refused: any tree
    begins with it, so that nothing would be shown.
    """
    if not 0 < size1 <= size2:
        return False
    if size1 == size2:
        return root1 == root2 and not proof
    if any(len(one) != 32 for one in (root1, root2, *proof)):
        return False
    nodes = [root1, *proof] if size1 & (size1 - 1) == 0 else list(proof)
    if not nodes:
        return False
    here, last = size1 - 1, size2 - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while here and not here & 1:
                here, last = here >> 1, last >> 1
        else:
            new = node_hash(new, node)
        here, last = here >> 1, last >> 1
    return last == 0 and old == root1 and new == root2


def _split(size: int) -> int:
    """The largest power of 2 below ``size``, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1
