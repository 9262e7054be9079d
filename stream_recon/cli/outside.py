"""A deployment from outside, running or stopped, by what it leaves in Kafka; joins no group and changes nothing.

    table of topologies      which are open                  groups            who is there, and reads what
    positions of normalise   how far, watermarks, idle       of reconcile      how much of the digest log is folded

Told in the words of workers, so that the same picture is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.peek import SETTINGS
from stream_recon.adapters.kafka.source import committed
from stream_recon.adapters.kafka.table import Table
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.engine.progress import Progress
from stream_recon.errors import LogError
from stream_recon.model.digest import Open, decode
from stream_recon.model.plan import SidePlan, TopologyPlan
from stream_recon.normalise.clock import NEVER
from stream_recon.ports import Commit, Place
from stream_recon.service.job import Names
from stream_recon.service.lifting import Seen, SeenFeed, decide
from stream_recon.service.positions import Saved
from stream_recon.service.report import NormaliseReport, PartitionReport, ReconcileReport, StallReport

NOBODY: Final = ""
_FRESH_US: Final = 15_000_000
"""What was said of an idle partition counts for so long after the newest such word: it is said anew every 5 s."""


@dataclass(frozen=True, slots=True)
class Members:
    """A consumer group as it is now. ``readers``: who holds each partition; one that was killed does until its session ends."""

    group: str
    cluster: str
    state: str
    count: int
    readers: Mapping[Place, str]


@dataclass(frozen=True, slots=True)
class Upstreams:
    """The source topics of one cluster. ``saved``: what normalise committed of partitions of the topics that are there now."""

    begins: Mapping[Place, int]
    ends: Mapping[Place, int]
    saved: Mapping[Place, Saved]
    group: Members
    missing: frozenset[str]

    def places(self, side: SidePlan) -> list[Place]:
        """The partitions of a side."""
        return sorted(place for place in self.ends if place[0] in side.topics)


@dataclass(frozen=True, slots=True)
class DigestLog:
    """The digest log: where it ends, and up to where it was folded."""

    topic: str
    positions: Mapping[int, int]
    ends: Mapping[int, int]
    group: Members

    @property
    def report(self) -> ReconcileReport:
        """As a worker would say it."""
        return ReconcileReport((), self.positions, self.ends, {}, 0, 0, 0.0, 0)


def log(cluster: Cluster, names: Names) -> DigestLog:
    """Looks at the digest log.

    Raises:
        BrokerError: no answer, or not allowed.
    """
    topics = Topics(cluster)
    info = topics.describe([names.digests])
    places = [(names.digests, p) for p in range(info[names.digests].partitions)] if info else []
    ends, begins = topics.ends(places), topics.begins(places)
    done = _committed(cluster, names.reconcile, places)
    positions = {p[1]: done[p].position if p in done else begins[p] for p in places}
    return DigestLog(names.digests, positions, {p[1]: ends[p] for p in places}, _members(cluster, names.reconcile))


def opened(cluster: Cluster, names: Names) -> dict[str, Open]:
    """The topologies that are open; none if nothing ever ran under this prefix.

    Raises:
        BrokerError: no answer, or not allowed.
        LogError: the table holds something else.
    """
    if not Topics(cluster).describe([names.topologies]):
        return {}
    found = {}
    for name, message in Table(cluster, names.topologies, names.normalise).read().items():
        record = decode(message)
        if not isinstance(record, Open):
            raise LogError(f"topic {names.topologies} holds something else than a record that opens a share, under {name}")
        found[name] = record
    return found


def upstreams(cluster: Cluster, names: Names, wanted: Iterable[str]) -> Upstreams:
    """Looks at source topics of one cluster.

    Raises:
        BrokerError: no answer, or not allowed.
        StateError: the group is another program's.
    """
    topics, wanted = Topics(cluster), frozenset(wanted)
    there = topics.describe(wanted)
    places = [(name, p) for name, info in sorted(there.items()) for p in range(info.partitions)]
    ends, begins = topics.ends(places), topics.begins(places)
    saved = {p: Saved.load(c) for p, c in _committed(cluster, names.normalise, places).items()}
    current = {p: s for p, s in saved.items() if s.topic_id == there[p[0]].id}
    return Upstreams(begins, ends, current, _members(cluster, names.normalise), wanted - set(there))


def _committed(cluster: Cluster, group: str, places: Sequence[Place]) -> dict[Place, Commit]:
    """Positions as they are: one on its way in a transaction is not waited for."""
    consumer = cluster.consumer(SETTINGS | {"group.id": group, "isolation.level": "read_uncommitted"})
    try:
        return committed(cluster, consumer, group, places)
    finally:
        consumer.close()


def _members(cluster: Cluster, group: str) -> Members:
    found = Topics(cluster).group(group)
    if found is None:
        return Members(group, cluster.name, "none", 0, {})
    readers = {
        (place.topic, place.partition): member.group_instance_id or f"{member.client_id}@{member.host.lstrip('/')}"
        for member in found.members
        for place in member.assignment.topic_partitions
    }
    state = found.state.name.lower()
    return Members(group, cluster.name, "none" if state == "dead" else state, len(found.members), readers)


# ---- in the words of workers ---------------------------------------------------------------------------------------------


def reports(
    plans: Iterable[TopologyPlan], shares: Mapping[str, Open], where: Callable[[SidePlan], Upstreams]
) -> dict[str, NormaliseReport]:
    """What each reader would say of its partitions; ``NOBODY`` speaks of those that are not held, and of stalled sides. Where
    nothing was committed, a partition stands at its beginning. A topology that is not open is not read.
    """
    lines: dict[str, list[PartitionReport]] = {NOBODY: []}
    stalls: list[StallReport] = []
    for plan in plans:
        share = shares.get(plan.name)
        if share is None:
            continue
        sides = {side.name: where(side) for side in plan.sides}
        stalls += _stalls(plan, share, sides)
        for side in plan.sides:
            cluster = sides[side.name]
            for view, place in product(_views(share, side), cluster.places(side)):
                line = _line(plan.name, side.name, view, place, cluster)
                lines.setdefault(cluster.group.readers.get(place, NOBODY), []).append(line)
    return {
        reader: NormaliseReport(tuple(mine), tuple(stalls) if reader == NOBODY else (), {}, 0, 0)
        for reader, mine in lines.items()
    }


def _views(share: Open, side: SidePlan) -> list[str]:
    return [feed.id for feed in share.feeds if feed.side == side.name]


def _progress(topology: str, view: str, place: Place, cluster: Upstreams) -> Progress:
    saved = cluster.saved.get(place)
    kept = None if saved is None else saved.views.get(f"{topology}/{view}")
    return Progress(cluster.begins[place]) if kept is None else kept.progress


def _line(topology: str, side: str, view: str, place: Place, cluster: Upstreams) -> PartitionReport:
    at, saved = _progress(topology, view, place, cluster), cluster.saved.get(place)
    clock, counts = at.clock, at.counts
    idle = saved is not None and saved.idle is not None and place in cluster.group.readers
    return PartitionReport(
        topology,
        side,
        view,
        *place,
        at.position,
        cluster.ends[place],
        None if clock.watermark == NEVER else clock.watermark,
        None if clock.latest == NEVER else clock.latest,
        counts.rows,
        counts.control,
        counts.dead_letters,
        counts.unused,
        counts.late,
        paused=False,
        idle=idle,
    )


def _stalls(plan: TopologyPlan, share: Open, sides: Mapping[str, Upstreams]) -> Iterator[StallReport]:
    """By the rules that workers follow. What a heartbeat says is not known here: of a side that has one nothing is said."""
    spoken = [s.idle.as_of for u in sides.values() for p, s in u.saved.items() if s.idle and p in u.group.readers]
    fresh = max(spoken, default=0) - _FRESH_US
    feeds: dict[str, SeenFeed] = {}
    for side in plan.sides:
        for view in _views(share, side):
            seen = tuple(_seen(plan.name, view, side, place, sides[side.name], fresh) for place in sides[side.name].places(side))
            feeds[view] = SeenFeed(seen, side.out_of_orderness, side.idle_after, side.stall_timeout, None)
    pairs = [(pair.source_feed, pair.target_feed) for pair in share.pairs]
    decision = decide(feeds, pairs, settle=plan.settle, clock_skew=plan.clock_skew)
    beating = {view for side in plan.sides if side.heartbeat is not None for view in _views(share, side)}
    for view in sorted(decision.stalled.keys() - beating):
        yield StallReport(plan.name, view, decision.stalled[view], 0)


def _seen(topology: str, view: str, side: SidePlan, place: Place, cluster: Upstreams, fresh: int) -> Seen:
    saved, clock = cluster.saved.get(place), _progress(topology, view, place, cluster).clock
    idle = saved.idle if saved is not None and place in cluster.group.readers else None
    if idle is None or side.idle_after is None or idle.as_of < fresh or idle.quiet < side.idle_after:
        return Seen(*place, clock, None, 0)
    return Seen(*place, clock, idle.as_of, idle.quiet)
