"""``gate``: reads certificates from where they are, and shows whether a range of windows may pass.

DIR        what replay or run --once left: audit.jsonl, discrepancies.jsonl, and summary.json, which names every chain
BUNDLE     verified first; what does not hold is never looked at
TOPOLOGY   the audit topic of a deployment, and its open records, which name every chain
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from stream_recon.audit.certified import CLEAN, DISCREPANT, INCONCLUSIVE, Certified
from stream_recon.audit.gate import INCOMPLETE, Expected, Judged, Reason, judge
from stream_recon.cli.certificates import of_bundle, of_results
from stream_recon.cli.output import (
    EXIT_DIFFERENT,
    EXIT_FINE,
    EXIT_INCONCLUSIVE,
    print_json,
    print_text,
    shown_text,
)
from stream_recon.cli.times import moment
from stream_recon.cli.verifying import ENTRIES
from stream_recon.config.scalars import parse_positive_duration
from stream_recon.engine.events import instant
from stream_recon.errors import ConfigError, InputError

EXITS: Final = {
    CLEAN: EXIT_FINE,
    DISCREPANT: EXIT_DIFFERENT,
    INCONCLUSIVE: EXIT_INCONCLUSIVE,
    INCOMPLETE: EXIT_INCONCLUSIVE,
}
_TOLD = 3
"""Stretches and chains of a reason that people are shown; ``--json`` has all."""


@dataclass(frozen=True, slots=True)
class Proof:
    """By what a bundle is verified."""

    policy: Path | None = None
    kept: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for, as it was typed."""

    start: str
    end: str
    topologies: tuple[str, ...] = ()
    chains: tuple[str, ...] = ()
    proof: Proof = Proof()
    wait: str | None = None
    prefix: str | None = None

    @property
    def range(self) -> tuple[int, int]:
        """Its start and end (µs). Raises ``ConfigError``."""
        start, end = moment("--from", self.start), moment("--to", self.end)
        if start >= end:
            raise ConfigError(
                f"--to {self.end}: expected a time after --from {self.start}: a range without a window proves nothing"
            )
        return start, end

    @property
    def patience(self) -> int:
        """How long to wait (µs). Raises ``ConfigError``."""
        try:
            return 0 if self.wait is None else parse_positive_duration(self.wait)
        except ValueError as error:
            raise ConfigError(f"--wait: {error}") from error


def gate(where: Sequence[Path], asked: Asked, *, as_json: bool) -> int:
    """Judges the range, shows why, and returns the exit code. Raises ``ReconError``."""
    certified = Certified(*asked.range)
    recorded = where[0].is_dir() or where[0].suffix == ".jsonl"
    if recorded:
        expected = _recorded(where, asked, certified)
        if asked.topologies:
            unknown = sorted(set(asked.topologies) - expected.keys())
            if unknown:
                raise ConfigError(f"--topology {unknown[0]}: is not there; there are {', '.join(sorted(expected)) or 'none'}")
            expected = {name: expected[name] for name in asked.topologies}
        expected = _with_chains(expected, certified, asked.chains)
        judged = judge(certified, expected)
    else:
        judged = _live(where, asked, certified, as_json=as_json)
    if not judged:
        raise InputError(f"{where[0]}: holds no pair of any topology")
    code = max((EXITS[one.verdict] for one in judged), key=(EXIT_FINE, EXIT_INCONCLUSIVE, EXIT_DIFFERENT).index)
    if as_json:
        print_json(_as_json(judged, asked, code))
    else:
        _print(judged, asked)
    return code


def _with_chains(expected: Mapping[str, Expected], certified: Certified, chains: Sequence[str]) -> dict[str, Expected]:
    """What was demanded by name and is not there is a reason of its topology, or of all if it names none of them."""
    out = dict(expected)
    for chain in chains:
        if chain not in certified.chains:
            reason = Reason.silent(chain)
            topology = chain.split("/")[0]
            for name in [topology] if topology in out else list(out):
                out[name] = replace(out[name], reasons=(*out[name].reasons, reason))
    return out


# ---- where certificates are --------------------------------------------------------------------------------------------


def _recorded(where: Sequence[Path], asked: Asked, certified: Certified) -> dict[str, Expected]:
    if len(where) > 1:
        raise ConfigError("give one directory, or topologies")
    if asked.wait is not None or asked.prefix is not None:
        raise ConfigError("--wait and --prefix are for the topologies of a deployment: what is recorded does not change")
    place = where[0] if where[0].is_dir() else where[0].parent
    bundle = (place / ENTRIES).is_file()
    if not bundle and (asked.proof.policy is not None or asked.proof.kept):
        raise ConfigError(f"--policy and --kept are for bundles, and {place} is none")
    return of_bundle(place, asked.proof.policy, asked.proof.kept, certified) if bundle else of_results(place, certified)


def _live(where: Sequence[Path], asked: Asked, certified: Certified, *, as_json: bool) -> list[Judged]:
    if asked.topologies:
        raise ConfigError("--topology is for a directory: give only the topology files that are to pass")
    if asked.proof != Proof():
        raise ConfigError("--policy and --kept are for bundles")
    from stream_recon.cli import waiting  # Kafka's client is loaded for live topics only

    return waiting.live(where, asked.prefix, certified, asked.chains, asked.patience, silent=as_json)


# ---- what is said ------------------------------------------------------------------------------------------------------


def _as_json(judged: Sequence[Judged], asked: Asked, code: int) -> dict[str, Any]:
    worst = max((one.verdict for one in judged), key=(CLEAN, INCOMPLETE, INCONCLUSIVE, DISCREPANT).index)
    return {"verdict": worst, "exit_code": code, "from": asked.start, "to": asked.end, "pairs": [_pair(one) for one in judged]}


def _pair(one: Judged) -> dict[str, Any]:
    return {
        "topology": one.topology,
        "target": one.target,
        "verdict": one.verdict,
        "from": None if one.start is None else instant(one.start),
        "to": None if one.end is None else instant(one.end),
        "certified_until": None if one.until is None else instant(one.until),
        "windows": dict(one.windows),
        "open": one.open,
        "unresolved": one.unresolved,
        "idle_assumed": one.assumed,
        "not_compared": list(one.drifted),
        "chains": one.chains,
        "silent": one.silent,
        "reasons": [_reason(reason) for reason in one.reasons],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    stretches = [{"from": instant(start), "to": instant(end)} for start, end in reason.stretches]
    return {"verdict": reason.verdict, "text": reason.text, "stretches": stretches, "chains": list(reason.chains)}


def _print(judged: Sequence[Judged], asked: Asked) -> None:
    table = Table(title=f"windows that touch {asked.start} to {asked.end}", title_justify="left")
    for name in ("pair", "verdict"):
        table.add_column(name, overflow="fold")
    for name in (CLEAN, DISCREPANT, INCONCLUSIVE, "missing", "open", "chains"):
        table.add_column(name, justify="right")
    for name in ("from", "certified until"):
        table.add_column(name)
    for one in judged:
        counts = [str(one.windows.get(name, 0)) for name in (CLEAN, DISCREPANT, INCONCLUSIVE, INCOMPLETE)]
        chains = f"{one.chains} of {one.chains + one.silent}" if one.silent else str(one.chains)
        times = ["-" if time is None else instant(time) for time in (one.start, one.until)]
        table.add_row(shown_text(f"{one.topology}/{one.target}"), one.verdict, *counts, str(one.open), chains, *times)
    print_text(table)
    for one in judged:
        for reason in one.reasons:
            print_text(f"{one.topology}/{one.target} {reason.verdict}: {_told(reason)}")
        if one.assumed:
            print_text(
                f"{one.topology}/{one.target}: {one.assumed} windows of its chains were closed on the silence of a partition"
            )
        if one.drifted:
            print_text(f"{one.topology}/{one.target}: columns that are not compared: {', '.join(map(shown_text, one.drifted))}")
    worst = max((one.verdict for one in judged), key=(CLEAN, INCOMPLETE, INCONCLUSIVE, DISCREPANT).index)
    print_text("the gate is open: all of it is certified and clean" if worst == CLEAN else f"the gate is closed: {worst}")


def _told(reason: Reason) -> str:
    text = shown_text(reason.text)
    if reason.stretches:
        text += f", {_some([f'{instant(start)} to {instant(end)}' for start, end in reason.stretches])}"
    return f"{text} ({_some([shown_text(name) for name in reason.chains])})" if reason.chains else text


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    return ", ".join(texts[:_TOLD]) + more
