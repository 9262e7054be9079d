"""``record``: the topics of each side into a file, for ``replay`` and ``audit rederive``."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final

from stream_recon.adapters.kafka.recording import Progress, lines
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.output import EXIT_FINE, print_json, print_text
from stream_recon.cli.progress import ProgressReport
from stream_recon.config import load_topology
from stream_recon.errors import ConfigError, Undelivered
from stream_recon.model.plan import TopologyPlan

_LEVEL: Final = 1
"""Of gzip: the next one costs twice the time for a tenth of the size."""


def record(topology: Path, out: Path, *, as_json: bool) -> int:
    """Runs ``record`` and returns its exit code. Raises ``ReconError``."""
    plan = load_topology(topology)
    with ProgressReport(silent=as_json) as progress:
        files = recorded(plan, out, progress)
    if as_json:
        print_json({"recordings": {name: str(path) for name, path in files.items()}})
    else:
        print_text("recorded; read it with", f"  stream-recon replay {topology} \\")
        print_text(*(f"    --side {name}={path} \\" for name, path in files.items()), f"    --out {out / 'results'}")
    return EXIT_FINE


def recorded(plan: TopologyPlan, out: Path, progress: Progress) -> dict[str, Path]:
    """The file of each side in ``out``, which is made. A file gets its name when it is whole.

    Raises:
        ConfigError: one is there already.
        BrokerError: a topic cannot be read.
        Undelivered: a file cannot be written.
    """
    files = {side.name: out / f"{side.name}.jsonl.gz" for side in plan.sides}
    for path in files.values():
        if path.exists():
            raise ConfigError(f"{path}: exists already; name another directory")
    clusters = [cluster_of(side.kafka) for side in plan.sides]
    for cluster in {one.id: one for one in clusters}.values():
        cluster.reach(REACH_SECONDS)
    for side, cluster in zip(plan.sides, clusters, strict=True):
        path = files[side.name]
        part = path.with_suffix(".part")
        try:
            out.mkdir(parents=True, exist_ok=True)
            with gzip.open(part, "wb", _LEVEL) as file:
                file.writelines(lines(cluster, side.topics, progress))
            part.rename(path)
        except OSError as error:
            raise Undelivered(f"{path}: could not be written: {error.strerror or error}") from error
    return files
