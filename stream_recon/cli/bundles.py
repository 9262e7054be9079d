"""Writes bundles: takes what ``replay`` left, checks it, and adds to the log what the log does not have yet.

A bundle only grows. What stands after its last checkpoint was promised to nobody: an interrupted export left it, and the next one
cuts it off and writes it again. Discrepancy events and entries are synced before the checkpoint over them is written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from stream_recon.audit import dsse
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.entries import EVENT, Sealer
from stream_recon.audit.follow import Chain, Events, by_chain
from stream_recon.audit.merkle import Tree
from stream_recon.audit.note import Signer
from stream_recon.audit.policy import NONE, Policy
from stream_recon.audit.text import json_object
from stream_recon.audit.verify import notes
from stream_recon.cli.verifying import CHECKPOINTS, ENTRIES, EVENTS, POLICY
from stream_recon.errors import InputError, ProofError, Undelivered
from stream_recon.limits import CHECKPOINT_ENTRIES

AUDIT: Final = "audit.jsonl"

Seed = Callable[[], bytes]
Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did. ``checkpoint``: the note that it ended with."""

    origin: str
    new: int
    entries: int
    checkpoint: bytes


@dataclass(slots=True)
class _Log:
    """How far a bundle's log is under its last checkpoint. ``octets``: what of its files that checkpoint takes in."""

    last: Checkpoint | None = None
    tree: Tree = field(default_factory=Tree)
    chains: dict[str, Chain] = field(default_factory=dict)
    octets: dict[str, int] = field(default_factory=lambda: {ENTRIES: 0, EVENTS: 0, CHECKPOINTS: 0})


@dataclass(frozen=True, slots=True)
class _Step:
    """An audit body, the discrepancy events that belong to it, and what is wrong with both."""

    chain: str
    body: bytes
    events: list[bytes]
    wrong: list[str]


def policy_text(root: Signer) -> str:
    """The policy that believes this log without witnesses."""
    return f"# whose checkpoints are believed (c2sp.org/tlog-policy)\nlog {root.verifier.vkey}\nquorum {NONE}\n"


def export(results: Path, bundle: Path, root: Signer, *, clock: Clock, seed: Seed) -> Exported:
    """Adds the events in ``results`` to the log in ``bundle``, which is made if it is not there, and makes a checkpoint.

    ``clock`` gives seconds since the epoch, ``seed`` 32 octets by chance.

    Raises:
        InputError: results or bundle do not hold, or do not fit each other; nothing was signed.
        Undelivered: the bundle could not be written.
    """
    if not (results / AUDIT).is_file():
        raise InputError(f"{results / AUDIT}: is not there; name the directory that replay wrote")
    try:
        with _opened(bundle) as files:
            log = _resumed(bundle, files, root)
            new = _new(results, log)
            for name, file in files.items():
                file.truncate(log.octets[name])
            (bundle / POLICY).write_text(policy_text(root), encoding="utf-8")
            note = _write(results, files, log, Sealer(root, log.tree, seed), clock)
            return Exported(root.name, new, log.tree.size, note)
    except OSError as error:
        raise Undelivered(f"{bundle}: the bundle could not be written: {error.strerror or error}") from error


@contextmanager
def _opened(bundle: Path) -> Iterator[dict[str, BinaryIO]]:
    """The files of a bundle, to be read and added to; by one process at a time."""
    bundle.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {n: stack.enter_context((bundle / n).open("a+b")) for n in (ENTRIES, EVENTS, CHECKPOINTS)}
        try:
            fcntl.flock(files[ENTRIES], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{bundle}: another export writes to this bundle; wait until it is done") from error
        yield files


# ---- what is there -----------------------------------------------------------------------------------------------------


def _resumed(bundle: Path, files: dict[str, BinaryIO], root: Signer) -> _Log:
    """Follows the log to its last checkpoint. Raises ``InputError``: it does not hold, or is another key's."""
    log = _Log()
    files[CHECKPOINTS].seek(0)
    found, rest = notes(octets := files[CHECKPOINTS].read())
    log.octets[CHECKPOINTS] = len(octets) - len(rest)
    try:
        if found:
            log.last = Policy((root.verifier,), {}, {}, NONE).believe(found[-1])[0]
            _follow(files, log, log.last)
    except ProofError as error:
        text = f"{bundle}: the bundle does not hold ({error}); nothing was signed. stream-recon audit verify says what is wrong"
        raise InputError(text) from error
    return log


def _follow(files: dict[str, BinaryIO], log: _Log, last: Checkpoint) -> None:
    for name in (ENTRIES, EVENTS):
        files[name].seek(0)
    events = Events(line.removesuffix(b"\n") for line in files[EVENTS])
    for line in islice(files[ENTRIES], last.size):
        log.octets[ENTRIES] += len(line)
        envelope = dsse.parse(line)
        log.tree.add(envelope.signed)
        if envelope.payload_type != EVENT:
            continue
        body = json_object(envelope.payload)
        chain = log.chains.setdefault(body["chain"], Chain())
        for wrong in chain.follow(envelope.payload, body, events):
            raise ProofError(f"{body['chain']}, seq {body['seq']}: {wrong}")
        log.octets[EVENTS] += sum(len(event) + 1 for event, _ in events.last)
    if (log.tree.size, log.tree.root) != (last.size, last.root):
        raise ProofError(f"its entries are not the {last.size} of its last checkpoint")


# ---- what is new -------------------------------------------------------------------------------------------------------


def _new(results: Path, log: _Log) -> int:
    """How many bodies are new, when all of them hold and go on where the log is."""
    new, chains = 0, dict[str, Chain]()
    for step in _steps(results, chains):
        name, head = step.chain, chains[step.chain].head
        if step.wrong:
            raise InputError(f"{results}: {name}, seq {head.seq - 1}: {step.wrong[0]}; nothing was signed")
        known = log.chains.get(name)
        if known is None or head.seq > known.head.seq:
            new += 1
        elif head.seq == known.head.seq and head != known.head:
            text = f"{name}: the log has another history up to seq {known.head.seq - 1}, and never changes; nothing was signed"
            raise InputError(f"{results}: {text}. Name another bundle")
    for name in chains.keys() & log.chains.keys():
        if chains[name].head.seq < log.chains[name].head.seq:
            text = (
                f"{name} ends at seq {chains[name].head.seq - 1}, the log has {log.chains[name].head.seq - 1}; nothing was signed"
            )
            raise InputError(f"{results}: {text}")
    return new


def _steps(results: Path, chains: dict[str, Chain]) -> Iterator[_Step]:
    """Every audit body in its order; ``chains`` are followed on the way."""
    try:
        with (results / EVENTS).open("rb") as lines:
            events = by_chain(line.removesuffix(b"\n") for line in lines)
        with (results / AUDIT).open("rb") as bodies:
            for line in bodies:
                octets = line.removesuffix(b"\n")
                body = json_object(octets)
                name = str(body.get("chain"))
                chain = chains.setdefault(name, Chain())
                own = events.setdefault(name, Events([]))
                wrong = list(chain.follow(octets, body, own))
                yield _Step(name, octets, [event for event, _ in own.last], wrong)
    except OSError as error:
        text = f"{error.filename}: cannot be read: {error.strerror or error}; name the directory that replay wrote"
        raise InputError(text) from error
    except ProofError as error:
        raise InputError(f"{results}: {error}; name the directory that replay wrote") from error
    left = {name: count for name, one in events.items() if (count := one.left())}
    if left:
        raise InputError(f"{results}: discrepancy events that no certificate holds: {left}; nothing was signed")


def _write(results: Path, files: dict[str, BinaryIO], log: _Log, sealer: Sealer, clock: Clock) -> bytes:
    """Adds what is new, a checkpoint every ``CHECKPOINT_ENTRIES`` entries and one at the end, which is returned."""
    latest = 0 if log.last is None else log.last.time

    def now() -> int:
        nonlocal latest
        latest = max(latest, clock())
        return latest

    def sealed() -> bytes:
        _sync(files[EVENTS], files[ENTRIES])
        note = sealer.checkpoint(now())
        files[CHECKPOINTS].write(note + b"\n")
        _sync(files[CHECKPOINTS])
        return note

    chains: dict[str, Chain] = {}
    covered = sealer.tree.size
    for step in _steps(results, chains):
        known = log.chains.get(step.chain)
        if known is not None and chains[step.chain].head.seq <= known.head.seq:
            continue
        files[EVENTS].writelines(event + b"\n" for event in step.events)
        files[ENTRIES].writelines(entry + b"\n" for entry in sealer.event(step.body, now()))
        if sealer.tree.size - covered >= CHECKPOINT_ENTRIES:
            sealed()
            covered = sealer.tree.size
    return sealed()


def _sync(*files: BinaryIO) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())
