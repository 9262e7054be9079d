"""``simulate``: seeds through the simulator, on a user's own topology if one is given; of one that fails it tells all."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from stream_recon.cli.output import EXIT_FAILED, EXIT_FINE, print_json, print_text, say
from stream_recon.cli.progress import ProgressReport
from stream_recon.config import load_topology
from stream_recon.model.plan import TopologyPlan
from stream_recon.sim.trial import Verdict, drawn, synthetic, tried

_SHOWN = 3
"""Seeds that failed of which all that happened is shown."""


@dataclass(frozen=True, slots=True)
class Options:
    """Which seeds. ``workers``: processes that try them (None: one a core)."""

    topology: Path | None = None
    first: int = 0
    seeds: int = 100
    workers: int | None = None
    as_json: bool = False


def simulate(options: Options) -> int:
    """Runs the seeds; 0 if every law held in each of them, else 3.

    Raises:
        ConfigError: the topology cannot work.
    """
    plan = None if options.topology is None else synthetic(load_topology(options.topology))
    trial = partial(_tried, plan=plan)
    failed: list[Verdict] = []
    said, faults = 0, Counter[str]()
    seeds = range(options.first, options.first + options.seeds)
    with ProgressReport(silent=options.as_json) as report:
        for done, verdict in enumerate(_each(trial, seeds, options.workers), 1):
            said += verdict.said
            faults.update(dict(verdict.faults))
            report("seeds", done, options.seeds)
            if verdict.broken:
                failed.append(verdict)
                if not options.as_json:
                    say(f"seed {verdict.seed}: {verdict.broken[0]}")
    if options.as_json:
        told = {"seeds": options.seeds, "first": options.first, "faults": dict(faults.most_common()), "events": said}
        print_json(told | {"failed": [asdict(v) for v in failed]})
    else:
        _print(options, failed, faults)
    return EXIT_FAILED if failed else EXIT_FINE


def _tried(seed: int, plan: TopologyPlan | None = None) -> Verdict:
    logging.disable(logging.CRITICAL)  # what the workers log here is of no world that anybody runs
    return tried(seed, None if plan is None else drawn(seed, plan))


def _each(trial: partial[Verdict], seeds: Iterable[int], workers: int | None) -> Iterator[Verdict]:
    count = workers or os.cpu_count() or 1
    if count == 1:
        yield from map(trial, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        yield from pool.imap_unordered(trial, seeds, chunksize=4)


def _print(options: Options, failed: list[Verdict], faults: Counter[str]) -> None:
    for verdict in failed[:_SHOWN]:
        text = "\n".join([f"seed {verdict.seed}:", *(f"  {line}" for line in (*verdict.log, *verdict.broken))])
        where = "" if options.topology is None else f" {options.topology}"
        print_text(f"{text}\n  again: stream-recon simulate{where} --from {verdict.seed} --seeds 1")
    good = options.seeds - len(failed)
    print_text(
        f"{good} of {options.seeds} seeds kept every law", *(f"{count:9,}  {kind}" for kind, count in faults.most_common())
    )
