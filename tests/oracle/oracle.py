"""The expected answers to a history, by brute force from section 3 of the design; slow and obvious."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .fold import Content, Folder, State
from .history import History, Params
from .timeline import Account, Cause, Entry, Place, Reading, RowInfo, Value, timeline_of

docs = """
Where the page leaves room, this is what was read out of it.

 1. Watermark at a row: of the changes strictly before it in its partition, by offset; a change is an upsert, partial, delete,
    truncate or key change, late ones too, but none with t > ts + max_future (t = ts + max_future still counts). "The last
    lift" is the last by position. A lift before the first change does bound ("no row is late" before the first change holds
    without lifts).
 2. Late is t < w, strictly, with the t of the row, also for snapshot reads. A tombstone has no t and is never late. The
    `late` of a partition counts rows (a key change 2, a truncate 1); that of a window counts versions (a truncate one per
    key).
 3. Order `event_time`: S(v) sees the versions with *effective* time < v, folded by min(t, ts + max_future). A tombstone folds
    at max(w, ts), where it takes part; the mark of an undecodable row at w.
 4. w of a dead letter or a tombstone: ts - out_of_orderness only where neither a change that counts nor a lift stands before
    it (so a lift below ts - out_of_orderness gives the longer range).
 5. An undecodable row with a readable key is a mark at w in the order: no version, it touches no window and counts in no
    `keys`, but from w the key is unknown until a version behind the mark *in the order* (any partition). In log order a lower
    offset of the same partition is passed over by the mark. The inconclusive windows are those of w to max(w, ts), both ends
    included.
 6. A tombstone's key is unknown for w < v <= max(w, ts), whatever other versions fall into that stretch, except, in log
    order, while the current version is from the tombstone's partition with a higher offset. (Reading.tombstone_stretch =
    False: a mark at w as in 5.) It counts as a row and touches its key in the window of max(w, ts) only.
 7. A gap: S(v) is unknown if v > w (of the partition, before the gap; -infinity if nothing bounds) and the last version
    before v is from that partition below the gap, or there is none on that side ("never seen there": on the side, before v).
    Inconclusive windows: those of w to that of the next row (tombstones and snapshot reads too) of the partition, both ends
    included. Endless ends reach the first or last window that holds a row or another cause. A gap makes the run inconclusive
    in any case.
 8. "Directly after a delete of its key": the message before it among all messages of the partition whose key can be read is a
    delete of the same key. Control messages, truncates and unreadable keys are looked through. A key change is no delete of
    its old key in that sense; nor is a tombstone. (Reading.tombstone_adjacent = False: before it among the messages of that
    key.)
 9. A truncate gives every key with an earlier version one delete with the truncate's times and offset, which touches that
    key. Earlier: in its own partition by offset, whatever the times; in others time < its time, where time is that of the
    order (effective in log order), and effective time < its effective time too. A mark (5) is no version, a deleted key still
    has versions. A truncate with no such key holds no row of any window. In event-time order offsets only order
    equal times of a partition: it falls on a key that has a version with a smaller effective time, or with the same one in front
    of it in its partition, if all of these are older than it by the time of the order, or in front of it at the same one.
10. A late row with t (at most ts + max_future) before a truncate of another partition is absent, but only if the truncate's
    effective time is not after its own (a row cannot be undone by what is still to come: then the truncate deletes it by 9).
    The truncate's time is that of the order. The row stays a version of its key (a delete), counts and touches.
11. At equal times: first, of each partition, what stands at or before a truncate of that time in that partition; then the
    rest; both by topic, partition, offset.
12. "Unknown if one of them is": besides S(e), T(e + settle) and the rows of S in the range, S(v) being unknown for any v in
    (e, e + settle + clock_skew] makes a judgement inconclusive (a row that could be equal was not seen or not understood),
    unless a known one is equal. (Reading.unknown_in_range = False: only S(e), T and rows.)
13. Loading: L over the snapshot reads that stand before the first change or lift of their partition (tombstones, control,
    undecodable messages and gaps end no such beginning; a change beyond max_future does). Touched again in the window of L:
    each key judged unknown in some window of the pair while S(e) or T(e + settle) was unknown for loading, whatever came
    since. A key that is also unknown for another reason makes the run inconclusive; for loading alone it does not.
14. `history: partial`: unknown if the side has no version of the key before v (not: in the whole input).
15. A partial row is filled from the version before it in the fold (the current one: passed-over versions fill nothing), among
    the versions below v, and is unknown if that one is unknown, absent or missing, or if the key was unknown then by 5, 6 or
    7; in log order also if it is passed over itself, or if a row before it in its partition has a later time: what stands
    before it in time is then not what stood before it in the database. Its whole hash is then unknown, even if the known
    column differs. Not filled = reason other than loading.
16. Kinds: "a version before e" is one with effective time < e. `forget_deleted`: absent with the last version's effective
    time + forget_deleted <= e makes `unexpected_in_target`; nothing else is forgotten. Unknown S(s) or rows equal nothing.
    Stickiness looks at the last judgement that found the key different since it opened.
17. Events: hashes and refs are those of S(e) and T(e + settle), null hash if absent or unknown; the ref of an absent key is
    its last version (the truncate or tombstone too), null if it has none or is behind a mark. `occurrences` of a `resolved`
    is that of the windows that found it different.
18. A window is reported if it holds a version, a key touched again (13) or a cause. A row with t below any lift that stands
    before it in its partition is `lift_broken` in the window of its effective time (snapshot reads too; a truncate of nothing
    too), also if no window closed on that lift.
19. A run is inconclusive also if a cause lies in no reported window (an endless gap in an empty input).
20. [start, to) of a partition: its first and last item, holes and gaps included; a partition without items is not listed. A
    tombstone that is control counts as control; every other one as a row message.
"""

Verdict = Literal["clean", "discrepant", "inconclusive"]
Status = Literal["opened", "updated", "resolved"]
Kind = Literal["missing_in_target", "unexpected_in_target", "undeleted_in_target", "stale_in_target", "value_mismatch"]
EXIT_CODES: dict[Verdict, int] = {"clean": 0, "discrepant": 1, "inconclusive": 2}


@dataclass(frozen=True, slots=True)
class Event:
    """A step of a discrepancy's life; `window_end` decided it, `first_seen` is the end of the window that opened it."""

    target: str
    key: int
    status: Status
    kind: Kind
    window_start: int
    window_end: int
    first_seen: int
    occurrences: int
    source_value: Value
    target_value: Value
    source_place: Place | None
    target_place: Place | None


@dataclass(frozen=True, slots=True)
class Counts:
    """What a window holds."""

    source_rows: int
    target_rows: int
    keys: int
    equal: int
    different: int
    inconclusive: int
    late: int


@dataclass(frozen=True, slots=True)
class Window:
    """A window's certificate."""

    start: int
    end: int
    verdict: Verdict
    counts: Counts
    causes: tuple[Cause, ...]
    open: int
    unknown_keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Everything about the source and one target."""

    target: str
    windows: tuple[Window, ...]
    events: tuple[Event, ...]
    open: dict[int, Kind]
    inconclusive: bool  # some window had an unknown key or a cause, other than loading

    def count(self, status: Status) -> int:
        return sum(e.status == status for e in self.events)


@dataclass(frozen=True, slots=True)
class Expected:
    """The answers to a history."""

    rows: tuple[RowInfo, ...]
    accounts: tuple[Account, ...]
    pairs: tuple[Pair, ...]
    verdict: Verdict
    exit_code: int
    windows: dict[Verdict, int]

    def count(self, status: Status) -> int:
        return sum(p.count(status) for p in self.pairs)

    @property
    def open(self) -> dict[tuple[str, int], Kind]:
        return {(p.target, key): kind for p in self.pairs for key, kind in p.open.items()}


@dataclass(frozen=True, slots=True)
class _Judgement:
    result: Literal["equal", "different", "unknown"]
    source: State
    target: State
    why: frozenset[str]


@dataclass(slots=True)
class _Open:
    kind: Kind
    source: Value
    target: Value
    first_seen: int
    occurrences: int


class _PairJudge:
    """Judges every touched key of every window of a pair, in time order."""

    def __init__(self, params: Params, source: Folder, target: Folder, reading: Reading) -> None:
        self.p, self.source, self.target, self.reading = params, source, target, reading
        self.events: list[Event] = []
        self.open: dict[int, _Open] = {}
        self.counts: Counter[tuple[str, int]] = Counter()
        self.judged: dict[int, dict[int, _Judgement]] = {}  # by window start, then by key
        for folder, name in ((source, "source_rows"), (target, "target_rows")):
            for entry in self.versions(folder):
                start = self.window_of(entry.effective)
                self.counts[name, start] += 1
                self.counts["late", start] += entry.late
                self.touch(start, entry.key)

    @staticmethod
    def versions(folder: Folder) -> Iterable[Entry]:
        return (e for of_key in folder.timeline.entries.values() for e in of_key if e.kind != "mark")

    def window_of(self, time: int) -> int:
        return time // self.p.window * self.p.window

    def touch(self, start: int, key: int) -> None:
        """Judges a key in a window, and again where loading ends, if that is what leaves it unknown."""
        keys = self.judged.setdefault(start, {})
        if key in keys:
            return
        judgement = keys[key] = self.judge(start, key)
        if judgement.result != "unknown":
            return
        for folder, state in ((self.source, judgement.source), (self.target, judgement.target)):
            if "loading" in state.why_unknown:
                assert folder.timeline.loaded_at is not None
                self.touch(self.window_of(folder.timeline.loaded_at), key)

    def judge(self, start: int, key: int) -> _Judgement:
        end = start + self.p.window
        high = end + self.p.settle + self.p.clock_skew
        source, target = self.source.state(key, end), self.target.state(key, end + self.p.settle)
        rows = self.source.rows(key, end, high)
        why = source.why_unknown | target.why_unknown
        if target.known:
            candidates = [Content(source.known, source.value)] + [c for _, c in rows]
            if any(c.known and c.value == target.value for c in candidates):
                return _Judgement("equal", source, target, why)
            if any(not c.known for _, c in rows):
                why |= {"large"}
            if self.reading.unknown_in_range:
                why |= self.unknown_between(key, end, high)
        return _Judgement("unknown" if why else "different", source, target, why)

    def unknown_between(self, key: int, low: int, high: int) -> frozenset[str]:
        """Why S(v) is unknown somewhere in (low, high], if it is."""
        side = self.source.timeline
        times = [e.effective for e in side.entries.get(key, [])] + [s.w for s in side.stretches.get(key, [])]
        times += [g.w for g in side.gaps if g.w is not None]
        states = [self.source.state(key, time + 1) for time in times if low <= time < high]
        return frozenset(reason for state in states for reason in state.why_unknown)

    def kind(self, start: int, key: int, judgement: _Judgement) -> Kind:
        source, target, end = judgement.source, judgement.target, start + self.p.window
        if target.value is None:
            return "missing_in_target"
        if source.value is None:
            forget, last = self.p.forget_deleted, source.last_effective
            seen = last is not None and (forget is None or last + forget > end)
            return "undeleted_in_target" if seen else "unexpected_in_target"
        before = self.open.get(key)
        if before is not None and before.kind == "stale_in_target" and before.target == target.value:
            return "stale_in_target"
        at_start = self.source.state(key, start)
        known = [c.value for _, c in self.source.rows(key, start, end) if c.known] + [at_start.value]
        return "stale_in_target" if target.value in known else "value_mismatch"

    def live(self, start: int, key: int, judgement: _Judgement) -> None:
        """The lifecycle of a key through one judgement."""
        end, before = start + self.p.window, self.open.get(key)
        values = judgement.source.value, judgement.target.value
        if judgement.result == "equal" and before is not None:
            del self.open[key]
            self.emit("resolved", start, key, before, judgement)
        elif judgement.result == "different":
            kind = self.kind(start, key, judgement)
            if before is None:
                self.open[key] = _Open(kind, *values, end, 1)
                self.emit("opened", start, key, self.open[key], judgement)
                return
            before.occurrences += 1
            if (kind, *values) != (before.kind, before.source, before.target):
                before.kind, before.source, before.target = kind, *values
                self.emit("updated", start, key, before, judgement)

    def emit(self, status: Status, start: int, key: int, it: _Open, judgement: _Judgement) -> None:
        source, target, end = judgement.source, judgement.target, start + self.p.window
        values, places = (source.value, target.value), (source.place, target.place)
        name = self.target.timeline.name
        self.events.append(Event(name, key, status, it.kind, start, end, it.first_seen, it.occurrences, *values, *places))

    def spread(self, causes: list[Cause]) -> dict[int, list[Cause]]:
        """The windows of every cause; endless ones reach as far as there are windows."""
        out: dict[int, list[Cause]] = {start: [] for start in self.judged}
        known = set(out) | {self.window_of(t) for c in causes for t in (c.low, c.high) if t is not None}
        for cause in causes if known else ():
            first = min(known) if cause.low is None else self.window_of(cause.low)
            last = max(known) if cause.high is None else self.window_of(cause.high)
            for start in range(first, last + 1, self.p.window):
                out.setdefault(start, []).append(cause)
        return out

    def result(self) -> Pair:
        causes = self.source.timeline.causes + self.target.timeline.causes
        by_window = self.spread(causes)
        windows: list[Window] = []
        for start in sorted(by_window):
            judgements = self.judged.get(start, {})
            for key in sorted(judgements):
                self.live(start, key, judgements[key])
            results = Counter(j.result for j in judgements.values())
            rows = self.counts["source_rows", start], self.counts["target_rows", start]
            found = results["equal"], results["different"], results["unknown"]
            counts = Counts(*rows, len(judgements), *found, self.counts["late", start])
            in_doubt = bool(results["unknown"] or by_window[start])
            verdict: Verdict = "discrepant" if results["different"] else "inconclusive" if in_doubt else "clean"
            unknown = tuple(sorted(k for k, j in judgements.items() if j.result == "unknown"))
            end = start + self.p.window
            windows.append(Window(start, end, verdict, counts, tuple(by_window[start]), len(self.open), unknown))
        every = [j for keys in self.judged.values() for j in keys.values()]
        doubtful = bool(causes) or any(j.result == "unknown" and j.why != {"loading"} for j in every)
        kinds = {key: it.kind for key, it in sorted(self.open.items())}
        return Pair(self.target.timeline.name, tuple(windows), tuple(self.events), kinds, doubtful)


def folders(history: History, reading: Reading | None = None) -> list[Folder]:
    """The source and the targets, ready to be asked for S(v) and T(v)."""
    return [Folder(timeline_of(side, history.params, reading or Reading())) for side in history.sides]


def expected(history: History, reading: Reading | None = None) -> Expected:
    """What the page says about a history that has come to its end."""
    reading = reading or Reading()
    source, *targets = folders(history, reading)
    pairs = tuple(_PairJudge(history.params, source, target, reading).result() for target in targets)
    verdict: Verdict = "inconclusive" if any(p.inconclusive for p in pairs) else "clean"
    if any(p.open for p in pairs):
        verdict = "discrepant"
    totals = Counter(w.verdict for p in pairs for w in p.windows)
    windows: dict[Verdict, int] = {v: totals[v] for v in EXIT_CODES}
    timelines = [f.timeline for f in (source, *targets)]
    rows = tuple(row for t in timelines for row in t.rows)
    accounts = tuple(account for t in timelines for account in t.accounts)
    return Expected(rows, accounts, pairs, verdict, EXIT_CODES[verdict], windows)
