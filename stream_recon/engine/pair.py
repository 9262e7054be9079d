"""One pair in one digest partition: windows closed in order, certificates chained, discrepancies opened and resolved.

    rows -> sides (align) -> advance(watermarks): close each window (engine.closing) -> lifecycle -> events
                                                  every few windows: fold pieces into the base state
                                                  too much waits: windows are passed over (engine.suspension)
    a newer generation -> rebuilt: what is open is dismissed

A pure function of what it was given, in order; the store holds state only. Events come back, nobody here sends them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from stream_recon.align.pieces import Grid, Rows
from stream_recon.align.side import FOREVER, NEVER, Side, SideRules
from stream_recon.audit.merkle import Tree, root
from stream_recon.compare.judge import Verdict
from stream_recon.engine.base import BaseState
from stream_recon.engine.causes import Cause, runs
from stream_recon.engine.closing import Closer, Judged, Keys, columns, member
from stream_recon.engine.events import Entries
from stream_recon.engine.exact import Span
from stream_recon.engine.folding import fold_base, key_texts
from stream_recon.engine.found import Found
from stream_recon.engine.keep import PairStore, encode_discrepancy, encode_rows
from stream_recon.engine.saying import NOTHING, Parts, Saying, Step
from stream_recon.engine.suspension import SUSPENDED, Suspension, drained_to, whole_windows, windows_held
from stream_recon.engine.terms import Event, Marks, Memory, Rules
from stream_recon.lifecycle.states import Difference, Discrepancy, Kind, Status, differs
from stream_recon.limits import FOLD_WINDOWS, STORE_BATCH_KEYS, WHOLE_SLICES
from stream_recon.model.digest import Open
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
Part = tuple[Closer, Judged]


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
        self.open = Found()
        self.unknown: tuple[dict[Key, None], dict[Key, None]] = ({}, {})
        self.parts: Parts = ([], [])
        self.saying = Saying(rules, self.parts)
        self.sequence = 0
        self.void: set[int] = set()
        self.max_buffer = 0
        """Octets that rows not yet folded may take in the store (0: any number)."""

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
            value = encode_rows(segment.rows)
            self.store.store.put(self.store.place(which, piece, self.sequence), value)
            segment.size = len(value)
            side.file(piece, segment)
        self.sequence += 1

    def advance(self, marks: Marks) -> Iterator[Event]:
        """Closes every window that the watermarks allow, in order; to be taken to its end, a piece at a time if it is long."""
        rules, memory = self.rules, self.memory
        reach = min(_minus(marks.source, rules.settle + rules.clock_skew), _minus(marks.target, rules.settle))
        end = reach == FOREVER
        limit = FOREVER if end else reach // rules.window if reach != NEVER else NEVER
        if memory.suspended is not None and memory.cursor is None:
            self._begin_suspended(memory.suspended, limit)
        while (number := self._next(limit)) is not None:
            span = self._span(number)
            parts = self._judge(number, span)
            first = next((p for p in parts if self._ends(number) or self._holds(p[1], span)), None)
            if first is None:
                self.void.add(number)
                continue
            if memory.cursor is not None:
                yield from self._quiet(number, marks, followed=True)
            yield from self._close(number, chain([first], parts), span, marks)
            memory.cursor = number + 1
            if memory.folded is None or number - memory.folded >= FOLD_WINDOWS or self._buffered > self.closer.slice_bytes:
                self._fold(number)
        stop = self._last_cause(marks) + 1 if end else limit
        if memory.cursor is not None and stop > memory.cursor:
            yield from self._quiet(stop, marks, followed=end)
        yield from self._bound(marks)

    def _next(self, limit: int) -> int | None:
        """The first window below ``limit`` without a certificate that holds a row, or keys to be judged again; before the first
        certificate also one that only has a cause. Of a suspended pair the first one after the suspension.
        """
        window, cursor, held = self.rules.window, self.memory.cursor, self.memory.suspended
        if held is not None:
            return held.until if held.until < limit else None
        due = {side.next_window(cursor, self.void) for side in (self.source, self.target)} - {None}
        due |= {side.loaded // window for side, keys in self._loading() if keys and side.loaded is not None}
        if cursor is None:
            due |= {t // window for c in self.memory.causes if (t := c.until if c.since is None else c.since) is not None}
        ready = (n for n in due - self.void if n is not None and n < limit and (cursor is None or n >= cursor))
        return min(ready, default=None)

    def _ends(self, number: int) -> bool:
        """Whether a suspension ends with this window."""
        held = self.memory.suspended
        return held is not None and held.until == number

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

    def _judge(self, number: int, span: Span) -> Iterator[Part]:
        """The window's keys, slice by slice, as they are taken."""
        whole, again = self._ends(number), self._again(number)
        ends = self.source.reads_to(span.ahead), self.target.reads_to(span.settled)
        for closer in self.closer.slices(ends, at_least=WHOLE_SLICES if whole else 1):
            yield closer, closer.close(span, again, whole=whole)

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

    def _close(self, number: int, parts: Iterable[Part], span: Span, marks: Marks) -> Iterator[Event]:
        """One window with rows: its discrepancy events, then its certificate."""
        memory, (start, end) = self.memory, (span.start, span.end)
        causes = tuple(c for c in memory.causes if c.covers(start, end))
        counts = dict.fromkeys(_COUNTS, 0)
        compared, said = Entries(), Tree()
        self._loaded_now(number)
        for closer, judged in parts:
            self._remember_loading(judged)
            for event in self._live(closer, judged, span, marks):
                said.add(event.body)
                yield event
            for name, count in judged.counts.items():
                counts[name] += count
            compared.add(judged.high, judged.low, judged.source, judged.target)
        counts |= {"dead_letters": self._begun(causes, start, end), "repeated": memory.repeated}
        memory.repeated = 0
        passed = self._resumed() if self._ends(number) else None
        roots = {"root": compared.root(), "events_root": said.root.hex()}
        yield self._certificate((start, end), causes, counts, roots, marks, passed)

    def _again(self, number: int) -> Keys:
        """Keys that were left unknown by a side that stopped loading in this window."""
        keys = [k for side, held in self._loading() if self._loaded_in(side, number) for k in held]
        return columns(keys)

    def _loaded_now(self, number: int) -> None:
        """Keys that waited for a side that stopped loading in this window wait no longer."""
        for which, (side, held) in enumerate(self._loading()):
            if self._loaded_in(side, number):
                for key in held:
                    self.store.store.delete(self.store.prefix(b"U") + bytes([which]) + key_id(key))
                held.clear()

    def _remember_loading(self, judged: Judged) -> None:
        """Keys that are left unknown because a side is loading wait for the window in which that ends."""
        for which, (_, held) in enumerate(self._loading()):
            prefix = self.store.prefix(b"U") + bytes([which])
            for i in np.flatnonzero(judged.loading[which]):
                key = int(judged.high[i]), int(judged.low[i])
                held[key] = None
                self.store.store.put(prefix + key_id(key), b"")

    def _loaded_in(self, side: Side, number: int) -> bool:
        """Whether a side stopped loading in this window, or in one that was passed over before it."""
        if side.loaded is None:
            return False
        loaded = side.loaded // self.rules.window
        return loaded == number or (self._ends(number) and loaded < number)

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

    def _live(self, closer: Closer, judged: Judged, span: Span, marks: Marks) -> Iterator[Event]:
        """Events of these keys, in order of key id."""
        equal = (judged.verdict == Verdict.EQUAL) & member(judged.high, judged.low, columns(self.open))
        held = np.flatnonzero(equal).tolist()
        places = sorted([*held, *judged.kinds])
        if not places:
            return
        which = np.array(places)
        ends = closer.source.reads_to(span.ahead), closer.target.reads_to(span.settled)
        texts = key_texts(closer.source, closer.target, self.base, judged.high[which], judged.low[which], ends)
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
        self,
        window: tuple[int, int],
        causes: Sequence[Cause],
        counts: Mapping[str, int],
        roots: Mapping[str, str],
        marks: Marks,
        passed: Suspension | None = None,
    ) -> Event:
        return self.saying.certificate(self.memory, len(self.open), window, causes, counts, roots, marks, passed)

    # ---- a newer generation ----------------------------------------------------------------------------------------------

    def rebuilt(self, generation: int, opened: Open, rules: str | None, appended: int) -> Iterator[Event]:
        """What is said when a newer generation of the share is ``opened``: what is open is dismissed, then the chain says so.
        ``rules``: under which the chain goes on (None: it does not).
        """
        yield from self._dismissals(appended)
        again = root(e.body for e in self._dismissals(appended))
        dismissed = len(self.open), again.hex()
        yield self.saying.rebuilt(self.memory, generation, opened, rules, dismissed, appended)

    def _dismissals(self, appended: int) -> Iterator[Event]:
        """One event for each open discrepancy, in order of key id, with what stood when the last window was closed. Made as they
        are taken, so that there may be any number of them.
        """
        cursor, keys = self.memory.cursor, sorted(self.open)
        assert cursor is not None or not keys, "a closed window opened it"
        span = self._span((cursor or 0) - 1)
        ends = self.source.reads_to(span.ahead), self.target.reads_to(span.settled)
        for closer in self.closer.slices(ends):
            mine = [key for key in keys if key[0] >> 56 in closer.octets]
            for start in range(0, len(mine), STORE_BATCH_KEYS):
                part = mine[start : start + STORE_BATCH_KEYS]
                high, low = columns(part)
                source, target = closer.stand(high, low, span)
                for i, text in enumerate(key_texts(closer.source, closer.target, self.base, high, low, ends)):
                    step = Step(self.open[part[i]], Status.DISMISSED, text, (source[i], target[i]), (span.start, span.end))
                    yield self.saying.discrepancy(step, appended, reason="rebuilt")

    # ---- what must fit ---------------------------------------------------------------------------------------------------

    def _bound(self, marks: Marks) -> Iterator[Event]:
        """Takes a suspended pair a step further, and suspends it if more waits than may: what can be folded waits no longer."""
        memory = self.memory
        if memory.suspended is not None:
            self._drain(memory.suspended, marks)
        elif self.max_buffer and self._buffered > self.max_buffer and memory.cursor is not None:
            self._fold(memory.cursor - 1)
        if self.max_buffer and self._buffered > self.max_buffer:
            yield from self._suspend(marks)
            if memory.suspended is not None:
                self._drain(memory.suspended, marks)

    @property
    def _buffered(self) -> int:
        return self.source.size + self.target.size

    def _suspend(self, marks: Marks) -> Iterator[Event]:
        """Windows up to where the side ahead stands will not be compared; said once, however often that moves on."""
        rules, memory, held = self.rules, self.memory, self.memory.suspended
        times = [(whole_windows(mark, rules.window), n) for n, mark in enumerate((marks.source, marks.target))]
        until, ahead = max(((number, n) for number, n in times if number is not None), default=(None, 0))
        first = memory.cursor if memory.cursor is not None else min(windows_held((self.source, self.target)))
        if until is None or until <= (first if held is None else held.until):
            return
        if held is None:
            held = memory.suspended = Suspension(first, until, (rules.target, rules.source)[ahead])
            yield self.saying.suspended(memory, held, self._buffered, self.max_buffer, marks.appended)
        else:
            held.until = until
        self._say_why(held)

    def _say_why(self, held: Suspension) -> None:
        memory = self.memory
        memory.causes = [*(c for c in memory.causes if c.kind != SUSPENDED), held.cause(self.rules.window)]

    def _begin_suspended(self, held: Suspension, limit: int) -> None:
        """Certificates of a pair that was suspended before its first one begin with the first row of either side."""
        held.first = min([held.first, *windows_held((self.source, self.target))])
        self._say_why(held)
        self.memory.cursor = held.first if held.first < limit else None

    def _drain(self, held: Suspension, marks: Marks) -> None:
        """Folds some of what is not compared any more."""
        before, rows = [NEVER, NEVER], [*held.rows]
        for n, (side, mark) in enumerate(((self.source, marks.source), (self.target, marks.target))):
            past = held.until if mark == FOREVER else whole_windows(mark, self.rules.window)
            to = None if past is None else drained_to(side, min(past, held.until))
            if to is not None:
                before[n] = to * self.rules.window
                rows[n] += side.rows_in(held.first, to)
        if before != [NEVER, NEVER]:
            fold_base(self.closer, self.store, (before[0], before[1]), self.open)
            held.rows = rows[0], rows[1]

    def _resumed(self) -> Suspension:
        """The suspension is over, with the window that is closed now; what was not folded yet counts as not compared too."""
        memory, held = self.memory, self.memory.suspended
        assert held is not None
        source, target = (side.rows_in(held.first, held.until) for side in (self.source, self.target))
        held.rows = held.rows[0] + source, held.rows[1] + target
        memory.suspended, memory.folded = None, held.until
        return held

    # ---- how it stands -------------------------------------------------------------------------------------------------

    @property
    def closed(self) -> int | None:
        """End of the last closed window (µs)."""
        return None if self.memory.cursor is None else self.memory.cursor * self.rules.window

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows of source and target whose window is still open."""
        first = self.memory.cursor if self.memory.cursor is not None else NEVER
        return self.source.rows_in(first), self.target.rows_in(first)

    # ---- state ---------------------------------------------------------------------------------------------------------

    def _fold(self, number: int) -> None:
        """Folds what no open window reads: everything before the window that was closed last.

        Not while a truncate is ahead: which keys it falls on may hang on versions that the base state would forget.
        """
        before = number * self.rules.window
        sides = self.source, self.target
        if not (any(n < number for n in windows_held(sides)) or any(side.open_truncates(before) for side in sides)):
            return
        if any(c.time >= before for side in sides for c in side.truncates):
            return
        fold_base(self.closer, self.store, (before, before), self.open)
        self.memory.folded = number


def key_id(key: Key) -> bytes:
    """The 16 octets of a key id."""
    return key[0].to_bytes(8, "big") + key[1].to_bytes(8, "big")


def _minus(time: int, span: int) -> int:
    return time if time in (NEVER, FOREVER) else time - span
