"""One pair in one digest partition: windows closed in order, certificates chained, discrepancies opened and resolved.

    rows -> sides (align) -> advance(watermarks): close each window (engine.closing) -> lifecycle -> events
                                                  every few windows: fold pieces into the base state
    a newer generation -> rebuilt: what is open is dismissed

A pure function of what it was given, in order; the store holds state only. Events come back, nobody here sends them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from stream_recon.align.pieces import Grid, Rows
from stream_recon.align.side import FOREVER, NEVER, Side, SideRules
from stream_recon.audit.merkle import root
from stream_recon.compare.judge import Verdict
from stream_recon.engine.base import BaseState
from stream_recon.engine.causes import Cause, runs
from stream_recon.engine.closing import Closer, Judged, Keys, member
from stream_recon.engine.events import entries_root
from stream_recon.engine.exact import Span
from stream_recon.engine.folding import fold_base, key_texts
from stream_recon.engine.keep import PairStore, encode_discrepancy, encode_rows
from stream_recon.engine.saying import NOTHING, Parts, Saying, Step
from stream_recon.engine.terms import Event, Marks, Memory, Rules
from stream_recon.lifecycle.states import Difference, Discrepancy, Kind, Status, differs
from stream_recon.limits import FOLD_WINDOWS, STORE_BATCH_KEYS
from stream_recon.model.versions import identity

_COUNTS = (
    "source_rows",
    "target_rows",
    "keys",
    "equal",
    "different",
    "inconclusive",
    "loading",
    "late",
    "dead_letters",
    "repeated",
)
Key = tuple[int, int]


class Pair:
    """See the module. ``parts`` of a side are numbered in the order in which they became known."""

    def __init__(self, rules: Rules, store: PairStore) -> None:
        self.rules = rules
        self.store = store
        self.memory = Memory()
        self.source = self._side(0)
        self.target = self._side(1)
        self.base = BaseState(store.store, store.prefix(b"B"), rules.large)
        self.closer = Closer(self.source, self.target, self.base)
        self.open: dict[Key, Discrepancy] = {}
        self.unknown: tuple[dict[Key, None], dict[Key, None]] = ({}, {})
        self.parts: Parts = ([], [])
        self.saying = Saying(rules, self.parts)
        self.sequence = 0
        self.void: set[int] = set()

    def _side(self, which: int) -> Side:
        rules = self.rules
        ahead = rules.settle + (0 if which else rules.clock_skew)
        side_rules = SideRules(Grid(rules.window, ahead), rules.orders[which], rules.partial[which], rules.forget, rules.large)
        return Side(side_rules, lambda piece, sequence: self.store.segment(which, piece, sequence))

    # ---- in ------------------------------------------------------------------------------------------------------------

    def add(self, which: int, rows: Rows) -> None:
        """Takes rows of one side (0: source, 1: target), all at or above that side's watermark."""
        side = (self.source, self.target)[which]
        for piece, segment in side.add(rows, self.sequence):
            assert segment.rows is not None
            self.store.store.put(self.store.place(which, piece, self.sequence), encode_rows(segment.rows))
        self.sequence += 1

    def advance(self, marks: Marks) -> Iterator[Event]:
        """Closes every window that the watermarks allow, in order; to be taken to its end, a piece at a time if it is long."""
        rules, memory = self.rules, self.memory
        reach = min(_minus(marks.source, rules.settle + rules.clock_skew), _minus(marks.target, rules.settle))
        end = reach == FOREVER
        limit = FOREVER if end else reach // rules.window if reach != NEVER else NEVER
        while (number := self._next(limit)) is not None:
            judged, span = self._judge(number)
            if not self._holds(judged, span):
                self.void.add(number)
                continue
            if memory.cursor is not None:
                yield from self._quiet(number, marks, followed=True)
            yield from self._close(number, judged, span, marks)
            memory.cursor = number + 1
            if memory.folded is None or number - memory.folded >= FOLD_WINDOWS:
                self._fold(number)
        stop = self._last_cause(marks) + 1 if end else limit
        if memory.cursor is not None and stop > memory.cursor:
            yield from self._quiet(stop, marks, followed=end)

    def _next(self, limit: int) -> int | None:
        """The first window below ``limit`` without a certificate that holds a row, or keys to be judged again; before the first
        certificate also one that only has a cause.
        """
        window, cursor = self.rules.window, self.memory.cursor
        due = {side.next_window(cursor, self.void) for side in (self.source, self.target)} - {None}
        due |= {side.loaded // window for side, keys in self._loading() if keys and side.loaded is not None}
        if cursor is None:
            due |= {t // window for c in self.memory.causes if (t := c.until if c.since is None else c.since) is not None}
        ready = (n for n in due - self.void if n is not None and n < limit and (cursor is None or n >= cursor))
        return min(ready, default=None)

    def _loading(self) -> Iterator[tuple[Side, dict[Key, None]]]:
        return zip((self.source, self.target), self.unknown, strict=True)

    def _last_cause(self, marks: Marks) -> int:
        """The last window that a cause touches; one without an end reaches to the last row of the topology."""
        ends = [
            max(marks.latest, NEVER if c.since is None else c.since) if c.until is None else c.until for c in self.memory.causes
        ]
        return max(ends) // self.rules.window if ends else NEVER

    # ---- windows -------------------------------------------------------------------------------------------------------

    def _quiet(self, stop: int, marks: Marks, *, followed: bool) -> Iterator[Event]:
        """Certificates of the windows up to ``stop``, none of which holds a row; the last run waits if more may join it."""
        memory, window = self.memory, self.rules.window
        assert memory.cursor is not None
        for run in runs(memory.cursor, stop, memory.causes, window):
            if not (run.whole or followed):
                break
            start, end = run.first * window, run.end * window
            counts = dict.fromkeys(_COUNTS, 0) | {"dead_letters": self._begun(run.causes, start, end)}
            memory.cursor = run.end
            yield self._certificate((start, end), run.causes, counts, NOTHING, marks)
        self._expire()

    def _judge(self, number: int) -> tuple[Judged, Span]:
        span = self._span(number)
        return self.closer.close(span, self._again(number)), span

    def _span(self, number: int) -> Span:
        rules = self.rules
        start, end = number * rules.window, (number + 1) * rules.window
        return Span(start, end, end + rules.settle, end + rules.settle + rules.clock_skew)

    def _holds(self, judged: Judged, span: Span) -> bool:
        """Whether a window holds anything: a truncate that falls on no key is none. A cause opens the first window only."""
        begins = any(
            c.covers(span.start, span.end) and (c.since is not None or (c.until is not None and c.until < span.end))
            for c in self.memory.causes
        )
        return bool(len(judged.high) or judged.source_rows or judged.target_rows or (self.memory.cursor is None and begins))

    def _close(self, number: int, judged: Judged, span: Span, marks: Marks) -> list[Event]:
        """One window with rows: its discrepancy events, then its certificate."""
        memory, (start, end) = self.memory, (span.start, span.end)
        self._remember_loading(number, judged)
        events = [*self._live(judged, span, marks)]
        causes = tuple(c for c in memory.causes if c.covers(start, end))
        verdicts = np.bincount(judged.verdict, minlength=3)
        counts = {
            "source_rows": judged.source_rows,
            "target_rows": judged.target_rows,
            "keys": len(judged.high),
            "equal": int(verdicts[Verdict.EQUAL]),
            "different": int(verdicts[Verdict.DIFFERENT]),
            "inconclusive": int(verdicts[Verdict.INCONCLUSIVE]),
            "loading": judged.only_loading,
            "late": judged.late,
            "dead_letters": self._begun(causes, start, end),
            "repeated": memory.repeated,
        }
        memory.repeated = 0
        roots = {
            "root": entries_root(judged.high, judged.low, judged.source, judged.target),
            "events_root": root(e.body for e in events).hex(),
        }
        events.append(self._certificate((start, end), causes, counts, roots, marks))
        return events

    def _again(self, number: int) -> Keys:
        """Keys that were left unknown by a side that stopped loading in this window."""
        keys = [
            k
            for side, held in self._loading()
            if side.loaded is not None and side.loaded // self.rules.window == number
            for k in held
        ]
        return np.array([h for h, _ in keys], np.uint64), np.array([k for _, k in keys], np.uint64)

    def _remember_loading(self, number: int, judged: Judged) -> None:
        """Keys that this window leaves unknown because a side was loading wait for the window in which that ends."""
        for which, (side, held) in enumerate(self._loading()):
            prefix = self.store.prefix(b"U") + bytes([which])
            if held and side.loaded is not None and side.loaded // self.rules.window == number:
                for key in held:
                    self.store.store.delete(prefix + key_id(key))
                held.clear()
            for i in np.flatnonzero(judged.loading[which]):
                key = int(judged.high[i]), int(judged.low[i])
                held[key] = None
                self.store.store.put(prefix + key_id(key), b"")

    def _begun(self, causes: Sequence[Cause], start: int, end: int) -> int:
        """Dead letters whose stretch begins in ``[start, end)``: each is counted in one certificate."""
        return sum(1 for c in causes if c.undecodable and c.since is not None and start <= c.since < end)

    def _expire(self) -> None:
        """Forgets causes that no open window can have; dead letters among them stay counted as unresolved."""
        memory = self.memory
        if memory.cursor is None or not memory.causes:
            return
        start = memory.cursor * self.rules.window
        past = [c for c in memory.causes if c.until is not None and c.until < start]
        memory.unresolved += sum(1 for c in past if c.kind == "undecodable")
        memory.causes = [c for c in memory.causes if c.until is None or c.until >= start]

    # ---- what is said --------------------------------------------------------------------------------------------------

    def _live(self, judged: Judged, span: Span, marks: Marks) -> Iterator[Event]:
        """Events of the window's keys, in order of key id."""
        keys = np.array([*self.open], np.uint64).reshape(-1, 2)
        equal = (judged.verdict == Verdict.EQUAL) & member(judged.high, judged.low, (keys[:, 0], keys[:, 1]))
        held = np.flatnonzero(equal).tolist()
        places = sorted([*held, *judged.kinds])
        if not places:
            return
        which = np.array(places)
        ends = self.source.reads_to(span.ahead), self.target.reads_to(span.settled)
        texts = key_texts(self.source, self.target, self.base, judged.high[which], judged.low[which], ends)
        for i, text in zip(places, texts, strict=True):
            key = int(judged.high[i]), int(judged.low[i])
            said = self._judged(key, judged.kinds.get(i), judged.source[i], judged.target[i], span)
            if said is not None:
                step = Step(*said, text, (judged.source[i], judged.target[i]), (span.start, span.end))
                yield self.saying.discrepancy(step, marks.appended)

    def _judged(
        self, key: Key, kind: Kind | None, source: np.void, target: np.void, span: Span
    ) -> tuple[Discrepancy, Status] | None:
        """Moves one key through its lifecycle; None: nothing to say."""
        before, place = self.open.get(key), self.store.prefix(b"O") + key_id(key)
        if kind is None:
            assert before is not None
            del self.open[key]
            self.store.store.delete(place)
            return before, Status.RESOLVED
        target_identity = identity(target)
        if before is not None and kind == Kind.MISMATCH and before.difference.kind == Kind.STALE:
            kind = Kind.STALE if before.difference.target == target_identity else kind
        now = Difference(kind, identity(source), target_identity)
        rules = self.rules
        after, status = differs(before, now, topology=rules.topology, target=rules.target, key=key_id(key), window_end=span.end)
        self.open[key] = after
        self.store.store.put(place, encode_discrepancy(after))
        return None if status is None else (after, status)

    def _certificate(
        self, window: tuple[int, int], causes: Sequence[Cause], counts: Mapping[str, int], roots: Mapping[str, str], marks: Marks
    ) -> Event:
        return self.saying.certificate(self.memory, len(self.open), window, causes, counts, roots, marks)

    # ---- a newer generation ----------------------------------------------------------------------------------------------

    def rebuilt(self, generations: tuple[int, int], rules: str | None, configuration: str, appended: int) -> Iterator[Event]:
        """What is said when a newer generation of the share begins: what is open is dismissed, then the chain says so. ``rules``:
        under which the chain goes on (None: it does not).
        """
        yield from self._dismissals(appended)
        again = root(e.body for e in self._dismissals(appended))
        dismissed = len(self.open), again.hex()
        yield self.saying.rebuilt(self.memory, generations, rules, configuration, dismissed, appended)

    def _dismissals(self, appended: int) -> Iterator[Event]:
        """One event for each open discrepancy, in order of key id, with what stood when the last window was closed. Made as they
        are taken, so that there may be any number of them.
        """
        cursor, keys = self.memory.cursor, sorted(self.open)
        assert cursor is not None or not keys, "a closed window opened it"
        for start in range(0, len(keys), STORE_BATCH_KEYS):
            part, span = keys[start : start + STORE_BATCH_KEYS], self._span((cursor or 0) - 1)
            high, low = np.array([h for h, _ in part], np.uint64), np.array([k for _, k in part], np.uint64)
            source, target = self.closer.stand(high, low, span)
            ends = self.source.reads_to(span.ahead), self.target.reads_to(span.settled)
            for i, text in enumerate(key_texts(self.source, self.target, self.base, high, low, ends)):
                step = Step(self.open[part[i]], Status.DISMISSED, text, (source[i], target[i]), (span.start, span.end))
                yield self.saying.discrepancy(step, appended, reason="rebuilt")

    # ---- how it stands -------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> int | None:
        """End of the last closed window (µs)."""
        return None if self.memory.cursor is None else self.memory.cursor * self.rules.window

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows of source and target whose window is still open."""
        cursor = self.memory.cursor

        def held(side: Side) -> int:
            first = 0 if cursor is None else bisect_left(side.numbers, 2 * cursor)
            return sum(segment.touching for number in side.numbers[first:] for segment in side.segments[number])

        return held(self.source), held(self.target)

    # ---- state ---------------------------------------------------------------------------------------------------------

    def _fold(self, number: int) -> None:
        """Folds what no open window reads: everything before the window that was closed last.

        Not while a truncate is ahead: which keys it falls on may hang on versions that the base state would forget.
        """
        before = number * self.rules.window
        if any(c.time >= before for side in (self.source, self.target) for c in side.truncates):
            return
        fold_base(self.source, self.target, self.base, self.store, before)
        self.memory.folded = number


def key_id(key: Key) -> bytes:
    """The 16 octets of a key id."""
    return key[0].to_bytes(8, "big") + key[1].to_bytes(8, "big")


def _minus(time: int, span: int) -> int:
    return time if time in (NEVER, FOREVER) else time - span
