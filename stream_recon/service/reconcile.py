"""reconcile as a worker: its share of the digest partitions in, discrepancies and certificates out, exactly once.

    assigned -> fence the former owner -> committed position Y -> state at X from the store -> fold X..Y without a word, go on
                                                   no state here, or none the log goes on from: X of the newest checkpoint
    entries  -> fold -> transaction (events, log position, group metadata) -> state to the store -> now and then a checkpoint

What the transaction did not bring out is folded again; what the store lost is folded again in silence (DESIGN section 5).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import orjson

from stream_recon.align.side import FOREVER, NEVER
from stream_recon.audit.text import micros
from stream_recon.engine.delivery import deliver
from stream_recon.engine.pipeline import DISCREPANCIES
from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.terms import Event
from stream_recon.errors import BrokerError, Fenced, LogError
from stream_recon.lifecycle.states import Status
from stream_recon.limits import MICROS, SEGMENT_CACHE_BYTES, SLICE_BYTES
from stream_recon.ports import Commit, Entry, Store
from stream_recon.service.checkpoints import Checkpointed, Checkpointer
from stream_recon.service.histogram import DELAYS, TURNS, Histogram
from stream_recon.service.job import Names
from stream_recon.service.report import (
    CAUSE,
    CLOSED,
    CONVERGED,
    DETECTED,
    JUDGEMENTS,
    KEYS,
    TRANSACTION,
    Measured,
    PairReport,
    ReconcileReport,
)

logger = logging.getLogger("stream_recon.reconcile")

POLL_ENTRIES = 256
POLL_SECONDS = 0.1
"""A poll lasts so long unless it is full, and certificates wait for its end."""
COMMIT_SECONDS = 1.0
RETAKE_SECONDS = 10.0
"""A digest partition that was fenced is taken again, if the group still says that it is ours: time enough to hear otherwise."""


class Digests(Protocol):
    """The digest log as a member of the group reads it. Errors: ``BrokerError``, ``LogError``."""

    def subscribe(self, assigned: Callable[[Sequence[int]], Mapping[int, int]], revoked: Callable[[Sequence[int]], None]) -> None:
        """Joins; ``assigned`` returns where each digest partition begins."""

    def poll(self, limit: int, seconds: float) -> Mapping[int, Sequence[Entry]]:
        """Entries by digest partition."""

    def seek(self, home: int, position: int) -> None:
        """Goes on reading a digest partition at ``position``."""

    def committed(self, homes: Sequence[int]) -> Mapping[int, Commit]:
        """Committed positions; one on its way is waited for."""

    def begin(self, home: int) -> int:
        """First position that a digest partition still holds."""

    def ends(self) -> Mapping[int, int]:
        """Ends as last told."""

    def membership(self) -> Any:
        """What a transaction carries, so that a former owner's is refused."""

    def close(self) -> None:
        """Leaves the group."""


class Outputs(Protocol):
    """Transactions of one digest partition. Errors: ``Fenced``, ``Undelivered``."""

    transactions: int
    replaced: int
    seconds: float

    def say(self, messages: Sequence[tuple[str, bytes, bytes]], commit: Commit, membership: Callable[[], Any]) -> None:
        """One transaction."""

    def close(self) -> None:
        """Releases the producer."""


@dataclass(slots=True)
class Seat:
    """A digest partition that this worker holds. ``done``: up to where all is said; ``kept``: when ``committed`` was."""

    reconciler: Reconciler
    store: Store
    outputs: Outputs
    done: Commit
    kept: float
    committed: int


class ReconcileWorker:
    """One worker. ``open_store`` gives the store of a digest partition, ``open_outputs`` its transactions."""

    def __init__(
        self,
        digests: Digests,
        open_outputs: Callable[[int], Outputs],
        open_store: Callable[[int], Store],
        names: Names,
        clock: Callable[[], float],
        *,
        cache_bytes: int = SEGMENT_CACHE_BYTES,
        slice_bytes: int = SLICE_BYTES,
        poll_seconds: float = POLL_SECONDS,
        checkpoints: Checkpointer | None = None,
        now: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self.seats: dict[int, Seat] = {}
        self._digests = digests
        self._open_outputs = open_outputs
        self._open_store = open_store
        self._names = names
        self._clock = clock
        self._cache_bytes, self._slice_bytes = cache_bytes, slice_bytes
        self._checkpoints = checkpoints
        self._poll_seconds = poll_seconds
        self._now = now
        self._measures: dict[Measured, Histogram] = {}
        self._fenced: dict[int, float] = {}
        self._said: Counter[tuple[str, str, str, str]] = Counter()
        self._entries = 0
        self._transactions, self._replaced, self._seconds = 0, 0, 0.0
        digests.subscribe(self._assigned, self._revoked)

    def step(self) -> int:
        """Folds what is there and puts it out; returns the number of entries."""
        polled = self._digests.poll(POLL_ENTRIES, self._poll_seconds)
        for home in sorted(polled):
            if home in self.seats:
                self._fold(home, polled[home])
        self._retake()
        now = self._clock()
        for home, seat in list(self.seats.items()):
            if seat.done.position > seat.committed and now - seat.kept >= COMMIT_SECONDS:
                self._guarded(home, partial(self._keep, seat))
        if self._checkpoints is not None and (due := self._checkpoints.due()) is not None:
            self._checkpoint(self._checkpoints, due)
        self._entries += sum(map(len, polled.values()))
        return sum(map(len, polled.values()))

    def _fold(self, home: int, entries: Sequence[Entry]) -> None:
        seat = self.seats[home]

        def fold() -> None:
            seat.done = deliver(seat.reconciler, entries, seat.done, partial(self._say, seat))

        self._guarded(home, fold)

    def _guarded(self, home: int, work: Callable[[], None]) -> None:
        """Gives a digest partition up that another worker holds: its state in memory is ahead of what was put out."""
        try:
            work()
        except Fenced as error:
            logger.warning("%s", error)
            self._release(home)
            self._fenced[home] = self._clock()

    def _say(self, seat: Seat, events: Sequence[tuple[int, Event]], commit: Commit) -> None:
        if not events and not commit.metadata:  # a position alone is committed now and then
            return
        messages = [(self._names.output(e.topic), e.key.encode(), e.body) for _, e in events]
        self._put_out(seat, messages, commit)
        now = self._now()
        for _, event in events:
            body = orjson.loads(event.body)
            self._said[_kind(event, body)] += 1
            if body["type"] == "window":
                self._count(body)
            if (measured := _measured(body, now)) is not None:
                name, seconds = measured
                self._measure((name, body["topology"], body["target"]), DELAYS, seconds)

    def _count(self, certificate: Mapping[str, Any]) -> None:
        pair = certificate["topology"], certificate["target"]
        for cause in certificate["causes"]:
            self._said[*pair, CAUSE, cause["kind"]] += 1
        for judgement in JUDGEMENTS:
            self._said[*pair, KEYS, judgement] += certificate["counts"][judgement]

    def _put_out(self, seat: Seat, messages: Sequence[tuple[str, bytes, bytes]], commit: Commit) -> None:
        began = self._clock()
        seat.outputs.say(messages, commit, self._digests.membership)
        seat.kept, seat.committed = self._clock(), commit.position
        self._measure((TRANSACTION, "", ""), TURNS, seat.kept - began)

    def _measure(self, what: Measured, bounds: Sequence[float], seconds: float) -> None:
        self._measures.setdefault(what, Histogram(bounds)).observe(seconds)

    def _keep(self, seat: Seat) -> None:
        self._put_out(seat, [], seat.done)

    def _checkpoint(self, checkpoints: Checkpointer, home: int) -> None:
        """Of a state that is not ahead of the committed position: nobody could go on from it."""
        seat = self.seats[home]
        if seat.done.position > seat.committed:
            self._guarded(home, partial(self._keep, seat))
        if home in self.seats and seat.reconciler.position <= seat.committed:
            checkpoints.take(home, seat.reconciler.position)
        else:  # it was ahead when it was taken up, and nothing came since
            checkpoints.later(home)

    # ---- digest partitions come and go ---------------------------------------------------------------------------------

    def _assigned(self, homes: Sequence[int]) -> Mapping[int, int]:
        return {home: self._take(home) for home in homes}

    def _take(self, home: int) -> int:
        outputs = self._open_outputs(home)  # first: it settles what the former owner left
        done = self._digests.committed([home]).get(home, Commit(0, b""))
        store = self._open_store(home)
        reconciler = self._reconciler(home, store)
        if self._checkpoints is not None:
            store, reconciler = self._restored(self._checkpoints, home, store, reconciler, done.position)
            self._checkpoints.hold(home)
        self.seats[home] = Seat(reconciler, store, outputs, done, self._clock(), done.position)
        self._share_cache()
        if reconciler.position < done.position:
            logger.info("digest partition %s: folds %s to %s again", home, reconciler.position, done.position)
        return reconciler.position

    def _restored(
        self, checkpoints: Checkpointer, home: int, store: Store, reconciler: Reconciler, done: int
    ) -> tuple[Store, Reconciler]:
        """The state from a checkpoint, if there is none here or the log does not go on from it; else as it is here.

        Raises:
            LogError: the log does not go on from any state.
        """
        begin = self._digests.begin(home)
        if 0 < reconciler.position >= begin:
            return store, reconciler
        restored = checkpoints.restore(home, max(begin, reconciler.position + 1), done)
        if restored is not None:
            store, reconciler = restored, self._reconciler(home, restored)
        if reconciler.position < begin:
            store.close()
            raise LogError(
                f"digest log: partition {home} begins at {begin} by now, the state here ends at {reconciler.position}, and no "
                f"checkpoint from {begin} to {done} can be used, for what the log says above; mend that and start again, or run "
                "stream-recon reset first"
            )
        return store, reconciler

    def _reconciler(self, home: int, store: Store) -> Reconciler:
        return Reconciler(home, store, cache_bytes=self._cache_bytes, slice_bytes=self._slice_bytes)

    def _share_cache(self) -> None:
        for seat in self.seats.values():
            seat.reconciler.cache_bytes = self._cache_bytes // len(self.seats)

    def _retake(self) -> None:
        for home, since in list(self._fenced.items()):
            if self._clock() - since >= RETAKE_SECONDS:
                del self._fenced[home]
                logger.warning("digest partition %s is still ours: taken again", home)
                self._digests.seek(home, self._take(home))

    def _revoked(self, homes: Sequence[int]) -> None:
        for home in homes:
            self._fenced.pop(home, None)
            seat = self.seats.get(home)
            if seat is None:
                continue
            try:
                if seat.done.position > seat.committed:
                    self._keep(seat)
            except BrokerError as error:  # whoever takes it folds from the last position that was committed
                logger.warning("%s", error)
            self._release(home)

    def _release(self, home: int) -> None:
        seat = self.seats.pop(home)
        if self._checkpoints is not None:
            self._checkpoints.release(home)
        self._transactions += seat.outputs.transactions
        self._replaced += seat.outputs.replaced
        self._seconds += seat.outputs.seconds
        seat.outputs.close()
        seat.store.close()
        self._share_cache()

    # ---- report --------------------------------------------------------------------------------------------------------

    def report(self) -> ReconcileReport:
        """How the worker stands."""
        seats = self.seats
        pairs = tuple(
            PairReport(
                name,
                s.pair,
                home,
                s.open,
                _time(s.source),
                _time(s.target),
                _time(s.closed),
                sum(s.waiting),
                share.ended,
                s.buffered,
                s.suspended,
                s.kinds,
                s.oldest,
            )
            for home, seat in seats.items()
            for name, share in seat.reconciler.shares.items()
            for s in share.standing
        )
        ended = (h for h, s in seats.items() if s.reconciler.shares and all(x.ended for x in s.reconciler.shares.values()))
        return ReconcileReport(
            pairs,
            {home: seat.reconciler.position for home, seat in seats.items()},
            self._digests.ends(),
            dict(self._said),
            self._transactions + sum(s.outputs.transactions for s in seats.values()),
            self._replaced + sum(s.outputs.replaced for s in seats.values()),
            self._seconds + sum(s.outputs.seconds for s in seats.values()),
            self._entries,
            frozenset(ended),
            Checkpointed() if self._checkpoints is None else self._checkpoints.report(),
            {what: histogram.observed for what, histogram in self._measures.items()},
        )

    def close(self) -> None:
        """Commits the positions and leaves the group."""
        self._digests.close()
        for home in list(self.seats):
            self._release(home)
        if self._checkpoints is not None:
            self._checkpoints.close()


def _measured(body: Mapping[str, Any], now: int) -> tuple[str, float] | None:
    """What an event that is out at ``now`` (µs) tells of times: its name, and seconds. A run of empty windows tells nothing."""
    if body["type"] == "window" and body["counts"]["source_rows"] + body["counts"]["target_rows"]:
        return CLOSED, (now - micros(body["window"]["end"])) / MICROS
    if body["type"] == "discrepancy" and body["status"] == Status.OPENED:
        return DETECTED, (now - micros(body["window"]["start"])) / MICROS
    if body["type"] == "discrepancy" and body["status"] == Status.RESOLVED:
        return CONVERGED, body["open_for_us"] / MICROS
    return None


def _kind(event: Event, body: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """(topology, target, kind of output, detail)."""
    detail = body["status"] if event.topic == DISCREPANCIES else body.get("verdict", body["type"])
    return body["topology"], body.get("target", ""), event.topic, detail


def _time(mark: int | None) -> int | None:
    return None if mark is None or mark in {FOREVER, NEVER} else mark
