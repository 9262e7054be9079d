"""Witnesses (c2sp.org/tlog-witness): who cosigns a log's checkpoint only if it goes on from the one cosigned before.

    old SIZE                                      of the checkpoint that the witness cosigned last, as far as is known
    base64(node hash)                             consistency proof from there, at most 63 lines
    (empty line)
    signed note                                   the new checkpoint

is what a log sends to ``add-checkpoint``. The witness answers with the line of its cosignature, or with the size that it knows.
One request is judged at a time: whoever calls ``Witness`` sees to that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Final, Protocol

from stream_recon.audit import note as notes
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.checkpoint import parse as parse_checkpoint
from stream_recon.audit.merkle import Tree, consistent
from stream_recon.audit.note import COSIGNATURE, Note, Signer, Verifier, signed_by
from stream_recon.audit.text import decoded, encoded
from stream_recon.errors import ProofError

MAX_PROOF: Final = 63
"""Node hashes in a proof: more than any tree of 2^63 leaves needs."""

SIZE_TYPE: Final = "text/x.tlog.size"
_TEXT: Final = "text/plain; charset=utf-8"
_OLD: Final = re.compile("old (0|[1-9][0-9]{0,18})")
_TOLD: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n")


# ---- what a log sends and is answered ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What ``add-checkpoint`` takes. ``proof``: node hashes of 32 octets; ``note``: octets of the signed checkpoint."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def dumps(self) -> bytes:
        """The body of the HTTP request."""
        lines = [f"old {self.old}", *map(encoded, self.proof)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note


def parse(octets: bytes) -> Request:
    """Reads a request. Raises ``ProofError``: it is none. What the note says is not looked at."""
    head, empty, note = octets.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    old = _OLD.fullmatch(first)
    if not empty or old is None or len(lines) > MAX_PROOF:
        raise ProofError(f"expected old SIZE, up to {MAX_PROOF} lines of a proof, an empty line and a checkpoint")
    proof = tuple(map(decoded, lines))
    if any(len(node) != 32 for node in proof):
        raise ProofError("expected 32 octets in every line of the proof")
    return Request(int(old[1]), proof, note)


def cosignature(note: bytes, answer: bytes, witness: Verifier) -> bytes:
    """The witness's line in its answer to a checkpoint. Raises ``ProofError``: there is none, or it does not hold."""
    text = notes.parse(note).text
    try:
        answered = notes.parse(f"{text}\n".encode() + answer)
    except ProofError as error:
        raise ProofError(f"the answer is no line of a signature ({error})") from error
    if not signed_by(answered, [witness])[witness]:
        raise ProofError(f"the cosignature by {witness.name} does not say when it was made")
    return answered.line_of(witness).encode()


def told_size(answer: bytes) -> int:
    """The size that a conflict tells. Raises ``ProofError``: it tells none."""
    match = _TOLD.fullmatch(answer)
    if match is None:
        raise ProofError(f"expected the size that it cosigned last, got {answer[:40]!r}")
    return int(match[1])


# ---- the witness -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; ``why`` is for the witness's own log, where nothing was cosigned."""

    status: HTTPStatus
    body: bytes
    type: str = _TEXT
    why: str = ""


class Memory(Protocol):
    """What a witness remembers of each log, by its origin."""

    def last(self, origin: str) -> bytes | None:
        """The note that was kept last: log's signatures and cosignature; None: none ever was."""

    def keep(self, origin: str, note: bytes) -> None:
        """Durable on return. Raises ``OSError``: it is not kept."""


def origin_hash(origin: str) -> str:
    """How a witness's readers name a log."""
    return sha256(origin.encode()).hexdigest()


class Witness:
    """Cosigns for the logs whose keys it is given."""

    def __init__(self, signer: Signer, logs: Iterable[Verifier], memory: Memory) -> None:
        """``signer`` makes cosignatures.

        Raises:
            ProofError: what is remembered was not cosigned by it, or a key cannot be that of a log.
        """
        assert signer.type == COSIGNATURE
        self._signer, self._memory = signer, memory
        self._logs: dict[str, list[Verifier]] = defaultdict(list)
        for log in logs:
            if log.type == COSIGNATURE or log in self._logs[log.name]:
                raise ProofError(f"{log.vkey} is there twice, or is a witness's key and not a log's")
            self._logs[log.name].append(log)
        self._by_hash = {origin_hash(origin): origin for origin in self._logs}
        self.sizes = {origin: self._seen(origin).size for origin in self._logs}
        """Entries under the checkpoint that was cosigned last, by origin; 0: none ever was."""

    def checkpoint(self, hashed: str) -> bytes | None:
        """The checkpoint that was cosigned last, of the log whose origin has this hash."""
        origin = self._by_hash.get(hashed)
        return None if origin is None else self._memory.last(origin)

    def add_checkpoint(self, octets: bytes, now: int) -> Answer:
        """Judges a request; what is cosigned is remembered before this returns. ``now``: seconds since the epoch.

        Raises:
            OSError: it could not be remembered; nothing may be answered.
        """
        try:
            request = parse(octets)
            note = notes.parse(request.note)
            new = parse_checkpoint(note.text)
        except ProofError as error:
            return _refused(HTTPStatus.BAD_REQUEST, str(error))
        if new.origin not in self._logs:
            return _refused(HTTPStatus.NOT_FOUND, f"no log {new.origin} is known here")
        try:
            logs = signed_by(note, self._logs[new.origin])
        except ProofError as error:
            return _refused(HTTPStatus.FORBIDDEN, str(error))
        return self._judged(request, new, note, logs) or self._cosigned(new, note, logs, now)

    def _judged(self, request: Request, new: Checkpoint, note: Note, logs: Iterable[Verifier]) -> Answer | None:
        """What speaks against the checkpoint of a known log."""
        if request.old > new.size:
            return _refused(HTTPStatus.BAD_REQUEST, f"old {request.old} is more than the checkpoint's {new.size}")
        seen = self._seen(new.origin)
        if request.old != seen.size:
            why = f"{new.origin}: old {request.old} was sent, {seen.size} entries are known"
            return Answer(HTTPStatus.CONFLICT, f"{seen.size}\n".encode(), SIZE_TYPE, why)
        if seen.size == 0 < new.size:
            goes_on = not request.proof  # any tree begins with the empty one
        else:
            goes_on = (not request.proof and new.root == seen.root) if seen.size == new.size else _consistent(seen, new, request)
        if goes_on:
            return None
        said = _signed(note, logs).decode()
        why = f"{new.origin}: {new.size} entries do not go on from the {seen.size} that were cosigned. Its checkpoint:\n{said}"
        return _refused(HTTPStatus.UNPROCESSABLE_ENTITY, "the checkpoint is not shown to go on from the last one", why)

    def _cosigned(self, new: Checkpoint, note: Note, logs: Iterable[Verifier], now: int) -> Answer:
        line = self._signer.line(note.text, now).encode()
        self._memory.keep(new.origin, _signed(note, logs) + line)
        self.sizes[new.origin] = new.size
        return Answer(HTTPStatus.OK, line)

    def _seen(self, origin: str) -> Checkpoint:
        """What was cosigned last. Raises ``ProofError``: what is remembered was never cosigned by this witness."""
        kept = self._memory.last(origin)
        if kept is None:
            return Checkpoint(origin, 0, Tree().root)
        note = notes.parse(kept)
        signed_by(note, [self._signer.verifier])
        seen = parse_checkpoint(note.text)
        if seen.origin != origin:
            raise ProofError(f"a checkpoint of {seen.origin} stands where that of {origin} must be")
        return seen


def _consistent(seen: Checkpoint, new: Checkpoint, request: Request) -> bool:
    return consistent(seen.size, seen.root, new.size, new.root, request.proof)


def _signed(note: Note, by: Iterable[Verifier]) -> bytes:
    """The note with these signatures only: a witness passes on nothing that it did not check."""
    return f"{note.text}\n{''.join(note.line_of(one) for one in by)}".encode()


def _refused(status: HTTPStatus, said: str, why: str = "") -> Answer:
    return Answer(status, f"{said}\n".encode(), why=why or said)
