"""The auditor's check of a bundle: everything that a log promises, without the program that made it, a broker or a network.

    policy        who may say what the log is; comes from elsewhere than the bundle
    checkpoints   the log's own words: so many entries, this root, at this time
    entries       signed by keys that the root key introduced, in the tree that the checkpoints name
    chains        in the entries, each followed body by body, with the discrepancy events that its bodies name (audit.follow)
    kept          checkpoints that the auditor has from before: the log must go on from them

What does not hold is told, each thing once, in the order of the log. This module and what it imports need only the standard
library and ``cryptography``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from stream_recon.audit import dsse
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.entries import EVENT, STATEMENT, Keys
from stream_recon.audit.follow import Chain, Events
from stream_recon.audit.merkle import Tree
from stream_recon.audit.note import Verifier
from stream_recon.audit.policy import Policy
from stream_recon.audit.text import instant, json_object
from stream_recon.errors import ProofError
from stream_recon.limits import TOLD_FINDINGS

_NOTE: Final = re.compile(rb"(?:[^\n]+\n)+\n(?:\xe2\x80\x94 [^\n]*\n)+\n")


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle holds: lines with their line feeds, and the file of checkpoints."""

    entries: Iterable[bytes]
    events: Iterable[bytes]
    checkpoints: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold: where, and what that means. ``chain`` and ``seq`` are what the entry itself says."""

    text: str
    entry: int | None = None
    chain: str | None = None
    seq: int | None = None

    def __str__(self) -> str:
        place = [f"entry {self.entry}"] if self.entry is not None else []
        place += [self.chain] if self.chain is not None else []
        place += [f"seq {self.seq}"] if self.seq is not None else []
        return f"{', '.join(place)}: {self.text}" if place else self.text


@dataclass(frozen=True, slots=True)
class Unclean:
    """A certificate that does not say clean: its windows from ``start`` to ``end``, as it writes them."""

    entry: int
    chain: str
    seq: int
    start: str
    end: str
    verdict: str


@dataclass(slots=True)
class Report:
    """What was found. ``findings`` are the first ones of ``broken``; ``last`` is the newest checkpoint that is believed: one
    that the policy's quorum of witnesses cosigned. ``kept``: checkpoints from before against which the log was held.
    ``unclean``: the first certificates that are not clean.
    """

    origin: str | None = None
    entries: int = 0
    checkpoints: int = 0
    last: Checkpoint | None = None
    chains: dict[str, Chain] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    broken: int = 0
    kept: int = 0
    unclean: list[Unclean] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the proof holds, all of it."""
        return not self.broken

    def tell(self, finding: Finding) -> None:
        """Counts a finding, and keeps it if it is one of the first."""
        self.broken += 1
        if len(self.findings) < TOLD_FINDINGS:
            self.findings.append(finding)


def verify(policy: Policy, bundle: Bundle, kept: Sequence[tuple[str, bytes]] = (), chains: Iterable[str] = ()) -> Report:
    """Checks a bundle to its end. ``kept``: names and contents of files of checkpoints; ``chains``: what must be there."""
    check = _Check(policy)
    if not check.checkpoints(bundle.checkpoints):
        return check.report
    older = list(check.kept(kept))
    check.entries(bundle, {head.size for _, head in older})
    check.tree()
    for name, head in older:
        check.goes_on(name, head)
    for chain in chains:
        if chain not in check.report.chains:
            check.tell(Finding("this chain must be here, and no entry is of it: it is missing as a whole", chain=chain))
    return check.report


def notes(octets: bytes) -> tuple[list[bytes], bytes]:
    """The notes in a file of checkpoints, each followed by an empty line, and what is left over."""
    found, at = [], 0
    while (match := _NOTE.match(octets, at)) is not None:
        found.append(match[0][:-1])
        at = match.end()
    return found, octets[at:]


class _Check:
    """One run through a bundle."""

    def __init__(self, policy: Policy) -> None:
        self.report = Report()
        self.tell = self.report.tell
        self._policy = policy
        self._log: Verifier | None = None
        self._heads: list[Checkpoint] = []
        self._roots: dict[int, bytes] = {}
        self._whole = False

    # ---- checkpoints ---------------------------------------------------------------------------------------------------

    def checkpoints(self, octets: bytes) -> bool:
        """Reads the log's checkpoints; whether one is believed."""
        found, rest = notes(octets)
        if rest:
            self.tell(Finding(f"the file of checkpoints ends with {len(rest)} octets that are no whole checkpoint"))
        for number, note in enumerate(found):
            for text in self._checkpoint(note):
                self.tell(Finding(f"checkpoint {number}: {text}"))
        self.report.checkpoints = len(self._heads)
        if self.report.last is None:
            few = f"; too few witnesses cosigned any: the policy's quorum is {self._policy.quorum}" if self._heads else ""
            self.tell(Finding(f"no checkpoint is signed as the policy demands: nothing in this bundle can be believed{few}"))
        return self.report.last is not None

    def _checkpoint(self, note: bytes) -> Iterator[str]:
        try:
            signed = self._policy.read(note)
            head, log, time = signed.checkpoint, signed.log, signed.checkpoint.time
        except ProofError as error:
            yield str(error)
            return
        if self._log is None:
            self._log, self.report.origin = log, log.name
        before = self._heads[-1] if self._heads else head
        if log != self._log:
            yield f"it is of {log.name}, those before are of {self._log.name}: a checkpoint of another log was put in"
        elif head.size < before.size:
            yield f"it has {head.size} entries, the one before it had {before.size}: the log was set back"
        elif head.size == before.size and head.root != before.root:
            yield f"there are two roots for {head.size} entries: the log's key has signed two histories, a fork"
        elif time < before.time:
            yield f"it is of {instant(time)}, the one before it of {instant(before.time)}: its time cannot be true"
        else:
            self._heads.append(head)
            if signed.witnessed:
                self.report.last = head

    def kept(self, files: Sequence[tuple[str, bytes]]) -> Iterator[tuple[str, Checkpoint]]:
        """The checkpoints that the auditor has, if they are of this log."""
        for name, octets in files:
            found, rest = notes(octets if octets.endswith(b"\n\n") else octets + b"\n")
            if rest or not found:
                self.tell(Finding(f"{name}: it holds no whole checkpoint"))
            for note in found:
                try:
                    signed = self._policy.read(note)  # the log's word is enough, to hold it by
                except ProofError as error:
                    self.tell(Finding(f"{name}: {error}"))
                    continue
                if signed.log == self._log:
                    yield name, signed.checkpoint
                else:
                    self.tell(Finding(f"{name}: it is a checkpoint of {signed.log.name}, the bundle is of {self.report.origin}"))

    # ---- entries -------------------------------------------------------------------------------------------------------

    def entries(self, bundle: Bundle, sizes: set[int]) -> None:
        """Goes through the entries, and keeps the roots at ``sizes`` and at those of the checkpoints."""
        assert self._log is not None
        sizes = sizes | {head.size for head in self._heads}
        keys, tree = Keys(self._log.name, self._log.key), Tree()
        events, heads = Events(_lines(bundle.events)), iter(self._heads)
        head = next(heads, None)
        self._roots[0] = tree.root
        try:
            for line in _lines(bundle.entries):
                while head is not None and head.size <= tree.size:
                    head = next(heads, None)
                for finding in self._entry(tree, line, keys, head, events):
                    self.tell(finding)
                if tree.size in sizes:
                    self._roots[tree.size] = tree.root
        except _CutOff as error:
            self.tell(Finding(str(error), entry=tree.size))
        self.report.entries = tree.size
        self._left(events)

    def _entry(self, tree: Tree, line: bytes, keys: Keys, head: Checkpoint | None, events: Events) -> Iterator[Finding]:
        index = tree.size
        try:
            envelope = dsse.parse(line)
        except ProofError as error:
            tree.add(line)
            yield Finding(f"it is no envelope ({error})", entry=index)
            return
        tree.add(envelope.signed)
        try:
            if envelope.payload_type == STATEMENT:
                wrong = keys.introduce(envelope)
                if wrong is not None:
                    yield Finding(wrong, entry=index)
            elif envelope.payload_type == EVENT:
                yield from self._event(index, envelope, keys, head, events)
            else:
                yield Finding(f"this version knows no entries of type {envelope.payload_type[:80]!r}", entry=index)
        except ProofError as error:
            yield Finding(str(error), entry=index)

    def _event(
        self, index: int, envelope: dsse.Envelope, keys: Keys, head: Checkpoint | None, events: Events
    ) -> Iterator[Finding]:
        body = json_object(envelope.payload)
        name, seq = body.get("chain"), body.get("seq")
        if not isinstance(name, str) or type(seq) is not int:
            yield Finding("it is signed as an audit event and names no chain or no seq", entry=index)
            return
        wrong = keys.accept(envelope, head.time if head is not None else self._heads[-1].time)
        if wrong is not None:
            yield Finding(wrong, index, name, seq)
        for text in self.report.chains.setdefault(name, Chain()).follow(envelope.payload, body, events):
            yield Finding(text, index, name, seq)
        if body["type"] == "window" and body["verdict"] != "clean" and len(self.report.unclean) < TOLD_FINDINGS:
            window = body["window"]
            self.report.unclean.append(Unclean(index, name, seq, window["start"], window["end"], body["verdict"]))

    def _left(self, events: Events) -> None:
        try:
            left = events.left()
        except _CutOff as error:
            self.tell(Finding(f"the discrepancy events: {error}"))
        else:
            if left:
                self.tell(Finding(f"{left} discrepancy events at the end belong to no entry: they were put in, or moved"))

    # ---- the tree ------------------------------------------------------------------------------------------------------

    def tree(self) -> None:
        """Holds the entries against the checkpoints."""
        count, last = self.report.entries, self._heads[-1]
        if count < last.size:
            self.tell(Finding(_missing(last, count)))
        elif count > last.size:
            text = (
                f"entries from {last.size} on, {count - last.size} of them, are under no checkpoint: nothing says that they stay"
            )
            self.tell(Finding(text, entry=last.size))
        self._witnessed(min(count, last.size))
        reached = [head for head in self._heads if head.size <= count]
        same = [self._roots[head.size] == head.root for head in reached]
        self._whole = all(same)
        if self._whole:
            return
        first = same.index(False)
        head, good = reached[first], reached[first - 1].size if first else 0
        text = f"the first {head.size} entries are not those of the checkpoint of {instant(head.time)}: "
        if any(same[first:]):
            text += "but a later one holds, so the log's key has signed two histories, a fork"
        else:
            text += f"at least one from entry {good} on was changed, removed, put in or moved"
        self.tell(Finding(text))

    def _witnessed(self, count: int) -> None:
        """What was signed while witnesses were away is good under a later checkpoint that they cosigned."""
        assert self.report.last is not None
        size = self.report.last.size
        if size < count:
            text = f"entries from {size} on, {count - size} of them, are under no checkpoint that enough witnesses cosigned"
            self.tell(Finding(f"{text}: the policy's quorum is {self._policy.quorum}", entry=size))

    def goes_on(self, name: str, head: Checkpoint) -> None:
        """Holds the entries against a checkpoint from before."""
        self.report.kept += 1
        if head.size > self.report.entries:
            self.tell(Finding(f"{name}: {_missing(head, self.report.entries)}"))
        elif self._roots[head.size] != head.root:
            text = f"the first {head.size} entries of the bundle are not those of that checkpoint"
            fork = ", and the log's key has signed both: a fork; keep both, they prove it"
            self.tell(Finding(f"{name}: {text}{fork if self._whole else ''}"))


def _missing(head: Checkpoint, count: int) -> str:
    missing = f"{head.size - count} are cut off at its end, or were taken out before it"
    return f"the log had {head.size} entries at {instant(head.time)}, the bundle has {count}: {missing}"


class _CutOff(ProofError):
    """The last line has no line feed."""


def _lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        if not line.endswith(b"\n"):
            raise _CutOff("the last line is cut off in its middle")
        yield line[:-1]
