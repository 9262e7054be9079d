"""What a normalise worker looks after between batches: quiet partitions (DESIGN 3.3), sides that run ahead (section 5).

    every second     pace: pause what is too far ahead, go on with what is not
    every 5 seconds  silence without a word that this is the end: asked for, or fetched anew
                     what others have committed, heartbeats -> the broker's time -> ends, asked anew -> lifts and stalls

The order matters: whatever vouches for a lift is looked at before the ends are asked, so a row that was sent later cannot be
overtaken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from stream_recon.engine.pipeline import View
from stream_recon.errors import Unreachable
from stream_recon.model.digest import Block, Lift, Stall
from stream_recon.normalise.clock import NEVER, ClockState
from stream_recon.ports import Place
from stream_recon.service.job import Job
from stream_recon.service.lifting import Decision, Seen, SeenFeed, decide
from stream_recon.service.normalise import NormaliseWorker
from stream_recon.service.pacing import Pace, paused
from stream_recon.service.positions import Idle, Saved
from stream_recon.service.report import NormaliseReport, PartitionReport, StallReport
from stream_recon.service.spots import Feed, Spot, Spotted

logger = logging.getLogger("stream_recon.normalise")

PACE_SECONDS: Final = 1.0
LIFT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 5.0
SEEK_SECONDS: Final = 30.0
TOPIC_SECONDS: Final = 10.0
_STALE_US: Final = 15_000_000
"""What another worker said of an idle partition counts for so long: it says it anew every 5 s."""


class Watch:
    """Looks after one worker's partitions. ``heartbeat``: commit time of the last row of a view's heartbeat table, µs."""

    def __init__(
        self, worker: NormaliseWorker, heartbeat: Callable[[View], int | None], clock: Callable[[], float], *, lifts: bool = True
    ) -> None:
        self._worker = worker
        self._heartbeat = heartbeat
        self._clock = clock
        self._lifts = lifts
        self._paced = self._lifted = self._looked = self._listened = clock()
        self._sought: dict[Spotted, float] = {}
        self._drifted: set[tuple[str, str, str]] = set()
        self._ticked = False
        self._stalls: dict[tuple[str, str], Stall] = {}
        self._rows: dict[str, int] = {}
        """Rows of a feed's counterparts when it last spoke, by feed."""
        self._heard: dict[str, float] = {}
        self._now: dict[str, int] = {}

    def tend(self) -> None:
        """Does what is due. A cluster that does not answer is asked again later: nothing is lifted on old news."""
        now = self._clock()
        if now - self._paced < PACE_SECONDS:
            return
        self._paced = now
        try:
            self._tend(now)
        except Unreachable as error:
            logger.warning("%s", error)

    def _tend(self, now: float) -> None:
        if now - self._listened >= SILENT_SECONDS:
            self._listened = now
            self._look_for_ends(now)
        quiet = self._quiet(now)
        due = now - self._lifted >= LIFT_SECONDS or any(s.idle is None for s in quiet)
        elsewhere = self._elsewhere()
        self._pace(elsewhere)
        self._note_rows(elsewhere)
        if self._lifts and due:
            self._lift(quiet, elsewhere)
        if now - self._looked >= TOPIC_SECONDS:
            self._looked = now
            self._look_at_topics()

    # ---- what is known -------------------------------------------------------------------------------------------------

    def _look_for_ends(self, now: float) -> None:
        """Partitions that say nothing, not even that they are at their end: librdkafka tells an end once, and where a partition
        is lost and taken again that word can be lost with it. What has an end further on is fetched anew.
        """
        spots = self._worker.spots
        silent = {
            k: s for k, s in spots.items() if s.feeds and s.ended is None and not s.paused and now - s.heard >= SILENT_SECONDS
        }
        self._sought = {key: when for key, when in self._sought.items() if key in silent}
        for source in self._worker.sources:
            topics = self._worker.holding.look(source) if any(s.source is source for s in silent.values()) else {}
            mine = {k: s for k, s in silent.items() if s.source is source and s.place[0] in topics}
            ends = source.ends([s.place for s in mine.values()]) if mine else {}
            for key, spot in mine.items():
                if ends[spot.place] == spot.reached:
                    self._worker.ended(source, spot.place, spot.reached)
                elif now - self._sought.get(key, spot.heard) >= SEEK_SECONDS:
                    self._sought[key] = now
                    source.seek(spot.place, spot.reached)

    def _quiet(self, now: float) -> list[Spot]:
        """Partitions that came to their end and brought nothing for the shortest ``idle_after`` of those who read them."""
        found = []
        for spot in self._worker.spots.values():
            after = [f.view.side.idle_after for f in spot.feeds if f.view.side.idle_after is not None]
            at_end = spot.ended is not None and spot.ended == spot.reached and not spot.paused
            if after and at_end and now - spot.heard >= min(after) / 1e6:
                found.append(spot)
            else:
                spot.idle = None
        return found

    def _elsewhere(self) -> dict[str, dict[Place, Saved]]:
        """The committed state of partitions that other workers hold, by feed."""
        return {feed.name: self._worker.holding.elsewhere(feed) for feed in self._worker.feeds}

    def _clocks(self, feed: Feed, elsewhere: Mapping[Place, Saved]) -> dict[Place, tuple[ClockState, Spot | None, Idle | None]]:
        known: dict[Place, tuple[ClockState, Spot | None, Idle | None]] = {
            place: (state.views[feed.name].progress.clock, None, state.idle) for place, state in elsewhere.items()
        }
        for spot in self._worker.spots.values():
            if feed in spot.feeds:
                known[spot.place] = spot.position(feed).clock, spot, spot.idle
        return known

    # ---- lifts and stalls ----------------------------------------------------------------------------------------------

    def _lift(self, quiet: list[Spot], elsewhere: Mapping[str, Mapping[Place, Saved]]) -> None:
        self._lifted = self._clock()
        if not quiet:
            self._decide({}, elsewhere, None)
            return
        beats = {feed.name: self._heartbeat(feed.view) for feed in self._worker.feeds}
        now, as_of = self._clock(), self._worker.writer.now()
        if as_of is None:
            self._ask_time()
            return
        for spot in self._at_end(quiet):
            spot.idle = Idle(as_of, int((now - spot.heard) * 1_000_000))
            self._worker.writing.publish(spot)
        self._decide(beats, elsewhere, as_of)

    def _ask_time(self) -> None:
        """The broker's time is known from an append: an empty block makes one."""
        if not self._ticked:
            self._ticked = True
            job = self._worker.jobs[0]
            self._worker.writing.once(Block(job.name, (), job.empty_rows(), generation=job.generation), 0)

    def _at_end(self, quiet: Iterable[Spot]) -> list[Spot]:
        """Those that are at their end still, now that it was asked anew."""
        confirmed = []
        for source in self._worker.sources:
            mine = [s for s in quiet if s.source is source]
            ends = source.ends([s.place for s in mine]) if mine else {}
            for spot in mine:
                spot.idle = None
                if ends[spot.place] == spot.ended:
                    confirmed.append(spot)
        return confirmed

    def _decide(self, beats: Mapping[str, int | None], elsewhere: Mapping[str, Mapping[Place, Saved]], as_of: int | None) -> None:
        for job in self._worker.jobs:
            feeds = {f.view.id: f for f in self._worker.feeds if f.job is job}
            if not feeds:
                continue
            clocks = {name: self._clocks(f, elsewhere[f.name]) for name, f in feeds.items()}
            seen = {name: _seen(f, clocks[name], beats.get(f.name), as_of) for name, f in feeds.items()}
            plan = job.layout.plan
            decision = decide(seen, job.pairs, settle=plan.settle, clock_skew=plan.clock_skew)
            for (name, topic, partition), to in decision.lifts.items():
                spot = clocks[name][topic, partition][1]
                if spot is not None:
                    self._apply(feeds[name], spot, to)
            self._stalled(job, feeds, clocks, decision)

    def _apply(self, feed: Feed, spot: Spot, to: int) -> None:
        self._worker.writing.flush(feed)
        upstream = feed.upstream(spot.place, spot.topic_id)
        position = spot.position(feed).position
        safe = spot.safe.get(feed.name)
        if safe is None or safe.progress.position != position:  # not all of it is safe yet: next time
            return
        feed.normaliser.lift(upstream, to)
        self._worker.writing.vow(feed, spot)
        topic, partition = spot.place
        job = feed.job
        self._worker.writing.everywhere(
            feed, spot, Lift(job.name, feed.view.id, topic, spot.topic_id, partition, position, to, job.generation)
        )

    def _stalled(
        self,
        job: Job,
        feeds: Mapping[str, Feed],
        clocks: Mapping[str, Mapping[Place, tuple[ClockState, Spot | None, Idle | None]]],
        decision: Decision,
    ) -> None:
        """Says what changed; the worker that holds a feed's first partition speaks for it."""
        for name, feed in feeds.items():
            if not clocks[name] or clocks[name][min(clocks[name])][1] is None:
                self._stalls.pop((job.name, name), None)
                continue
            before = self._stalls.get((job.name, name))
            if before is None and name not in decision.stalled and not self._known(feed):
                continue
            if name in decision.stalled:
                waiting = self._waiting(feed)
                stall = Stall(job.name, name, decision.stalled[name], waiting, False, job.generation)
            else:
                stall = Stall(job.name, name, None, 0, True, job.generation)
            self._stalls[job.name, name] = stall
            if before is None or (before.resumed, before.since) != (stall.resumed, stall.since):
                self._worker.writing.once(stall, feed.home)
                if before is not None or not stall.resumed:
                    logger.warning(
                        "%s %s", feed.name, "speaks again" if stall.resumed else "is stalled: quiet while the other moves"
                    )

    def _known(self, feed: Feed) -> bool:
        """Whether enough was seen since its partitions were taken to say that a feed is not stalled, whoever said that it was."""
        mine = [s for s in self._worker.spots.values() if feed in s.feeds]
        return any(s.spoke for s in mine) or all(s.idle is not None for s in mine)

    def _note_rows(self, elsewhere: Mapping[str, Mapping[Place, Saved]]) -> None:
        """Remembers, as long as a feed speaks, how many rows its counterparts had brought."""
        rows = {feed.name: self._rows_of(feed, elsewhere[feed.name]) for feed in self._worker.feeds}
        self._now = rows
        for feed in self._worker.feeds:
            heard = max((s.heard for s in self._worker.spots.values() if feed in s.feeds), default=0.0)
            if feed.name not in self._rows or heard > self._heard.get(feed.name, 0.0):
                self._heard[feed.name] = heard
                self._rows[feed.name] = self._counterparts(feed)

    def _counterparts(self, feed: Feed) -> int:
        return sum(self._now.get(f"{feed.job.name}/{other}", 0) for other in feed.job.counterparts(feed.view.id))

    def _waiting(self, feed: Feed) -> int:
        return max(0, self._counterparts(feed) - self._rows.get(feed.name, 0))  # counts of a topic made anew begin at 0

    def _rows_of(self, feed: Feed, elsewhere: Mapping[Place, Saved]) -> int:
        mine = sum(s.position(feed).counts.rows for s in self._worker.spots.values() if feed in s.feeds)
        return mine + sum(state.views[feed.name].progress.counts.rows for state in elsewhere.values())

    # ---- pace ----------------------------------------------------------------------------------------------------------

    def _pace(self, elsewhere: Mapping[str, Mapping[Place, Saved]]) -> None:
        halted: set[tuple[str, Place]] = set()
        for job in self._worker.jobs:
            feeds = {f.view.id: f for f in self._worker.feeds if f.job is job}
            if not feeds:  # the topology has stopped
                continue
            paces = {
                name: {
                    place: self._done(
                        Pace(clock, spot is None or spot.ended is not None), feed, place, spot, elsewhere[feed.name]
                    )
                    for place, (clock, spot, _) in self._clocks(feed, elsewhere[feed.name]).items()
                }
                for name, feed in feeds.items()
            }
            for name, places in paused(paces, job.pairs, job.layout.plan.max_ahead).items():
                halted |= {(feeds[name].source.name, place) for place in places}
        for key, spot in self._worker.spots.items():
            if (key in halted) != spot.paused and spot.feeds:
                spot.paused = key in halted
                (spot.source.pause if spot.paused else spot.source.resume)([spot.place])

    def _done(self, pace: Pace, feed: Feed, place: Place, spot: Spot | None, elsewhere: Mapping[Place, Saved]) -> Pace:
        """A partition that ``run --once`` has read to its end, here or elsewhere, is ahead of everything."""
        if self._worker.ends is None:
            return pace
        reached = elsewhere[place].views[feed.name].progress.position if spot is None else spot.reached
        if reached < self._worker.end_of(feed.source, place):
            return pace
        return Pace(ClockState(lift=-NEVER - 1, leading=False), caught_up=True)

    def _look_at_topics(self) -> None:
        """Topics that were made anew while their partitions stood at the end of the old ones."""
        for source in self._worker.sources:
            mine = [s for s in self._worker.spots.values() if s.source is source]
            topics = self._worker.holding.look(source)
            for spot in mine:
                topic = topics.get(spot.place[0])
                if topic is not None and topic.id != spot.topic_id and topic.partitions > spot.place[1]:
                    self._worker.holding.made_anew(spot, topic)

    # ---- report --------------------------------------------------------------------------------------------------------

    def report(self, messages: int) -> NormaliseReport:
        """How the worker stands."""
        worker = self._worker
        stalls = tuple(StallReport(s.topology, s.feed, s.since, s.waiting) for s in self._stalls.values() if not s.resumed)
        finished = frozenset((n, *p) for n, p in worker.finished()) if worker.ends is not None else frozenset()
        partitions = tuple(_line(f, s) for s in worker.spots.values() for f in s.feeds)
        stopped = {job.name: job.stopped for job in worker.jobs if job.stopped is not None}
        return NormaliseReport(
            partitions, stalls, stopped, messages, worker.writing.commits, self._drift(), worker.singly, finished
        )

    def _drift(self) -> tuple[tuple[str, str, str], ...]:
        """Columns that appeared; each is told once."""
        found = {(f.job.name, f.view.side.name, column) for f in self._worker.feeds for column in f.drift}
        for topology, side, column in sorted(found - self._drifted):
            logger.warning(
                "%s/%s: schema drift: column %s appeared and is not compared; run stream-recon rebuild to take it in, or name it "
                "in compare.ignore",
                topology,
                side,
                column,
            )
        self._drifted |= found
        return tuple(sorted(found))


def _seen(
    feed: Feed,
    clocks: Mapping[Place, tuple[ClockState, Spot | None, Idle | None]],
    heartbeat: int | None,
    as_of: int | None,
) -> SeenFeed:
    side = feed.view.side
    partitions = []
    for (topic, partition), (clock, spot, idle) in sorted(clocks.items()):
        fresh = idle is not None and as_of is not None and (spot is not None or idle.as_of >= as_of - _STALE_US)
        counts = fresh and idle is not None and side.idle_after is not None and idle.quiet >= side.idle_after
        quiet = idle if counts else None
        partitions.append(
            Seen(topic, partition, clock, None if quiet is None else quiet.as_of, 0 if quiet is None else quiet.quiet)
        )
    return SeenFeed(tuple(partitions), side.out_of_orderness, side.idle_after, side.stall_timeout, heartbeat)


def _line(feed: Feed, spot: Spot) -> PartitionReport:
    at = spot.position(feed)
    counts = at.counts
    return PartitionReport(
        feed.job.name,
        feed.view.side.name,
        feed.view.id,
        spot.place[0],
        spot.place[1],
        at.position,
        spot.source.end_seen(spot.place),
        None if at.clock.watermark == NEVER else at.clock.watermark,
        None if at.clock.latest == NEVER else at.clock.latest,
        counts.rows,
        counts.control,
        counts.dead_letters,
        counts.unused,
        counts.late,
        spot.paused,
        spot.idle is not None,
    )
