"""``ledger`` on live topics: reads what a deployment leaves in Kafka, the last stages first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from stream_recon.adapters.kafka.client import Cluster, of_a_run
from stream_recon.adapters.kafka.peek import Forward
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.audit.ledger import Certified
from stream_recon.audit.receipts import Receipt, Shares
from stream_recon.audit.receipts import Sequence as Ranges
from stream_recon.audit.text import json_object, micros
from stream_recon.cli import outside
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.config import load_topologies
from stream_recon.errors import InputError, ProofError
from stream_recon.model.digest import Open, decode
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names

_AT_ONCE: Final = 1_000
"""Positions of a partition that are read in one go."""


def receipts(where: Sequence[Path], prefix: str | None) -> dict[str, list[Receipt] | None]:
    """Every upstream partition of every feed, by topology; None: it is not open.

    First what comes last: what reconcile committed, certificates, what normalise committed, then the digest log, then the ends of
    topics. So of a deployment that runs meanwhile no stage seems to be ahead of the one before.

    Raises:
        ReconError: the topologies or their clusters cannot be read.
    """
    plans = load_topologies(where, prefix)
    names, own = Names(plans[0].prefix), cluster_of(plans[0].kafka)
    clusters = {c.id: c for c in (own, *(cluster_of(side.kafka) for plan in plans for side in plan.sides))}
    for cluster in clusters.values():
        cluster.reach(REACH_SECONDS)
    opened = outside.opened(own, names)
    folded_to = outside.log(own, names).positions
    wanted = {id_: {t for p in plans for s in p.sides if cluster_of(s.kafka).id == id_ for t in s.topics} for id_ in clusters}
    logged, folded, since = Shares(), Shares(), None
    with closing(Forward(own, _AT_ONCE)) as reader:
        events = [message.value() or b"" for message in reader.new(names.audit) if not of_a_run(message)]
        committed = {id_: outside.upstreams(cluster, names, wanted[id_]) for id_, cluster in clusters.items()}
        for message in reader.new(names.digests):
            home, record, time = message.partition() or 0, decode(message.value() or b""), message.timestamp()[1] * 1000
            since = time if since is None else min(since, time)
            logged.take(home, record)
            if (message.offset() or 0) < folded_to.get(home, 0):
                folded.take(home, record)
    ends = {id_: _ends(cluster, wanted[id_]) for id_, cluster in clusters.items()}
    out: dict[str, list[Receipt] | None] = {}
    for plan in plans:
        share = opened.get(plan.name)
        if share is None:
            out[plan.name] = None
            continue
        certified = _certified(events, share, since)
        out[plan.name] = [
            _receipt(plan, share, upstream, logged, folded, certified, committed, ends)
            for upstream in sorted({u for (t, _), s in logged.held.items() if t == plan.name for u in s.ranges})
        ]
    return out


def _receipt(
    plan: TopologyPlan,
    share: Open,
    upstream: Upstream,
    logged: Shares,
    folded: Shares,
    certified: Mapping[str, Certified],
    committed: Mapping[str, outside.Upstreams],
    ends: Mapping[str, Mapping[tuple[str, str, int], int]],
) -> Receipt:
    name = {feed.id: feed.side for feed in share.feeds}[upstream.side]
    (side,) = (side for side in plan.sides if side.name == name)
    cluster, place = cluster_of(side.kafka).id, (upstream.topic, upstream.partition)
    saved = committed[cluster].saved.get(place)
    kept = saved.views.get(f"{plan.name}/{upstream.side}") if saved is not None and saved.topic_id == upstream.topic_id else None
    at = None if kept is None or kept.generation != share.generation else kept.progress.position
    pairs = [pair.target for pair in share.pairs if upstream.side in (pair.source_feed, pair.target_feed)]
    begun = {home for (t, home), held in folded.held.items() if t == plan.name and held.generation == share.generation}
    reached = {
        chain: positions
        for target in pairs
        for chain, positions in certified[target].of(name, upstream.topic, upstream.partition, upstream.topic_id).items()
        if int(chain.rsplit("/", 1)[1]) in begun  # the others still speak of the generation before
    }
    end = ends[cluster].get((upstream.topic, upstream.topic_id, upstream.partition))
    return Receipt(
        upstream, end, at, _held(logged, plan.name, share, upstream), _held(folded, plan.name, share, upstream), reached
    )


def _ends(cluster: Cluster, wanted: set[str]) -> dict[tuple[str, str, int], int]:
    """Where partitions end, by topic, its id and partition."""
    topics = Topics(cluster)
    there = topics.describe(wanted)
    ends = topics.ends((name, p) for name, info in there.items() for p in range(info.partitions))
    return {(name, there[name].id, partition): end for (name, partition), end in ends.items()}


def _held(shares: Shares, topology: str, share: Open, upstream: Upstream) -> dict[int, Ranges]:
    """By digest partition; one that has nothing of it stands at the beginning of the first that has."""
    held = {home: shares.held.get((topology, home)) for home in range(share.parallelism)}
    found = {home: s.ranges[upstream] for home, s in held.items() if s is not None and upstream in s.ranges}
    begin = min((one.start for one in found.values()), default=0)
    return {home: found.get(home, Ranges(begin, begin)) for home in held}


def _certified(events: Sequence[bytes], share: Open, since: int | None) -> dict[str, Certified]:
    """By target; what an older log, that was reset, certified is passed over."""
    out = {pair.target: Certified() for pair in share.pairs}
    for octets in events:
        try:
            body = json_object(octets)
            if body["topology"] == share.topology and since is not None and micros(body["time"]) >= since:
                target = body["chain"].rsplit("/", 2)[1]
                if target in out:
                    out[target].take(body)
        except (ProofError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"the audit topic holds something else than audit events: {error}") from error
    return out
