"""Wrong versions of the protocol, each of which the simulator must catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from stream_recon.adapters.kafka.outputs import KafkaOutputs
from stream_recon.align.side import NEVER
from stream_recon.engine import delivery
from stream_recon.engine.normaliser import Normaliser
from stream_recon.engine.progress import Progress
from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.share import Share
from stream_recon.engine.upstream import Known
from stream_recon.model.digest import Range
from stream_recon.ports import Commit
from stream_recon.service import reconcile as reconcile_module
from stream_recon.service.holding import Holding
from stream_recon.service.reconcile import ReconcileWorker
from stream_recon.service.sending import Reached, Sending
from stream_recon.service.watch import Watch
from stream_recon.service.writing import Writing
from stream_recon.sim.broker import Broker

Mutant = Callable[[], AbstractContextManager[object]]
MUTANTS: dict[str, Mutant] = {}


def mutant(name: str) -> Callable[[Mutant], Mutant]:
    def keep(make: Mutant) -> Mutant:
        MUTANTS[name] = make
        return make

    return keep


SCENARIO_MUTANTS: dict[str, Mutant] = {}
"""Such as only a run made for them can tell."""


def scenario_mutant(name: str) -> Callable[[Mutant], Mutant]:
    def keep(make: Mutant) -> Mutant:
        SCENARIO_MUTANTS[name] = make
        return make

    return keep


def instead(owner: Any, name: str, make: Callable[[Any], Any]) -> AbstractContextManager[object]:
    return patch.object(owner, name, make(getattr(owner, name)))


# ---- normalise ---------------------------------------------------------------------------------------------------------------


@mutant("positions are committed before the blocks are safe")
def _() -> AbstractContextManager[object]:
    def settled(self: Sending) -> Iterator[Reached]:
        while self._sent:
            yield from self._sent.popleft().reached

    return patch.object(Sending, "settled", settled)


@mutant("one digest partition's acknowledgement counts for all")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def settled(self: Sending) -> Iterator[Reached]:
            for sent in self._sent:
                sent.left = 0 if sent.left == 1 else sent.left
            yield from real(self)

        return settled

    return instead(Sending, "settled", make)


@mutant("a partition's time is forgotten when it moves")
def _() -> AbstractContextManager[object]:
    return instead(
        Normaliser,
        "assign",
        lambda real: lambda self, upstream, at: real(self, upstream, Progress(at.position, counts=at.counts)),
    )


@mutant("a partition that is taken over begins at its end")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def hold(self: Holding, source: Any, place: Any, topic: Any, state: Any) -> int:
            return int(max(real(self, source, place, topic, state), source.ends([place])[place]))

        return hold

    return instead(Holding, "_hold", make)


@scenario_mutant("a lift is said before it is committed")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def vow(self: Writing, feed: Any, spot: Any) -> None:
            pass

        return vow

    return instead(Writing, "vow", make)


@mutant("a partition at rest is lifted whatever the other side does")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def decide(self: Watch, beats: Any, elsewhere: Any, as_of: int | None) -> None:
            for spot in [s for s in self._worker.spots.values() if s.idle is not None and as_of is not None]:
                for feed in spot.feeds:
                    self._apply(feed, spot, as_of or 0)

        return decide

    return instead(Watch, "_decide", make)


# ---- the digest log ----------------------------------------------------------------------------------------------------------


@mutant("repeated positions are folded again")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def accept(self: Known, range_: Range) -> tuple[int, int]:
            real(self, range_)
            return range_.start, 0

        return accept

    return instead(Known, "accept", make)


@mutant("a range that begins later is no gap")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def accept(self: Known, range_: Range) -> tuple[int, int]:
            return real(self, range_)[0], 0

        return accept

    gone = instead(Known, "accept", make)
    early = MUTANTS["positions are committed before the blocks are safe"]()
    return _both(gone, early)


@contextmanager
def _both(*parts: AbstractContextManager[object]) -> Iterator[None]:
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part)
        yield


# ---- reconcile ---------------------------------------------------------------------------------------------------------------


@mutant("the state is kept before its transaction")
def _() -> AbstractContextManager[object]:
    def deliver(reconciler: Reconciler, entries: Any, done: Commit, say: Any) -> Commit:
        held: list[Any] = []
        done = delivery.deliver(reconciler, entries, done, lambda events, commit: held.append((events, commit)))
        for events, commit in held:
            say(events, commit)
        return done

    return patch.object(reconcile_module, "deliver", deliver)


@mutant("the state's own position is not asked for")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def take(self: ReconcileWorker, home: int) -> int:
            real(self, home)
            return self.seats[home].done.position

        return take

    return instead(ReconcileWorker, "_take", make)


@mutant("what was put out already is said again")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def take(self: ReconcileWorker, home: int) -> int:
            at: int = real(self, home)
            self.seats[home].done = Commit(at, b"")
            return at

        return take

    return instead(ReconcileWorker, "_take", make)


@mutant("a doubtful transaction is put out again")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def init(self: KafkaOutputs, cluster: Any, id_: str, place: Any, committed: Any, run: Any = None) -> None:
            real(self, cluster, id_, place, lambda: None, run)

        return init

    return instead(KafkaOutputs, "__init__", make)


@mutant("a doubtful transaction counts as gone through")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def replace(self: KafkaOutputs) -> None:
            real(self)
            self._committed = lambda: self._last  # type: ignore[attr-defined]

        return replace

    def once(real: Any) -> Any:
        def say(self: KafkaOutputs, messages: Any, commit: Commit, membership: Any) -> None:
            self._last = commit  # type: ignore[attr-defined]
            real(self, messages, commit, membership)

        return say

    return _both(instead(KafkaOutputs, "_replace", make), instead(KafkaOutputs, "_once", once))


@mutant("a producer goes on after a doubt")
def _() -> AbstractContextManager[object]:
    return patch.object(KafkaOutputs, "_replace", lambda self: None)


@mutant("a fenced producer is asked to abort, and its answer is not expected")
def _() -> AbstractContextManager[object]:
    return patch.object(KafkaOutputs, "_abort", lambda self: self._producer.abort_transaction(60))


@mutant("a former owner's transaction is taken")
def _() -> AbstractContextManager[object]:
    ids = iter(range(1 << 40))
    return _both(
        patch.object(Broker, "check_member", lambda *_: None),
        instead(KafkaOutputs, "__init__", lambda real: lambda self, c, id_, *rest: real(self, c, f"{id_}-{next(ids)}", *rest)),
    )


@mutant("positions are read while a transaction holds them back")
def _() -> AbstractContextManager[object]:
    ids = iter(range(1 << 40))
    return _both(
        patch.object(Broker, "pending", lambda *_: False),
        instead(KafkaOutputs, "__init__", lambda real: lambda self, c, id_, *rest: real(self, c, f"{id_}-{next(ids)}", *rest)),
    )


@mutant("a fenced worker goes on with what it has in memory")
def _() -> AbstractContextManager[object]:
    return patch.object(ReconcileWorker, "_release", lambda self, home: None)


@mutant("windows close without the slowest partition")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def watermark(self: Share, known: Any) -> int:
            return max((NEVER if k.watermark is None else k.watermark for k in known), default=NEVER)

        return watermark

    return instead(Share, "_watermark", make)
