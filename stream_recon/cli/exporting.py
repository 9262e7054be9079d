"""``audit export`` of what ``replay`` left in files: all of it is checked before anything is signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stream_recon.audit.follow import Chain, Events, by_chain
from stream_recon.audit.joining import Step
from stream_recon.audit.note import Signer
from stream_recon.audit.text import json_object
from stream_recon.cli.bundles import Clock, Ledger, Seed, opened
from stream_recon.cli.places import POSITIONS
from stream_recon.cli.verifying import EVENTS
from stream_recon.errors import InputError, ProofError
from stream_recon.limits import CHECKPOINT_ENTRIES

AUDIT: Final = "audit.jsonl"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did. ``checkpoint``: the note that it ended with."""

    origin: str
    new: int
    entries: int
    checkpoint: bytes


def export(results: Path, bundle: Path, root: Signer, *, clock: Clock, seed: Seed) -> Exported:
    """Adds the events in ``results`` to the log in ``bundle``, which is made if it is not there, and makes a checkpoint.

    ``clock`` gives seconds since the epoch, ``seed`` 32 octets by chance.

    Raises:
        InputError: results or bundle do not hold, or do not fit each other; nothing was signed.
        Undelivered: the bundle could not be written.
    """
    if not (results / AUDIT).is_file():
        raise InputError(f"{results / AUDIT}: is not there; name the directory that replay wrote")
    if (bundle / POSITIONS).exists():
        text = "it goes on in live topics, and what files add stands in none; name another bundle, with a key of its own"
        raise InputError(f"{bundle}: {text}")
    with opened(bundle, root, clock=clock, seed=seed) as ledger:
        new = _new(results, ledger.chains)
        note = _write(results, ledger)
        return Exported(root.name, new, ledger.size, note)


def _new(results: Path, known: dict[str, Chain]) -> int:
    """How many bodies are new, when all of them hold and go on where the log is."""
    new, chains = 0, dict[str, Chain]()
    for step, wrong in _steps(results, chains):
        name, head = step.chain, chains[step.chain].head
        if wrong:
            raise InputError(f"{results}: {name}, seq {head.seq - 1}: {wrong[0]}; nothing was signed")
        before = known.get(name)
        if before is None or head.seq > before.head.seq:
            new += 1
        elif head.seq == before.head.seq and head != before.head:
            text = f"{name}: the log has another history up to seq {before.head.seq - 1}, and never changes; nothing was signed"
            raise InputError(f"{results}: {text}. Name another bundle")
    for name in chains.keys() & known.keys():
        if chains[name].head.seq < known[name].head.seq:
            text = f"{name} ends at seq {chains[name].head.seq - 1}, the log has {known[name].head.seq - 1}; nothing was signed"
            raise InputError(f"{results}: {text}")
    return new


def _steps(results: Path, chains: dict[str, Chain]) -> Iterator[tuple[Step, list[str]]]:
    """Every audit body in its order, and what is wrong with it; ``chains`` are followed on the way."""
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
                yield Step(name, octets, tuple(event for event, _ in own.last)), wrong
    except OSError as error:
        text = f"{error.filename}: cannot be read: {error.strerror or error}; name the directory that replay wrote"
        raise InputError(text) from error
    except ProofError as error:
        raise InputError(f"{results}: {error}; name the directory that replay wrote") from error
    left = {name: count for name, one in events.items() if (count := one.left())}
    if left:
        raise InputError(f"{results}: discrepancy events that no certificate holds: {left}; nothing was signed")


def _write(results: Path, ledger: Ledger) -> bytes:
    """Adds what is new, a checkpoint every ``CHECKPOINT_ENTRIES`` entries and one at the end, which is returned."""
    chains: dict[str, Chain] = {}
    for step, _ in _steps(results, chains):
        known = ledger.chains.get(step.chain)
        if known is not None and chains[step.chain].head.seq <= known.head.seq:
            continue
        ledger.add(step.body, step.events)
        if ledger.uncovered >= CHECKPOINT_ENTRIES:
            ledger.checkpoint()
    return ledger.checkpoint()
