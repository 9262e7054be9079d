"""normalise as a worker: its share of the source topics in, digest blocks and dead letters out, positions committed once safe.

    poll -> views -> blocks -> writer ... acknowledged -> positions of every digest partition -> commit, with all state

A worker may be cut off anywhere: whoever takes its partitions begins at their committed positions and repeats what came after,
which the readers of the log know to drop. ``Watch`` looks after what is quiet and what runs ahead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from stream_recon.engine.pipeline import View, dead_letter
from stream_recon.errors import BrokerError, InputError, StateError
from stream_recon.limits import BLOCK_ROWS, FLUSH_SECONDS, PENDING_BYTES
from stream_recon.model.digest import Block, Drift, Lift, Partition, Stall, encode
from stream_recon.model.messages import Upstream
from stream_recon.ports import Place, Source, Stretch, TopicInfo, Writer
from stream_recon.service.job import Job, Names
from stream_recon.service.positions import Kept, Saved
from stream_recon.service.sending import Reached, Sending
from stream_recon.service.spots import Feed, Spot, Spotted, before, bundles, nothing

logger = logging.getLogger("stream_recon.normalise")

POLL_MESSAGES = 40_000
"""Messages taken at once: a decoder costs some ms a batch, however few."""

COMMIT_SECONDS = 1.0

PART_BYTES = 4 * 1024**2
"""Digest rows that are flushed together hold about so much: even if all go to one digest partition, its block is no larger than
Kafka's bound on it (16 MiB).
"""


class NormaliseWorker:
    """One worker. ``ends`` (``run --once``): where each partition's input ends. ``clock``: monotonic seconds."""

    def __init__(
        self,
        jobs: Sequence[Job],
        source_of: Callable[[View], Source],
        writer: Writer,
        names: Names,
        clock: Callable[[], float],
        ends: Mapping[Spotted, int] | None = None,
    ) -> None:
        self.jobs = jobs
        self.writer = writer
        self.ends = ends
        self.feeds = [
            Feed(job, view, source_of(view), job.normaliser(view, {}), None) for job in jobs for view in job.layout.views
        ]
        self.spots: dict[Spotted, Spot] = {}
        self.sources = list({f.source.name: f.source for f in self.feeds}.values())
        self.commits = 0
        self.moved: Callable[[], None] = lambda: None
        """Called when partitions were taken, before anything is read of them: whoever counts begins there."""
        self._names = names
        self._clock = clock
        self._sending = Sending(writer)
        self._dirty: dict[Spotted, Spot] = {}
        self._committed = clock()
        self._before = 0
        self._widths: dict[tuple[str, str], int] = {}
        for source in self.sources:
            topics = sorted({t for f in self.feeds if f.source is source for t in f.view.side.topics})
            source.subscribe(topics, self)

    # ---- one step ------------------------------------------------------------------------------------------------------

    @property
    def singly(self) -> int:
        """Messages that were decoded one by one, those of topologies that have stopped among them."""
        return self._before + sum(feed.normaliser.singly for feed in self.feeds)

    def step(self) -> int:
        """Takes what is there, writes what is due, commits what is safe; returns the number of messages taken."""
        taken = 0
        if self._sending.pending_bytes < PENDING_BYTES:
            for source in self.sources:
                taken += self._poll(source)
        else:
            self.writer.poll(FLUSH_SECONDS)
        now = self._clock()
        for feed in self.feeds:
            full = feed.normaliser.pending_rows >= BLOCK_ROWS * feed.job.parallelism
            if full or (feed.since is not None and now - feed.since >= FLUSH_SECONDS):
                self.flush(feed)
        self.writer.poll(0)
        self._settle()
        for job in self.jobs:
            if job.stopped is None and (reason := job.letters.exceeded(now)):
                self._stop(job, reason)
        if self._dirty and now - self._committed >= COMMIT_SECONDS:
            self._commit(self._dirty.values(), wait=False)
        return taken

    def _poll(self, source: Source) -> int:
        polled = source.poll(POLL_MESSAGES, FLUSH_SECONDS / len(self.sources))
        self._take(source, polled.stretches)
        for place, end in polled.ends.items():
            self.ended(source, place, end)
        for place in polled.lost:
            self._lost_position(source, place)
        for topic in polled.gone:
            raise BrokerError(
                f"topic {topic} is gone; make it again, or take it out of the topology and run stream-recon rebuild"
            )
        return sum(len(s.offset) for s in polled.stretches)

    def _take(self, source: Source, stretches: Iterable[Stretch]) -> None:
        taken: list[tuple[Spot, Stretch]] = []
        ended: list[tuple[Place, int]] = []
        for stretch in stretches:
            spot = self.spots.get((source.name, stretch.place))
            if spot is None:  # taken from us while it was on its way
                continue
            if not spot.feeds:  # its topology has stopped
                source.pause([stretch.place])
                continue
            kept = stretch
            if self.ends is not None:
                end = self.end_of(source, stretch.place)
                if stretch.offset[-1] >= end - 1:
                    kept = before(stretch, end)
                    ended.append((stretch.place, end))
            if len(kept.offset):
                taken.append((spot, kept))
        self._read(taken)
        for place, end in ended:
            self.ended(source, place, end)

    def _read(self, taken: Sequence[tuple[Spot, Stretch]]) -> None:
        """Each feed's stretches together: a decoder costs so much a call."""
        for spot, stretch in taken:
            spot.reached, spot.ended, spot.idle = int(stretch.offset[-1]) + 1, None, None
            spot.heard, spot.spoke = self._clock(), True
        for feed in {feed.name: feed for spot, _ in taken for feed in spot.feeds}.values():
            fresh = []
            for spot, stretch in (pair for pair in taken if feed in pair[0].feeds):
                first = int(np.searchsorted(stretch.offset, spot.position(feed).position))
                if first < len(stretch.offset):
                    fresh.append((feed.upstream(spot.place, spot.topic_id), stretch, first))
            for messages in bundles(fresh, PART_BYTES):
                letters = feed.normaliser.add_all(messages)
                feed.letters += letters
                if feed.view.id == feed.view.side.name:
                    feed.job.letters.add(self._clock(), sum(map(len, messages)), len(letters))
                if feed.normaliser.pending_bytes >= PART_BYTES:
                    self.flush(feed)
            if fresh:
                feed.since = feed.since if feed.since is not None else self._clock()

    def ended(self, source: Source, place: Place, end: int) -> None:
        """All positions below ``end`` were handed over: those that brought no message are unused."""
        spot = self.spots.get((source.name, place))
        if spot is None:
            return
        if self.ends is not None:
            end = min(end, self.end_of(source, place))
        if end < spot.reached:  # told before the messages that came with it
            return
        spot.reached = spot.ended = end
        for feed in spot.feeds:
            if spot.position(feed).position < end:
                upstream = feed.upstream(place, spot.topic_id)
                feed.normaliser.add(nothing(upstream), end)
                feed.since = feed.since if feed.since is not None else self._clock()

    def _stop(self, job: Job, reason: str) -> None:
        """One topology reads no further (DESIGN 3.8); the others go on.

        Raises:
            InputError: there is no other.
        """
        job.stopped = f"topology {job.name} stopped: {reason}"
        logger.error("%s", job.stopped)
        for feed in [f for f in self.feeds if f.job is job]:
            self.flush(feed)
        self.writer.flush()
        self._settle()
        self._commit(list(self.spots.values()), wait=True)
        if all(j.stopped for j in self.jobs):
            raise InputError(job.stopped)
        self._before += sum(feed.normaliser.singly for feed in self.feeds if feed.job is job)
        self.feeds = [f for f in self.feeds if f.job is not job]
        for spot in self.spots.values():
            spot.feeds = tuple(f for f in spot.feeds if f.job is not job)
            if not spot.feeds:
                spot.source.pause([spot.place])

    # ---- writing -------------------------------------------------------------------------------------------------------

    def flush(self, feed: Feed) -> None:
        """Writes a feed's pending rows and dead letters; their positions are committed once all of it is safe."""
        feed.since = None
        blocks = feed.normaliser.flush()
        if not blocks:
            return
        names = self._names
        messages: list[tuple[str, int | None, bytes]] = [
            (names.dead_letters, None, dead_letter(feed.job.name, feed.view, letter)) for letter in feed.letters
        ]
        messages += [(names.digests, home, encode(block)) for home, block in enumerate(blocks)]
        if feed.drift > feed.told:  # before the positions are committed at which it was seen
            record = Drift(feed.job.name, feed.view.id, tuple(sorted(feed.drift)), feed.job.generation)
            messages.append((names.digests, feed.home, encode(record)))
            feed.told = feed.drift
        feed.letters = []
        self._sending.send(messages, [self._reached(feed, range_.upstream) for range_ in blocks[0].ranges])

    def _reached(self, feed: Feed, upstream: Upstream) -> Reached:
        spot = self.spots[feed.source.name, (upstream.topic, upstream.partition)]
        return spot, feed.name, Kept(feed.job.generation, feed.normaliser.progress[upstream])

    def everywhere(self, feed: Feed, spot: Spot, record: Lift | Partition) -> None:
        """A record for every digest partition of a topology, after which the partition stands where its progress says."""
        message = encode(record)
        messages = [(self._names.digests, home, message) for home in range(feed.job.parallelism)]
        self._sending.send(messages, [self._reached(feed, feed.upstream(spot.place, spot.topic_id))])

    def once(self, record: Stall | Block, home: int) -> None:
        """A record for one digest partition, that moves no position."""
        self._sending.send([(self._names.digests, home, encode(record))])

    def _settle(self) -> None:
        """Takes over what is safe by now."""
        for spot, name, kept in self._sending.settled():
            spot.safe[name] = kept
            self._dirty[spot.source.name, spot.place] = spot

    def vow(self, feed: Feed, spot: Spot) -> None:
        """Commits a lift before it is said: whoever takes the partition next keeps to it, also if this worker is killed."""
        spot.safe[feed.name] = Kept(feed.job.generation, spot.position(feed))
        self._commit([spot], wait=True)

    def publish(self, spot: Spot) -> None:
        """Has a partition's state committed soon, so that other workers see it."""
        self._dirty[spot.source.name, spot.place] = spot

    def _commit(self, spots: Iterable[Spot], *, wait: bool) -> None:
        by_source: dict[str, list[Spot]] = {}
        for spot in list(spots):
            by_source.setdefault(spot.source.name, []).append(spot)
            self._dirty.pop((spot.source.name, spot.place), None)
        for mine in by_source.values():
            positions = {s.place: Saved(s.topic_id, s.idle, s.safe).commit() for s in mine if s.safe}
            mine[0].source.commit(positions, wait=wait)
            self.commits += 1
        self._committed = self._clock()

    # ---- partitions come and go ----------------------------------------------------------------------------------------

    def assigned(self, source: Source, places: Sequence[Place]) -> Mapping[Place, int]:
        """Takes partitions over where they were committed; announces those that are new. ``Listener``.

        Raises:
            StateError: the state of a partition is gone, or was made by another generation.
        """
        topics = self.look(source)
        saved = source.committed(places)
        begin = {}
        for place in places:
            if not any(f.source is source and place[0] in f.view.side.topics for f in self.feeds):  # its topology has stopped
                self.spots[source.name, place] = Spot(place, source, "", (), 0, self._clock())
                begin[place] = saved[place].position if place in saved else 0
                continue
            if place[0] not in topics:
                raise BrokerError(f"topic {place[0]} is gone; make it again, or take it out of the topology")
            state = Saved.load(saved[place]) if place in saved else None
            begin[place] = self._hold(source, place, topics[place[0]], state)
            logger.info("reads %s/%s from %s", *place, begin[place])
        self.moved()
        return begin

    def _hold(self, source: Source, place: Place, topic: TopicInfo, state: Saved | None) -> int:
        feeds = tuple(f for f in self.feeds if f.source is source and place[0] in f.view.side.topics)
        spot = Spot(place, source, topic.id, feeds, 0, self._clock())
        if state is not None and state.topic_id == topic.id:
            spot.safe = dict(state.views)
        self.spots[source.name, place] = spot
        for feed in feeds:
            upstream = feed.upstream(place, topic.id)
            kept = spot.safe.get(feed.name)
            if kept is None:
                if feed.job.opened_with(upstream):
                    raise StateError(
                        f"the committed position of {place[0]}/{place[1]} is gone (consumer groups are forgotten after "
                        "offsets.retention.minutes without members); run stream-recon rebuild, which reads all of it again"
                    )
                self._announce(feed, spot)
            elif kept.generation != feed.job.generation:
                raise StateError(f"topology {feed.job.name} was rebuilt; start this worker again")
            else:
                feed.normaliser.assign(upstream, kept.progress)
        spot.reached = min(spot.position(f).position for f in feeds)
        return spot.reached

    def _announce(self, feed: Feed, spot: Spot) -> None:
        """A partition that was not there when the share was opened, or a topic made anew: read from its first message."""
        upstream = feed.upstream(spot.place, spot.topic_id)
        others = [state.views[feed.name].progress for state in self.elsewhere(feed).values()]
        for old in [u for u in feed.normaliser.progress if (u.topic, u.partition) == spot.place]:
            feed.normaliser.release(old)
        mark = feed.normaliser.announce(upstream, 0, others)
        job = feed.job
        topic, partition = spot.place
        logger.warning("%s: %s/%s is new: read from its beginning", feed.name, topic, partition)
        record = Partition(job.name, feed.view.id, topic, spot.topic_id, partition, 0, mark, job.generation)
        self.everywhere(feed, spot, record)

    def elsewhere(self, feed: Feed) -> dict[Place, Saved]:
        """The committed state of a feed's partitions that other workers hold."""
        mine = {s.place for s in self.spots.values() if feed in s.feeds}
        others = [p for p in self._places(feed) if p not in mine]
        return {
            place: state
            for place, commit in feed.source.committed(others).items()
            if feed.name in (state := Saved.load(commit)).views
        }

    def _places(self, feed: Feed) -> Iterator[Place]:
        """All partitions of a feed's topics, as they were when last looked at."""
        for topic in feed.view.side.topics:
            if (feed.source.name, topic) not in self._widths:
                self.look(feed.source)
            yield from ((topic, p) for p in range(self._widths.get((feed.source.name, topic), 0)))

    def look(self, source: Source) -> Mapping[str, TopicInfo]:
        """Asks anew what topics there are and how many partitions they have.

        Raises:
            StateError: a topic was made anew with fewer partitions: those that are gone would hold up its side for ever.
        """
        topics = source.describe({t for f in self.feeds if f.source is source for t in f.view.side.topics})
        for feed in (f for f in self.feeds if f.source is source):
            for topic, info in topics.items():
                if feed.job.width(feed.view, topic) > info.partitions:
                    raise StateError(
                        f"topic {topic} was made anew with fewer partitions, {info.partitions} instead of "
                        f"{feed.job.width(feed.view, topic)}: run stream-recon rebuild, which reads it as it is now"
                    )
        self._widths |= {(source.name, name): info.partitions for name, info in topics.items()}
        return topics

    def revoked(self, source: Source, places: Sequence[Place]) -> None:
        """Gives partitions up in order: all that was read is written and committed. ``Listener``."""
        spots = [s for p in places if (s := self.spots.get((source.name, p)))]
        self._let_go(spots)
        try:
            self._commit(spots, wait=True)
        except BrokerError as error:  # whoever takes them repeats what was not committed
            logger.warning("%s", error)
        for spot in spots:
            del self.spots[source.name, spot.place]

    def lost(self, source: Source, places: Sequence[Place]) -> None:
        """They are somebody else's already: what is on its way can only repeat. ``Listener``."""
        spots = [s for p in places if (s := self.spots.get((source.name, p)))]
        self._let_go(spots)
        for spot in spots:
            self._dirty.pop((source.name, spot.place), None)
            del self.spots[source.name, spot.place]

    def _let_go(self, spots: Sequence[Spot]) -> None:
        for feed in {f.name: f for s in spots for f in s.feeds}.values():
            self.flush(feed)
        self.writer.flush()
        self._settle()
        for spot in spots:
            for feed in spot.feeds:
                feed.normaliser.release(feed.upstream(spot.place, spot.topic_id))

    # ---- what is not there any more ------------------------------------------------------------------------------------

    def _lost_position(self, source: Source, place: Place) -> None:
        """The next position is not there: the topic was made anew, or retention took messages before they were read."""
        spot = self.spots.get((source.name, place))
        if spot is None or not spot.feeds:
            return
        topic = source.describe([place[0]]).get(place[0])
        if topic is None:
            raise BrokerError(f"topic {place[0]} is gone; make it again, or take it out of the topology")
        if topic.id != spot.topic_id:
            self.made_anew(spot, topic)
            return
        begin, end = source.begins([place])[place], source.ends([place])[place]
        if spot.reached > end:
            raise InputError(
                f"{place[0]}/{place[1]} ends at {end}, and was read up to {spot.reached}: its end was cut off (an unclean leader "
                "election?); run stream-recon rebuild, which reads all of it again"
            )
        if begin > spot.reached:
            logger.error(
                "%s/%s: retention took offsets %s to %s before they were read: a gap, its windows are inconclusive; "
                "raise retention.ms of the topic above the longest outage",
                *place,
                spot.reached,
                begin - 1,
            )
        for feed in spot.feeds:
            self.flush(feed)
            if spot.position(feed).position < begin:
                feed.normaliser.skip(feed.upstream(place, spot.topic_id), begin)
                self.flush(feed)
        spot.reached, spot.paused = max(begin, spot.reached), False
        source.seek(place, spot.reached)

    def made_anew(self, spot: Spot, topic: TopicInfo) -> None:
        """A topic under a new id: a new partition, and a gap (DESIGN section 2)."""
        logger.error("topic %s was made anew: what was not read of the old one is a gap", spot.place[0])
        for feed in spot.feeds:
            self.flush(feed)
        self.writer.flush()
        self._settle()
        spot.topic_id, spot.safe, spot.paused = topic.id, {}, False
        spot.reached, spot.ended, spot.idle, spot.heard, spot.spoke = 0, None, None, self._clock(), False
        for feed in spot.feeds:
            self._announce(feed, spot)
        spot.source.seek(spot.place, 0)

    # ---- the end -------------------------------------------------------------------------------------------------------

    def end_of(self, source: Source, place: Place) -> int:
        """Where a partition's input ends; nothing of one that was not there at the start."""
        assert self.ends is not None
        return self.ends.get((source.name, place), 0)

    def finished(self) -> set[Spotted]:
        """Partitions held whose input (``ends``) is all safe and committed."""
        return {
            (s.source.name, s.place)
            for s in self.spots.values()
            if (s.source.name, s.place) not in self._dirty
            and all(n.name in s.safe and s.safe[n.name].progress.position >= self.end_of(s.source, s.place) for n in s.feeds)
        }

    def close(self) -> None:
        """Writes and commits everything, and leaves the groups."""
        for source in self.sources:
            source.close()
        self.writer.close()
