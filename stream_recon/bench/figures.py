"""What was measured, as figures: of each stage the middle one of several rounds, against the roofline of the same rounds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from confluent_kafka import libversion
from rich.table import Table

from stream_recon.bench.meter import Reading

ROOFLINE, NORMALISE, RECONCILE, BOTH = "roofline", "normalise alone", "reconcile alone", "end to end"
_LIBRARIES: Final = ("confluent-kafka", "pyarrow", "numpy", "datafusion", "rocksdict", "orjson")
_MEGA: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Used:
    """What a process used from its first message on: CPU seconds, and its peak memory in octets, start-up included."""

    cpu: float
    peak: int

    @staticmethod
    def between(first: Reading, last: Reading) -> Used:
        """From one reading to another of the same process."""
        return Used(last.cpu - first.cpu, last.peak)


@dataclass(frozen=True, slots=True)
class Measured:
    """One stage in one round: the messages of both sides, wall seconds, and its processes."""

    messages: int
    wall: float
    processes: Mapping[str, Used]

    @property
    def cpu_per_million(self) -> float:
        """CPU seconds of all processes for a million messages."""
        return sum(u.cpu for u in self.processes.values()) / self.messages * _MEGA

    def to_json(self) -> dict[str, Any]:
        """Raw figures."""
        each = {name: {"cpu_s": round(u.cpu, 4), "peak_mb": round(u.peak / _MEGA, 1)} for name, u in self.processes.items()}
        return {"wall_s": round(self.wall, 4), "processes": each}


Round = Mapping[str, Measured]
"""By stage."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One stage over all rounds, each value the middle one; ``share``: of the roofline's cost, 1.0 is as cheap as that."""

    rate: float
    cpu_per_million: float
    share: float
    peaks: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Rounded for reading."""
        return {
            "messages_per_s": round(self.rate),
            "cpu_s_per_million": round(self.cpu_per_million, 3),
            "percent_of_roofline": round(100 * self.share, 1),
            "peak_mb": {name: round(peak / _MEGA) for name, peak in self.peaks.items()},
        }


def figures(rounds: Sequence[Round]) -> dict[str, Figure]:
    """By stage, in order; of ``end to end`` also each stage's part."""
    found = {stage: _figure(rounds, stage, None) for stage in rounds[0]}
    if BOTH in found:
        for part in ("normalise", "reconcile"):
            found[f"{BOTH}: {part}"] = _figure(rounds, BOTH, part)
    return found


def _figure(rounds: Sequence[Round], stage: str, part: str | None) -> Figure:
    mine = [_part(r[stage], part) for r in rounds]
    shares = [r[ROOFLINE].cpu_per_million / m.cpu_per_million for r, m in zip(rounds, mine, strict=True)]
    names = mine[0].processes
    return Figure(
        median(m.messages / m.wall for m in mine),
        median(m.cpu_per_million for m in mine),
        median(shares),
        {name: max(m.processes[name].peak for m in mine) for name in names},
    )


def _part(measured: Measured, part: str | None) -> Measured:
    if part is None:
        return measured
    return Measured(measured.messages, measured.wall, {n: u for n, u in measured.processes.items() if n.startswith(part)})


def table(stages: Mapping[str, Mapping[str, Any]]) -> Table:
    """Figures, as JSON has them, for people."""
    shown = Table("stage", "messages/s", "CPU s/million", "of the roofline", "peak MB")
    for column in shown.columns[1:]:
        column.justify = "right"
    for cells in rows(stages):
        shown.add_row(*cells)
    return shown


def rows(stages: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The cells of such a table."""
    for stage, figure in stages.items():
        is_part = stage.startswith(f"{BOTH}: ")
        yield (
            f"  of it {stage.removeprefix(f'{BOTH}: ')}" if is_part else stage,
            "" if is_part else f"{figure['messages_per_s']:,}",
            f"{figure['cpu_s_per_million']:.2f}",
            f"{figure['percent_of_roofline']:.0f}%",
            " + ".join(str(peak) for peak in figure["peak_mb"].values()),
        )


def machine() -> dict[str, Any]:
    """Where it was measured."""
    return {"cpu": _cpu_model(), "cores": os.cpu_count(), "system": platform.platform()}


def versions() -> dict[str, str]:
    """What was measured."""
    found = {name: importlib.metadata.version(name) for name in ("stream-recon", *_LIBRARIES)}
    return {**found, "librdkafka": libversion()[0], "python": platform.python_version()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
