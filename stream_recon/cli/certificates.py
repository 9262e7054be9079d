"""Reads certificates for ``gate`` and ``audit rederive`` from where they were written: what a run left, or a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stream_recon.audit import dsse
from stream_recon.audit.certified import INCONCLUSIVE, Certified
from stream_recon.audit.entries import EVENT
from stream_recon.audit.follow import Chain, Events
from stream_recon.audit.gate import INCOMPLETE, Expected, Reason
from stream_recon.audit.merkle import Tree
from stream_recon.audit.text import json_object
from stream_recon.cli.output import EXIT_FAILED
from stream_recon.cli.results import AUDIT, DISCREPANCIES, SUMMARY, Step, steps
from stream_recon.cli.verifying import ENTRIES, check, read_policy
from stream_recon.errors import ConfigError, InputError, ProofError

_TOLD_FINDINGS: Final = 3
_LOST: Final = frozenset({"gap", "recreated"})
"""Causes that tell where lost positions lie in time."""


def of_bundle(place: Path, policy: Path | None, kept: Sequence[Path], certified: Certified) -> dict[str, Expected]:
    """Verifies a bundle, then takes what was verified.

    Raises:
        ConfigError: there is no policy.
        InputError: it cannot be read, or does not hold.
    """
    try:
        for step in verified(place, policy, kept):
            certified.take(step.octets, step.body)
    except ProofError as error:
        raise InputError(f"{place}: {error}") from error
    return {name: Expected() for name in certified.topologies}


def verified(place: Path, policy: Path | None, kept: Sequence[Path] = ()) -> Iterator[Step]:
    """What a bundle holds, after it was verified as a whole: the entries must be the same ones.

    Raises:
        ConfigError: there is no policy.
        InputError: it cannot be read, or does not hold.
    """
    if policy is None:
        raise ConfigError(f"{place} is a bundle: give --policy FILE, by which it is verified first")
    report = check(place, read_policy(policy), kept)
    if not report.holds:
        told = "; ".join(str(finding) for finding in report.findings[:_TOLD_FINDINGS])
        raise InputError(f"{place}: the proof does not hold, so nothing in it counts: {told}; see stream-recon audit verify")
    assert report.last is not None
    tree, chains = Tree(), dict[str, Chain]()
    try:
        with (place / ENTRIES).open("rb") as lines, (place / DISCREPANCIES).open("rb") as said:
            events = Events(line.removesuffix(b"\n") for line in said)
            for line in lines:
                envelope = dsse.parse(line.removesuffix(b"\n"))
                tree.add(envelope.signed)
                if envelope.payload_type == EVENT:
                    body = json_object(envelope.payload)
                    wrong = list(chains.setdefault(body["chain"], Chain()).follow(envelope.payload, body, events))
                    if wrong:
                        raise InputError(f"{place}: it was changed while it was read: {wrong[0]}")
                    yield Step(envelope.payload, body, tuple(events.last))
    except (OSError, ProofError) as error:
        raise InputError(f"{place}: {error}") from error
    if (tree.size, tree.root) != (report.last.size, report.last.root):
        raise InputError(f"{place}: it was changed while it was read; run it again")


def of_results(place: Path, certified: Certified) -> dict[str, Expected]:
    """Takes what a run left, all of it: every chain holds, and is as long as the summary says.

    Raises:
        InputError: it cannot be read, or does not hold, or the run did not come to its end.
    """
    runs = summaries(place)
    lost: set[str] = set()
    for step in steps(place):
        certified.take(step.octets, step.body)
        if any(cause["kind"] in _LOST for cause in step.body.get("causes", ())):
            lost.add(step.body["topology"])
    expected = {}
    for name, run in runs.items():
        said = {chain: count for chain, count in run["chains"].items() if count}
        found = {chain: certified.chains[chain].head.seq for chain in certified.chains if chain.split("/")[0] == name}
        if said != found:
            wrong = sorted(c for c in said.keys() | found.keys() if said.get(c) != found.get(c))
            text = f"{AUDIT} holds {found.get(wrong[0], 0)} events of {wrong[0]}, {SUMMARY} counts {said.get(wrong[0], 0)}"
            raise InputError(f"{place}: {text}: one of them was changed")
        expected[name] = Expected(frozenset(run["chains"]), ended=True, reasons=tuple(_reasons(run, lost=name in lost)))
    if left := certified.topologies and sorted(set(certified.topologies) - expected.keys()):
        raise InputError(f"{place}: {AUDIT} holds events of {left[0]}, of which {SUMMARY} says nothing")
    return expected


def _reasons(run: Mapping[str, Any], *, lost: bool) -> Iterator[Reason]:
    """What a summary says against a run that certificates need not say."""
    if run["exit_code"] == EXIT_FAILED:
        yield Reason(INCOMPLETE, f"the run failed: {'; '.join(run['warnings'])}")
    gaps = sum(p["gaps"] for p in run["partitions"])
    if gaps and not lost:
        yield Reason(INCONCLUSIVE, f"{gaps} positions were lost, and no certificate says in which windows")


def summaries(place: Path) -> dict[str, Mapping[str, Any]]:
    """The summary of each topology of a run. A run that did not come to its end left none.

    Raises:
        InputError: there is none that names its chains.
    """
    path = place / SUMMARY
    try:
        summary = json_object(path.read_bytes())
        runs = list(summary["topologies"].values()) if "topologies" in summary else [summary]
        return {next(iter(run["chains"])).split("/")[0]: run for run in runs}
    except OSError as error:
        text = f"{path}: cannot be read: {error.strerror or error}; name what replay or run --once left when it was done"
        raise InputError(text) from error
    except (ProofError, KeyError, AttributeError, StopIteration, TypeError) as error:
        text = f"{path}: it does not name the chains of its run; was it written by an older version? run it again"
        raise InputError(text) from error
