"""``audit export`` of what ``replay`` left in files: all of it is checked before anything is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stream_recon.audit.follow import Chain
from stream_recon.audit.note import Signer
from stream_recon.cli.bundles import Clock, Ledger, Seed, opened
from stream_recon.cli.places import POSITIONS
from stream_recon.cli.results import AUDIT, steps
from stream_recon.errors import InputError
from stream_recon.limits import CHECKPOINT_ENTRIES


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did. ``checkpoint``: the note that it ended with."""

    origin: str
    new: int
    entries: int
    checkpoint: bytes


def export(
    results: Path, bundle: Path, root: Signer, *, clock: Clock, seed: Seed, send: Callable[[], None] = lambda: None
) -> Exported:
    """Adds the events in ``results`` to the log in ``bundle``, which is made if it is not there, and makes a checkpoint.

    ``clock`` gives seconds since the epoch, ``seed`` 32 octets by chance; ``send`` is called when the bundle ends with it.

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
        try:
            new = _new(results, ledger.chains)
        except InputError as error:
            raise InputError(f"{error}; nothing was signed") from error
        note = _write(results, ledger)
        send()
        return Exported(root.name, new, ledger.size, note)


def _new(results: Path, known: dict[str, Chain]) -> int:
    """How many bodies are new, when all of them hold and go on where the log is."""
    new, chains = 0, dict[str, Chain]()
    for step in steps(results, chains):
        name = step.body["chain"]
        before, head = known.get(name), chains[name].head
        if before is None or head.seq > before.head.seq:
            new += 1
        elif head.seq == before.head.seq and head != before.head:
            text = f"{name}: the log has another history up to seq {before.head.seq - 1}, and never changes: name another bundle"
            raise InputError(f"{results}: {text}")
    for name in chains.keys() & known.keys():
        if chains[name].head.seq < known[name].head.seq:
            raise InputError(f"{results}: {name} ends at seq {chains[name].head.seq - 1}, the log has {known[name].head.seq - 1}")
    return new


def _write(results: Path, ledger: Ledger) -> bytes:
    """Adds what is new, a checkpoint every ``CHECKPOINT_ENTRIES`` entries and one at the end, which is returned."""
    chains: dict[str, Chain] = {}
    for step in steps(results, chains):
        name = step.body["chain"]
        known = ledger.chains.get(name)
        if known is not None and chains[name].head.seq <= known.head.seq:
            continue
        ledger.add(step.octets, tuple(octets for octets, _ in step.said))
        if ledger.uncovered >= CHECKPOINT_ENTRIES:
            ledger.checkpoint()
    return ledger.checkpoint()
