"""Wrong cores: each breaks one promise of the page in the real code, and has a name. The properties must catch every one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from stream_recon.align import fold as fold_module
from stream_recon.align.pieces import Grid
from stream_recon.align.side import FOREVER, NEVER
from stream_recon.compare import judge as judge_module
from stream_recon.compare.judge import Verdict
from stream_recon.engine import closing as closing_module
from stream_recon.engine import normaliser as normaliser_module
from stream_recon.engine import pair as pair_module
from stream_recon.engine import pipeline as pipeline_module
from stream_recon.engine import reconciler as reconciler_module
from stream_recon.engine import remember as remember_module
from stream_recon.engine import saying as saying_module
from stream_recon.engine import share as share_module
from stream_recon.engine.closing import Closer
from stream_recon.engine.events import Entries
from stream_recon.engine.exact import KeyHistory
from stream_recon.engine.normaliser import Normaliser
from stream_recon.engine.pair import Pair
from stream_recon.engine.share import Share
from stream_recon.engine.upstream import Known
from stream_recon.lifecycle.states import Kind, Status, discrepancy_id
from stream_recon.model.digest import Flag, Open
from stream_recon.model.messages import Op
from stream_recon.normalise import canonical
from stream_recon.normalise.types import numbers
from stream_recon.ports import Commit

Mutant = Callable[[], AbstractContextManager[object]]
MUTANTS: dict[str, Mutant] = {}
LIKELY: dict[str, tuple[str, ...]] = {}
"""The hand-made histories that should catch a mutant, tried first."""


def mutant(name: str, *likely: str) -> Callable[[Mutant], Mutant]:
    def enter(make: Mutant) -> Mutant:
        assert name not in MUTANTS
        MUTANTS[name], LIKELY[name] = make, likely
        return make

    return enter


def instead(owner: Any, name: str, make: Callable[[Any], Any]) -> AbstractContextManager[object]:
    """``make`` gets the real thing and returns the wrong one."""
    return patch.object(owner, name, make(getattr(owner, name)))


def without(flag: Flag) -> AbstractContextManager[object]:
    """Rows with a flag never reach the comparison."""

    def make(real: Any) -> Any:
        def add(self: Pair, which: int, rows: Any) -> None:
            kept = rows.take((rows.version["flags"] & flag) == 0)
            if len(kept):
                real(self, which, kept)

        return add

    return instead(Pair, "add", make)


def ruled(**changes: Any) -> AbstractContextManager[object]:
    """Every pair under other rules than those it was given."""

    def make(real: Any) -> Any:
        def init(self: Pair, rules: Any, store: Any) -> None:
            real(self, replace(rules, **changes), store)

        return init

    return instead(Pair, "__init__", make)


def stamped(change: Callable[..., Any]) -> AbstractContextManager[object]:
    """The clock of a partition is given something else than the rows say: ``change(op, t, broker, options)``."""

    def make(real: Any) -> Any:
        def stamp(state: Any, op: Any, t: Any, broker: Any, **options: Any) -> Any:
            op, t, options = change(op, t, broker, options)
            return real(state, op, t, broker, **options)

        return stamp

    return instead(normaliser_module, "stamp", make)


def restamped(change: Callable[[Any], Any]) -> AbstractContextManager[object]:
    """What the clock says of rows is changed afterwards."""

    def make(real: Any) -> Any:
        def stamp(*given: Any, **options: Any) -> Any:
            stamps, state = real(*given, **options)
            return change(stamps), state

        return stamp

    return instead(normaliser_module, "stamp", make)


def accepted(change: Callable[[Known, Any, int, int], tuple[int, int]]) -> AbstractContextManager[object]:
    """What a digest partition takes of a range."""

    def make(real: Any) -> Any:
        def accept(self: Known, range_: Any) -> tuple[int, int]:
            first, lost = real(self, range_)
            return change(self, range_, first, lost)

        return accept

    return instead(Known, "accept", make)


def judged(change: Callable[[Any], Any]) -> AbstractContextManager[object]:
    """What lifecycle is told of a window, while its certificate stays true."""

    def make(real: Any) -> Any:
        def live(self: Pair, closer: Any, told: Any, *rest: Any) -> Any:
            return real(self, closer, change(told), *rest)

        return live

    return instead(Pair, "_live", make)


# ---- time ----------------------------------------------------------------------------------------------------------------


def _marks(source: int, target: int) -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def advance(self: Pair, marks: Any) -> Any:
            shifted = [m if m in {NEVER, FOREVER} else m + by for m, by in ((marks.source, source), (marks.target, target))]
            return real(self, replace(marks, source=shifted[0], target=shifted[1]))

        return advance

    return instead(Pair, "advance", make)


def _watermark(join: Callable[[Sequence[int | None]], int]) -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        return lambda self, known: FOREVER if self.ended else join([k.watermark for k in known])

    return instead(Share, "_watermark", make)


@mutant("the largest watermark of a side for its smallest", "one partition is far behind")
def _() -> AbstractContextManager[object]:
    return _watermark(lambda known: max((NEVER if w is None else w for w in known), default=FOREVER))


@mutant("a partition without data is passed over", "a partition that begins late")
def _() -> AbstractContextManager[object]:
    return _watermark(lambda known: min((w for w in known if w is not None), default=FOREVER))


@mutant("a window closes before its last instant is over", "a row at the watermark")
def _() -> AbstractContextManager[object]:
    return _marks(1, 1)


@mutant("a window does not wait for the target to settle", "a target that settles at the last moment")
def _() -> AbstractContextManager[object]:
    return _marks(0, 5_000_000)


@mutant("S(v) sees rows at v", "a row at the end of a window")
def _() -> AbstractContextManager[object]:
    return instead(Grid, "pieces_of", lambda real: lambda self, time: real(self, time - 1))


@mutant("the last window is lost", "a difference in the last window")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def next_(self: Pair, limit: int) -> int | None:
            number = real(self, limit)
            last = max([n // 2 for side in (self.source, self.target) for n in side.numbers], default=None)
            return None if limit == FOREVER and number == last else number

        return next_

    return instead(Pair, "_next", make)


@mutant("one row from the future closes everything", "a row from the future")
def _() -> AbstractContextManager[object]:
    return stamped(lambda op, t, broker, options: (op, t, options | {"max_future": 1 << 60}))


@mutant("out_of_orderness ignored", "a row that is passed over")
def _() -> AbstractContextManager[object]:
    return stamped(lambda op, t, broker, options: (op, t, options | {"out_of_orderness": 0}))


@mutant("a tombstone moves the watermark", "a tombstone by itself")
def _() -> AbstractContextManager[object]:
    def change(op: Any, t: Any, broker: Any, options: Any) -> Any:
        tombstone = op == Op.TOMBSTONE
        return np.where(tombstone, Op.DELETE, op).astype(op.dtype), np.where(tombstone, broker, t), options

    return stamped(change)


@mutant("a snapshot read moves the watermark", "a snapshot without order")
def _() -> AbstractContextManager[object]:
    return stamped(lambda op, t, broker, options: (np.where(op == Op.READ, Op.UPSERT, op).astype(op.dtype), t, options))


@mutant("late rows are dropped", "a late row")
def _() -> AbstractContextManager[object]:
    return without(Flag.LATE)


@mutant("late rows are not counted", "a late row")
def _() -> AbstractContextManager[object]:
    return restamped(lambda stamps: replace(stamps, late=np.zeros(len(stamps.late), bool)))


@mutant("a late row takes part at its own time", "a late row")
def _() -> AbstractContextManager[object]:
    return restamped(lambda stamps: replace(stamps, time=stamps.t))


@mutant("a lift proved wrong is not noticed", "a lift that was wrong")
def _() -> AbstractContextManager[object]:
    return restamped(lambda stamps: replace(stamps, broken=np.zeros(len(stamps.broken), bool)))


@mutant("a lift applies at any position", "a lift of another position")
def _() -> AbstractContextManager[object]:
    return instead(Known, "lift", lambda real: lambda self, to, position: real(self, to, self.next))


@mutant("lifts are ignored by normalise", "a lift that was wrong")
def _() -> AbstractContextManager[object]:
    return instead(Normaliser, "lift", lambda real: lambda self, upstream, to: None)


# ---- comparison ------------------------------------------------------------------------------------------------------------


@mutant("the target is read at e", "a target that lags")
def _() -> AbstractContextManager[object]:
    return instead(pair_module, "Span", lambda real: lambda start, end, settled, ahead: real(start, end, end, ahead))


@mutant("the look-ahead is ignored", "a target that is ahead")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def candidates(self: Closer, *given: Any) -> Any:
            found, unsure = real(self, *given)
            return np.zeros_like(found), unsure

        return candidates

    return instead(Closer, "_candidates", make)


@mutant("clock_skew is ignored", "a target that is ahead by the clock")
def _() -> AbstractContextManager[object]:
    return ruled(clock_skew=0)


@mutant("no version is passed over", "a row that is passed over")
def _() -> AbstractContextManager[object]:
    return instead(fold_module, "_overtakes", lambda real: lambda current, version: False)


@mutant("passed-over rows are left out of the look-ahead", "passed over in the look-ahead")
@contextmanager
def _() -> Iterator[None]:
    def match(pieces: Any, high: Any, low: Any, target: Any, places: Any, out: Any) -> None:
        for piece in pieces:
            place, hit = piece.find(high[places], low[places])
            owners = places[hit]
            out[owners[judge_module.same(piece.rows.version[piece.last[place[hit]]], target[owners])]] = True

    standing = instead(KeyHistory, "steps", lambda real: lambda self, before: [s for s in real(self, before) if not s.passed])
    with standing, patch.object(closing_module, "_match", match):
        yield


@mutant("event-time order is ignored", "an older version that comes later")
def _() -> AbstractContextManager[object]:
    return ruled(orders=(False, False))


@mutant("deletes are ignored", "a deleted row that stays")
def _() -> AbstractContextManager[object]:
    return without(Flag.DELETE)


@mutant("an absent row equals any", "a deleted row that stays")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def same(left: Any, right: Any) -> Any:
            return real(left, right) | judge_module.absent(left) | judge_module.absent(right)

        return same

    return instead(judge_module, "same", make)


@mutant("a truncate falls on what has a lower offset in any partition", "a truncate between partitions")
def _() -> AbstractContextManager[object]:
    return instead(fold_module, "_earlier", lambda real: lambda version, cut, event_time: version.offset < cut.offset)


@mutant("a truncate falls on nothing", "a truncate that comes late")
def _() -> AbstractContextManager[object]:
    return instead(fold_module, "_earlier", lambda real: lambda version, cut, event_time: False)


@mutant("a truncate reaches one digest partition only", "a truncate that comes late")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def split(self: Normaliser, rows: pa.RecordBatch) -> list[pa.RecordBatch]:
            first, *others = real(self, rows)
            return [first, *(part.filter(part.column("key").is_valid()) for part in others)]

        return split

    return instead(Normaliser, "_split", make)


# ---- what is not known -----------------------------------------------------------------------------------------------------


@mutant("positions lost are not noticed", "a gap")
def _() -> AbstractContextManager[object]:
    def change(known: Known, range_: Any, first: int, lost: int) -> tuple[int, int]:
        known.gaps -= lost
        return first, 0

    return accepted(change)


@mutant("a gap leaves its keys known", "a gap and a key that may be behind it")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def gap(self: Share, range_: Any, *rest: Any) -> None:
            real(self, range_, *rest)
            for seat in self.seats[range_.feed]:
                (seat.pair.source, seat.pair.target)[seat.which].holes.clear()

        return gap

    return instead(Share, "_gap", make)


@mutant("loading is taken for absent", "a snapshot still loading")
def _() -> AbstractContextManager[object]:
    return instead(Share, "_loading", lambda real: lambda self: None)


@mutant("a key left unknown by loading is never judged again", "a snapshot still loading")
def _() -> AbstractContextManager[object]:
    nothing = np.empty(0, np.uint64), np.empty(0, np.uint64)
    return instead(Pair, "_again", lambda real: lambda self, number: nothing)


@mutant("a partial history is taken for a whole one", "a partial history")
def _() -> AbstractContextManager[object]:
    return ruled(partial=(False, False))


@mutant("a tombstone after a delete is a row", "a tombstone after a delete")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def init(self: Normaliser, topology: str, decoder: Any, clock: Any, *rest: Any, **options: Any) -> None:
            real(self, topology, decoder, replace(clock, bare_nulls=True), *rest, **options)

        return init

    return instead(Normaliser, "__init__", make)


@mutant("a large column that was not sent compares as a value", "a large column that was not sent")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def from_digest(*given: Any) -> Any:
            out = real(*given)
            if "holes" in out.dtype.names:
                out["holes"] = 0
            return out

        return from_digest

    return instead(share_module, "from_digest", make)


@mutant("a large column is never filled", "a large column that was not sent")
def _() -> AbstractContextManager[object]:
    return instead(fold_module, "filled", lambda real: lambda version, *rest: version)


@mutant("a dead letter is no cause", "a garbled message")
def _() -> AbstractContextManager[object]:
    return instead(Share, "_undecodable", lambda real: lambda self, *rest: None)


@mutant("a dead letter leaves its key known", "a garbled message of a key")
def _() -> AbstractContextManager[object]:
    return without(Flag.MARK)


@mutant("undecodable messages are not counted", "a garbled message")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def digest(self: Normaliser, messages: Any, rows: Any, stamps: Any, dead: Any, *rest: Any) -> Any:
            return real(self, messages, rows, stamps, (), *rest)

        return digest

    return instead(Normaliser, "_digest", make)


@mutant("what is unknown is equal", "a garbled message of a key")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def judge(*given: Any) -> Any:
            verdict = real(*given)
            return np.where(verdict == Verdict.INCONCLUSIVE, Verdict.EQUAL, verdict).astype(np.uint8)

        return judge

    return instead(closing_module, "judge", make)


# ---- lifecycle -------------------------------------------------------------------------------------------------------------


@mutant("a second target shares the life of the first", "two targets, one wrong", "two targets, both wrong")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def init(self: Share, *given: Any) -> None:
            real(self, *given)
            for pair in self.pairs[1:]:
                pair.open = self.pairs[0].open

        return init

    return instead(Share, "__init__", make)


@mutant("stale does not stick", "a stale row that stays")
def _() -> AbstractContextManager[object]:
    return patch.object(pair_module, "Kind", SimpleNamespace(MISMATCH=Kind.MISMATCH, STALE=object()))


@mutant("the id is that of the current window", "a difference that goes on")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def differs(before: Any, now: Any, *, topology: str, target: str, key: bytes, window_end: int) -> Any:
            after, status = real(before, now, topology=topology, target=target, key=key, window_end=window_end)
            return replace(after, id=discrepancy_id(topology, target, key, window_end)), status

        return differs

    return instead(pair_module, "differs", make)


@mutant("every window that differs is an update", "a difference that goes on")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def differs(*given: Any, **options: Any) -> Any:
            after, status = real(*given, **options)
            return after, status or Status.UPDATED

        return differs

    return instead(pair_module, "differs", make)


@mutant("an open key that becomes unknown is resolved", "a key open, then unknown")
def _() -> AbstractContextManager[object]:
    def change(told: Any) -> Any:
        verdict = np.where(told.verdict == Verdict.INCONCLUSIVE, Verdict.EQUAL, told.verdict)
        return replace(told, verdict=verdict.astype(np.uint8))

    return judged(change)


@mutant("what is equal again stays open", "a difference that goes on")
def _() -> AbstractContextManager[object]:
    return judged(lambda told: replace(told, verdict=np.full_like(told.verdict, Verdict.DIFFERENT)))


# ---- delivery --------------------------------------------------------------------------------------------------------------


@mutant("a range delivered again is taken again", "delivered again")
def _() -> AbstractContextManager[object]:
    return accepted(lambda known, range_, first, lost: (range_.start if not lost else first, lost))


@mutant("a store behind the log says everything again", "disks older than what was said")
def _() -> AbstractContextManager[object]:
    return instead(
        pipeline_module,
        "deliver",
        lambda real: lambda reconciler, entries, done, say: real(reconciler, entries, Commit(0, b""), say),
    )


@mutant("a store behind the log is not brought up", "disks older than what was said")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def deliver(reconciler: Any, entries: Any, done: Commit, say: Any) -> Any:
            if reconciler.position < done.position and reconciler.shares:
                reconciler.position = done.position
                return done
            return real(reconciler, entries, done, say)

        return deliver

    return instead(pipeline_module, "deliver", make)


@mutant("counts of a range are added up, not taken over", "delivered again")
def _() -> AbstractContextManager[object]:
    def change(known: Known, range_: Any, first: int, lost: int) -> tuple[int, int]:
        if range_.counts is not None and range_.end <= first:
            known.counts = replace(known.counts, rows=known.counts.rows + 1)
        return first, lost

    return accepted(change)


# ---- what only a service meets ---------------------------------------------------------------------------------------------


@mutant("a zombie of an older generation is heard", "a zombie of an older generation")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        now = [1]

        def decode(message: bytes) -> Any:
            record = real(message)
            if isinstance(record, Open):
                now[0] = max(now[0], record.generation)
                return record
            return replace(record, generation=now[0])

        return decode

    return instead(reconciler_module, "decode", make)


@mutant("a rebuild leaves open what was open", "a rebuild")
def _() -> AbstractContextManager[object]:
    return instead(Pair, "_dismissals", lambda real: lambda self, appended: iter(()))


@mutant("a chain begins again after a rebuild", "a rebuild", "chains that end and begin again")
def _() -> AbstractContextManager[object]:
    return patch.object(Share, "chains", {})


@mutant("a chain that a generation left out is forgotten", "chains that end and begin again")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        return property(lambda self: {pair.rules.chain: pair.memory.head for pair in self.pairs})

    return instead(Share, "chains", make)


@mutant("a rebuilt share is begun before all is dismissed", "a rebuild")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def rebuild(self: Any, share: Any, opened: Any, appended: int) -> Any:
            self._begin(opened, share.chains)
            self.commit()
            return real(self, share, opened, appended)

        return rebuild

    return instead(reconciler_module.Reconciler, "_rebuild", make)


@mutant("a retired partition still holds the watermark", "a recreated topic")
def _() -> AbstractContextManager[object]:
    return instead(Share, "_live", lambda real: lambda self, feed: [self.known[u] for u in self.upstreams[feed]])


@mutant("a recreated topic is no cause", "a recreated topic")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def cause(self: Share, feed: str, cause: Any) -> None:
            if cause.kind != "recreated":
                real(self, feed, cause)

        return cause

    return instead(Share, "_cause", make)


@mutant("a recreated topic leaves its keys known", "a recreated topic")
def _() -> AbstractContextManager[object]:
    return instead(Share, "_hole", lambda real: lambda self, *rest: None)


@mutant("rows of a retired partition are taken", "a recreated topic", "a recreated topic's accounts")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def block(self: Share, record: Any) -> None:
            retired = [k for k in self.known.values() if k.retired]
            for known in retired:
                known.retired = False
            real(self, record)
            for known in retired:
                known.retired = True

        return block

    return instead(Share, "_block", make)


@mutant(
    "offsets of a recreated topic begin anew in the order of versions", "a recreated topic", "a topic recreated behind its time"
)
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def take_place(self: Known, old: Known) -> None:
            real(self, old)
            self.base = 0

        return take_place

    return instead(Known, "take_place", make)


@mutant("a large column is filled across a recreated topic", "a large column behind a recreated topic")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        return lambda version, current, beside, stretches: real(version, current, replace(beside, holes=()), stretches)

    return instead(fold_module, "_seen_through", make)


@mutant("the floor of an announced partition is not applied", "a partition announced below its side")
def _() -> AbstractContextManager[object]:
    return instead(share_module, "_raise", lambda real: lambda version, floor: None)


@mutant("rows below a floor are not late", "a partition announced below its side")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def lift(version: Any, floor: Any) -> None:
            version["time"] = np.maximum(version["time"], floor)

        return lift

    return instead(share_module, "_raise", make)


@mutant("a floor is forgotten at a restart", "a partition announced below its side")
def _() -> AbstractContextManager[object]:
    kept = tuple(name for name in remember_module._KNOWN if name != "floor")
    return patch.object(remember_module, "_KNOWN", kept)


@mutant("an announced partition begins where normalise says", "a partition announced below its side")
def _() -> AbstractContextManager[object]:
    return instead(Known, "begin", lambda real: lambda self, watermark, floor: real(self, watermark, None))


@mutant("dead letters of an announced partition lie in closed windows", "dead letters below a floor")
def _() -> AbstractContextManager[object]:
    return instead(
        Known,
        "raised",
        lambda real: lambda self, range_: replace(real(self, range_), undecodable=range_.undecodable),
    )


@mutant("a stall is said twice", "a stalled side")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def stall(self: Share, record: Any, appended: int) -> Any:
            self.stalled = {feed: since for feed, since in self.stalled.items() if record.resumed}
            return real(self, record, appended)

        return stall

    return instead(Share, "_stall", make)


@mutant("a stall is forgotten at a restart", "a stalled side")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def restore(share: Share, data: bytes) -> None:
            real(share, data)
            share.stalled = {}

        return restore

    return instead(reconciler_module, "restore", make)


@mutant("a column that appears is said again", "a column that appears")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def drift(self: Share, record: Any, appended: int) -> Any:
            self.drifted = {}
            return real(self, record, appended)

        return drift

    return instead(Share, "_drift", make)


@mutant("a column that appeared is forgotten at a restart", "a column that appears")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        def restore(share: Share, data: bytes) -> None:
            real(share, data)
            share.drifted = {}

        return restore

    return instead(reconciler_module, "restore", make)


# ---- proof -----------------------------------------------------------------------------------------------------------------


@mutant("a certificate leaves a key out of its tree", "many keys over many windows")
def _() -> AbstractContextManager[object]:
    def make(real: Any) -> Any:
        return lambda self, *columns: real(self, *(column[1:] for column in columns))

    return instead(Entries, "add", make)


@mutant("a certificate names no events", "a difference that goes on")
def _() -> AbstractContextManager[object]:
    return instead(pair_module, "Tree", lambda real: lambda: SimpleNamespace(add=lambda leaf: None, root=real().root))


@mutant("a chain begins again with every certificate", "many keys over many windows")
def _() -> AbstractContextManager[object]:
    return instead(saying_module, "link", lambda real: lambda head, *rest: (real(head, *rest)[0], head))


# ---- canonical form --------------------------------------------------------------------------------------------------------


@mutant("null is the empty text", "canonical form")
def _() -> AbstractContextManager[object]:
    return patch.object(canonical, "framed", lambda item: canonical.frame(*(item or ("s", b""))))


@mutant("texts are framed without their lengths", "canonical form")
def _() -> AbstractContextManager[object]:
    return patch.object(canonical, "frame", lambda tag, text: tag.encode() + text)


@mutant("decimals go through float", "canonical form")
@contextmanager
def _() -> Iterator[None]:
    real = numbers._plain

    def plain(negative: bool, digits: str, exponent: int) -> Any:
        digits_, exponent_ = f"{float(f'{digits}e{exponent}'):.17e}".split("e")
        whole = digits_.replace(".", "").rstrip("0") or "0"
        return real(negative, whole, int(exponent_) - len(whole) + 1)

    with patch.object(numbers, "_plain", plain):
        yield


@mutant("one octet of the hash is lost", "canonical form")
def _() -> AbstractContextManager[object]:
    return patch.object(canonical.Digester, "digest", lambda self, data: hashlib.sha256(data).digest()[:31] + b"\0")
