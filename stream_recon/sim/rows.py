"""A dual write with planted faults: what goes to the topics when, and what it must come to by brute force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random
from typing import Any

import orjson

from stream_recon.model.plan import TopologyPlan
from stream_recon.ports import Place
from stream_recon.sim.world import BEGAN, SECOND


@dataclass(frozen=True, slots=True)
class Written:
    """One change on its way into a topic: committed ``at``, appended at ``arrives`` (µs). ``value`` None: a delete."""

    at: int
    arrives: int
    side: str
    place: Place
    key: int
    value: str | None

    def message(self) -> tuple[bytes, bytes]:
        """As Debezium writes it, without schemas."""
        source = {"ts_us": self.at, "ts_ms": self.at // 1000}
        row = None if self.value is None else {"id": self.key, "value": self.value}
        before = {"id": self.key, "value": None} if row is None else None
        body: dict[str, Any] = {"before": before, "after": row, "op": "d" if row is None else "c", "source": source}
        return orjson.dumps({"id": self.key}), orjson.dumps(body)


@dataclass(slots=True)
class Input:
    """Everything that will be written, in order of time. ``planted``: keys that were made to differ, by target."""

    changes: list[Written]
    planted: Mapping[str, set[int]]
    last: int
    honest: bool = True
    """No silence is mistaken for idleness: no lift can be wrong."""
    values: dict[str, dict[int, str | None]] = field(default_factory=dict)
    """The last value of each key, by side."""

    def open(self, source: str, target: str) -> dict[int, str]:
        """What must be open in the end: kinds by key. Brute force over the input."""
        left, right = self.values[source], self.values[target]
        return {
            key: kind
            for key in left.keys() | right.keys()
            if (kind := _kind(left.get(key), right.get(key), known=key in left)) is not None
        }


def _kind(source: str | None, target: str | None, *, known: bool) -> str | None:
    """``stale_in_target`` and ``value_mismatch`` depend on windows: both are "other"."""
    if source == target:
        return None
    if target is None:
        return "missing_in_target"
    if source is None:
        return "undeleted_in_target" if known else "unexpected_in_target"
    return "other"


def dual_write(random: Random, plan: TopologyPlan, partitions: Mapping[str, int], *, changes: int, seconds: float) -> Input:
    """Random changes of a few keys; each reaches each target within the allowance, in order per key, but for planted faults."""
    keys = random.randrange(4, 12)
    begin = BEGAN + 2 * SECOND
    times = sorted(random.randrange(round(seconds * SECOND)) for _ in range(changes))
    written: list[Written] = []
    planted: dict[str, set[int]] = {t.name: set() for t in plan.targets}
    behind: dict[tuple[str, int], int] = {}
    values: dict[str, dict[int, str | None]] = {s.name: {} for s in plan.sides}

    def write(at: int, side: Any, key: int, value: str | None) -> None:
        topic = side.topics[key % len(side.topics)]
        written.append(Written(at, at, side.name, (topic, key % partitions[topic]), key, value))
        values[side.name][key] = value

    faulty = random.random() < 0.7
    for number, offset in enumerate(times):
        at, key = begin + offset, random.randrange(keys)
        value = None if values[plan.source.name].get(key) is not None and random.random() < 0.2 else f"{key}:{number}"
        write(at, plan.source, key, value)
        for target in plan.targets:
            late = at + random.randrange(max(1, plan.settle * 3 // 4))
            late = behind[target.name, key] = max(late, behind.get((target.name, key), 0) + 1)
            if faulty and random.random() < 0.12:
                planted[target.name].add(key)
                if random.random() < 0.5:
                    write(late, target, key, f"{key}:wrong {number}")
            else:
                write(late, target, key, value)
    for target in plan.targets:
        if faulty and random.random() < 0.3:
            planted[target.name].add(1_000)
            write(begin + round(seconds * SECOND / 2), target, 1_000, "invented")
    honest = True
    if random.random() < 0.3:
        written, honest = _held_up(random, plan, times, begin, written)
    end = max([begin, *(w.arrives for w in written)]) + SECOND
    for side in plan.sides:  # both sides move to the end: else the one that was quiet first is stalled
        write(end, side, 0, "the end")
    written.sort(key=lambda w: (w.arrives, w.at, w.side, w.place, w.key))
    return Input(written, planted, end, honest, values)


def _held_up(
    random: Random, plan: TopologyPlan, times: list[int], begin: int, written: list[Written]
) -> tuple[list[Written], bool]:
    """One side's connector is away for some seconds; then all of it comes at once. And whether the other side went on meanwhile:
    where both are quiet, a lift may be wrong.
    """
    side = random.choice(plan.sides).name
    idle = min((s.idle_after for s in plan.sides if s.idle_after is not None), default=3 * SECOND)
    start, away = begin + random.randrange(max(times, default=0) + 1), random.randrange(idle, 3 * idle)
    moving = [start, *(begin + t for t in times if start <= begin + t < start + away), start + away]
    honest = max(after - before for before, after in pairwise(moving)) <= idle * 2 // 3
    held = range(start, start + away)
    return [replace(w, arrives=start + away) if w.side == side and w.at in held else w for w in written], honest
