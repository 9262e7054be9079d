"""One topology from messages to events, both stages over one log: what replay, the demo and the tests drive step by step.

    push -> normalise -> one transaction: blocks, dead letters, committed positions
    drain -> reconcile: fold -> one transaction: events, committed position -> state to the store

A run that was cut off anywhere goes on from what its log and its stores hold, and says nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import orjson

from stream_recon.engine.delivery import deliver
from stream_recon.engine.events import instant, shown_key
from stream_recon.engine.normaliser import FeedClock, Normaliser
from stream_recon.engine.progress import Progress, SetAside
from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.terms import Event
from stream_recon.errors import StateError
from stream_recon.model.digest import Block, End, Feed, Lift, Open, Pair, Partition, decode, encode
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import FeedPlan, Format, SidePlan, TopologyPlan
from stream_recon.normalise.decoder import Decoder
from stream_recon.ports import Commit, Log, Store

DIGESTS, DISCREPANCIES, AUDIT, DEAD_LETTERS = "digests", "discrepancies", "audit", "dead-letters"
_NORMALISE, _RECONCILE = "normalise", "reconcile"
_READ_ENTRIES = 16


@dataclass(frozen=True, slots=True)
class View:
    """One side as one or more pairs read it. ``id`` is the side's name; a source whose targets do not share their columns has
    one view for each set of columns.
    """

    id: str
    side: SidePlan
    feed: FeedPlan
    partitions: tuple[tuple[Upstream, int], ...]
    """Upstream partitions (``side`` is the view's id) with their start positions."""
    columns: tuple[str, ...] = ()
    """Upstream columns of the side, as seen when its topology was resolved; none: nothing was seen."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A topology's views and pairs, resolved."""

    plan: TopologyPlan
    views: tuple[View, ...]
    pairs: tuple[Pair, ...]
    configuration: str

    @staticmethod
    def make(
        plan: TopologyPlan,
        feeds: Sequence[tuple[FeedPlan, FeedPlan]],
        rules: Sequence[str],
        configuration: str,
        starts: Mapping[Upstream, int],
        columns: Mapping[str, frozenset[str] | None] | None = None,
    ) -> Layout:
        """``feeds`` and ``rules`` by target; by side name: start position of every upstream partition, upstream columns seen."""
        views: dict[FeedPlan, View] = {}
        pairs = []
        for target, (source_feed, target_feed), rules_id in zip(plan.targets, feeds, rules, strict=True):
            if source_feed not in views:
                name = f"{plan.source.name}~{target.name}" if views else plan.source.name
                views[source_feed] = _view(name, plan.source, source_feed, starts, columns)
            views[target_feed] = _view(target.name, target, target_feed, starts, columns)
            keys = tuple(c.name for c in source_feed.key_columns)
            large = len(source_feed.large_columns)
            pairs.append(Pair(target.name, views[source_feed].id, target.name, rules_id, keys, large))
        return Layout(plan, tuple(views.values()), tuple(pairs), configuration)

    @property
    def feeds(self) -> list[tuple[FeedPlan, FeedPlan]]:
        """Source and target of each pair."""
        known = {view.id: view.feed for view in self.views}
        return [(known[pair.source_feed], known[pair.target_feed]) for pair in self.pairs]

    def opened(self, parallelism: int, generation: int = 1, max_buffer: int = 0) -> Open:
        """The record that opens each digest partition's share."""
        plan = self.plan
        feeds = (
            Feed(
                v.id,
                v.side.name,
                tuple((u.topic, u.topic_id, u.partition, s) for u, s in v.partitions),
                v.side.order,
                v.side.history,
                v.columns,
            )
            for v in self.views
        )
        return Open(
            plan.name,
            plan.source.name,
            plan.window,
            plan.settle,
            plan.clock_skew,
            plan.forget_deleted,
            parallelism,
            self.configuration,
            tuple(feeds),
            self.pairs,
            generation,
            max_buffer,
        )


def _view(
    name: str,
    side: SidePlan,
    feed: FeedPlan,
    starts: Mapping[Upstream, int],
    columns: Mapping[str, frozenset[str] | None] | None,
) -> View:
    mine = sorted((replace(u, side=name), start) for u, start in starts.items() if u.side == side.name)
    return View(name, side, feed, tuple(mine), tuple(sorted((columns or {}).get(side.name) or ())))


class Pipeline:
    """Drives one topology. ``stores``: one for each digest partition; ``decoder`` makes the decoder of a feed."""

    def __init__(
        self,
        layout: Layout,
        log: Log,
        stores: Sequence[Store],
        decoder: Callable[[FeedPlan], Decoder],
        *,
        cache_bytes: int | None = None,
        max_buffer: int = 0,
    ) -> None:
        """Opens the topology in the log, or goes on where the log ends.

        Raises:
            StateError: the log was made for other settings or other recordings.
        """
        self.layout = layout
        self.log = log
        plan = layout.plan
        self.parallelism = plan.parallelism or len(stores)
        if self.parallelism > len(stores):
            raise StateError(f"parallelism {self.parallelism} needs as many digest partitions, there are {len(stores)}")
        bound = {} if cache_bytes is None else {"cache_bytes": cache_bytes}
        self.reconcilers = [Reconciler(home, stores[home], **bound) for home in range(self.parallelism)]
        committed = log.committed(_NORMALISE)
        self.normalisers = {v.id: self._normaliser(v, committed, decoder) for v in layout.views}
        self._open(max_buffer)

    def _normaliser(
        self, view: View, committed: Mapping[tuple[str, int], Commit], decoder: Callable[[FeedPlan], Decoder]
    ) -> Normaliser:
        progress = {}
        for upstream, start in view.partitions:
            saved = committed.get(_place(upstream))
            progress[upstream] = Progress(start) if saved is None else Progress.load(saved.metadata)
        for (place, partition), saved in committed.items():
            feed, topic, topic_id = place.split("/")
            if feed == view.id:  # also those that appeared after the share was opened
                progress.setdefault(Upstream(feed, topic, partition, topic_id), Progress.load(saved.metadata))
        return normaliser(self.layout, view, decoder(view.feed), progress, self.parallelism)

    def _open(self, max_buffer: int) -> None:
        message = encode(self.layout.opened(self.parallelism, max_buffer=max_buffer))
        first = self.log.read(DIGESTS, 0, 0, 1)
        if not first:
            self.log.append([(DIGESTS, home, 0, None, message) for home in range(self.parallelism)], {})
        elif decode(first[0].value) != decode(message):
            raise StateError("state: was made with other settings or other recordings; give an empty state directory")

    # ---- normalise -----------------------------------------------------------------------------------------------------

    def position(self, upstream: Upstream) -> int:
        """The next position of an upstream partition (by view id)."""
        return self.normalisers[upstream.side].progress[upstream].position

    def push(self, stretches: Iterable[tuple[Messages, int, int]], appended: int) -> None:
        """Normalises stretches of upstream partitions (messages, position after them, repeated readings) and appends the blocks,
        the dead letters and the new positions in one transaction. ``appended``: append time, ms.
        """
        letters: list[tuple[View, SetAside]] = []
        views = {v.id: v for v in self.layout.views}
        for messages, end, repeated in stretches:
            view = views[messages.upstream.side]
            normaliser = self.normalisers[view.id]
            if repeated:
                normaliser.repeat(messages.upstream, repeated)
            letters += [(view, letter) for letter in normaliser.add(messages, end)]
        self._append([n.flush() for n in self.normalisers.values()], letters, appended)

    def lift(self, upstream: Upstream, to: int, appended: int) -> None:
        """Lifts a quiet partition's watermark to ``to`` (µs)."""
        normaliser = self.normalisers[upstream.side]
        position = normaliser.progress[upstream].position
        normaliser.lift(upstream, to)
        record = Lift(self.layout.plan.name, upstream.side, upstream.topic, upstream.topic_id, upstream.partition, position, to)
        self._everywhere(encode(record), appended, {_commit_key(upstream): _commit(normaliser, upstream)})

    def skip(self, upstream: Upstream, to: int, appended: int) -> None:
        """Positions of a partition up to ``to`` are lost."""
        normaliser = self.normalisers[upstream.side]
        normaliser.skip(upstream, to)
        self._append([normaliser.flush()], [], appended)

    def announce(self, upstream: Upstream, position: int, appended: int) -> None:
        """A partition (by view id) that appears later: it begins at ``position`` with its side's watermark."""
        normaliser = self.normalisers[upstream.side]
        mark = normaliser.announce(upstream, position)
        record = Partition(
            self.layout.plan.name, upstream.side, upstream.topic, upstream.topic_id, upstream.partition, position, mark
        )
        self._everywhere(encode(record), appended, {_commit_key(upstream): _commit(normaliser, upstream)})

    def end(self, appended: int) -> None:
        """End of input: every watermark to infinity."""
        ends = tuple(
            (u.side, u.topic, u.topic_id, u.partition, progress.position)
            for normaliser in self.normalisers.values()
            for u, progress in sorted(normaliser.progress.items(), key=lambda one: (one[0].topic, one[0].partition))
        )
        self._everywhere(encode(End(self.layout.plan.name, ends=ends)), appended, {})

    def _everywhere(self, message: bytes, appended: int, commits: Mapping[tuple[str, str, int], Commit]) -> None:
        self.log.append([(DIGESTS, home, appended, None, message) for home in range(self.parallelism)], commits)

    def _append(self, flushed: Iterable[Sequence[Block]], letters: Sequence[tuple[View, SetAside]], appended: int) -> None:
        messages: list[tuple[str, int, int, bytes | None, bytes]] = []
        commits = {}
        for blocks in flushed:
            messages += [(DIGESTS, home, appended, None, encode(block)) for home, block in enumerate(blocks)]
            for range_ in blocks[0].ranges if blocks else ():
                upstream = range_.upstream
                commits[_commit_key(upstream)] = _commit(self.normalisers[upstream.side], upstream)
        messages += [
            (DEAD_LETTERS, 0, appended, None, dead_letter(self.layout.plan.name, view, letter)) for view, letter in letters
        ]
        if messages:
            self.log.append(messages, commits)

    # ---- reconcile -----------------------------------------------------------------------------------------------------

    def drain(self, said: Callable[[Sequence[Event]], None] | None = None) -> None:
        """Folds all that is in the log and not yet folded; ``said`` gets what was put out, some events at a time."""
        committed = self.log.committed(_RECONCILE)
        for reconciler in self.reconcilers:
            place = (DIGESTS, reconciler.home)
            done = committed.get(place, Commit(0, b""))
            while entries := self.log.read(*place, reconciler.position, _READ_ENTRIES):
                deliver(reconciler, entries, done, partial(self._say, reconciler.home, said))

    def _say(
        self,
        home: int,
        said: Callable[[Sequence[Event]], None] | None,
        events: Sequence[tuple[int, Event]],
        commit: Commit,
    ) -> None:
        messages = [(e.topic, 0, time, e.key.encode(), e.body) for time, e in events]
        self.log.append(messages, {(_RECONCILE, DIGESTS, home): commit})
        if said is not None:
            said([e for _, e in events])


def dead_letter(topology: str, view: View, letter: SetAside) -> bytes:
    """The message's coordinates and why it was not understood; of its payload at most the shape."""
    body = {
        "topology": topology,
        "side": view.side.name,
        "topic": letter.upstream.topic,
        "partition": letter.upstream.partition,
        "offset": letter.offset,
        "timestamp": instant(letter.timestamp * 1000),
        "class": letter.letter.kind,
        "reason": letter.letter.reason,
    }
    if letter.letter.schema is not None:
        body["schema"] = letter.letter.schema
    if letter.letter.key_text is not None:
        body["key"] = shown_key(letter.letter.key_text, [c.name for c in view.feed.key_columns])
    if view.id != view.side.name:
        body["view"] = view.id
    if letter.masked is not None:
        body["payload"] = letter.masked
    return orjson.dumps(body)


def normaliser(
    layout: Layout, view: View, decoder: Decoder, progress: Mapping[Upstream, Progress], parallelism: int, generation: int = 1
) -> Normaliser:
    """The normaliser of one view."""
    bare = view.feed.format is Format.JSON and view.feed.event_time is not None
    clock = FeedClock(view.side.out_of_orderness, view.side.max_future, bare)
    large = len(view.feed.large_columns)
    name = layout.plan.name
    masks = layout.plan.dead_letters_masked
    return Normaliser(name, decoder, clock, progress, parallelism=parallelism, large=large, generation=generation, masks=masks)


def _place(upstream: Upstream) -> tuple[str, int]:
    return f"{upstream.side}/{upstream.topic}/{upstream.topic_id}", upstream.partition


def _commit_key(upstream: Upstream) -> tuple[str, str, int]:
    return (_NORMALISE, *_place(upstream))


def _commit(normaliser: Normaliser, upstream: Upstream) -> Commit:
    progress = normaliser.progress[upstream]
    return Commit(progress.position, progress.dump())
