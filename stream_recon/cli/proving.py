"""``audit`` and ``keys``: what they print."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

from rich.table import Table

from stream_recon.audit.follow import Chain
from stream_recon.audit.note import Signer
from stream_recon.audit.text import instant
from stream_recon.audit.verify import Report
from stream_recon.cli import copying
from stream_recon.cli.bundles import policy_text, witness_line
from stream_recon.cli.exporting import Exported
from stream_recon.cli.exporting import export as from_files
from stream_recon.cli.output import EXIT_DIFFERENT, EXIT_FINE, print_json, print_text, say, shown_text
from stream_recon.cli.rootkeys import new_root_key, root_key
from stream_recon.cli.verifying import check, read_policy
from stream_recon.errors import ConfigError
from stream_recon.limits import SIGNING_KEY_SECONDS

LONGEST_SECONDS = SIGNING_KEY_SECONDS // 4
"""Between two checkpoints: a key signs for half of its time, and what it signed last must come under one in the other half, also
where that one is late.
"""

_SHOWN = 20
"""Certificates that are not clean and are shown to people; ``--json`` has the first hundred."""

EXIT_BROKEN = EXIT_DIFFERENT
"""The proof does not hold: as where data differ, so that a gate need not tell them apart."""


def make_key(name: str, out: str, *, as_json: bool) -> int:
    """Makes a root key. Raises ``ReconError``."""
    return _print_key(new_root_key(name, out), as_json=as_json)


def show_key(key: str, *, as_witness: bool, as_json: bool) -> int:
    """Shows the public half of a root key, or of a witness's. Raises ``ReconError``."""
    root = root_key(key)
    if as_witness and not as_json:
        print_text(witness_line(root))
        return EXIT_FINE
    return _print_key(root, as_json=as_json)


def _print_key(root: Signer, *, as_json: bool) -> int:
    if as_json:
        print_json({"name": root.name, "vkey": root.verifier.vkey, "policy": policy_text(root), "witness": witness_line(root)})
    else:
        print_text(policy_text(root).removesuffix("\n"))
    return EXIT_FINE


def export(
    where: Sequence[Path], bundle: Path, key: str, prefix: str | None, policy: Path | None, copy_to: str | None, *, as_json: bool
) -> int:
    """Adds to a bundle what ``replay`` left in a directory, or what the topics of a deployment hold. Raises ``ReconError``."""
    if where[0].is_dir() or not (where[0].exists() or where[0].suffix):
        if len(where) > 1 or prefix is not None:
            raise ConfigError("give one result directory, or topologies: --prefix is for topologies")
        if policy is not None:
            raise ConfigError(
                "--policy: witnesses are asked about live topics, where a checkpoint is published before; leave it out"
            )
        root = root_key(key)
        send = (lambda: None) if copy_to is None else copying.Copied(copy_to, bundle).send
        clock, seed = (lambda: int(time.time())), (lambda: secrets.token_bytes(32))
        done = from_files(where[0], bundle, root, clock=clock, seed=seed, send=send)
    else:
        from stream_recon.cli import signing  # Kafka's client is loaded for topics only

        done = signing.export(signing.Where(where, bundle, key, prefix, policy, copy_to))
    if as_json:
        print_json(_made(done) | {"bundle": str(bundle)})
    else:
        print_text(f"{done.new} events signed, {done.entries} entries in the log; written to {bundle}. Its checkpoint:")
        print_text(done.checkpoint.decode().removesuffix("\n"))
    return EXIT_FINE


def sign(
    where: Sequence[Path],
    bundle: Path,
    key: str,
    prefix: str | None,
    pace: tuple[int, float],
    policy: Path | None,
    copy_to: str | None,
    *,
    as_json: bool,
) -> int:
    """Signs what a deployment says, until it is stopped. ``pace``: entries and seconds between checkpoints; ``policy``: whose
    witnesses are asked; ``copy_to``: where the bundle is copied to. Raises ``ReconError``.
    """
    from stream_recon.cli import signing
    from stream_recon.cli.live import Screen, logged
    from stream_recon.cli.stopping import signals

    entries, seconds = pace
    if seconds > LONGEST_SECONDS:
        raise ConfigError(
            f"--every {seconds:g}: a key must not end before the checkpoint over what it signed; write at most {LONGEST_SECONDS}"
        )
    stop = Event()
    with Screen(terminal=False) as screen, logged(screen, "sign"), signals(stop.set):
        show = (lambda done: print_json(_made(done))) if as_json else lambda _: None
        signing.sign(
            signing.Where(where, bundle, key, prefix, policy, copy_to), signing.Pace(entries, seconds), show, stop.is_set
        )
    return EXIT_FINE


def fetch(location: str, bundle: Path, *, ahead: bool, as_json: bool) -> int:
    """Brings a copy of a bundle from where it is kept. Raises ``ReconError``."""
    new = copying.fetch(location, bundle, ahead=ahead)
    if as_json:
        print_json({"bundle": str(bundle), "new_bytes": new})
    else:
        print_text(f"{new:,} octets are new in {bundle}; check it by: stream-recon audit verify {bundle} --policy POLICY")
    return EXIT_FINE


def _made(done: Exported) -> dict[str, Any]:
    return {"origin": done.origin, "new": done.new, "entries": done.entries, "checkpoint": done.checkpoint.decode()}


def verify(bundle: Path, policy: Path, kept: Sequence[Path], chains: Sequence[str], *, as_json: bool) -> int:
    """Checks a bundle; 1 if the proof does not hold. Raises ``ReconError``."""
    if policy.resolve().parent == bundle.resolve():
        say(f"warning: {policy} came with the bundle, and whoever made the one made the other; use a policy from elsewhere")
    report = check(bundle, read_policy(policy), kept, chains)
    if as_json:
        print_json(_as_json(report))
    else:
        _print(report)
    return EXIT_FINE if report.holds else EXIT_BROKEN


def _print(report: Report) -> None:
    if report.chains:
        print_text(_table(report.chains, "what is certified" if report.holds else "what the bundle says, which is NOT certified"))
    for one in report.unclean[:_SHOWN]:
        print_text(shown_text(f"{one.verdict}: {one.start} to {one.end}, {one.chain}, seq {one.seq} (entry {one.entry})"))
    if len(report.unclean) > _SHOWN:
        print_text("... and more certificates that are not clean: see --json")
    for finding in report.findings:
        print_text(f"broken: {shown_text(str(finding))}")
    if report.broken > len(report.findings):
        print_text(f"... and {report.broken - len(report.findings)} more")
    if report.holds:
        print_text(_said(report), _older(report))
    print_text(_conclusion(report))


def _said(report: Report) -> str:
    """In all chains together: what holds may be that data differ."""
    windows = {verdict: sum(chain.windows[verdict] for chain in report.chains.values()) for verdict in VERDICTS}
    told = ", ".join(f"{count} {verdict}" for verdict, count in windows.items())
    left = [chain.open for chain in report.chains.values()]
    opened = "?" if None in left else sum(filter(None, left))
    return f"it says of windows: {told}; {opened} discrepancies are open at its end"


def _older(report: Report) -> str:
    if report.kept:
        return f"it goes on from {report.kept} checkpoint{'' if report.kept == 1 else 's'} of before"
    return "it was held against no checkpoint of before (--kept): a fork would not show"


def _conclusion(report: Report) -> str:
    if not report.holds:
        return f"the proof does not hold: {report.broken} finding{'' if report.broken == 1 else 's'}"
    assert report.last is not None
    under = f"{report.checkpoints} checkpoint{'' if report.checkpoints == 1 else 's'} of {report.origin}"
    return f"the proof holds: {report.entries} entries under {under}, the last of {instant(report.last.time)}"


def _table(chains: dict[str, Chain], title: str) -> Table:
    """A line a chain: events, then windows by verdict."""
    table = Table(title=title, title_justify="left")
    table.add_column("chain", overflow="fold")
    for name in ("events", *VERDICTS, "open"):
        table.add_column(f"windows {name}" if name in VERDICTS else name, justify="right")
    for name in ("from", "to"):
        table.add_column(name)
    for name, chain in sorted(chains.items()):
        row = _row(chain)
        cells = ["-" if row[column] is None else str(row[column]) for column in ("events", *VERDICTS, "open", "from", "to")]
        table.add_row(shown_text(name), *map(shown_text, cells))
    return table


VERDICTS = ("clean", "discrepant", "inconclusive")


def _row(chain: Chain) -> dict[str, Any]:
    until = None if chain.until is None else chain.until[1]
    windows = {verdict: chain.windows[verdict] for verdict in VERDICTS}
    return {"events": chain.head.seq, **windows, "open": chain.open, "from": chain.first, "to": until}


def _as_json(report: Report) -> dict[str, Any]:
    last = report.last
    return {
        "holds": report.holds,
        "origin": report.origin,
        "entries": report.entries,
        "checkpoints": report.checkpoints,
        "last": None if last is None else {"size": last.size, "root": last.root.hex(), "time": instant(last.time)},
        "chains": {name: _row(chain) for name, chain in sorted(report.chains.items())},
        "not_clean": [asdict(one) for one in report.unclean],
        "kept": report.kept,
        "broken": report.broken,
        "findings": [{"text": f.text, "entry": f.entry, "chain": f.chain, "seq": f.seq} for f in report.findings],
    }
