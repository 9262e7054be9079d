"""C2SP signed notes (c2sp.org/signed-note): a text, an empty line, and a line for each signature.

    text
    (empty line)
    — NAME base64(4-octet key id || signature)

A verifier key ``NAME+hex(key id)+base64(type || public key)`` says who NAME is. Two types are known: 1, Ed25519 over the text,
and 4, a witness's cosignature of a checkpoint with the time at which it was made (c2sp.org/tlog-cosignature).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from stream_recon.audit.ed25519 import KEY_OCTETS, SIGNATURE_OCTETS, Key, PrivateKey, PublicKey
from stream_recon.audit.text import decoded, encoded
from stream_recon.errors import ProofError

ED25519: Final = 1
COSIGNATURE: Final = 4

MAX_SIGNATURES: Final = 100
"""Signatures in one note: as many as Go's ``note`` takes; beyond, a note is no note."""

_DASH: Final = "— "
_PRIVATE: Final = ("PRIVATE", "KEY")
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_TIMESTAMP_OCTETS: Final = 8


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who a name is: what a verifier key says. ``type`` is one of the two above."""

    name: str
    type: int
    key: PublicKey

    @property
    def id(self) -> bytes:
        """The four octets that stand before each of its signatures."""
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.key.octets).digest()[:4]

    @property
    def vkey(self) -> str:
        """The verifier key."""
        return f"{self.name}+{self.id.hex()}+{encoded(bytes([self.type]) + self.key.octets)}"

    @property
    def label(self) -> tuple[str, bytes]:
        """What a signature names it by."""
        return self.name, self.id

    def time_of(self, text: str, signature: bytes) -> int | None:
        """Checks a signature of a text. Returns when it was made (seconds since the epoch; 0 for type 1, which does not say), or
        None if it does not hold.
        """
        if self.type == ED25519:
            return 0 if self.key.verifies(text.encode(), signature) else None
        if len(signature) != _TIMESTAMP_OCTETS + SIGNATURE_OCTETS:
            return None
        time = int.from_bytes(signature[:_TIMESTAMP_OCTETS], "big")
        return time if self.key.verifies(_cosigned(text, time), signature[_TIMESTAMP_OCTETS:]) and time < 2**63 else None


def verifier(vkey: str) -> Verifier:
    """Reads a verifier key. Raises ``ProofError``: it is none, or none of the two types."""
    name, id_, octets = _parted(vkey)
    if octets[0] not in (ED25519, COSIGNATURE):
        raise ProofError(f"the verifier key of {name} is of type {octets[0]}; known are {ED25519} and {COSIGNATURE}")
    found = Verifier(name, octets[0], PublicKey(octets[1:]))
    if found.id.hex() != id_:
        raise ProofError(f"the verifier key of {name} has the id {found.id.hex()}, not {id_}: it was copied wrongly")
    return found


@dataclass(frozen=True, slots=True)
class Signer:
    """A name with the key that signs for it."""

    name: str
    key: Key
    type: int = ED25519

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self.type, self.key.public)

    def line(self, text: str, time: int = 0) -> str:
        """The signature line under a text; ``time`` (seconds since the epoch) is that of a cosignature."""
        if self.type == ED25519:
            signature = self.key.sign(text.encode())
        else:
            signature = time.to_bytes(_TIMESTAMP_OCTETS, "big") + self.key.sign(_cosigned(text, time))
        return Signature(self.name, self.verifier.id, signature).line


def signer(skey: str) -> Signer:
    """Reads a private key, ``PRIVATE+KEY+NAME+hex(key id)+base64(1 || seed)``, as Go's ``note`` writes them.

    Raises:
        ProofError: it is none; the text shows at most its name.
    """
    parts = skey.split("+", 2)
    if (*parts[:2],) != _PRIVATE or len(parts) != 3:
        raise ProofError("expected a private key, PRIVATE+KEY+...")
    name, id_, octets = _parted(parts[2], secret=True)
    if octets[0] != ED25519:
        raise ProofError(f"the private key of {name} is of type {octets[0]}; known is {ED25519}")
    found = Signer(name, PrivateKey(octets[1:]))
    if found.verifier.id.hex() != id_:
        raise ProofError(f"the private key of {name} is not that of its id {id_}: it was copied wrongly")
    return found


def private_text(name: str, seed: bytes) -> str:
    """The text that ``signer`` reads. Raises ``ProofError``: the name cannot be one."""
    if not valid_name(name):
        raise ProofError(f"{name!r} cannot name a key: write one without spaces and +, like example.com/recon")
    id_ = Signer(name, PrivateKey(seed)).verifier.id.hex()
    return "+".join((*_PRIVATE, name, id_, encoded(bytes([ED25519]) + seed)))


def valid_name(name: str) -> bool:
    """Whether this can name a key."""
    return name != "" and "+" not in name and not any(c.isspace() for c in name) and not _CONTROL.search(name)


def _parted(key: str, *, secret: bool = False) -> tuple[str, str, bytes]:
    """Name, id and octets of a key's text. Nothing of a secret one is shown."""
    shown = "a private key" if secret else repr(key[:120])
    parts = key.split("+", 2)
    if len(parts) != 3 or not valid_name(parts[0]) or not re.fullmatch("[0-9a-f]{8}", parts[1]):
        raise ProofError(f"expected NAME+ID+KEY, got {shown}")
    try:
        octets = decoded(parts[2])
    except ProofError:
        octets = b""
    if len(octets) != 1 + KEY_OCTETS:
        raise ProofError(f"expected {1 + KEY_OCTETS} octets in base64 after the second +, in {shown}")
    return parts[0], parts[1], octets


def _cosigned(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line."""

    name: str
    id: bytes
    octets: bytes

    @property
    def line(self) -> str:
        """As it stands in a note."""
        return f"{_DASH}{self.name} {encoded(self.id + self.octets)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures under it, none checked yet."""

    text: str
    signatures: tuple[Signature, ...]

    def line_of(self, verifier: Verifier) -> str:
        """The line that ``signed_by`` looks at for one that signed."""
        return next(one.line for one in self.signatures if (one.name, one.id) == verifier.label)


def sign(text: str, signers: Sequence[Signer]) -> bytes:
    """A note with a signature by each."""
    assert text.endswith("\n")
    assert not _CONTROL.search(text)
    return f"{text}\n{''.join(one.line(text) for one in signers)}".encode()


def parse(octets: bytes) -> Note:
    """Reads a note. Raises ``ProofError``: it is none."""
    try:
        whole = octets.decode()
    except UnicodeDecodeError as error:
        raise ProofError("expected a signed note, got octets that are no UTF-8") from error
    text, empty, below = whole.rpartition("\n\n")
    lines = below.split("\n")
    if _CONTROL.search(whole) or not empty or lines.pop() != "" or not 0 < len(lines) <= MAX_SIGNATURES:
        raise ProofError("expected a signed note: a text, an empty line, and up to 100 lines of signatures")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    name, space, text = line.removeprefix(_DASH).partition(" ")
    octets = decoded(text)
    if not line.startswith(_DASH) or not space or not valid_name(name) or len(octets) < 5:
        raise ProofError(f"expected a line of a signature, got {line[:80]!r}")
    return Signature(name, octets[:4], octets[4:])


def signed_by(note: Note, verifiers: Sequence[Verifier]) -> dict[Verifier, int]:
    """Those of ``verifiers`` that signed the note, each with the time of ``Verifier.time_of``.

    Raises:
        ProofError: a signature by one of them does not hold, none of them signed, or two of them cannot be told apart.
    """
    known = {one.label: one for one in verifiers}
    doubled = {label for label, count in Counter(one.label for one in verifiers).items() if count > 1}
    found: dict[Verifier, int] = {}
    for signature in note.signatures:
        label = signature.name, signature.id
        if label in doubled:
            raise ProofError(f"two verifier keys are {signature.name}+{signature.id.hex()}")
        if label not in known or known[label] in found:
            continue
        time = known[label].time_of(note.text, signature.octets)
        if time is None:
            raise ProofError(f"the signature by {signature.name}+{signature.id.hex()} does not hold for this text")
        found[known[label]] = time
    if not found:
        names = ", ".join(sorted({f"{s.name}+{s.id.hex()}" for s in note.signatures}))
        raise ProofError(f"no key that is trusted signed this note; it bears the names of {names}")
    return found
