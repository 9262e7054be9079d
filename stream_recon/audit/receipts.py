"""Receipts of a deployment's stages for each upstream partition of a feed, from its digest log and what was committed around it.

committed    by normalise: all below is in every digest partition's sequence of ranges
logged       next position of each digest partition, by the range rule (docs/spec/digest-log.md, 3)
folded       the same, up to where reconcile has committed
certified    by each chain, never beyond what was logged for it
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream_recon.model.digest import Block, Counts, Open, Partition, Record
from stream_recon.model.messages import Upstream


@dataclass(slots=True)
class Sequence:
    """The ranges of one upstream partition in one digest partition."""

    start: int
    next: int
    gaps: int = 0
    counts: Counts | None = None


@dataclass(slots=True)
class Share:
    """One topology's share of one digest partition, in its newest generation."""

    generation: int
    ranges: dict[Upstream, Sequence] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        """The next record of this generation."""
        if isinstance(record, Open):
            for feed in record.feeds:
                for topic, id_, partition, start in feed.partitions:
                    self.ranges.setdefault(Upstream(feed.id, topic, partition, id_), Sequence(start, start))
        elif isinstance(record, Partition):
            self.ranges.setdefault(record.upstream, Sequence(record.position, record.position))
        elif isinstance(record, Block):
            for one in record.ranges:
                held = self.ranges.get(one.upstream)
                if held is None or one.end <= held.next:
                    continue
                held.gaps += max(one.start - held.next, 0)
                held.next = one.end
                held.counts = one.counts if one.counts is not None else held.counts


@dataclass(slots=True)
class Shares:
    """All shares of a digest log, by topology and digest partition; an older generation's records are dropped."""

    held: dict[tuple[str, int], Share] = field(default_factory=dict)

    def take(self, home: int, record: Record) -> None:
        """The next record of a digest partition."""
        place = record.topology, home
        share = self.held.get(place)
        if isinstance(record, Open) and (share is None or record.generation > share.generation):
            share = self.held[place] = Share(record.generation)
        if share is not None and record.generation == share.generation:
            share.take(record)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One upstream partition of a feed. ``end``: of its topic (None: that topic is gone). ``committed``: by normalise (None:
    nothing yet). ``logged``, ``folded`` by digest partition; ``certified`` (from, to) by chain.
    """

    upstream: Upstream
    end: int | None
    committed: int | None
    logged: Mapping[int, Sequence]
    folded: Mapping[int, Sequence]
    certified: Mapping[str, tuple[int, int]]

    @property
    def stages(self) -> dict[str, int | None]:
        """How far each stage has got everywhere."""
        logged, folded = (min((s.next for s in stage.values()), default=None) for stage in (self.logged, self.folded))
        certified = min((to for _, to in self.certified.values()), default=None)
        return {"end": self.end, "committed": self.committed, "logged": logged, "folded": folded, "certified": certified}

    @property
    def counted(self) -> tuple[Sequence, Counts] | None:
        """The sequence of its home digest partition, and what that one counts; None: nothing is counted yet."""
        return next(((s, s.counts) for s in self.logged.values() if s.counts is not None), None)

    @property
    def wrong(self) -> list[str]:
        """What does not balance, each a sentence."""
        return list(self._wrong())

    def _wrong(self) -> Iterator[str]:
        if (found := self.counted) is not None:
            home, c = found
            span, total = home.next - home.start, c.rows + c.control + c.dead_letters + c.unused + home.gaps
            if span != total:
                yield f"{span} positions were normalised, {total} are accounted for"
        for partition, one in sorted(self.logged.items()):
            if self.committed is not None and one.next < self.committed:
                yield f"{self.committed} is committed, digest partition {partition} holds it up to {one.next} only"
            if self.end is not None and one.next > self.end:
                yield f"digest partition {partition} holds it up to {one.next}, its topic ends at {self.end}"
        for chain, (start, to) in sorted(self.certified.items()):
            held = self.logged.get(int(chain.rsplit("/", 1)[1]))
            if held is None or to > held.next:
                yield f"{chain} certifies up to {to}, its digest partition holds it up to {'-' if held is None else held.next}"
            elif start != held.start:
                yield f"{chain} certifies from {start} on, it was read from {held.start} on"
