"""Wrong versions of the protocol, each of which the simulator must catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from types import ModuleType
from typing import Any
from unittest.mock import patch

from stream_recon.adapters.kafka.outputs import KafkaOutputs
from stream_recon.align.side import NEVER
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

Wrong = Callable[..., Any]
Parts = list[tuple[type | ModuleType, str, Wrong]]
MUTANTS: dict[str, Parts] = {}
SCENARIO_MUTANTS: dict[str, Parts] = {}
"""Such as only a run made for them can tell."""

_IDS = count()


def mutant(name: str, owner: type | ModuleType, function: str, among: dict[str, Parts] = MUTANTS) -> Callable[[Wrong], Wrong]:
    """What stands in the place of a function, and gets the real one before its arguments. Several of one name go together."""

    def keep(wrong: Wrong) -> Wrong:
        among.setdefault(name, []).append((owner, function, wrong))
        return wrong

    return keep


@contextmanager
def planted(parts: Parts) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, wrong in parts:
            stack.enter_context(patch.object(owner, name, _instead(wrong, getattr(owner, name))))
        yield


def _instead(wrong: Wrong, real: Wrong) -> Wrong:
    return lambda *given, **named: wrong(real, *given, **named)


# ---- normalise ---------------------------------------------------------------------------------------------------------------


@mutant("positions are committed before the blocks are safe", Sending, "settled")
@mutant("a range that begins later is no gap", Sending, "settled")
def _(_: Any, self: Sending) -> Iterator[Reached]:
    while self._sent:
        yield from self._sent.popleft().reached


@mutant("one digest partition's acknowledgement counts for all", Sending, "settled")
def _(real: Any, self: Sending) -> Iterator[Reached]:
    for sent in self._sent:
        sent.left = 0 if sent.left == 1 else sent.left
    yield from real(self)


@mutant("a partition's time is forgotten when it moves", Normaliser, "assign")
def _(real: Any, self: Normaliser, upstream: Any, at: Progress) -> None:
    real(self, upstream, Progress(at.position, counts=at.counts))


@mutant("a partition that is taken over begins at its end", Holding, "_hold")
def _(real: Any, self: Holding, source: Any, place: Any, topic: Any, state: Any) -> int:
    return int(max(real(self, source, place, topic, state), source.ends([place])[place]))


@mutant("a lift is said before it is committed", Writing, "vow", SCENARIO_MUTANTS)
def _(*_: Any) -> None:
    pass


@mutant("a partition at rest is lifted whatever the other side does", Watch, "_decide")
def _(_: Any, self: Watch, beats: Any, elsewhere: Any, as_of: int | None) -> None:
    for spot in [s for s in self._worker.spots.values() if s.idle is not None and as_of is not None]:
        for feed in spot.feeds:
            self._apply(feed, spot, as_of or 0)


# ---- the digest log ----------------------------------------------------------------------------------------------------------


@mutant("repeated positions are folded again", Known, "accept")
def _(real: Any, self: Known, range_: Range) -> tuple[int, int]:
    real(self, range_)
    return range_.start, 0


@mutant("a range that begins later is no gap", Known, "accept")
def _(real: Any, self: Known, range_: Range) -> tuple[int, int]:
    return real(self, range_)[0], 0


# ---- reconcile ---------------------------------------------------------------------------------------------------------------


@mutant("the state is kept before its transaction", reconcile_module, "deliver")
def _(real: Any, reconciler: Reconciler, entries: Any, done: Commit, say: Any) -> Any:
    held: list[Any] = []
    done = real(reconciler, entries, done, lambda events, commit: held.append((events, commit)))
    for events, commit in held:
        say(events, commit)
    return done


@mutant("the state's own position is not asked for", ReconcileWorker, "_take")
def _(real: Any, self: ReconcileWorker, home: int) -> int:
    real(self, home)
    return self.seats[home].done.position


@mutant("what was put out already is said again", ReconcileWorker, "_take")
def _(real: Any, self: ReconcileWorker, home: int) -> int:
    at: int = real(self, home)
    self.seats[home].done = Commit(at, b"")
    return at


@mutant("a doubtful transaction is put out again", KafkaOutputs, "__init__")
def _(real: Any, self: KafkaOutputs, cluster: Any, id_: str, place: Any, committed: Any, *rest: Any) -> None:
    real(self, cluster, id_, place, lambda: None, *rest)


@mutant("a doubtful transaction counts as gone through", KafkaOutputs, "_replace")
def _(real: Any, self: KafkaOutputs) -> None:
    real(self)
    self._committed = lambda: self._last  # type: ignore[attr-defined]


@mutant("a doubtful transaction counts as gone through", KafkaOutputs, "_once")
def _(real: Any, self: KafkaOutputs, messages: Any, commit: Commit, membership: Any) -> None:
    self._last = commit  # type: ignore[attr-defined]
    real(self, messages, commit, membership)


@mutant("a producer goes on after a doubt", KafkaOutputs, "_replace")
def _(*_: Any) -> None:
    pass


@mutant("a fenced producer is asked to abort, and its answer is not expected", KafkaOutputs, "_abort")
def _(_: Any, self: KafkaOutputs) -> None:
    self._producer.abort_transaction(60)


@mutant("a former owner's transaction is taken", Broker, "check_member")
@mutant("positions are read while a transaction holds them back", Broker, "pending")
def _(*_: Any) -> bool:
    return False


@mutant("a former owner's transaction is taken", KafkaOutputs, "__init__")
@mutant("positions are read while a transaction holds them back", KafkaOutputs, "__init__")
def _(real: Any, self: KafkaOutputs, cluster: Any, id_: str, *rest: Any) -> None:
    real(self, cluster, f"{id_}-{next(_IDS)}", *rest)


@mutant("a fenced worker goes on with what it has in memory", ReconcileWorker, "_release")
def _(*_: Any) -> None:
    pass


@mutant("windows close without the slowest partition", Share, "_watermark")
def _(_: Any, self: Share, known: Any) -> int:
    return max((NEVER if k.watermark is None else k.watermark for k in known), default=NEVER)
