"""``reset`` and ``rebuild``: what is done to a deployment while none of its workers runs."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import typer

from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.cli.clusters import cluster_of
from stream_recon.cli.deployment import Deployment
from stream_recon.cli.output import EXIT_FINE, print_json, say
from stream_recon.cli.running import state_base
from stream_recon.config import load_topologies
from stream_recon.errors import BrokerError, CheckpointFailed, ConfigError, StateError
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names

SESSION_SECONDS: Final = 50.0
"""A lasting member stays in its group until its session times out (45 s), so that a restart moves nothing."""

_PAUSE_SECONDS: Final = 5.0


def rebuild(paths: Sequence[Path], prefix: str | None, reason: str | None, *, as_json: bool) -> int:
    """Begins the topologies' shares of the log anew, under their settings as they are now; everything is read again.
    ``reason``: for the audit.

    Raises:
        ReconError: workers still run, a cluster does not answer, or the topologies do not fit their topics.
    """
    deployment = _stopped(load_topologies(paths, prefix))
    logging.getLogger("stream_recon").addHandler(_Said())
    opened = deployment.open(deployment.prepare(), rebuild=True, reason=reason)
    result = {share.layout.plan.name: share.generation for share in opened}
    if as_json:
        print_json({"generations": result})
    else:
        say(*(f"{name}: generation {generation} begins when its workers are started" for name, generation in result.items()))
    return EXIT_FINE


def reset(paths: Sequence[Path], prefix: str | None, state: Path | None, *, outputs: bool, yes: bool, as_json: bool) -> int:
    """Forgets a deployment: its log, its positions, its state here, its checkpoints, and with ``outputs`` what it put out.

    Raises:
        ReconError: workers still run, a cluster does not answer, or nobody said yes.
    """
    plans = load_topologies(paths, prefix)
    deployment = _stopped(plans)
    names, place = deployment.names, state_base(state) / plans[0].prefix
    put_out = [names.discrepancies, names.audit, names.dead_letters, names.checkpoints]
    topics = [names.digests, names.topologies, *(put_out if outputs else [])]
    kept = _checkpoints(deployment)
    of_them = "" if kept is None else f"checkpoints {kept.place}, "
    told = f"deletes topics {', '.join(topics)}, groups {names.normalise} and {names.reconcile}, {of_them}and {place}"
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"reset {told}: add --yes to do it")
        typer.confirm(f"This {told}. Go on?", abort=True)
    deployment.remove(outputs=outputs)
    if left := [*_clear(place), *_forget(kept)]:
        raise StateError("\n".join(left))
    if as_json:
        print_json({"deleted": topics})
    else:
        say(f"done: {told}")
    return EXIT_FINE


def _checkpoints(deployment: Deployment) -> Checkpoints | None:
    """Those of the log as it is: none can be used with another one."""
    plan, log = deployment.plans[0].checkpoints, deployment.log_id()
    return None if plan is None or log is None else Checkpoints(plan.location, deployment.names.prefix, log, plan.keep)


def _clear(place: Path) -> Iterator[str]:
    try:
        shutil.rmtree(place)
    except FileNotFoundError:
        pass
    except OSError as error:
        yield f"{place} could not be deleted: {error.strerror}; delete it by hand"


def _forget(kept: Checkpoints | None) -> Iterator[str]:
    """The log is gone, and its id with it: what is left now nobody finds again but by this line."""
    if kept is None:
        return
    try:
        kept.forget()
    except CheckpointFailed as error:
        yield f"{error}; delete {kept.place} by hand"


def _stopped(plans: Sequence[TopologyPlan]) -> Deployment:
    """The deployment, if none of its workers runs."""
    deployment = Deployment(plans, Names(plans[0].prefix))
    deployment.reach()
    clusters = {c.id: c for plan in plans for c in (cluster_of(plan.kafka), *(cluster_of(s.kafka) for s in plan.sides))}
    deadline = time.monotonic() + SESSION_SECONDS
    while still := _members(clusters.values(), deployment.names):
        if time.monotonic() > deadline:
            raise BrokerError(f"{still}: stop the deployment's workers first")
        say(f"{still}; one that has just stopped is a member for another {SESSION_SECONDS:.0f} s: waiting")
        time.sleep(_PAUSE_SECONDS)
    return deployment


def _members(clusters: Iterable[Cluster], names: Names) -> str | None:
    for cluster in clusters:
        for group in (names.normalise, names.reconcile):
            found = Topics(cluster).group(group)
            if found is not None and (members := len(found.members)):
                return f"group {group} has {members} member{'s' if members > 1 else ''}"
    return None


class _Said(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())
