"""Notes, checkpoints and policies: published ones, and what must not pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.audit import checkpoint, policy
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.audit.note import COSIGNATURE, Signer, parse, private_text, sign, signed_by, signer, verifier
from stream_recon.errors import ProofError
from tests.unit.audit.published import (
    BAD_VKEYS,
    BY_ENOCH,
    BY_PETER,
    CHECKPOINT,
    CHECKPOINT_SIGNATURES,
    ENOCH,
    FOO,
    FOO_NOTE,
    GO_GOSUM,
    GO_HEX_SIZE,
    GO_LONG_ROOT,
    PETER,
    SIGNER,
    TEXT,
)


def names(note: str | bytes, *vkeys: str) -> list[str]:
    octets = note.encode() if isinstance(note, str) else note
    return [one.name for one in signed_by(parse(octets), [verifier(vkey) for vkey in vkeys])]


# ---- keys and notes ----------------------------------------------------------------------------------------------------


def test_a_published_key_signs_what_was_published() -> None:
    found = signer(SIGNER)
    assert sign(TEXT, [found]).decode() == f"{TEXT}\n{BY_PETER}"
    assert found.verifier.vkey == PETER
    assert verifier(FOO).vkey == FOO


@pytest.mark.parametrize("vkey", [*BAD_VKEYS, "", "a+b", PETER.upper(), PETER.replace("P", " ", 1)])
def test_bad_verifier_keys(vkey: str) -> None:
    with pytest.raises(ProofError):
        verifier(vkey)


def test_a_key_is_read_as_it_was_written_and_never_shown() -> None:
    seed = b"seed" * 8
    text = private_text("example.com/recon", seed)
    assert signer(text).verifier == Signer("example.com/recon", PrivateKey(seed)).verifier
    secret = text.rpartition("+")[2]
    for broken in (text[:-4], text[:30] + "0" + text[31:], text.replace("PRIVATE", "PUBLIC"), text.replace("+A", "+B")):
        with pytest.raises(ProofError) as raised:
            signer(broken)
        assert secret[:20] not in str(raised.value)
    assert secret not in repr(signer(text))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\n", "a\x01"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(ProofError):
        private_text(name, bytes(32))


def test_published_notes() -> None:
    assert names(FOO_NOTE, FOO) == ["example.com/foo"]
    assert names(f"{TEXT}\n{BY_PETER}{BY_ENOCH}", PETER) == ["PeterNeumann"]
    assert names(f"{TEXT}\n{BY_PETER}{BY_ENOCH}", PETER, ENOCH) == ["PeterNeumann", "EnochRoot"]
    assert names(f"{TEXT}\n{BY_PETER}{BY_PETER}{BY_ENOCH}{BY_ENOCH}", PETER) == ["PeterNeumann"]  # collapsed
    assert names(f"{TEXT}\n{BY_PETER}", ENOCH, PETER, ENOCH) == ["PeterNeumann"]  # a doubled key that is not used


@pytest.mark.parametrize(
    ("note", "vkeys"),
    [
        (f"{TEXT}\n{BY_PETER}{BY_ENOCH}", []),
        (f"{TEXT}\n{BY_ENOCH}", [ENOCH, PETER, ENOCH]),
        (f"{TEXT}\n{BY_PETER * 101}", [PETER]),
        (f"{TEXT}\n{BY_PETER.replace('InNI', 'ABCD')}", [PETER]),
        (TEXT, [PETER]),
        (f"{TEXT}\n", [PETER]),
        (f"{TEXT}\n{BY_PETER}".rstrip("\n"), [PETER]),
        (f"\x01{TEXT}\n{BY_PETER}", [PETER]),
        (f"{TEXT}\n{BY_PETER.replace('PeterNeumann', 'Bad Name')}", [PETER]),
        (f"{TEXT}\n{BY_PETER}Unexpected line.\n", [PETER]),
        (b"\xff" + f"{TEXT}\n{BY_PETER}".encode(), [PETER]),
        (f"{TEXT}\n{BY_PETER.replace('PeterNeumann', 'CarmenSandiego')}", [PETER]),
        (f"{TEXT.replace('answer', 'Answer')}\n{BY_PETER}", [PETER]),
        (f"{TEXT}\nextra paragraph\n\n{BY_PETER}", [PETER]),
    ],
)
def test_notes_that_do_not_hold(note: str | bytes, vkeys: list[str]) -> None:
    """The cases of Go's ``note``: no trusted key, an ambiguous one, too many signatures, a wrong one, malformed notes."""
    with pytest.raises(ProofError):
        names(note, *vkeys)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: f"{t}\n\n— a YWFhYWFh\n".encode()))
def test_anything_is_read_or_refused(octets: bytes) -> None:
    try:
        note = parse(octets)
    except ProofError:
        return
    assert octets.startswith(note.text.encode())
    assert note.signatures


# ---- checkpoints -------------------------------------------------------------------------------------------------------


def test_published_checkpoints() -> None:
    found = checkpoint.parse(CHECKPOINT)
    assert (found.origin, found.size, found.root[:2]) == ("example.com/behind-the-sofa", 20852163, b"\x0a\xc5")
    assert found.text == CHECKPOINT
    assert len(parse(f"{CHECKPOINT}\n{CHECKPOINT_SIGNATURES}".encode()).signatures) == 2
    assert checkpoint.parse(GO_GOSUM).size == 123456789012


@pytest.mark.parametrize(
    "text",
    [
        GO_HEX_SIZE,
        GO_LONG_ROOT,
        CHECKPOINT.replace("20852163", "007"),
        CHECKPOINT.replace("20852163", "-1"),
        CHECKPOINT.replace("20852163", "２"),
        CHECKPOINT.replace("20852163", "9" * 20),
        CHECKPOINT.replace("example.com/behind-the-sofa", ""),
        CHECKPOINT.replace("I=", "J="),
        CHECKPOINT.rstrip("\n"),
        CHECKPOINT + "\n",
        "",
        "a\n0\n",
    ],
)
def test_texts_that_are_no_checkpoint(text: str) -> None:
    with pytest.raises(ProofError):
        checkpoint.parse(text)


def test_a_checkpoint_says_when_it_was_made() -> None:
    made = Checkpoint.at("example.com/recon", 0, bytes(32), 1_795_306_435)
    assert made.text.endswith("\ntime 2026-11-22T00:13:55Z\n")
    assert checkpoint.parse(made.text) == made
    assert made.time == 1_795_306_435
    for said in ((), ("time 2026-11-22T00:13:55Z",) * 2, ("time 2026-11-22T00:13:55+00:00",), ("time 2026-13-22T00:13:55Z",)):
        with pytest.raises(ProofError):
            _ = Checkpoint("a", 0, bytes(32), said).time


# ---- policies ----------------------------------------------------------------------------------------------------------

LOG = Signer("example.com/recon", PrivateKey(b"l" * 32))
WITNESSES = [Signer(f"witness.example/{n}", PrivateKey(bytes([n]) * 32), COSIGNATURE) for n in range(1, 6)]
HEAD = Checkpoint.at(LOG.name, 7, b"r" * 32, 1_795_306_435).text


def witnessed(*which: int, log: bool = True) -> bytes:
    lines = [LOG.line(HEAD)] if log else []
    return "".join([HEAD, "\n", *lines, *(WITNESSES[n].line(HEAD, 1_795_306_436) for n in which)]).encode()


def written(*lines: str, log: str = LOG.verifier.vkey) -> bytes:
    known = [f"witness W{n} {one.verifier.vkey}" for n, one in enumerate(WITNESSES)]
    return "\n".join([f"log {log} https://example.com/", "# comment", "", *known, *lines]).encode()


def believed(text: bytes, note: bytes) -> bool:
    try:
        return policy.parse(text).believe(note)[0] == checkpoint.parse(HEAD)
    except ProofError:
        return False


TWO_GROUPS = ("group X 2 W0 W1 W2", "group Y any W3 W4", "group both all X Y", "quorum both")


@pytest.mark.parametrize(
    ("lines", "which", "enough"),
    [
        (("quorum none",), (), True),
        (("quorum none",), (0,), True),
        (("quorum W1",), (1,), True),
        (("quorum W1",), (0, 2), False),
        (TWO_GROUPS, (0, 2, 4), True),
        (TWO_GROUPS, (0, 3, 4), False),
        (TWO_GROUPS, (0, 1, 2), False),
        (TWO_GROUPS, (0, 0, 3), False),
        (("  group\tall all W0 W1 ", "quorum all"), (0, 1), True),
        (("group all all W0 W1", "quorum all"), (1,), False),
    ],
)
def test_quorums(lines: tuple[str, ...], which: tuple[int, ...], enough: bool) -> None:
    assert believed(written(*lines), witnessed(*which)) == enough


def test_who_may_sign_a_checkpoint() -> None:
    plain = written("quorum none")
    assert not believed(plain, witnessed(0, 1, log=False))
    assert not believed(plain, witnessed().replace(b"\n7\n", b"\n8\n"))
    assert not believed(plain, witnessed(0).replace(WITNESSES[0].line(HEAD, 1_795_306_436)[-20:].encode(), b"A" * 19 + b"\n"))
    other = Signer("example.com/other", PrivateKey(b"l" * 32))
    note = f"{HEAD}\n{other.line(HEAD)}".encode()
    assert not believed(written("quorum none", log=other.verifier.vkey), note)  # a log signs under its own name only
    backdated = WITNESSES[0].line(HEAD, 5).encode()
    assert believed(written("quorum W0"), witnessed() + backdated)
    stamped = backdated.replace(backdated.split(b" ")[2][6:16], b"AAAAAAAABg")
    assert not believed(written("quorum W0"), witnessed() + stamped)  # the time is signed as well


@pytest.mark.parametrize(
    "text",
    [
        b"",
        written(),
        written("quorum none", "quorum none"),
        written("quorum W9"),
        written("quorum X", "group X any W0"),
        written("group none any W0", "quorum none"),
        written("group W0 any W1", "quorum W0"),
        written("group X 0 W0", "quorum X"),
        written("group X 2 W0", "quorum X"),
        written("group X ² W0 W1", "quorum X"),
        written("group X all", "quorum X"),
        written("group X all W0 W0", "quorum X"),
        written("group X all W0", "group Y all W0", "quorum X"),
        written("quorum none\r"),
        written("limit 3", "quorum none"),
        written("log", "quorum none"),
        written("quorum none", log=WITNESSES[0].verifier.vkey),
        written(f"log {LOG.verifier.vkey}", "quorum none"),
        written(f"witness again {WITNESSES[0].verifier.vkey}", "quorum none"),
        written(f"witness log {LOG.verifier.vkey}", "quorum none"),
        b"quorum none\n",
    ],
)
def test_policies_that_are_refused(text: bytes) -> None:
    with pytest.raises(ProofError):
        policy.parse(text)


def test_a_refusal_names_the_line() -> None:
    with pytest.raises(ProofError, match=r"^line 10: no line before this one defines W9"):
        policy.parse(written("", "quorum W9"))
