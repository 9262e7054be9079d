"""What a pair says, as bodies: one for each step of a discrepancy's life, one certificate for each window or run of windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stream_recon.align.side import FOREVER, NEVER
from stream_recon.audit.chain import link
from stream_recon.audit.merkle import root
from stream_recon.engine.causes import Cause
from stream_recon.engine.events import dumps, instant, shown_key
from stream_recon.engine.terms import Event, Marks, Memory, Rules
from stream_recon.lifecycle.states import Discrepancy, Status
from stream_recon.model.digest import Flag
from stream_recon.model.versions import State, shown_hash

_EMPTY = root([]).hex()
NOTHING = {"root": _EMPTY, "events_root": _EMPTY}
"""The roots of a window in which nothing was compared and nothing said."""

Parts = tuple[list[tuple[str, int]], list[tuple[str, int]]]
"""Topic and partition of each part, source and target."""


class Saying:
    """Bodies of one pair."""

    def __init__(self, rules: Rules, parts: Parts) -> None:
        self._rules = rules
        self._parts = parts

    def discrepancy(
        self,
        now: Discrepancy,
        status: Status,
        text: bytes | None,
        versions: tuple[np.void, np.void],
        window: tuple[int, int],
        marks: Marks,
    ) -> Event:
        """A step in the life of a discrepancy. ``versions``: S(e) and T(e + settle); ``text``: the key's canonical text."""
        rules = self._rules
        hashes = [shown_hash(version) for version in versions]
        body = {
            "type": "discrepancy",
            "id": now.id,
            "topology": rules.topology,
            "source": rules.source,
            "target": rules.target,
            "key": shown_key(text, rules.keys),
            "kind": str(now.difference.kind),
            "status": str(status),
            "window": {"start": instant(window[0]), "end": instant(window[1])},
            "source_ref": self._ref(0, versions[0]),
            "target_ref": self._ref(1, versions[1]),
            "source_hash": hashes[0].hex() if hashes[0] is not None else None,
            "target_hash": hashes[1].hex() if hashes[1] is not None else None,
            "first_seen": instant(now.first_seen),
            "occurrences": now.occurrences,
            "chain": rules.chain,
            "time": instant(marks.appended * 1000),
        }
        if status == Status.RESOLVED:
            body["open_for_us"] = window[1] - now.first_seen
        return Event("discrepancies", now.id, dumps(body))

    def _ref(self, which: int, version: np.void) -> dict[str, Any] | None:
        if version["state"] == State.NEVER or version["flags"] & Flag.MARK:
            return None
        topic, partition = self._parts[which][int(version["part"])]
        return {"topic": topic, "partition": partition, "offset": int(version["offset"])}

    def certificate(
        self,
        memory: Memory,
        opened: int,
        window: tuple[int, int],
        causes: Sequence[Cause],
        counts: Mapping[str, int],
        roots: Mapping[str, str],
        marks: Marks,
    ) -> Event:
        """The certificate of a window, or of a run of windows without rows, linked into the chain that ``memory`` holds.

        ``opened``: discrepancies open after it.
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
        if assumed:
            _assume(memory, start, end, marks)
        body, memory.head = link(memory.head, "window", rules.chain, content)
        return Event("audit", rules.chain, body)


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
    """Positions read since the last certificate, by upstream partition."""
    out = []
    for label, (place, start, position) in marks.positions.items():
        out.append({**place, "from": memory.shown.get(label, start), "to": position})
        memory.shown[label] = position
    return out


def _shown(time: int) -> str | None:
    return None if time in (NEVER, FOREVER) else instant(time)


def _verdict(counts: Mapping[str, int], causes: Sequence[Cause]) -> str:
    if counts["different"]:
        return "discrepant"
    return "inconclusive" if counts["inconclusive"] or causes else "clean"
