"""The laws' conditions and conclusions as predicates, by other roads than the oracle's."""

from __future__ import annotations

from itertools import pairwise

from .fold import Folder
from .history import History, KeyChange, Lift, Read, Side, Truncate, Undecodable, Upsert, messages
from .oracle import folders
from .timeline import Entry, Reading, Timeline, Value, timeline_of

Step = tuple[tuple[int, int, str, int, int, int], tuple[str, int], int, int, Value]  # order, partition, offset, key, content


def final_contents(history: History, side: Side) -> dict[int, Value]:
    """The last content of every key of a side whose rows are all in time (none late, beyond max_future or unknown).

    It folds all keys at once, straight from the messages: nothing of the timeline is used, for such rows need none of it.
    """
    steps: list[Step] = []
    cuts: list[tuple[int, tuple[str, int], int]] = []
    for of, partition, item in messages(history):
        here = partition.topic, partition.number
        if of is not side:
            continue
        if isinstance(item, Truncate):
            cuts.append((item.t, here, item.offset))
        elif isinstance(item, Upsert | Read):
            steps.append(((item.t, 1, *here, item.offset, 0), here, item.offset, item.key, (item.value, item.large)))
        elif isinstance(item, KeyChange):
            steps.append(((item.t, 1, *here, item.offset, 0), here, item.offset, item.old, None))
            steps.append(((item.t, 1, *here, item.offset, 1), here, item.offset, item.new, (item.value, item.large)))
        elif (key := getattr(item, "key", None)) is not None:
            t = getattr(item, "t", item.ts * 1000)
            steps.append(((t, 1, *here, item.offset, 0), here, item.offset, key, None))
    for t, here, offset in cuts:
        cut_keys = {k for order, at, o, k, _ in steps if (o < offset if at == here else order[0] < t)}
        steps += [((t, 0, *here, offset, 0), here, offset, key, None) for key in cut_keys]
    current: dict[int, Step] = {}
    for step in sorted(steps, key=lambda s: s[0]):
        _, here, offset, key, _ = step
        before = current.get(key)
        if before is None or before[1] != here or before[2] <= offset or history.params.order == "event_time":
            current[key] = step
    return {key: step[4] for key, step in current.items()}


def plain(history: History) -> bool:
    """Histories that `final_contents` understands: all in time, all known, no truncate at the time of another row."""
    for timeline in (timeline_of(side, history.params, Reading()) for side in history.sides):
        entries = [e for es in timeline.entries.values() for e in es]
        if timeline.causes or timeline.partial_history or any(e.kind in {"partial", "mark", "tombstone"} for e in entries):
            return False
        if any(e.late or e.effective != e.t for e in entries):
            return False
        cuts = {(e.t, e.place) for e in entries if e.kind == "truncate"}
        if any(t == e.t and place != e.place for t, place in cuts for e in entries):
            return False
    return not any(isinstance(i, Undecodable | Lift) for s in history.sides for p in s.partitions for i in p.items)


def differing(history: History) -> dict[str, tuple[set[int], set[int]]]:
    """Per target: the conclusive keys whose last versions differ, and all conclusive keys (Law 1)."""
    source, *targets = folders(history)
    out = {}
    for target in targets:
        keys = set(source.timeline.entries) | set(target.timeline.entries)
        known = {k for k in keys if source.state(k, None).known and target.state(k, None).known}
        out[target.timeline.name] = {k for k in known if _last(source, k) != _last(target, k)}, known
    return out


def _last(folder: Folder, key: int) -> Value:
    return folder.state(key, None).value


def law2_holds(history: History) -> bool:
    """A sufficient condition of Law 2: it may be False for an odd history of which the law would still speak.

    In log order a key's versions of one side are taken in the order of its one partition's offsets, or, if it lives in several,
    in time order, where that must not contradict the offsets; in event_time order always in time order.
    """
    timelines = [timeline_of(side, history.params, Reading()) for side in history.sides]
    if any(row.late or row.t is None for timeline in timelines for row in timeline.rows):
        return False
    if any(timeline.causes or timeline.partial_history for timeline in timelines):
        return False
    for _, _, item in messages(history):
        t = getattr(item, "t", None)
        if t is not None and t > item.ts * 1000 + history.params.max_future:
            return False
    source, *targets = timelines
    return all(_applied(history, source, target) for target in targets)


def _applied(history: History, source: Timeline, target: Timeline) -> bool:
    """Does every change of the source, and nothing else, reach the target, in order per key and in time?"""
    for key in set(source.entries) | set(target.entries):
        ours, theirs = _sequence(source, key), _sequence(target, key)
        if ours is None or theirs is None or len(ours) != len(theirs):
            return False
        for (a, a_value), (b, b_value) in zip(ours, theirs, strict=True):
            lag = b.effective - a.effective
            if a_value != b_value or not -history.params.clock_skew <= lag <= history.params.settle:
                return False
    return True


def _sequence(timeline: Timeline, key: int) -> list[tuple[Entry, Value]] | None:
    """A key's versions as written, or None if that cannot be told."""
    entries = timeline.entries.get(key, [])
    partitions = {(e.topic, e.partition) for e in entries}
    if len(partitions) == 1 and timeline.in_log_order:
        entries = sorted(entries, key=lambda e: (e.offset, e.index))
    elif any(a.time == b.time and not a.beside(b.topic, b.partition) for a, b in pairwise(entries)):
        return None
    elif timeline.in_log_order:
        for one in partitions:
            offsets = [e.offset for e in entries if e.beside(*one)]
            if offsets != sorted(offsets):
                return None
    out: list[tuple[Entry, Value]] = []
    for entry in entries:
        value = entry.value
        if entry.kind == "partial":
            if not out or value is None or (previous := out[-1][1]) is None:
                return None
            value = (value[0], previous[1])
        out.append((entry, value))
    return out
