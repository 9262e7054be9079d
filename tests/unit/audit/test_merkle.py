"""Trees and their proofs: published vectors, then every tree of up to 70 leaves against the RFC's own recursion."""

from __future__ import annotations

import hashlib
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit.merkle import (
    Tree,
    consistency_of,
    consistency_proof,
    consistent,
    includes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    root_of_hashes,
)
from tests.unit.audit import trees

# From github.com/transparency-dev/merkle (Apache-2.0) at 417fb0c31475: testonly/constants.go and testdata/
LEAVES = [
    bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=",
        "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
        "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=",
    ],
    (5, 8): [
        "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=",
        "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=",
        "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=",
    ],
    (2, 3): ["+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU="],
    (1, 5): [
        "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
        "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
        "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=",
        "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=",
        "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=",
    ],
    (2, 5): INCLUSION[1, 5][1:],
    (6, 7): [
        "DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=",
        "sIaT7C5yFZcTBkHoIR5+7cy0wmQTlj7ubB4u0W/7Gl8=",
        "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=",
    ],
}
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    assert root(LEAVES[:size]).hex() == ROOTS[size]
    assert root_of_hashes(HASHES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_published_inclusion_proofs(index: int, size: int) -> None:
    published = [b64decode(node) for node in INCLUSION[index, size]]
    assert inclusion_proof(HASHES[:size], index) == published
    assert includes(bytes.fromhex(ROOTS[size]), size, index, HASHES[index], published)


@pytest.mark.parametrize(("size", "larger"), CONSISTENCY)
def test_published_consistency_proofs(size: int, larger: int) -> None:
    published = [b64decode(node) for node in CONSISTENCY[size, larger]]
    assert consistency_proof(HASHES[:larger], size) == published
    assert consistent(size, bytes.fromhex(ROOTS[size]), larger, bytes.fromhex(ROOTS[larger]), published)


def test_what_upstream_refuses_is_refused() -> None:
    empty, one = bytes.fromhex(ROOTS[0]), bytes.fromhex(ROOTS[1])
    assert not includes(b"", 1, 0, b"", [])  # "empty root and leaf"
    assert not includes(one, 1, 1, HASHES[0], [])
    assert not consistent(0, empty, 0, empty, [])  # "consistency check on empty tree (size1 is zero) is useless"
    assert not consistent(0, empty, 1, one, [])
    assert not consistent(1, one, 1, empty, [])  # "sizes are equal (one) but roots are not"
    assert not consistent(1, one, 1, one, [b"\0" * 32])  # "sizes match but proof is not empty and sizes are one"
    assert not consistent(1, one, 0, empty, [])  # "size1 is greater than size2"
    assert not consistent(3, bytes.fromhex(ROOTS[3]), 8, bytes.fromhex(ROOTS[8]), [])  # "empty proof"


def test_a_leaf_of_two_hashes_is_no_node() -> None:
    pair = HASHES[0] + HASHES[1]
    assert node_hash(*HASHES[:2]).hex() == ROOTS[2]
    assert leaf_hash(pair).hex() == "3fa13040794802ef854096500f3ea3b85b4301b0ece339e91ed7c836185b4832"
    assert root([pair]).hex() != ROOTS[2]


def test_a_last_leaf_without_a_partner_moves_up_and_is_not_doubled() -> None:
    assert root([*LEAVES[:3], LEAVES[2]]).hex() == "decb470003499e4d6517d780e992af87d02c54b4d3ef9e46f25bd2ef88491d97"
    assert ROOTS[3] != "decb470003499e4d6517d780e992af87d02c54b4d3ef9e46f25bd2ef88491d97"


@pytest.mark.parametrize("size", range(1, 71))
def test_every_small_tree_is_the_rfcs(size: int) -> None:
    leaves = [bytes([n]) * (n % 5) + b"leaf" for n in range(size)]
    hashes, head = [leaf_hash(leaf) for leaf in leaves], trees.mth(leaves)
    assert root(leaves) == root_of_hashes(hashes) == head
    before = Tree()
    for index in range(size):
        proof = inclusion_proof(hashes, index)
        assert proof == trees.path(index, leaves)
        assert includes(head, size, index, hashes[index], proof)
        assert consistency_proof(hashes, index + 1) == trees.proof(index + 1, leaves)
        before.add_hash(hashes[index])
        rest = iter([*hashes[index + 1 :], b"of a later leaf"])
        assert consistency_of(before, rest, size) == trees.proof(index + 1, leaves)
        assert list(rest) == [b"of a later leaf"]
        assert consistent(index + 1, trees.mth(leaves[: index + 1]), size, head, trees.proof(index + 1, leaves))


@given(st.data(), st.integers(2, 40))
def test_nothing_else_is_proved(data: st.DataObject, size: int) -> None:
    """A proof for one place, size, leaf or root is none for another; nor one that was changed, cut or made longer."""
    leaves = [n.to_bytes(2, "big") for n in range(size)]
    hashes, head = [leaf_hash(leaf) for leaf in leaves], trees.mth(leaves)
    index, other = data.draw(st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda two: two[0] != two[1]))
    proof = trees.path(index, leaves)
    assert not includes(head, size, other, hashes[index], proof)
    assert not includes(head, size, index, hashes[other], proof)
    for changed in _changed(proof):
        assert not includes(head, size, index, hashes[index], changed)
    first, head1 = index + 1, trees.mth(leaves[: index + 1])
    between = trees.proof(first, leaves)
    assert not consistent(other + 1, head1, size, head, between)
    assert not consistent(first, trees.mth(leaves[: other + 1]), size, head, between)
    for changed in _changed(between):
        assert not consistent(first, head1, size, head, changed)


def _changed(proof: list[bytes]) -> list[list[bytes]]:
    flipped = [[*proof[:n], bytes([node[0] ^ 1]) + node[1:], *proof[n + 1 :]] for n, node in enumerate(proof)]
    swapped = [proof[::-1]] if proof != proof[::-1] else []
    extra = hashlib.sha256(b"extra").digest()
    return [*flipped, *swapped, *([proof[:-1]] if proof else []), [*proof, extra], [extra, *proof]]
