"""What a normalise worker writes, and the positions that it commits once all of that is safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from stream_recon.engine.pipeline import dead_letter
from stream_recon.model.digest import Block, Drift, Lift, Partition, Stall, encode
from stream_recon.model.messages import Upstream
from stream_recon.ports import Writer
from stream_recon.service.job import Names
from stream_recon.service.positions import Kept, Saved
from stream_recon.service.sending import Reached, Sending
from stream_recon.service.spots import Feed, Spot, Spotted


class Writing:
    """Blocks and records on their way, and what of the ``spots`` is not committed yet. ``clock``: monotonic seconds."""

    def __init__(self, writer: Writer, names: Names, clock: Callable[[], float], spots: Mapping[Spotted, Spot]) -> None:
        self.commits = 0
        self.committed = clock()
        """When the last commit was."""
        self.dirty: dict[Spotted, Spot] = {}
        """Whose state is to be committed."""
        self._names = names
        self._clock = clock
        self._spots = spots
        self._writer = writer
        self._sending = Sending(writer)

    @property
    def pending_bytes(self) -> int:
        """What is on its way."""
        return self._sending.pending_bytes

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
        drift = feed.drift
        if drift > feed.told:  # before the positions are committed at which it was seen
            record = Drift(feed.job.name, feed.view.id, tuple(sorted(drift)), feed.job.generation)
            messages.append((names.digests, feed.home, encode(record)))
            feed.told = drift
        feed.letters = []
        self._sending.send(messages, [self._reached(feed, range_.upstream) for range_ in blocks[0].ranges])

    def _reached(self, feed: Feed, upstream: Upstream) -> Reached:
        spot = self._spots[feed.source.name, (upstream.topic, upstream.partition)]
        return spot, feed.name, Kept(feed.job.generation, feed.normaliser.progress[upstream])

    def everywhere(self, feed: Feed, spot: Spot, record: Lift | Partition) -> None:
        """A record for every digest partition of a topology, after which the partition stands where its progress says."""
        message = encode(record)
        messages = [(self._names.digests, home, message) for home in range(feed.job.parallelism)]
        self._sending.send(messages, [self._reached(feed, feed.upstream(spot.place, spot.topic_id))])

    def once(self, record: Stall | Block, home: int) -> None:
        """A record for one digest partition, that moves no position."""
        self._sending.send([(self._names.digests, home, encode(record))])

    def settle(self) -> None:
        """Takes over what is safe by now."""
        for spot, name, kept in self._sending.settled():
            spot.safe[name] = kept
            self.dirty[spot.source.name, spot.place] = spot

    def vow(self, feed: Feed, spot: Spot) -> None:
        """Commits a lift before it is said: whoever takes the partition next keeps to it, also if this worker is killed."""
        spot.safe[feed.name] = Kept(feed.job.generation, spot.position(feed))
        self.commit([spot], wait=True)

    def publish(self, spot: Spot) -> None:
        """Has a partition's state committed soon, so that other workers see it."""
        self.dirty[spot.source.name, spot.place] = spot

    def commit(self, spots: Iterable[Spot], *, wait: bool) -> None:
        """Commits what of them is safe, each with its state."""
        by_source: dict[str, list[Spot]] = {}
        for spot in list(spots):
            by_source.setdefault(spot.source.name, []).append(spot)
            self.dirty.pop((spot.source.name, spot.place), None)
        for mine in by_source.values():
            positions = {s.place: Saved(s.topic_id, s.idle, s.safe).commit() for s in mine if s.safe}
            mine[0].source.commit(positions, wait=wait)
            self.commits += 1
        self.committed = self._clock()

    def finish(self) -> None:
        """Waits until all that was written is safe."""
        self._writer.flush()
        self.settle()
