"""A deployment as ``run`` finds and leaves it: its own topics, its topologies' shares of the log, opened or taken up again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.peek import sample
from stream_recon.adapters.kafka.table import Table
from stream_recon.adapters.kafka.topics import OwnTopic, Topics, digest_log, events, record, table
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.schemas import book_of, ids_in_headers
from stream_recon.cli.who import who
from stream_recon.cli.wire import check_fit
from stream_recon.config.scalars import did_you_mean
from stream_recon.errors import BrokerError, Fenced, LogError, Unreachable
from stream_recon.limits import DIGEST_PARTITIONS
from stream_recon.model.digest import Open, decode, encode
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import SidePlan, TopologyPlan
from stream_recon.normalise import fitting
from stream_recon.normalise.discover import discover
from stream_recon.ports import Commit, Place
from stream_recon.service.job import Names, Opened
from stream_recon.service.opening import layout, live, positions, taken_up, warnings
from stream_recon.service.spots import Spotted

logger = logging.getLogger("stream_recon")

T = TypeVar("T")
Decided = tuple[bytes, list[tuple[int, bytes]], list[tuple[Cluster, Mapping[Place, Commit]]]]
"""The record for the table, the digest partitions' records, positions by cluster."""

_PAUSE_SECONDS: Final = 0.5
_OTHERS_SECONDS: Final = 5.0
_LEAVE_SECONDS: Final = 15.0
SAMPLED: Final = 1_000
"""Messages at either end of each partition in which columns are looked for."""


def own_topics(names: Names, partitions: int, *, exactly: bool) -> list[OwnTopic]:
    """What a deployment keeps in Kafka, but for what a signer publishes; ``exactly``: the digest log has so many partitions."""
    return [
        digest_log(names.digests, partitions, exactly=exactly),
        table(names.topologies, 1),
        events(names.discrepancies, partitions),
        record(names.audit, partitions),
        record(names.dead_letters, 1),
    ]


class NothingYet(BrokerError):
    """A topology cannot be opened before its first message."""


@dataclass(slots=True)
class Deployment:
    """All topologies of one ``outputs.prefix`` that this process runs."""

    plans: Sequence[TopologyPlan]
    names: Names
    digest_partitions: int | None = None
    cluster: Cluster = field(init=False)

    def __post_init__(self) -> None:
        self.plans = [live(plan) for plan in self.plans]
        self.cluster = cluster_of(self.plans[0].kafka)

    def reach(self) -> None:
        """Waits until every cluster answers, and every topic of the topologies is there.

        Raises:
            BrokerError: one does not, or is not.
        """
        for cluster in {id(c): c for c in (self.cluster, *(cluster_of(s.kafka) for s in self._sides()))}.values():
            cluster.reach(REACH_SECONDS)
        for side in self._sides():
            cluster = cluster_of(side.kafka)
            there = Topics(cluster).describe([*side.topics, *([side.heartbeat] if side.heartbeat else [])])
            for topic in (*side.topics, *([side.heartbeat] if side.heartbeat else [])):
                if topic not in there:
                    known = list(cluster.admin.list_topics(timeout=REACH_SECONDS).topics)
                    raise BrokerError(
                        f"side {side.name}: {cluster.name} has no topic {topic}{did_you_mean(topic, known)}; make it, or mend "
                        "topics: in the topology"
                    )

    def _sides(self) -> Iterator[SidePlan]:
        return (side for plan in self.plans for side in plan.sides)

    # ---- our own topics ------------------------------------------------------------------------------------------------

    def prepare(self) -> int:
        """Makes or checks the deployment's own topics; returns the number of digest partitions.

        Raises:
            BrokerError: one has settings that would break promises, or cannot be made.
        """
        names, wanted = self.names, self.digest_partitions or DIGEST_PARTITIONS
        own = own_topics(names, wanted, exactly=self.digest_partitions is not None)
        for cluster in {c.id: c for c in (self.cluster, *(cluster_of(s.kafka) for s in self._sides()))}.values():
            Topics(cluster).group(names.normalise)  # a group that is not allowed is told now, and by name
        Topics(self.cluster).group(names.reconcile)
        return Topics(self.cluster).ensure(own)[names.digests]

    def log_id(self) -> str | None:
        """The id of the digest log's topic, which states and checkpoints carry; None if it is not there.

        Raises:
            BrokerError: no answer.
        """
        found = Topics(self.cluster).describe([self.names.digests]).get(self.names.digests)
        return None if found is None else found.id

    def remove(self, *, outputs: bool) -> None:
        """Deletes the deployment's groups and log, and with ``outputs`` what it put out.

        Raises:
            BrokerError: not all of it could be deleted; a group that still has a member is told before anything else goes.
        """
        self.forget()
        self.delete(outputs=outputs)

    def forget(self) -> None:
        """Deletes the deployment's groups.

        Raises:
            BrokerError: one has members, or no answer.
        """
        for cluster in {c.id: c for c in (self.cluster, *(cluster_of(s.kafka) for s in self._sides()))}.values():
            Topics(cluster).forget_groups([self.names.normalise])
        Topics(self.cluster).forget_groups([self.names.reconcile])

    def delete(self, *, outputs: bool) -> None:
        """Deletes the deployment's log, and with ``outputs`` what it put out.

        Raises:
            BrokerError: not allowed, or no answer.
        """
        names = self.names
        topics = [names.digests, names.topologies]
        topics += [names.discrepancies, names.audit, names.dead_letters, names.checkpoints] if outputs else []
        Topics(self.cluster).delete(topics)

    # ---- shares --------------------------------------------------------------------------------------------------------

    def open(self, digest_partitions: int, *, rebuild: bool = False, reason: str | None = None) -> tuple[Opened, ...]:
        """Every topology's share of the log: taken up as it was opened, or opened now (``rebuild``: anew, for a ``reason``). One
        that has no message yet is left out: it can be opened when it has.

        Raises:
            ConfigError: it was opened with other settings, or its columns do not fit.
            BrokerError: a topic cannot be read, or the log not be written.
        """
        shares = Table(self.cluster, self.names.topologies, self.names.normalise)
        there = shares.read()
        for plan in self.plans:
            if plan.name in there and not rebuild:
                self._amend(shares, plan, _opened(there[plan.name]))
            else:
                try:
                    self._open(shares, plan, digest_partitions, rebuild=rebuild, reason=reason)
                except NothingYet as error:
                    logger.warning("%s; waits for one", error)
        there = shares.read()
        return tuple(taken_up(plan, _opened(there[plan.name])) for plan in self.plans if plan.name in there)

    def _open(self, shares: Table, plan: TopologyPlan, digest_partitions: int, *, rebuild: bool, reason: str | None) -> None:
        def decide(there: bytes | None) -> Decided | None:
            if there is not None and not rebuild:  # somebody was quicker
                return None
            generation = 1 if there is None else _opened(there).generation + 1
            opened = self.found(plan, min(plan.parallelism or digest_partitions, digest_partitions), generation)
            record = opened.layout.opened(opened.parallelism, generation, plan.max_buffer)
            message = encode(replace(record, by=who(self.cluster.settings), reason=reason))
            commits: dict[str, tuple[Cluster, dict[Place, Commit]]] = {}
            for side in plan.sides:
                cluster = cluster_of(side.kafka)
                places = [
                    (u.topic, u.partition) for v in opened.layout.views if v.side.name == side.name for u, _ in v.partitions
                ]
                mine = commits.setdefault(cluster.id, (cluster, {}))[1]
                saved = _patiently(partial(shares.committed, cluster, places)) | {p: c for p, c in mine.items() if p in places}
                mine.update(positions(opened, side, saved, self._filled(side, places)))
            homes = range(digest_partitions if rebuild else opened.parallelism)
            return message, [(home, message) for home in homes], list(commits.values())

        self._write(shares, plan.name, decide)
        logger.info("%s: its share of %s is open", plan.name, self.names.digests)

    def _amend(self, shares: Table, plan: TopologyPlan, opened: Open) -> None:
        """Tells the log what a pair may keep from now on, if that is something else than before."""
        taken_up(plan, opened)
        if opened.max_buffer == plan.max_buffer:
            return

        def decide(there: bytes | None) -> Decided | None:
            if there is None:
                return None
            now = _opened(there)
            message = encode(replace(now, max_buffer=plan.max_buffer, by=who(self.cluster.settings)))
            return message, [(home, message) for home in range(now.parallelism)], []

        self._write(shares, plan.name, decide)
        logger.info("%s: max_buffer is %d octets now, it was %d", plan.name, plan.max_buffer, opened.max_buffer)

    def _write(self, shares: Table, name: str, decide: Callable[[bytes | None], Decided | None]) -> None:
        try:
            shares.open(name, decide, self.names.digests)
        except Fenced:  # another process opens: what it opened is taken up
            time.sleep(_OTHERS_SECONDS)
            shares.open(name, decide, self.names.digests)

    def found(self, plan: TopologyPlan, parallelism: int = 1, generation: int = 1) -> Opened:
        """The topology on the columns that its topics hold now.

        Raises:
            ConfigError: they do not fit the topology.
            NothingYet: no side has a message.
        """
        starts: dict[Upstream, int] = {}
        columns: dict[str, frozenset[str] | None] = {}
        wires: dict[str, fitting.Wires] = {}
        for side in plan.sides:
            cluster = cluster_of(side.kafka)
            starts |= self._starts(side, Topics(cluster))
            logger.info("%s: looks for the columns of side %s", plan.name, side.name)
            samples = [sample(cluster, topic, SAMPLED, ids_in_headers(side)) for topic in side.topics]
            seen = [discover(side.format, values, book_of(side), table=side.table) for values in samples]
            wires[side.name] = fitting.joined(fitting.seen(values, book_of(side)) for values in samples)
            columns[side.name] = frozenset[str]().union(*seen) or None
        if self.names.once is None and all(found is None for found in columns.values()):
            raise NothingYet(f"topology {plan.name}: no side has a message yet, so its columns are not known")
        found = layout(plan, columns, starts)
        check_fit(plan, found.feeds, wires)
        for warning in warnings(plan, columns):
            logger.warning("%s", warning)
        return Opened(found, parallelism, generation)

    def _starts(self, side: SidePlan, topics: Topics) -> dict[Upstream, int]:
        there = topics.describe(side.topics)
        places = [(topic, p) for topic in side.topics for p in range(there[topic].partitions)]
        if side.start == "earliest":
            found = topics.begins(places)
        elif side.start == "latest":
            found = topics.ends(places)
        else:
            found = topics.at_time(places, int(datetime.fromisoformat(side.start).timestamp() * 1000))
        return {Upstream(side.name, topic, p, there[topic].id): found[topic, p] for topic, p in places}

    def _filled(self, side: SidePlan, places: Sequence[Place]) -> dict[Place, int]:
        """Ends of compacted topics: what they hold now has lost its history, so up to there the side is loading (DESIGN 3.1)."""
        topics = Topics(cluster_of(side.kafka))
        compacted = topics.compacted(side.topics)
        return topics.ends([p for p in places if p[0] in compacted])

    # ---- run --once ----------------------------------------------------------------------------------------------------

    def ends(self, opened: Sequence[Opened]) -> dict[Spotted, int]:
        """Where the input of every upstream partition ends now; what belongs to an open transaction is not of it."""
        found: dict[Spotted, int] = {}
        for share in opened:
            for view in share.layout.views:
                cluster = cluster_of(view.side.kafka)
                places = [(u.topic, u.partition) for u, _ in view.partitions]
                found |= {(cluster.id, p): end for p, end in Topics(cluster).ends(places, committed=True).items()}
        return found


def removed(remove: Callable[[], None], what: str, tell: Callable[[str], None]) -> None:
    """Deletes, or tells what is left behind: neither a verdict nor whatever else went wrong is hidden by that. A member that has
    just left, or was killed, may be in its group for a while.
    """
    deadline = time.monotonic() + _LEAVE_SECONDS
    while True:
        try:
            remove()
        except BrokerError as error:
            if isinstance(error, Unreachable) or time.monotonic() > deadline:
                tell(f"left behind: {what}: {error}")
                return
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _patiently(ask: Callable[[], T]) -> T:
    """Asks again while the cluster is not ready, as one is that has just started."""
    deadline = time.monotonic() + REACH_SECONDS
    while True:
        try:
            return ask()
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)


def _opened(message: bytes) -> Open:
    opened = decode(message)
    if not isinstance(opened, Open):
        raise LogError("the table of topologies holds something else than a record that opens a share; run stream-recon reset")
    return opened
