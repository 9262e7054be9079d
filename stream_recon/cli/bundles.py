"""Bundles on disk: a log that only grows, to be added to by one process at a time.

What stands after its last checkpoint was promised to nobody: whoever was interrupted left it, and the next one cuts it off and
writes it again. Discrepancy events and entries are synced before the checkpoint over them is written.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar

from stream_recon.audit import dsse
from stream_recon.audit.checkpoint import Checkpoint
from stream_recon.audit.entries import EVENT, Sealer
from stream_recon.audit.follow import Chain, Events
from stream_recon.audit.merkle import Tree, leaf_hash
from stream_recon.audit.note import COSIGNATURE, Signer
from stream_recon.audit.policy import NONE, Policy
from stream_recon.audit.text import json_object
from stream_recon.audit.verify import notes
from stream_recon.cli.verifying import CHECKPOINTS, ENTRIES, EVENTS, POLICY
from stream_recon.errors import InputError, ProofError, Undelivered

Seed = Callable[[], bytes]
Clock = Callable[[], int]
Told = Callable[[bytes], bytes]
Made = TypeVar("Made")

FILES: Final = (ENTRIES, EVENTS, CHECKPOINTS)


def policy_text(root: Signer) -> str:
    """The policy that believes this log without witnesses."""
    return f"# whose checkpoints are believed (c2sp.org/tlog-policy)\nlog {root.verifier.vkey}\nquorum {NONE}\n"


def cosigner(root: Signer) -> Signer:
    """The witness that a key makes."""
    return Signer(root.name, root.key, COSIGNATURE)


def witness_line(root: Signer) -> str:
    """How a policy names the witness of a key."""
    return f"witness {root.name} {cosigner(root).verifier.vkey}"


class Patience(Protocol):
    """Does work that the service of the root key has a part in."""

    def __call__(self, work: Callable[[], Made], /) -> Made:
        """What the work returns. It may be done again after ``KeyServiceAway``, and after no other error."""


def _at_once(work: Callable[[], Made]) -> Made:
    return work()


@dataclass(slots=True)
class _Log:
    """How far a bundle's log is under its last checkpoint. ``octets``: what of its files that checkpoint takes in; ``adopted``:
    the note of that checkpoint, if it was published and is not in the bundle yet.
    """

    last: Checkpoint | None = None
    adopted: bytes | None = None
    tree: Tree = field(default_factory=Tree)
    chains: dict[str, Chain] = field(default_factory=dict)
    octets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FILES, 0))


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a bundle's entries: the tree over those before it, and their octets."""

    tree: Tree = field(default_factory=Tree)
    octets: int = 0


def hashes(bundle: Path, octets: int) -> Iterator[tuple[bytes, int]]:
    """Leaf hashes of the entries from there on, each with the octets of its line. Raises ``OSError`` or ``ProofError``."""
    with (bundle / ENTRIES).open("rb") as file:
        file.seek(octets)
        for line in file:
            yield leaf_hash(dsse.parse(line.removesuffix(b"\n")).signed), len(line)


class Ledger:
    """The log in a bundle, to be added to. ``chains``: how far each one was followed, to the last checkpoint at first.
    ``patiently``: how the service of the root key is waited for, if it is away; not at all, unless it is set.
    """

    def __init__(
        self,
        bundle: Path,
        files: Mapping[str, BinaryIO],
        root: Signer,
        log: _Log,
        clock: Clock,
        seed: Seed,
        policy: bytes | None = None,
    ) -> None:
        self.chains = log.chains
        self.last = log.last
        self.patiently: Patience = _at_once
        self._bundle = bundle
        self._files = files
        self._policy = policy_text(root).encode() if policy is None else policy
        self._log: _Log | None = log
        self._clock = clock
        self._latest = 0 if log.last is None else log.last.time
        self._covered = log.tree.size
        self.mark = Mark(log.tree.copy(), log.octets[ENTRIES])
        """Where the entries stood when the bundle was opened."""
        self._sealer = Sealer(root, log.tree, seed)

    @property
    def size(self) -> int:
        """Entries."""
        return self._sealer.tree.size

    @property
    def uncovered(self) -> int:
        """Entries that are under no checkpoint yet."""
        return self.size - self._covered

    @property
    def root(self) -> bytes:
        """The root over all entries."""
        return self._sealer.tree.root

    def add(self, body: bytes, events: Iterable[bytes]) -> None:
        """Signs an audit body, after the discrepancy events that belong to it.

        Raises:
            KeyServiceError: a new signing key could not be introduced; nothing was added.
            OSError: it could not be written.
        """
        self.begin()
        entries = self.patiently(lambda: list(self._sealer.event(body, self._now())))
        self._files[EVENTS].writelines(event + b"\n" for event in events)
        self._files[ENTRIES].writelines(entry + b"\n" for entry in entries)

    def checkpoint(self, publish: Told = lambda note: note) -> bytes:
        """Puts all entries so far under a checkpoint, and returns its note. ``publish`` is given it when all that it promises is
        on the disk, and returns it with what was signed under it by others; if that raises, the checkpoint is not written.

        Raises:
            ProofError: the time of a key that signed is over.
            KeyServiceError: the root key does not sign it.
            OSError: it could not be written.
        """
        self.begin()
        _sync(self._files[EVENTS], self._files[ENTRIES])
        now = self._now()  # when its text was made, however long the signature takes: else keys could end meanwhile
        note = publish(self.patiently(lambda: self._sealer.checkpoint(now)))
        self._files[CHECKPOINTS].write(note + b"\n")
        _sync(self._files[CHECKPOINTS])
        self._covered = self.size
        return note

    def begin(self) -> None:
        """Cuts off what was promised to nobody: from now on the bundle is this process's. Raises ``OSError``."""
        log, self._log = self._log, None
        if log is None:
            return
        for name, file in self._files.items():
            file.truncate(log.octets[name])
        (self._bundle / POLICY).write_bytes(self._policy)
        if log.adopted is not None:
            self._files[CHECKPOINTS].write(log.adopted + b"\n")
        _sync(*self._files.values())
        sync_directory(self._bundle)

    def _now(self) -> int:
        """Never before the last checkpoint."""
        self._latest = max(self._latest, self._clock())
        return self._latest


@contextmanager
def opened(
    bundle: Path, root: Signer, *, clock: Clock, seed: Seed, newest: bytes | None = None, policy: bytes | None = None
) -> Iterator[Ledger]:
    """The log in ``bundle``, which is made if it is not there. Nothing of it is changed before something is added.

    ``clock`` gives seconds since the epoch, ``seed`` 32 octets by chance. ``newest``: the newest checkpoint that was published,
    of which the bundle must know, or hold all entries. ``policy``: to stand in the bundle, other than that without witnesses.

    Raises:
        InputError: the bundle does not hold, is another key's or is behind what was published; or another process adds to it.
        Undelivered: it could not be written.
    """
    with held(bundle) as files:
        yield Ledger(bundle, files, root, _resumed(bundle, files, root, newest), clock, seed, policy)


@contextmanager
def held(bundle: Path) -> Iterator[dict[str, BinaryIO]]:
    """The files of a bundle, which are made if they are not there, to be read and added to by nobody else meanwhile.

    Raises:
        InputError: another process adds to it.
        Undelivered: it could not be written; also for what is done meanwhile.
    """
    try:
        bundle.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            files: dict[str, BinaryIO] = {name: stack.enter_context((bundle / name).open("a+b")) for name in FILES}
            try:
                fcntl.flock(files[ENTRIES], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"{bundle}: another process adds to this bundle; stop it, or wait until it is done") from error
            yield files
    except OSError as error:
        raise Undelivered(f"{bundle}: the bundle could not be written: {error.strerror or error}") from error


# ---- what is there -----------------------------------------------------------------------------------------------------


def _resumed(bundle: Path, files: Mapping[str, BinaryIO], root: Signer, newest: bytes | None) -> _Log:
    """Follows the log to its last checkpoint."""
    log = _Log()
    files[CHECKPOINTS].seek(0)
    found, rest = notes(octets := files[CHECKPOINTS].read())
    log.octets[CHECKPOINTS] = len(octets) - len(rest)
    believe = Policy((root.verifier,), {}, {}, NONE).believe
    try:
        if found:
            log.last = believe(found[-1])[0]
        roots = {} if log.last is None else {log.last.size: log.last.root}
        if newest is not None and not any(note.startswith(newest) for note in found):  # cosignatures stand behind it
            head = believe(newest)[0]
            _not_behind(head, log.last)
            log.adopted, log.last = newest, head
            roots[head.size] = head.root
        if log.last is not None:
            _follow(files, log, roots)
    except ProofError as error:
        text = f"{bundle}: the bundle does not hold ({error}); nothing was signed. stream-recon audit verify says what is wrong"
        raise InputError(text) from error
    return log


def _not_behind(head: Checkpoint, last: Checkpoint | None) -> None:
    """``head`` was published and is not in the bundle, of which ``last`` is the last one."""
    if last is not None and (head.size < last.size or (head.size == last.size and head.root != last.root)):
        raise ProofError(f"a checkpoint of {head.size} entries was published that is none of this bundle: a fork")


def _follow(files: Mapping[str, BinaryIO], log: _Log, roots: Mapping[int, bytes]) -> None:
    """``roots``: those that the log has at sizes."""
    for name in (ENTRIES, EVENTS):
        files[name].seek(0)
    events = Events(line.removesuffix(b"\n") for line in files[EVENTS])
    size = max(roots)
    while log.tree.size < size and (line := files[ENTRIES].readline()).endswith(b"\n"):
        log.octets[ENTRIES] += len(line)
        envelope = dsse.parse(line)
        log.tree.add(envelope.signed)
        if roots.get(log.tree.size, log.tree.root) != log.tree.root:
            break
        if envelope.payload_type != EVENT:
            continue
        body = json_object(envelope.payload)
        chain = log.chains.setdefault(body["chain"], Chain())
        for wrong in chain.follow(envelope.payload, body, events):
            raise ProofError(f"{body['chain']}, seq {body['seq']}: {wrong}")
        log.octets[EVENTS] += sum(len(event) + 1 for event, _ in events.last)
    if (log.tree.size, log.tree.root) != (size, roots[size]):
        published = "" if log.adopted is None else "published "
        raise ProofError(f"its entries are not the {size} of its last {published}checkpoint")


def put_in_place(path: Path, octets: bytes) -> None:
    """Writes a file whole or not at all, and so that it stays. Raises ``OSError``."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Names of files that were made or put in the place of others stay."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _sync(*files: BinaryIO) -> None:
    for file in files:
        file.flush()
        os.fsync(file.fileno())
