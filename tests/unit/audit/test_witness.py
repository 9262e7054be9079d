"""A witness by the words of c2sp.org/tlog-witness: each status, and that no two histories of a log are ever cosigned."""

from __future__ import annotations

from base64 import b64encode
from http import HTTPStatus
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit import note as notes
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.audit.merkle import Tree
from stream_recon.audit.note import COSIGNATURE, Signer, sign, signed_by
from stream_recon.audit.witness import SIZE_TYPE, Answer, Request, Witness, cosignature, origin_hash, parse, told_size
from stream_recon.errors import ProofError
from tests.unit.audit import trees

NOW = 1_795_306_435
LOG = Signer("example.com/recon", PrivateKey(b"l" * 32))
OTHER = Signer("example.com/other", PrivateKey(b"o" * 32))
THIEF = Signer(LOG.name, PrivateKey(b"t" * 32))
WITNESS = Signer("witness.example/1", PrivateKey(b"w" * 32), COSIGNATURE)
LEAVES = [bytes([n]) for n in range(40)]
EMPTY = Tree().root


class Kept:
    """A memory, and what was put into it."""

    def __init__(self) -> None:
        self.notes: dict[str, bytes] = {}
        self.full = False

    def last(self, origin: str) -> bytes | None:
        return self.notes.get(origin)

    def keep(self, origin: str, note: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.notes[origin] = note


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def witness(kept: Kept) -> Witness:
    return Witness(WITNESS, [LOG.verifier, OTHER.verifier], kept)


def head(leaves: list[bytes], by: Signer = LOG, *more: Signer) -> bytes:
    return sign(Checkpoint.at(by.name, len(leaves), trees.mth(leaves), NOW).text, [by, *more])


def asked_octets(old: int, leaves: list[bytes], by: Signer = LOG) -> bytes:
    """A request as the specification says it, not as this program writes it."""
    proof = trees.proof(old, leaves) if old else []
    return b"\n".join([f"old {old}".encode(), *(b64encode(node) for node in proof), b"", head(leaves, by)])


def asked(witness: Witness, old: int, leaves: list[bytes], by: Signer = LOG) -> Answer:
    return witness.add_checkpoint(asked_octets(old, leaves, by), NOW + 1)


def test_it_cosigns_what_goes_on(witness: Witness, kept: Kept) -> None:
    old = 0
    for size in (0, 0, 1, 1, 5, 8, 8, 21, 40):
        answer = asked(witness, old, LEAVES[:size])
        assert answer.status == 200, answer
        note = notes.parse(head(LEAVES[:size]) + answer.body)
        assert signed_by(note, [LOG.verifier, WITNESS.verifier]) == {LOG.verifier: 0, WITNESS.verifier: NOW + 1}
        assert kept.notes == {LOG.name: head(LEAVES[:size]) + answer.body}
        assert witness.checkpoint(origin_hash(LOG.name)) == kept.notes[LOG.name]
        assert Witness(WITNESS, [LOG.verifier], kept).sizes == {LOG.name: size}
        old = size
    assert asked(witness, 0, LEAVES[:3], OTHER).status == 200  # logs are remembered one by one
    assert witness.sizes == {LOG.name: 40, OTHER.name: 3}
    assert witness.checkpoint(origin_hash("example.com/none")) is None


def test_404_of_an_unknown_log_comes_before_403(witness: Witness) -> None:
    unknown = Signer("example.com/unknown", PrivateKey(b"l" * 32))
    assert asked(witness, 0, LEAVES[:3], unknown).status == 404


def test_403_of_what_the_log_did_not_sign(witness: Witness, kept: Kept) -> None:
    good = head(LEAVES[:3])
    for note in (
        head(LEAVES[:3], THIEF),
        head(LEAVES[:3], WITNESS).replace(WITNESS.name.encode(), LOG.name.encode(), 1),
        good.replace(b"\n3\n", b"\n4\n"),  # the name and id of its key, and another text
        good.replace(LOG.line(head(LEAVES[:3]).decode().split("\n\n")[0] + "\n").encode(), OTHER.line("x\n").encode()),
    ):
        assert witness.add_checkpoint(b"old 0\n\n" + note, NOW).status == 403, note
    assert kept.notes == {}
    assert witness.add_checkpoint(b"old 0\n\n" + head(LEAVES[:3], LOG, THIEF, OTHER), NOW).status == 200
    assert kept.notes[LOG.name].count("—".encode()) == 2, "it passes on no signature that it did not check"


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old 00\n\n" + head(LEAVES[:3]),
        b"old -1\n\n" + head(LEAVES[:3]),
        b"old  0\n\n" + head(LEAVES[:3]),
        b"new 0\n\n" + head(LEAVES[:3]),
        b"old 0\r\n\r\n" + head(LEAVES[:3]),
        b"old 0\n" + head(LEAVES[:3]),
        b"old 0\nAAAA\n\n" + head(LEAVES[:3]),
        b"old 0\nnot base64\n\n" + head(LEAVES[:3]),
        b"old 0\n" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\n" + head(LEAVES[:3]),
        b"old 0\n\n" + head(LEAVES[:3]).rstrip(b"\n"),
        b"old 0\n\n" + sign("example.com/recon\nno size\n", [LOG]),
        b"old 4\n\n" + head(LEAVES[:3]),  # more than the checkpoint has
    ],
)
def test_400_of_what_is_no_request(witness: Witness, kept: Kept, request_: bytes) -> None:
    assert witness.add_checkpoint(request_, NOW).status == 400
    assert kept.notes == {}


def test_409_tells_the_size_that_is_known(witness: Witness, kept: Kept) -> None:
    for old in (1, 3):
        answer = asked(witness, old, LEAVES[:3])
        assert (answer.status, answer.body, answer.type) == (409, b"0\n", SIZE_TYPE)
    assert asked(witness, 0, LEAVES[:5]).status == 200
    before = dict(kept.notes)
    for old, size in ((0, 8), (4, 8), (6, 8), (0, 3), (3, 3)):
        answer = asked(witness, old, LEAVES[:size])
        assert (answer.status, answer.body, answer.type) == (409, b"5\n", SIZE_TYPE)
        assert told_size(answer.body) == 5
    assert kept.notes == before


def test_422_of_what_does_not_go_on(witness: Witness, kept: Kept) -> None:
    node = b64encode(b"n" * 32) + b"\n"
    zero = sign(Checkpoint(LOG.name, 0, b"r" * 32).text, [LOG])
    assert witness.add_checkpoint(b"old 0\n\n" + zero, NOW).status == 422  # size zero, and not the empty tree's root
    assert witness.add_checkpoint(b"old 0\n" + node + b"\n" + head([]), NOW).status == 422
    assert witness.add_checkpoint(b"old 0\n" + node + b"\n" + head(LEAVES[:3]), NOW).status == 422
    assert asked(witness, 0, LEAVES[:5]).status == 200
    before = dict(kept.notes)
    assert asked(witness, 5, [b"fork", *LEAVES[1:8]]).status == 422
    refused = asked(witness, 5, [b"fork", *LEAVES[1:5]])  # the same size, another root
    assert refused.status == 422
    assert head([b"fork", *LEAVES[1:5]]).decode() in refused.why, "its own log keeps the proof of what the log did"
    for proof in (b"", node, node * 63):
        assert witness.add_checkpoint(b"old 5\n" + proof + b"\n" + head(LEAVES[:8]), NOW).status == 422
    assert witness.add_checkpoint(b"old 5\n" + node + b"\n" + head(LEAVES[:5]), NOW).status == 422
    assert kept.notes == before


def test_what_cannot_be_remembered_is_not_cosigned(witness: Witness, kept: Kept) -> None:
    kept.full = True
    with pytest.raises(OSError, match="No space"):
        asked(witness, 0, LEAVES[:5])
    kept.full = False
    assert asked(witness, 0, LEAVES[:4]).status == 200


def test_it_starts_from_nothing_that_it_did_not_cosign(witness: Witness, kept: Kept) -> None:
    assert asked(witness, 0, LEAVES[:5]).status == 200
    good = kept.notes[LOG.name]
    for changed in (good.replace(b"\n5\n", b"\n4\n"), head(LEAVES[:3]), b"", good[:-20]):
        kept.notes[LOG.name] = changed
        with pytest.raises(ProofError):
            Witness(WITNESS, [LOG.verifier], kept)
    kept.notes = {OTHER.name: good}
    with pytest.raises(ProofError, match="stands where that of"):
        Witness(WITNESS, [OTHER.verifier], kept)
    kept.notes = {LOG.name: good}
    with pytest.raises(ProofError):
        Witness(Signer(WITNESS.name, PrivateKey(b"x" * 32), COSIGNATURE), [LOG.verifier], kept)


def test_keys_that_cannot_be_a_logs(kept: Kept) -> None:
    for logs in ([LOG.verifier] * 2, [WITNESS.verifier]):
        with pytest.raises(ProofError):
            Witness(WITNESS, logs, kept)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=30),
    st.integers(0, 11),
    st.integers(0, 11),
)
def test_no_two_histories_are_ever_cosigned(asks: list[tuple[int, int, int]], first: int, second: int) -> None:
    """Three histories that part at leaves; whatever is asked, all that is cosigned is of one history, and never shrinks."""
    histories = [
        LEAVES[:12],
        [*LEAVES[:first], b"fork", *LEAVES[first + 1 : 12]],
        [*LEAVES[:second], b"other", *LEAVES[second + 1 : 12]],
    ]
    kept = Kept()
    cosigned: list[list[bytes]] = []
    for which, old, size in asks:
        witness = Witness(WITNESS, [LOG.verifier], kept)  # started anew each time
        leaves = histories[which][:size]
        before = [] if not cosigned else cosigned[-1]
        answer = asked(witness, min(old, size), leaves)
        goes_on = leaves[: len(before)] == before and min(old, size) == len(before)
        assert (answer.status == 200) == goes_on
        if goes_on:
            cosigned.append(leaves)
    for shorter, longer in pairwise(cosigned):
        assert longer[: len(shorter)] == shorter


# ---- the other side ----------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_requests_are_read_as_they_were_written(old: int, proof: list[bytes]) -> None:
    request = Request(old, tuple(proof), head(LEAVES[:3]))
    assert parse(request.dumps()) == request


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda octets: b"old 0\n\n" + octets))
def test_anything_is_judged(octets: bytes) -> None:
    assert Witness(WITNESS, [LOG.verifier], Kept()).add_checkpoint(octets, NOW).status in {HTTPStatus.BAD_REQUEST, 404}


def test_an_answer_is_taken_for_the_line_of_its_witness_only() -> None:
    note = head(LEAVES[:3])
    text = notes.parse(note).text
    line, stranger = WITNESS.line(text, NOW), Signer("x", PrivateKey(b"x" * 32), COSIGNATURE).line(text, NOW)
    assert cosignature(note, f"{stranger}{line}".encode(), WITNESS.verifier) == line.encode()
    for answer in (
        b"",
        b"ok\n",
        b"\xff",
        stranger.encode(),
        f"\n{line}".encode(),
        WITNESS.line(text.replace("\n3\n", "\n4\n"), NOW).encode(),
        WITNESS.line(text, 0).encode(),
    ):
        with pytest.raises(ProofError):
            cosignature(note, answer, WITNESS.verifier)
    for body in (b"", b"5", b"05\n", b"-1\n", b"5\n5\n", "５\n".encode()):
        with pytest.raises(ProofError):
            told_size(body)
