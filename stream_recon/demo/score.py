"""Found against planted: discrepancy events by their keys, and whether each planted fault was told once, by its kind, and closed.

What counts is what a user would see: one discrepancy a fault, of the planted kind, resolved if the fault was healed, open if not,
and nothing beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_recon.audit.chain import check
from stream_recon.demo.faults import Planted
from stream_recon.engine.events import instant


@dataclass(slots=True)
class Found:
    """One discrepancy by its id. ``opened`` and ``resolved`` are when it was said, ``window_end`` the window that opened it."""

    id: str
    key: int
    kind: str
    window_end: str
    opened: str
    resolved: str | None = None
    updates: int = 0

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {name: getattr(self, name) for name in ("id", "kind", "window_end", "opened", "resolved", "updates")}


@dataclass(frozen=True, slots=True)
class Line:
    """A planted fault and what was found of it; a discrepancy that nobody planted has no fault."""

    planted: Planted | None
    found: tuple[Found, ...]

    @property
    def right(self) -> bool:
        """Told exactly once, by its kind, and closed iff it was healed."""
        if self.planted is None or len(self.found) != 1:
            return False
        found = self.found[0]
        return found.kind == self.planted.kind and (found.resolved is None) == (self.planted.healed is None)

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found = [f.to_json() for f in self.found]
        if self.planted is None:
            return {"planted": None, "key": {"id": self.found[0].key}, "found": found, "right": False}
        planted = {
            "kind": str(self.planted.kind),
            "at": instant(self.planted.at),
            "healed": None if self.planted.healed is None else instant(self.planted.healed),
            "story": self.planted.story,
        }
        return {"planted": planted, "key": {"id": self.planted.key}, "found": found, "right": self.right}


@dataclass(slots=True)
class Score:
    """Takes discrepancy events in their order."""

    planted: Sequence[Planted]
    by_id: dict[str, Found] = field(default_factory=dict)

    def take(self, body: bytes) -> Found:
        """One event; returns the discrepancy after it."""
        event = orjson.loads(body)
        status, id_ = event["status"], event["id"]
        if status == "opened":
            self.by_id[id_] = Found(id_, event["key"]["id"], event["kind"], event["first_seen"], event["time"])
        found = self.by_id[id_]
        if status == "updated":
            found.updates += 1
        elif status == "resolved":
            found.resolved = event["time"]
        return found

    def lines(self) -> list[Line]:
        """One line a planted fault, then those for keys at which nothing was planted."""
        by_key: dict[int, list[Found]] = {}
        for found in self.by_id.values():
            by_key.setdefault(found.key, []).append(found)
        out = [Line(p, tuple(by_key.pop(p.key, ()))) for p in self.planted]
        return out + [Line(None, tuple(found)) for found in by_key.values()]


@dataclass(frozen=True, slots=True)
class Certificates:
    """The audit chains, followed from their first body to the last."""

    count: int
    chains: Mapping[str, int]
    broken: Sequence[str]

    @staticmethod
    def of(bodies: Iterable[bytes]) -> Certificates:
        """Checks that each body names the hash of the one before it in its chain."""
        heads, broken = check(bodies)
        chains = {name: head.seq for name, head in sorted(heads.items())}
        return Certificates(sum(chains.values()), chains, [f"{b.chain}: {b.reason}" for b in broken])

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"count": self.count, "chains": dict(self.chains), "broken": list(self.broken)}


@dataclass(frozen=True, slots=True)
class Result:
    """How the demo ended. ``summary``: as in ``summary.json``; ``messages``: how many the world sent; ``place``: where it ran;
    ``unfinished``: what was waited for in vain.
    """

    lines: Sequence[Line]
    certificates: Certificates
    summary: Mapping[str, Any]
    messages: int
    place: str = "the embedded log"
    unfinished: str | None = None

    @property
    def wrong(self) -> list[str]:
        """What does not hold, in words; nothing if all is well."""
        out = [f"{sum(not line.right for line in self.lines)} of {len(self.lines)} lines are not as planted"]
        out = out if any(not line.right for line in self.lines) else []
        if self.unfinished is not None:
            out.append(self.unfinished)
        if self.certificates.broken or not self.certificates.count:
            out.append("the certificate chains do not hold: " + ("; ".join(self.certificates.broken) or "there is none"))
        if self.accounted != self.messages:
            out.append(f"{self.messages} messages were sent, {self.accounted} are accounted for")
        return out

    @property
    def accounted(self) -> int:
        """Messages that the summary accounts for: nothing is skipped on the quiet."""
        return sum(p["rows"] + p["control"] + p["dead_letters"] for p in self.summary["partitions"])

    @property
    def exit_code(self) -> int:
        """0 if found equals planted, every chain holds and every message is accounted for; else 3."""
        return 3 if self.wrong else 0

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "exit_code": self.exit_code,
            "place": self.place,
            "wrong": self.wrong,
            "planted": sum(line.planted is not None for line in self.lines),
            "found": sum(len(line.found) for line in self.lines),
            "lines": [line.to_json() for line in self.lines],
            "certificates": self.certificates.to_json(),
            "messages": self.messages,
            "summary": dict(self.summary),
        }
