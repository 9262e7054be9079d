"""normalise as a worker: its share of the source topics in, digest blocks and dead letters out, positions committed once safe.

    poll -> views -> blocks -> writer ... acknowledged -> positions of every digest partition -> commit, with all state

A worker may be cut off anywhere: whoever takes its partitions begins at their committed positions and repeats what came after,
which the readers of the log know to drop. ``Holding`` takes partitions and gives them up, ``Writing`` writes and commits,
``Watch`` looks after what is quiet and what runs ahead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from stream_recon.engine.pipeline import View
from stream_recon.errors import BrokerError, InputError
from stream_recon.limits import BLOCK_ROWS, FLUSH_SECONDS
from stream_recon.model.memory import USUAL
from stream_recon.ports import Place, Source, Stretch, Writer
from stream_recon.service.holding import Holding
from stream_recon.service.job import Job, Names
from stream_recon.service.spots import Feed, Spot, Spotted, before, bundles, nothing
from stream_recon.service.writing import Writing

logger = logging.getLogger("stream_recon.normalise")

POLL_MESSAGES = 40_000
"""Messages taken at once: a decoder costs some ms a batch, however few."""

COMMIT_SECONDS = 1.0

PART_BYTES = 4 * 1024**2
"""Digest rows that are flushed together hold about so much: even if all go to one digest partition, its block is no larger than
Kafka's bound on it (16 MiB).
"""


class NormaliseWorker:
    """One worker. ``ends`` (``run --once``): where each partition's input ends. ``clock``: monotonic seconds. Beyond
    ``pending_bytes`` of blocks that are not acknowledged it reads no further.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        source_of: Callable[[View], Source],
        writer: Writer,
        names: Names,
        clock: Callable[[], float],
        ends: Mapping[Spotted, int] | None = None,
        *,
        pending_bytes: int = USUAL.pending,
    ) -> None:
        self.jobs = jobs
        self.pending_bytes = pending_bytes
        self.writer = writer
        self.ends = ends
        self.feeds = [
            Feed(job, view, source_of(view), job.normaliser(view, {}), None) for job in jobs for view in job.layout.views
        ]
        self.spots: dict[Spotted, Spot] = {}
        self.writing = Writing(writer, names, clock, self.spots)
        self.holding = Holding(self.feeds, self.spots, self.writing, clock)
        self.sources = list({f.source.name: f.source for f in self.feeds}.values())
        self._clock = clock
        self._before = 0
        for source in self.sources:
            topics = sorted({t for f in self.feeds if f.source is source for t in f.view.side.topics})
            source.subscribe(topics, self.holding)

    # ---- one step ------------------------------------------------------------------------------------------------------

    @property
    def singly(self) -> int:
        """Messages that were decoded one by one, those of topologies that have stopped among them."""
        return self._before + sum(feed.normaliser.singly for feed in self.feeds)

    def step(self) -> int:
        """Takes what is there, writes what is due, commits what is safe; returns the number of messages taken."""
        taken = 0
        if self.writing.pending_bytes < self.pending_bytes:
            for source in self.sources:
                taken += self._poll(source)
        else:
            self.writer.poll(FLUSH_SECONDS)
        now = self._clock()
        for feed in self.feeds:
            full = feed.normaliser.pending_rows >= BLOCK_ROWS * feed.job.parallelism
            if full or (feed.since is not None and now - feed.since >= FLUSH_SECONDS):
                self.writing.flush(feed)
        self.writer.poll(0)
        self.writing.settle()
        for job in self.jobs:
            if job.stopped is None and (reason := job.letters.exceeded(now)):
                self._stop(job, reason)
        if self.writing.dirty and now - self.writing.committed >= COMMIT_SECONDS:
            self.writing.commit(self.writing.dirty.values(), wait=False)
        return taken

    def _poll(self, source: Source) -> int:
        began = self._clock()
        polled = source.poll(POLL_MESSAGES, FLUSH_SECONDS / len(self.sources))
        self._take(source, polled.stretches, began)
        for place, end in polled.ends.items():
            self.ended(source, place, end)
        for place in polled.lost:
            self.holding.lost_position(source, place)
        for topic in polled.gone:
            raise BrokerError(
                f"topic {topic} is gone; make it again, or take it out of the topology and run stream-recon rebuild"
            )
        return sum(len(s.offset) for s in polled.stretches)

    def _take(self, source: Source, stretches: Iterable[Stretch], began: float) -> None:
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
        self._read(taken, began)
        for place, end in ended:
            self.ended(source, place, end)

    def _read(self, taken: Sequence[tuple[Spot, Stretch]], began: float) -> None:
        """Each feed's stretches together: a decoder costs so much a call. What they hold has waited since the poll ``began``."""
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
                    self.writing.flush(feed)
            if fresh:
                feed.since = feed.since if feed.since is not None else began

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
            self.writing.flush(feed)
        self.writing.finish()
        self.writing.commit(list(self.spots.values()), wait=True)
        if all(j.stopped for j in self.jobs):
            raise InputError(job.stopped)
        self._before += sum(feed.normaliser.singly for feed in self.feeds if feed.job is job)
        self.feeds[:] = [f for f in self.feeds if f.job is not job]
        for spot in self.spots.values():
            spot.feeds = tuple(f for f in spot.feeds if f.job is not job)
            if not spot.feeds:
                spot.source.pause([spot.place])

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
            if (s.source.name, s.place) not in self.writing.dirty
            and all(n.name in s.safe and s.safe[n.name].progress.position >= self.end_of(s.source, s.place) for n in s.feeds)
        }

    def close(self) -> None:
        """Writes and commits everything, and leaves the groups."""
        for source in self.sources:
            source.close()
        self.writer.close()
