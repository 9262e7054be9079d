"""Partitions come and go: a normalise worker takes them over where they were committed, and gives them up in order.

Also topics that are made anew, or of which retention took messages before they were read: a gap, said in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

from stream_recon.errors import BrokerError, InputError, StateError
from stream_recon.model.digest import Partition
from stream_recon.ports import Place, Source, TopicInfo
from stream_recon.service.positions import Saved
from stream_recon.service.spots import Feed, Spot, Spotted
from stream_recon.service.writing import Writing

logger = logging.getLogger("stream_recon.normalise")


class Holding:
    """The ``spots`` that a worker holds for its ``feeds``; both are the worker's. ``clock``: monotonic seconds. ``Listener``."""

    def __init__(self, feeds: Sequence[Feed], spots: dict[Spotted, Spot], writing: Writing, clock: Callable[[], float]) -> None:
        self.moved: Callable[[], None] = lambda: None
        """Called when partitions were taken, before anything is read of them: whoever counts begins there."""
        self._feeds = feeds
        self._spots = spots
        self._writing = writing
        self._clock = clock
        self._widths: dict[tuple[str, str], int] = {}

    def assigned(self, source: Source, places: Sequence[Place]) -> Mapping[Place, int]:
        """Takes partitions over where they were committed; announces those that are new.

        Raises:
            StateError: the state of a partition is gone, or was made by another generation.
        """
        topics = self.look(source)
        saved = source.committed(places)
        begin = {}
        for place in places:
            if not any(f.source is source and place[0] in f.view.side.topics for f in self._feeds):  # its topology has stopped
                self._spots[source.name, place] = Spot(place, source, "", (), 0, self._clock())
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
        feeds = tuple(f for f in self._feeds if f.source is source and place[0] in f.view.side.topics)
        spot = Spot(place, source, topic.id, feeds, 0, self._clock())
        if state is not None and state.topic_id == topic.id:
            spot.safe = dict(state.views)
        self._spots[source.name, place] = spot
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
        self._writing.everywhere(feed, spot, record)

    def elsewhere(self, feed: Feed) -> dict[Place, Saved]:
        """The committed state of a feed's partitions that other workers hold."""
        mine = {s.place for s in self._spots.values() if feed in s.feeds}
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
        topics = source.describe({t for f in self._feeds if f.source is source for t in f.view.side.topics})
        for feed in (f for f in self._feeds if f.source is source):
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
        spots = [s for p in places if (s := self._spots.get((source.name, p)))]
        self._let_go(spots)
        try:
            self._writing.commit(spots, wait=True)
        except BrokerError as error:  # whoever takes them repeats what was not committed
            logger.warning("%s", error)
        for spot in spots:
            del self._spots[source.name, spot.place]

    def lost(self, source: Source, places: Sequence[Place]) -> None:
        """They are somebody else's already: what is on its way can only repeat. ``Listener``."""
        spots = [s for p in places if (s := self._spots.get((source.name, p)))]
        self._let_go(spots)
        for spot in spots:
            self._writing.dirty.pop((source.name, spot.place), None)
            del self._spots[source.name, spot.place]

    def _let_go(self, spots: Sequence[Spot]) -> None:
        for feed in {f.name: f for s in spots for f in s.feeds}.values():
            self._writing.flush(feed)
        self._writing.finish()
        for spot in spots:
            for feed in spot.feeds:
                feed.normaliser.release(feed.upstream(spot.place, spot.topic_id))

    # ---- what is not there any more ------------------------------------------------------------------------------------

    def lost_position(self, source: Source, place: Place) -> None:
        """The next position is not there: the topic was made anew, or retention took messages before they were read."""
        spot = self._spots.get((source.name, place))
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
            self._writing.flush(feed)
            if spot.position(feed).position < begin:
                feed.normaliser.skip(feed.upstream(place, spot.topic_id), begin)
                self._writing.flush(feed)
        spot.reached, spot.paused = max(begin, spot.reached), False
        source.seek(place, spot.reached)

    def made_anew(self, spot: Spot, topic: TopicInfo) -> None:
        """A topic under a new id: a new partition, and a gap (DESIGN section 2)."""
        logger.error("topic %s was made anew: what was not read of the old one is a gap", spot.place[0])
        for feed in spot.feeds:
            self._writing.flush(feed)
        self._writing.finish()
        spot.topic_id, spot.safe, spot.paused = topic.id, {}, False
        spot.reached, spot.ended, spot.idle, spot.heard, spot.spoke = 0, None, None, self._clock(), False
        for feed in spot.feeds:
            self._announce(feed, spot)
        spot.source.seek(spot.place, 0)
