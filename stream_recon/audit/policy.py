"""Whose checkpoints are believed: policy files as c2sp.org/tlog-policy describes them.

log VKEY [URL]                                a log whose checkpoints are believed
witness NAME VKEY [URL]                       who may have cosigned them
group NAME all|any|K MEMBER...                enough of these
quorum NAME|none                              what it takes
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.checkpoint import parse as parse_checkpoint
from stream_recon.audit.note import COSIGNATURE, ED25519, Verifier, signed_by, verifier
from stream_recon.audit.note import parse as parse_note
from stream_recon.errors import ProofError

NONE: Final = "none"
_ALLOWED: Final = frozenset([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])


@dataclass(frozen=True, slots=True)
class Group:
    """Stands for a witness's name where at least ``least`` of ``members`` do."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy file says. ``quorum`` names a witness or a group, or is ``none``."""

    logs: tuple[Verifier, ...]
    witnesses: Mapping[str, Verifier]
    groups: Mapping[str, Group]
    quorum: str
    urls: Mapping[str, str] = field(default_factory=dict)
    """Where witnesses are asked, by their names in the policy."""

    def satisfied(self, cosigned: frozenset[Verifier]) -> bool:
        """Whether these witnesses are enough."""
        return self.quorum == NONE or self._stands(self.quorum, cosigned)

    def _stands(self, name: str, cosigned: frozenset[Verifier]) -> bool:
        if name in self.witnesses:
            return self.witnesses[name] in cosigned
        group = self.groups[name]
        return sum(self._stands(member, cosigned) for member in group.members) >= group.least

    def read(self, octets: bytes) -> Signed:
        """The checkpoint in a note that a log of the policy signed, whoever cosigned it.

        Raises:
            ProofError: it is none, or none of the logs signed it under its own name.
        """
        note = parse_note(octets)
        checkpoint = parse_checkpoint(note.text)
        found = signed_by(note, [*self.logs, *self.witnesses.values()])
        log = next((one for one in self.logs if one in found), None)
        if log is None:
            raise ProofError("no log of the policy signed this checkpoint, only witnesses")
        if checkpoint.origin != log.name:
            raise ProofError(f"the log {log.name} signed a checkpoint of {checkpoint.origin}")
        return Signed(checkpoint, log, self.satisfied(frozenset(found) - {log}))

    def believe(self, octets: bytes) -> tuple[Checkpoint, Verifier]:
        """The checkpoint in a note, and the log that signed it.

        Raises:
            ProofError: as ``read``, or too few witnesses cosigned it.
        """
        signed = self.read(octets)
        if not signed.witnessed:
            raise ProofError(f"too few witnesses cosigned this checkpoint: the policy's quorum is {self.quorum}")
        return signed.checkpoint, signed.log


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint, the log that signed it, and whether the policy's quorum of witnesses cosigned it."""

    checkpoint: Checkpoint
    log: Verifier
    witnessed: bool


def parse(octets: bytes) -> Policy:
    """Reads a policy file. Raises ``ProofError``: it is none; the text names the line."""
    reader = _Reader()
    for number, line in enumerate(octets.removesuffix(b"\n").split(b"\n"), 1):
        try:
            reader.line(line)
        except ProofError as error:
            raise ProofError(f"line {number}: {error}") from error
    return reader.policy()


class _Reader:
    """What was read so far."""

    def __init__(self) -> None:
        self._logs: list[Verifier] = []
        self._witnesses: dict[str, Verifier] = {}
        self._urls: dict[str, str] = {}
        self._groups: dict[str, Group] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def line(self, octets: bytes) -> None:
        """The next line. Raises ``ProofError``: it says nothing that can stand here."""
        if not _ALLOWED.issuperset(octets):
            raise ProofError("control characters are not allowed")
        words = [word for word in octets.decode("utf-8", "surrogateescape").replace("\t", " ").split(" ") if word]
        if not words or words[0].startswith("#"):
            return
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                self._logs.append(self._key(vkey, ED25519, self._logs))
            case ["witness", name, vkey, *url] if len(url) < 2:
                self._witnesses[self._new(name)] = self._key(vkey, COSIGNATURE, self._witnesses.values())
                self._urls.update((name, one) for one in url)
            case ["group", name, least, *members] if members:
                group = Group(_least(least, len(members)), tuple(self._member(one) for one in members))
                self._groups[self._new(name)] = group
            case ["quorum", name] if self._quorum is None:
                self._quorum = name if name == NONE else self._defined(name)
            case ["quorum", _]:
                raise ProofError("there is a second quorum")
            case _:
                raise ProofError(f"expected log, witness, group or quorum with what belongs to it, got {' '.join(words)[:80]!r}")

    def policy(self) -> Policy:
        """All of it. Raises ``ProofError``: something is missing."""
        if self._quorum is None:
            raise ProofError("there is no quorum; write quorum none if no witnesses are wanted")
        if not self._logs:
            raise ProofError("there is no log; write log and the verifier key that stream-recon keys show prints")
        return Policy(tuple(self._logs), self._witnesses, self._groups, self._quorum, self._urls)

    def _key(self, vkey: str, type_: int, before: Iterable[Verifier]) -> Verifier:
        found = verifier(vkey)
        if found.type != type_:
            raise ProofError(f"the key of {found.name} is of type {found.type}; expected {type_}")
        if any(one.key == found.key for one in before):
            raise ProofError(f"the key of {found.name} is there twice")
        return found

    def _new(self, name: str) -> str:
        if name == NONE or name in self._witnesses or name in self._groups:
            raise ProofError(f"the name {name} is taken")
        return name

    def _defined(self, name: str) -> str:
        if name not in self._witnesses and name not in self._groups:
            raise ProofError(f"no line before this one defines {name}")
        return name

    def _member(self, name: str) -> str:
        if self._defined(name) in self._members:
            raise ProofError(f"{name} is a member twice")
        self._members.add(name)
        return name


def _least(text: str, members: int) -> int:
    least = {"any": 1, "all": members}.get(text)
    if least is None and text.isascii() and text.isdecimal() and len(text) < 10:
        least = int(text)
    if least is None or not 1 <= least <= members:
        raise ProofError(f"expected all, any or a number from 1 to {members}, got {text[:40]!r}")
    return least
