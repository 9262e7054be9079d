"""What a run came to: verdict, exit code, windows and accounting (DESIGN sections 3.8 and 7), from its certificates."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_recon.engine.upstream import Known

_RANK = {"clean": 0, "inconclusive": 1, "discrepant": 2}
_NAMES = {rank: name for name, rank in _RANK.items()}
EXIT = {"clean": 0, "discrepant": 1, "inconclusive": 2}
FAILED = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """The result of a run. ``partitions`` as in ``summary.json``; ``chains``: how many audit events each has, 0 where none is."""

    verdict: str
    exit_code: int
    windows: Mapping[str, int]
    open: int
    events: Mapping[str, int]
    partitions: Sequence[Mapping[str, Any]]
    warnings: list[str] = field(default_factory=list)
    chains: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """``summary.json``."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "windows": dict(self.windows),
            "open": self.open,
            **self.events,
            "partitions": [dict(p) for p in self.partitions],
            "chains": dict(self.chains),
            "warnings": self.warnings,
        }


class Tally:
    """Counts events as they come; windows are joined over the digest partitions of a pair and summed over pairs."""

    def __init__(self) -> None:
        self._single: dict[tuple[str, int], int] = {}
        self._runs: dict[str, list[tuple[int, int]]] = {}
        self._inconclusive = False
        self._open: dict[str, int] = {}
        self.statuses = dict.fromkeys(("opened", "updated", "resolved", "confirmed", "dismissed"), 0)

    def discrepancy(self, body: bytes) -> None:
        """One discrepancy event."""
        self.statuses[orjson.loads(body)["status"]] += 1

    def certificate(self, body: bytes) -> None:
        """One audit event. Certificates count; a rebuilt chain has nothing open; nothing else shapes a verdict."""
        event = orjson.loads(body)
        if event["type"] == "rebuilt":
            self._open[event["chain"]] = 0
        if event["type"] != "window":
            return
        counts, causes = event["counts"], event["causes"]
        self._open[event["chain"]] = event["open"]
        self._inconclusive |= counts["inconclusive"] > counts["loading"] or bool(causes)
        pair, first = event["target"], event["number"]
        if counts["keys"] or counts["source_rows"] or counts["target_rows"]:
            self._single[pair, first] = max(self._single.get((pair, first), 0), _RANK[event["verdict"]])
        elif causes:
            self._runs.setdefault(pair, []).append((first, first + event["windows"]))

    def windows(self) -> dict[str, int]:
        """Windows that hold a row or a cause, by verdict."""
        out = dict.fromkeys(_RANK, 0)
        singles = dict(self._single)
        for pair, runs in self._runs.items():
            rows = sorted(number for name, number in singles if name == pair)
            for first, end in _disjoint(runs):
                inside = rows[bisect_left(rows, first) : bisect_left(rows, end)]
                for number in inside:
                    singles[pair, number] = max(singles[pair, number], _RANK["inconclusive"])
                out["inconclusive"] += end - first - len(inside)
        for rank in singles.values():
            out[_NAMES[rank]] += 1
        return out

    def verdict(self) -> str:
        """Of the run: discrepant if anything is open, else inconclusive if anything but loading made a window so."""
        if self.open:
            return "discrepant"
        return "inconclusive" if self._inconclusive else "clean"

    @property
    def open(self) -> int:
        """Discrepancies open at the end."""
        return sum(self._open.values())


def _disjoint(runs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The windows of all runs, as runs that do not meet."""
    held: tuple[int, int] | None = None
    for first, end in sorted(runs):
        if held is not None and first <= held[1]:
            held = held[0], max(held[1], end)
            continue
        if held is not None:
            yield held
        held = first, end
    if held is not None:
        yield held


def accounting(known: Iterable[Known]) -> list[dict[str, Any]]:
    """Law 3, one entry an upstream partition."""
    return [
        {
            **k.place,
            "from": k.start,
            "to": k.next,
            "rows": k.counts.rows,
            "control": k.counts.control,
            "dead_letters": k.counts.dead_letters,
            "repeated": k.repeated,
            "unused": k.counts.unused,
            "gaps": k.gaps,
            "late": k.counts.late,
        }
        for k in known
    ]
