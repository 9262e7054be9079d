"""What a normalise worker holds: feeds (views of topologies), spots (upstream partitions), stretches of messages cut to fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from stream_recon.engine.normaliser import Normaliser
from stream_recon.engine.pipeline import View
from stream_recon.engine.progress import Progress, SetAside, home_partition
from stream_recon.model.messages import Messages, Upstream
from stream_recon.ports import Place, Source, Stretch
from stream_recon.service.job import Job
from stream_recon.service.positions import Idle, Kept

Spotted = tuple[str, Place]
"""A source's name, topic and partition."""


@dataclass(slots=True)
class Feed:
    """One view of one topology as this worker reads it."""

    job: Job
    view: View
    source: Source
    normaliser: Normaliser
    since: float | None = None
    """When the oldest of what waits for a flush came in."""
    letters: list[SetAside] = field(default_factory=list)
    told: frozenset[str] = frozenset()
    """Columns of ``drift`` that the digest log was told of."""

    @property
    def name(self) -> str:
        return f"{self.job.name}/{self.view.id}"

    @property
    def drift(self) -> frozenset[str]:
        """Columns that appeared after the topology was opened: no part of the comparison (DESIGN section 2)."""
        return self.normaliser.seen - set(self.view.columns) if self.view.columns else frozenset()

    @property
    def home(self) -> int:
        """The digest partition that carries what is said of all of it."""
        return home_partition(Upstream(self.view.id, "", 0), self.job.parallelism)

    def upstream(self, place: Place, topic_id: str) -> Upstream:
        return Upstream(self.view.id, *place, topic_id)


@dataclass(slots=True)
class Spot:
    """An upstream partition that this worker holds. ``reached``: next position to come; ``ended``: where it came to its end, if
    nothing came since; ``heard``: when the last message came, or it was taken (monotonic); ``spoke``: one came since then.
    """

    place: Place
    source: Source
    topic_id: str
    feeds: tuple[Feed, ...]
    reached: int
    heard: float
    spoke: bool = False
    ended: int | None = None
    paused: bool = False
    idle: Idle | None = None
    safe: dict[str, Kept] = field(default_factory=dict)
    """What every digest partition has, by view; also the state of views that this worker does not run, as it was found."""

    def position(self, feed: Feed) -> Progress:
        return feed.normaliser.progress[feed.upstream(self.place, self.topic_id)]


def bundles(stretches: Iterable[tuple[Upstream, Stretch, int]], bound: int) -> Iterator[list[Messages]]:
    """Messages of stretches, each from its ``first`` on, in bundles whose keys hold about ``bound`` bytes at most: one digest
    partition may get all of them. No bundle holds two stretches of one partition.
    """
    bundle: list[Messages] = []
    left = bound
    for upstream, stretch, first in stretches:
        weight = stretch.key.nbytes if not stretch.key.null_count else stretch.key.nbytes + stretch.value.nbytes
        count = len(stretch.offset)
        size = max(1, count // (1 + weight // bound))
        for start in range(first, count, size):
            part = slice(start, min(start + size, count))
            messages = Messages(upstream, stretch.offset[part], stretch.timestamp[part], stretch.key[part], stretch.value[part])
            share = weight * len(messages) // count
            if bundle and (share > left or bundle[-1].upstream == upstream):
                yield bundle
                bundle, left = [], bound
            bundle.append(messages)
            left -= share
    if bundle:
        yield bundle


def before(stretch: Stretch, end: int) -> Stretch:
    """The part of a stretch below ``end``."""
    stop = int(np.searchsorted(stretch.offset, end))
    if stop == len(stretch.offset):
        return stretch
    return Stretch(stretch.place, stretch.offset[:stop], stretch.timestamp[:stop], stretch.key[:stop], stretch.value[:stop])


def nothing(upstream: Upstream) -> Messages:
    """A stretch without a message: positions that brought none."""
    none = np.empty(0, np.int64)
    return Messages(upstream, none, none, pa.array([], pa.binary()), pa.array([], pa.binary()))
