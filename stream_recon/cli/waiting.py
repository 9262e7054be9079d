"""``gate`` on live topics: reads the audit topic of a deployment from outside, and waits for what is not certified yet."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from stream_recon.adapters.kafka.client import Cluster, of_a_run
from stream_recon.adapters.kafka.peek import SETTINGS, Forward, read
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.audit.certified import Certified
from stream_recon.audit.gate import INCOMPLETE, Expected, Judged, Reason, judge
from stream_recon.audit.text import json_object
from stream_recon.cli import outside
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.output import say
from stream_recon.config import load_topologies
from stream_recon.engine.events import instant
from stream_recon.errors import ConfigError, InputError, ProofError
from stream_recon.limits import MICROS
from stream_recon.model.digest import Open
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names

_PAUSE_SECONDS: Final = 1.0
_SAY_SECONDS: Final = 10.0
_AT_ONCE: Final = 10_000
"""Positions of a partition that are read in one go."""


def live(
    where: Sequence[Path], prefix: str | None, certified: Certified, chains: Sequence[str], patience: int, *, silent: bool
) -> list[Judged]:
    """Judges the range by what the deployment says now; for ``patience`` (µs) again, until nothing is missing or it cannot pass.

    Raises:
        ReconError: the topologies or their cluster cannot be read, or a chain does not hold.
    """
    plans = load_topologies(where, prefix)
    strange = [chain for chain in chains if chain.split("/")[0] not in {plan.name for plan in plans}]
    if strange:
        raise ConfigError(f"--chain {strange[0]}: is of none of these topologies; write topology/target/digest partition")
    names, cluster = Names(plans[0].prefix), cluster_of(plans[0].kafka)
    cluster.reach(REACH_SECONDS)
    deadline, said = time.monotonic() + patience / MICROS, time.monotonic()
    with closing(Forward(cluster, _AT_ONCE)) as reader:
        while True:
            for message in reader.new(names.audit):
                if not of_a_run(message):
                    _take(certified, message.value() or b"", {plan.name for plan in plans}, names.audit)
            judged = judge(certified, _expected(cluster, names, plans, certified, chains))
            missing = any(reason.verdict == INCOMPLETE for one in judged for reason in one.reasons)
            final = any(reason.final for one in judged for reason in one.reasons)
            if final or not missing or time.monotonic() >= deadline:
                return judged
            if not silent and time.monotonic() - said >= _SAY_SECONDS:
                said = time.monotonic()
                say(_progress(judged, deadline - said))
            time.sleep(_PAUSE_SECONDS)


def _take(certified: Certified, octets: bytes, topologies: set[str], topic: str) -> None:
    try:
        body = json_object(octets)
        if body.get("topology") in topologies:
            certified.take(octets, body)
    except ProofError as error:
        raise InputError(f"topic {topic}: {error}") from error


def _progress(judged: Sequence[Judged], left: float) -> str:
    told = [f"{one.topology}/{one.target} {'-' if one.until is None else instant(one.until)}" for one in judged]
    return f"waiting for {left:.0f} s at most; certified until: {', '.join(told)}"


def _expected(
    cluster: Cluster, names: Names, plans: Sequence[TopologyPlan], certified: Certified, chains: Sequence[str]
) -> dict[str, Expected]:
    """Of each topology by its open record: which chains there must be, and in which generation. They never end."""
    opened, since = outside.opened(cluster, names), _began(cluster, names)
    out = {}
    for plan in plans:
        record = opened.get(plan.name)
        demanded = [chain for chain in chains if chain.split("/")[0] == plan.name and chain not in certified.chains]
        reasons = [Reason.silent(chain) for chain in demanded]
        if record is None:
            reasons.append(Reason(INCOMPLETE, "it is not open: stream-recon run opens it"))
            pairs = frozenset(f"{plan.name}/{target.name}/0" for target in plan.targets)
            out[plan.name] = Expected(pairs, ended=False, since=since, reasons=tuple(reasons))
        else:
            out[plan.name] = Expected(chains_of(plan, record), False, record.generation, since, tuple(reasons))
    return out


def chains_of(plan: TopologyPlan, record: Open) -> frozenset[str]:
    """All that there must be: also those of a target that the topology names by now and no rebuild has taken in yet."""
    targets = {pair.target for pair in record.pairs} | {target.name for target in plan.targets}
    return frozenset(f"{record.topology}/{target}/{home}" for target in targets for home in range(record.parallelism))


def _began(cluster: Cluster, names: Names) -> int | None:
    """When the first message of the digest log was appended (µs): what certificates of an older log say does not count."""
    topics = Topics(cluster)
    info = topics.describe([names.digests])
    places = [(names.digests, p) for p in range(info[names.digests].partitions)] if info else []
    begins, ends = topics.begins(places), topics.ends(places, committed=True)
    consumer = cluster.consumer(SETTINGS)
    try:
        first = read(cluster, consumer, {p: (begins[p], begins[p] + 1) for p in places if begins[p] < ends[p]})
    finally:
        consumer.close()
    return min((message.timestamp()[1] * 1000 for message in first), default=None)
