"""What was said against what was planted: a fast wrong answer is worth nothing.

Each planted fault must be opened once, as its kind and in its window; nothing else; and be resolved if a later change healed it.
Every window must be conclusive, and every message a row: none late, none undecodable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from stream_recon.bench.data import Plan

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Named = tuple[int, str, int]
"""Key, kind, start of the window (µs)."""


@dataclass(frozen=True, slots=True)
class Found:
    """The comparison in numbers. ``wrong_end``: open in the end and healed, or the other way round.
    ``singly``: messages that took the slow path.
    """

    planted: int
    found: int
    missed: int
    invented: int
    twice: int
    wrong_end: int
    rows: int
    late: int
    dead_letters: int
    inconclusive_windows: int
    singly: int = 0

    def holds(self, plan: Plan) -> bool:
        """Whether all is as planted."""
        wrong = self.missed + self.invented + self.twice + self.wrong_end + self.late + self.dead_letters
        return not wrong + self.inconclusive_windows and self.found == len(plan.faults) and self.rows == len(plan)

    def to_json(self) -> dict[str, int]:
        """For ``--json``."""
        return asdict(self)


def compared(plan: Plan, discrepancies: Iterable[bytes], summary: Mapping[str, Any], singly: int = 0) -> Found:
    """``discrepancies``: bodies in order. ``summary``: as ``run --once`` gives it."""
    planted = {(f.key, f.kind, f.window): f.heals for f in plan.faults}
    opened: dict[Named, int] = {}
    is_open: dict[int, bool] = {}
    for body in discrepancies:
        event = orjson.loads(body)
        key, status = int(event["key"]["id"]), event["status"]
        if status == "opened":
            named = (key, event["kind"], micros_of(event["window"]["start"]))
            opened[named] = opened.get(named, 0) + 1
        is_open[key] = status in {"opened", "updated"}
    partitions = summary["partitions"]
    return Found(
        planted=len(planted),
        found=len(planted.keys() & opened.keys()),
        missed=len(planted.keys() - opened.keys()),
        invented=len(opened.keys() - planted.keys()),
        twice=sum(count - 1 for count in opened.values()),
        wrong_end=sum(is_open.get(key, False) == heals for (key, _, _), heals in planted.items()),
        rows=sum(p["rows"] for p in partitions),
        late=sum(p["late"] for p in partitions),
        dead_letters=sum(p["dead_letters"] for p in partitions),
        inconclusive_windows=summary["windows"]["inconclusive"],
        singly=singly,
    )


def micros_of(text: str) -> int:
    """An instant of an event, µs since the epoch."""
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
