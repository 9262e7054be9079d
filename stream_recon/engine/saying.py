"""What a pair says, as bodies: one for each step of a discrepancy's life, one certificate for each window or run of windows, and
what else its chain has to hold: that it was rebuilt, that a side is stalled or its schema drifts, that the service was
started or stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stream_recon.align.side import FOREVER, NEVER
from stream_recon.audit.chain import link
from stream_recon.audit.merkle import root
from stream_recon.engine.causes import Cause
from stream_recon.engine.events import dumps, instant, shown_key
from stream_recon.engine.suspension import SUSPENDED, Suspension
from stream_recon.engine.terms import Event, Marks, Memory, Rules
from stream_recon.lifecycle.states import Discrepancy, Status
from stream_recon.model.digest import Act, Flag, Open
from stream_recon.model.versions import State, shown_hash

_EMPTY = root([]).hex()
NOTHING = {"root": _EMPTY, "events_root": _EMPTY}
"""The roots of a window in which nothing was compared and nothing said."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition of a side, by name. ``bases``: what was added to its offsets, for each topic that had the name one after the
    other.
    """

    topic: str
    partition: int
    bases: tuple[int, ...]

    def ref(self, offset: int) -> dict[str, Any]:
        """Where a row stands."""
        base = max(b for b in self.bases if b <= offset)
        return {"topic": self.topic, "partition": self.partition, "offset": offset - base}


Parts = tuple[list[Part], list[Part]]
"""By number, source and target."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step in the life of a discrepancy: where it stands now, and what is said of it.

    ``text``: the key's canonical text. ``versions``: S(e) and T(e + settle). ``window``: its start and end (µs).
    """

    now: Discrepancy
    status: str
    text: bytes | None
    versions: tuple[np.void, np.void]
    window: tuple[int, int]


class Saying:
    """Bodies of one pair."""

    def __init__(self, rules: Rules, parts: Parts) -> None:
        self._rules = rules
        self._parts = parts

    def discrepancy(self, step: Step, appended: int, *, reason: str | None = None) -> Event:
        """A step in the life of a discrepancy. ``reason``: why it is dismissed."""
        rules, now, window = self._rules, step.now, step.window
        hashes = [shown_hash(version) for version in step.versions]
        body = {
            "type": "discrepancy",
            "id": now.id,
            "topology": rules.topology,
            "source": rules.source,
            "target": rules.target,
            "key": shown_key(step.text, rules.keys),
            "kind": str(now.difference.kind),
            "status": str(step.status),
            "window": {"start": instant(window[0]), "end": instant(window[1])},
            "source_ref": self._ref(0, step.versions[0]),
            "target_ref": self._ref(1, step.versions[1]),
            "source_hash": hashes[0].hex() if hashes[0] is not None else None,
            "target_hash": hashes[1].hex() if hashes[1] is not None else None,
            "first_seen": instant(now.first_seen),
            "occurrences": now.occurrences,
            "chain": rules.chain,
            "time": instant(appended * 1000),
        }
        if step.status == Status.RESOLVED:
            body["open_for_us"] = window[1] - now.first_seen
        if reason is not None:
            body["reason"] = reason
        return Event("discrepancies", now.id, dumps(body))

    def _ref(self, which: int, version: np.void) -> dict[str, Any] | None:
        if version["state"] == State.NEVER or version["flags"] & Flag.MARK:
            return None
        return self._parts[which][int(version["part"])].ref(int(version["offset"]))

    def certificate(
        self,
        memory: Memory,
        opened: int,
        window: tuple[int, int],
        causes: Sequence[Cause],
        counts: Mapping[str, int],
        roots: Mapping[str, str],
        marks: Marks,
        passed: Suspension | None = None,
    ) -> Event:
        """The certificate of a window, or of a run of windows without rows, linked into the chain that ``memory`` holds.

        ``opened``: discrepancies open after it. ``passed``: the suspension that ends with this window.
        """
        rules, (start, end) = self._rules, window
        assumed = marks.raw < end
        content: dict[str, Any] = {
            "topology": rules.topology,
            "source": rules.source,
            "target": rules.target,
            "window": {"start": instant(start), "end": instant(end)},
            "number": start // rules.window,
            "windows": (end - start) // rules.window,
            "verdict": _verdict(counts, causes),
            "counts": dict(counts),
            "unresolved": memory.unresolved + sum(1 for c in memory.causes if c.undecodable and c.ended(start)),
            "open": opened,
            "causes": [c.shown() for c in causes],
            "ranges": _ranges(memory, marks),
            "watermarks": {"source": _shown(marks.source), "target": _shown(marks.target)},
            "idle_assumed": assumed,
            "rules": rules.rules,
            "configuration": rules.configuration,
            **roots,
            "time": instant(marks.appended * 1000),
        }
        broken = [memory.assumed.get(c.label) for c in causes if c.kind == "lift_broken"]
        if broken:
            content["lift_broken"] = _extent([b for b in broken if b is not None])
        if passed is not None:
            content["suspended"] = self._stretch(passed) | dict(zip(("source_rows", "target_rows"), passed.rows, strict=True))
        if assumed:
            _assume(memory, start, end, marks)
        return self._linked(memory, "window", content)

    def suspended(self, memory: Memory, held: Suspension, buffered: int, limit: int, appended: int) -> Event:
        """The pair is suspended: rows of ``buffered`` octets wait, at most ``limit`` may. Where it ends may still move on."""
        content = {
            "topology": self._rules.topology,
            "source": self._rules.source,
            "target": self._rules.target,
            "behind": held.behind,
            **self._stretch(held),
            "buffered": buffered,
            "max_buffer": limit,
            "time": instant(appended * 1000),
        }
        return self._linked(memory, SUSPENDED, content)

    def _stretch(self, held: Suspension) -> dict[str, Any]:
        window = self._rules.window
        return {"from": instant(held.first * window), "to": instant(held.until * window)}

    def rebuilt(
        self, memory: Memory, generation: int, opened: Open, rules: str | None, dismissed: tuple[int, str], appended: int
    ) -> Event:
        """The chain's last word in a ``generation``. ``opened`` and ``rules`` are those of the next one; ``dismissed``: how many
        discrepancies, and the root over their events.
        """
        content = {
            "topology": self._rules.topology,
            "source": self._rules.source,
            "target": self._rules.target,
            "generation": {"from": generation, "to": opened.generation},
            "rules": rules,
            "configuration": opened.configuration,
            "dismissed": dismissed[0],
            "events_root": dismissed[1],
            "by": None if opened.by is None else asdict(opened.by),
            "reason": opened.reason,
            "time": instant(appended * 1000),
        }
        return self._linked(memory, "rebuilt", content)

    def stall(self, memory: Memory, type_: str, side: str, since: int | None, waiting: int, appended: int) -> Event:
        """A side is ``stalled`` or has ``resumed``; ``since`` (µs; None: it never spoke) is that of the stall in both."""
        content = {
            "topology": self._rules.topology,
            "side": side,
            "since": None if since is None else instant(since),
            "waiting": waiting,
            "time": instant(appended * 1000),
        }
        return self._linked(memory, type_, content)

    def drift(self, memory: Memory, side: str, columns: Sequence[str], appended: int) -> Event:
        """Columns appeared on a side, and are not compared."""
        content = {
            "topology": self._rules.topology,
            "side": side,
            "columns": list(columns),
            "time": instant(appended * 1000),
        }
        return self._linked(memory, "schema_drift", content)

    def act(self, memory: Memory, record: Act, appended: int) -> Event:
        """The service was started or stopped."""
        content = {
            "topology": self._rules.topology,
            "stages": list(record.stages),
            "by": asdict(record.by),
            "time": instant(appended * 1000),
        }
        return self._linked(memory, record.act, content)

    def _linked(self, memory: Memory, type_: str, content: Mapping[str, Any]) -> Event:
        """The next event of the chain that ``memory`` holds."""
        body, memory.head = link(memory.head, type_, self._rules.chain, content)
        return Event("audit", self._rules.chain, body)


def _assume(memory: Memory, start: int, end: int, marks: Marks) -> None:
    """Notes that these windows were closed on lifts, for the certificate that may have to take it back."""
    for label, reach in marks.lifted.items():
        if reach < end:
            before = memory.assumed.get(label, (start, end))
            memory.assumed[label] = (before[0] if before[1] > reach else start, end)


def _extent(windows: Sequence[tuple[int, int]]) -> dict[str, str | None]:
    """From the first to the last of the windows that a broken lift closed; null if it closed none."""
    if not windows:
        return {"from": None, "to": None}
    return {"from": instant(min(first for first, _ in windows)), "to": instant(max(last for _, last in windows))}


def _ranges(memory: Memory, marks: Marks) -> list[dict[str, Any]]:
    """Positions read since the last certificate, by upstream partition, and the schemas that their messages name."""
    out = []
    for label, (place, start, position, schemas) in marks.positions.items():
        since = memory.shown.get(label, start)
        named = sorted(schema for schema, last in schemas.items() if last > since)
        out.append({**place, "from": since, "to": position} | ({"schemas": named} if named else {}))
        memory.shown[label] = position
    return out


def _shown(time: int) -> str | None:
    return None if time in (NEVER, FOREVER) else instant(time)


def _verdict(counts: Mapping[str, int], causes: Sequence[Cause]) -> str:
    if counts["different"]:
        return "discrepant"
    return "inconclusive" if counts["inconclusive"] or causes else "clean"
