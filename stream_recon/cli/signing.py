"""``audit sign`` and ``audit export`` of live topics: what the service says, into a bundle, under checkpoints that are published.

A checkpoint is made in this order, so that whatever is interrupted leaves a bundle that the next one goes on with:

1. entries and discrepancy events are synced       3. the note is published, by a transaction that fences other signers
2. positions are written                           4. witnesses are asked; they hear of nothing that could still be cut off
                                                   5. the note is added to the bundle, or by the next one that opens it
                                                   6. the bundle is copied to where it is wanted
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from stream_recon.adapters.kafka.checkpoints import PublishedCheckpoints
from stream_recon.adapters.kafka.client import Cluster, of_a_run
from stream_recon.adapters.kafka.following import Followed
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.audit.joining import Joined
from stream_recon.audit.note import Signer
from stream_recon.cli.bundles import Ledger, Told, opened
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.copying import Copied
from stream_recon.cli.cosigning import Witnesses, read_witnesses
from stream_recon.cli.exporting import Exported
from stream_recon.cli.places import Places, Standing
from stream_recon.cli.rootkeys import root_key
from stream_recon.config import load_topologies
from stream_recon.errors import BrokerError, InputError, KeyServiceAway, LogError, ProofError, Undelivered, Unreachable
from stream_recon.limits import CHECKPOINT_ENTRIES
from stream_recon.ports import Place, TopicInfo
from stream_recon.service.job import Names

logger = logging.getLogger("stream_recon")

POLL: Final = 1_000
POLL_SECONDS: Final = 0.5

KEY_PAUSE_SECONDS: Final = 1.0
KEY_PAUSE_SECONDS_MOST: Final = 30.0
"""Between two calls of a key service that is away: at first, and at most."""

Show = Callable[[Exported], None]
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Where:
    """What is signed, into what, by which key."""

    topologies: Sequence[Path]
    bundle: Path
    key: str
    prefix: str | None = None
    policy: Path | None = None
    """Whose witnesses are asked."""
    copy_to: str | None = None
    """Where the bundle is copied to, after each checkpoint."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When checkpoints are made: after so many entries, and after so many seconds."""

    entries: int = CHECKPOINT_ENTRIES
    seconds: float = float("inf")


def export(where: Where) -> Exported:
    """Signs what the topics hold now, and ends with a checkpoint.

    Raises:
        ReconError: bundle and topics do not fit each other, a cluster does not answer, or another one signs.
    """
    with _signer(where, Pace(), lambda _: None) as signer:
        done = signer.to_the_end()
    signer.raise_if_behind()
    return done


def sign(where: Where, pace: Pace, show: Show, stopped: Callable[[], bool]) -> None:
    """Signs what the topics hold and what comes, until it is ``stopped``; ``show`` is given every checkpoint.

    Raises:
        ReconError: as ``export``.
    """
    with _signer(where, pace, show) as signer:
        signer.until(stopped)
    signer.raise_if_behind()


@contextmanager
def _signer(where: Where, pace: Pace, show: Show) -> Iterator[_Signer]:
    root = root_key(where.key)
    asked = None if where.policy is None else read_witnesses(where.policy, root)
    plan = load_topologies(where.topologies, where.prefix)[0]
    cluster, names = cluster_of(plan.kafka), Names(plan.prefix)
    cluster.reach(REACH_SECONDS)
    there = _outputs(cluster, names)
    published = PublishedCheckpoints(cluster, names.checkpoints, root.name, names.signer)
    copied = None if where.copy_to is None else Copied(where.copy_to, where.bundle)
    with ExitStack() as stack:
        ledger = stack.enter_context(_taken(where.bundle, root, published, None if asked is None else asked.text))
        places = Places(where.bundle, {name: info.id for name, info in there.items()})
        standing = Standing({}, {}) if ledger.last is None else places.read(ledger.last.root)
        ledger.begin()
        cosign: Told = _alone
        if asked is not None:
            cosign = stack.enter_context(closing(Witnesses(asked, where.bundle, ledger.mark))).cosigned
        signer = _Signer(cluster, names, there, ledger, standing, places, published, cosign, copied, root, pace, show)
        yield stack.enter_context(closing(signer))


@contextmanager
def _taken(bundle: Path, root: Signer, published: PublishedCheckpoints, policy: bytes | None = None) -> Iterator[Ledger]:
    """The bundle, by the only one that publishes from now on. One that may not go on fences nobody."""
    newest = published.newest()
    while True:
        with opened(bundle, root, clock=_seconds, seed=_chance, newest=newest, policy=policy) as ledger:
            now = published.take()
            if now == newest:
                yield ledger
                return
        newest = now  # what the one before had on its way went through


def _alone(note: bytes) -> bytes:
    return note


def _seconds() -> int:
    return int(time.time())


def _chance() -> bytes:
    return secrets.token_bytes(32)


def _outputs(cluster: Cluster, names: Names) -> dict[str, TopicInfo]:
    wanted = [names.audit, names.discrepancies]
    there = Topics(cluster).describe(wanted)
    for name in wanted:
        if name not in there:
            raise BrokerError(f"{cluster.name} has no topic {name}: start stream-recon run first, or name its --prefix")
    return there


class _Signer:
    """One signer, which holds its bundle and its place."""

    def __init__(
        self,
        cluster: Cluster,
        names: Names,
        there: Mapping[str, TopicInfo],
        ledger: Ledger,
        standing: Standing,
        places: Places,
        published: PublishedCheckpoints,
        cosign: Told,
        copied: Copied | None,
        root: Signer,
        pace: Pace,
        show: Show,
    ) -> None:
        self._topics, self._names, self._there = Topics(cluster), names, there
        self._ledger, self._places, self._published = ledger, places, published
        self._cosign, self._root, self._pace, self._show = cosign, root, pace, show
        self._joined = Joined(ledger.chains, standing.floors)
        self._bodies = Followed(cluster, self._from(names.audit, standing))
        self._events = Followed(cluster, self._from(names.discrepancies, standing))
        self._missing: tuple[frozenset[tuple[str, int]], Mapping[Place, int]] | None = None
        """Bodies of which events are missing, and the ends of the topic of events since."""
        self._stopped: Callable[[], bool] = lambda: False
        self._new, self._shown, self._made = 0, 0, time.monotonic()
        self._copied = copied
        self._behind: Undelivered | None = None
        """Why the copy of the bundle lacks the last checkpoint."""
        logger.info("%s: goes on after %d entries, in %d chains", root.name, ledger.size, len(ledger.chains))

    def _from(self, topic: str, standing: Standing) -> dict[Place, int]:
        places = [(topic, partition) for partition in range(self._there[topic].partitions)]
        begins = self._topics.begins(places)
        return {place: standing.places.get(place, begins[place]) for place in places}

    # ---- the two ways to run -------------------------------------------------------------------------------------------

    def to_the_end(self) -> Exported:
        """To the ends that the topic of audit events has now."""
        ends = self._topics.ends(self._bodies.positions, committed=True)
        with self._good_first():
            while any(self._bodies.positions[place] < end for place, end in ends.items()) or self._joined.waiting():
                self._turn()
        return replace(self._checkpoint(), new=self._new)

    def until(self, stopped: Callable[[], bool]) -> None:
        """Until stopped; then what is whole is under a checkpoint."""
        self._stopped = stopped
        self._ledger.patiently = self._patiently
        with self._good_first():
            while not stopped():
                self._turn()
                if time.monotonic() - self._made >= self._pace.seconds:
                    self._checkpoint()
                    self._look()
        logger.info("stopping: what was read is put under a checkpoint first")
        self._checkpoint()

    @contextmanager
    def _good_first(self) -> Iterator[None]:
        """Whatever is wrong with what comes next, what stands before it is good."""
        try:
            yield
        except (ProofError, LogError) as error:
            if self._ledger.uncovered:
                self._checkpoint()
            raise InputError(f"{error}; nothing of it was signed") from error

    def _patiently(self, work: Callable[[], Made]) -> Made:
        """Waits for a key service that is away as for a broker: until it is back, or until stopped."""
        pause = KEY_PAUSE_SECONDS
        while True:
            try:
                return work()
            except KeyServiceAway as error:
                if self._stopped():
                    raise
                logger.warning("%s; asked again after %g s", error, pause)
            until = time.monotonic() + pause
            while time.monotonic() < until and not self._stopped():
                time.sleep(min(POLL_SECONDS, pause))
            pause = min(2 * pause, KEY_PAUSE_SECONDS_MOST)

    def _turn(self) -> None:
        for place, message in self._bodies.poll(POLL, POLL_SECONDS):
            if not of_a_run(message):
                self._joined.body(place, message.offset() or 0, bytes(message.value() or b""))
        self._sign()
        if waiting := self._joined.waiting():
            for place, message in self._events.poll(POLL, POLL_SECONDS):
                if not of_a_run(message):
                    self._joined.event(place, message.offset() or 0, bytes(message.value() or b""))
            self._sign()
            self._gone(waiting)

    def _sign(self) -> None:
        for step in self._joined.whole():
            self._ledger.add(step.body, step.events)
            self._new += 1
            if self._ledger.uncovered >= self._pace.entries:
                self._checkpoint()

    def _gone(self, waiting: frozenset[tuple[str, int]]) -> None:
        """A body was put out together with its events: what is not in their topic up to its end as it was after that is gone.

        Raises:
            ProofError: events are.
        """
        if self._missing is None:
            try:
                self._missing = waiting, self._topics.ends(self._events.positions)
            except Unreachable as error:
                logger.warning("%s", error)
            return
        since, ends = self._missing
        if all(self._events.positions[place] >= end for place, end in ends.items()):
            self._missing = None
            for chain, offset in sorted(since & self._joined.waiting()):
                raise ProofError(
                    f"{chain}: of the discrepancy events of the certificate at {offset} in {self._names.audit} some are no "
                    f"longer in {self._names.discrepancies}: compaction took them; a signer may be away for a week at most"
                )

    # ---- checkpoints ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Raises where topics are no longer what is followed: nothing would come from them, and nobody would notice."""
        try:
            there = Topics(self._topics.cluster).describe(self._there)
        except Unreachable as error:
            logger.warning("%s", error)
            return
        same = {name: (info.id, info.partitions) for name, info in self._there.items()}
        if {name: (info.id, info.partitions) for name, info in there.items()} != same:
            raise BrokerError(
                f"topics {', '.join(same)}: one was deleted, made anew or has more partitions; start the signer again"
            )

    def _checkpoint(self) -> Exported:
        note = self._ledger.checkpoint(self._publish)
        if self._copied is not None:
            self._send(self._copied.send)
        self._made = time.monotonic()
        done = Exported(self._root.name, self._new - self._shown, self._ledger.size, note)
        self._shown = self._new
        waiting = len(self._joined.waiting())
        logger.info("checkpoint over %d entries, %d events new, %d wait for theirs", done.entries, done.new, waiting)
        self._show(done)
        return done

    def _publish(self, note: bytes) -> bytes:
        standing = self._joined.standing(self._bodies.positions | self._events.positions)
        self._places.write(self._ledger.root, Standing(*standing))
        if self._copied is not None:
            self._send(self._copied.ahead)
        self._published.publish(note, self._stopped)
        return self._cosign(note)

    def _send(self, send: Callable[[], None]) -> None:
        """What cannot be sent goes with the next checkpoint."""
        try:
            send()
        except Undelivered as error:
            self._behind = error
            logger.warning("%s; it is tried again with the next checkpoint", error)
        else:
            self._behind = None

    def raise_if_behind(self) -> None:
        """Raises ``Undelivered`` if the copy lacks the last checkpoint."""
        if self._behind is not None:
            raise self._behind

    def close(self) -> None:
        """Releases what it reads by."""
        self._bodies.close()
        self._events.close()
