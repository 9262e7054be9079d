"""``audit rederive``: reads topics or their recordings again, and holds what comes out against an audit."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from stream_recon.audit.rederive import DIFFERS, SAME, UNDERIVABLE, Certificates, Compared, compare
from stream_recon.audit.text import json_object
from stream_recon.cli.certificates import verified
from stream_recon.cli.output import EXIT_DIFFERENT, EXIT_FINE, EXIT_INCONCLUSIVE, print_json, print_text, shown_text
from stream_recon.cli.progress import ProgressReport
from stream_recon.cli.replaying import recordings_of
from stream_recon.cli.results import SUMMARY, steps
from stream_recon.cli.times import moment
from stream_recon.cli.verifying import ENTRIES
from stream_recon.config import load_topology
from stream_recon.errors import ConfigError, InputError
from stream_recon.model.plan import TopologyPlan

_SHOWN: Final = 20
"""Certificates that are not the same and are shown to people; ``--json`` has all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, as it was typed."""

    audit: Path
    policy: Path | None
    start: str | None
    end: str | None
    digest_partitions: int | None


def rederive(topology: Path, sides: Sequence[str], asked: Asked, *, as_json: bool) -> int:
    """Runs ``audit rederive`` and returns its exit code. Raises ``ReconError``."""
    from stream_recon.cli.wire import replay  # the engine takes half a second to load

    plan = load_topology(topology)
    recordings = recordings_of(plan, sides) if sides else None
    first, last = _windows(asked, plan.window)
    place = asked.audit if asked.audit.is_dir() else asked.audit.parent
    given, derived = Certificates(), Certificates()
    bundle = (place / ENTRIES).is_file()
    if not bundle and asked.policy is not None:
        raise ConfigError(f"--policy is for bundles, and {place} is none")
    for step in verified(place, asked.policy) if bundle else steps(place):
        if step.body.get("topology") == plan.name:
            given.take(step.body, step.events)
    if not given.chains:
        raise InputError(f"{place}: holds no certificate of topology {plan.name}")
    partitions = _partitions(plan, place, asked)
    with tempfile.TemporaryDirectory(prefix="stream-recon-") as out, ProgressReport(silent=as_json) as progress:
        if recordings is None:
            recordings = _recorded(plan, Path(out), progress)
        summary = replay(plan, recordings, Path(out), state=None, digest_partitions=partitions, progress=progress)
        for step in steps(Path(out)):
            derived.take(step.body, step.events)
    ends = {f"{p['side']} {p['topic']}/{p['partition']}": p["to"] for p in summary.partitions}
    derived.began = {f"{p['side']} {p['topic']}/{p['partition']}": p["from"] for p in summary.partitions}
    found = list(compare(given, derived, ends, first, last))
    counts = Counter(one.result for one in found)
    code = EXIT_DIFFERENT if counts[DIFFERS] else EXIT_INCONCLUSIVE if counts[UNDERIVABLE] or not found else EXIT_FINE
    if as_json:
        print_json({"exit_code": code, **{name: counts[name] for name in (SAME, DIFFERS, UNDERIVABLE)}, "other": _other(found)})
    else:
        _print(found, counts)
    return code


def _recorded(plan: TopologyPlan, place: Path, progress: ProgressReport) -> dict[str, list[Path]]:
    """What the topics hold now. Raises ``ReconError``."""
    from stream_recon.cli.recording import recorded  # Kafka's client is loaded for live topics only

    return {side: [path] for side, path in recorded(plan, place, progress).items()}


def _windows(asked: Asked, window: int) -> tuple[int, int]:
    """Numbers of the windows that touch the range; all, if none was given."""
    start = -(2**63) if asked.start is None else moment("--from", asked.start)
    end = 2**63 if asked.end is None else moment("--to", asked.end)
    if start >= end:
        raise ConfigError(f"--to {asked.end}: expected a time after --from {asked.start}")
    return start // window, -(-end // window)


def _partitions(plan: TopologyPlan, place: Path, asked: Asked) -> int:
    """How many digest partitions there were: with another number, certificates are other ones. Raises ``ConfigError``."""
    said = _said(place, plan.name)
    known = {number for number in (said, asked.digest_partitions, plan.parallelism) if number is not None}
    if len(known) > 1:
        numbers = f"{SUMMARY} {said or '-'}, --digest-partitions {asked.digest_partitions or '-'}"
        raise ConfigError(
            f"how many digest partitions were there? {numbers}, parallelism in the topology {plan.parallelism or '-'}"
        )
    if not known:
        text = "does not say how many digest partitions the run had: add --digest-partitions (8, if nothing else was said)"
        raise ConfigError(f"{place}: {text}")
    return known.pop()


def _said(place: Path, topology: str) -> int | None:
    """By the summary of the run; a bundle has none."""
    try:
        summary = json_object((place / SUMMARY).read_bytes())
    except FileNotFoundError:
        return None
    chains = summary.get("topologies", {}).get(topology, summary).get("chains", {})
    return max((int(chain.rsplit("/", 1)[1]) + 1 for chain in chains), default=None)


def _other(found: Sequence[Compared]) -> list[dict[str, Any]]:
    return [
        {"chain": c.chain, "seq": c.seq, "window": c.window, "result": c.result, "fields": list(c.fields), "why": c.why}
        for c in found
        if c.result != SAME
    ]


def _print(found: Sequence[Compared], counts: Counter[str]) -> None:
    table = Table(title="certificates, as the recordings give them again", title_justify="left")
    table.add_column("chain", overflow="fold")
    for name in (SAME, DIFFERS, UNDERIVABLE):
        table.add_column(name, justify="right")
    by_chain = Counter((one.chain, one.result) for one in found)
    for chain in sorted({one.chain for one in found}):
        table.add_row(shown_text(chain), *(str(by_chain[chain, name]) for name in (SAME, DIFFERS, UNDERIVABLE)))
    print_text(table)
    other = [one for one in found if one.result != SAME]
    for one in other[:_SHOWN]:
        at = "in the recordings only" if one.seq is None else f"seq {one.seq}"
        told = f"{one.result}: {', '.join(one.fields)}" + (f" ({shown_text(one.why)})" if one.why else "")
        print_text(f"{shown_text(one.chain)}, {at}, window from {shown_text(one.window['start'])}: {told}")
    if len(other) > _SHOWN:
        print_text(f"... and {len(other) - _SHOWN} more: --json has them")
    if not found:
        print_text("no certificate is of the range: nothing was held against the recordings")
    elif not other:
        print_text(f"all {counts[SAME]} certificates come out again")
    else:
        print_text(f"{counts[SAME]} of {len(found)} certificates come out again")
