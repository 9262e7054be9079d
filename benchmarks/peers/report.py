"""Figures of several rounds, each value the middle one, and the tables that docs/peers.md shows.

Of each engine two sizes are run one after the other in a round. Their difference is the work without the start, and tells what a
million messages cost. A ratio is to ours over the same two sizes in the same round: a slower machine changes no ratio.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from benchmarks.peers.catalogue import OURS, Engine
from benchmarks.peers.measuring import Outcome

_MEGA: Final = 1_000_000

Sizes = tuple[int, int]
"""A small and a large number of messages, as asked for."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An engine's two runs in one round."""

    sizes: Sizes
    small: Outcome
    large: Outcome

    @property
    def cpu(self) -> float:
        """Seconds a million messages, without the start. Not above 0: too few messages for the start's own variation."""
        return (self.large.cpu_s - self.small.cpu_s) / (self.large.messages - self.small.messages) * _MEGA

    @property
    def rate(self) -> float:
        """Messages a second of the large run, with the start."""
        return self.large.messages / self.large.wall_s

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Round = Mapping[str, Sequence[Pair]]
"""By engine; ours for each pair of sizes that some engine is measured at."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One engine at one pair of sizes over all rounds. ``times_ours``: None where ours was not run.
    Neither is told where too few messages make no difference.

    Verdicts: the worst of the large runs.
    """

    engine: str
    messages: int
    rounds: int
    cpu_s_per_million: float | None
    times_ours: float | None
    wall_s: float
    messages_per_s: int
    peak_mb: int
    state_mb: int
    found: int
    planted: int
    invented: int
    repeated: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(rounds: Sequence[Round], failed: Container[str] = ()) -> list[Figure]:
    """Of each engine and pair of sizes, in the order of the first round. ``failed``: engines that have none."""
    names = [name for name in (rounds[0] if rounds else ()) if name not in failed]
    kept = [{name: one[name] for name in names} for one in rounds]
    return [_figure(kept, name, pair.sizes) for name in names for pair in kept[0][name]]


def _figure(rounds: Sequence[Round], name: str, sizes: Sizes) -> Figure:
    mine = [_at(one[name], sizes) for one in rounds]
    ours = [_at(one[OURS], sizes) for one in rounds if OURS in one]
    said = [pair.large.said for pair in mine]
    told = all(pair.cpu > 0 for pair in mine)
    compared = ours and told and all(pair.cpu > 0 for pair in ours)
    return Figure(
        engine=name,
        messages=mine[0].large.messages,
        rounds=len(mine),
        cpu_s_per_million=round(median(pair.cpu for pair in mine), 2) if told else None,
        times_ours=round(median(m.cpu / o.cpu for m, o in zip(mine, ours, strict=True)), 2) if compared else None,
        wall_s=round(median(pair.large.wall_s for pair in mine), 1),
        messages_per_s=round(median(pair.rate for pair in mine)),
        peak_mb=round(max(pair.large.peak_mb for pair in mine)),
        state_mb=round(median(pair.large.state_mb for pair in mine)),
        found=min(one["found"] for one in said),
        planted=said[0]["planted"],
        invented=max(one["invented"] for one in said),
        repeated=max(one["repeated"] for one in said),
    )


def _at(pairs: Iterable[Pair], sizes: Sizes) -> Pair:
    return next(pair for pair in pairs if pair.sizes == sizes)


def table(found: Iterable[Figure], engines: Iterable[Engine]) -> list[str]:
    """Lines of Markdown."""
    keeps = {engine.name: engine.keeps for engine in engines}
    head = (
        "engine",
        "state and promise",
        "messages",
        "CPU s a million",
        "times ours",
        "messages/s",
        "peak MB",
        "found",
        "invented",
    )
    lines = [_line(head), _line(["---"] * len(head))]
    for one in found:
        ratio = "" if one.times_ours is None or one.engine == OURS else f"{one.times_ours:.2f}"
        cpu = "too few messages" if one.cpu_s_per_million is None else f"{one.cpu_s_per_million:.2f}"
        cells = (one.engine, keeps[one.engine], f"{one.messages:,}", cpu, ratio)
        rest = (f"{one.messages_per_s:,}", f"{one.peak_mb:,}", f"{one.found:,} of {one.planted:,}", f"{one.invented:,}")
        lines.append(_line(cells + rest))
    return lines


def exercises(outcomes: Mapping[str, Mapping[str, Outcome]]) -> list[str]:
    """Lines of Markdown. ``outcomes``: by exercise and engine."""
    head = ["engine", *(f"{name}: {what}" for name in outcomes for what in ("found", "invented"))]
    lines = [_line(head), _line(["---"] * len(head))]
    for engine in next(iter(outcomes.values()), {}):
        said = [of[engine].said for of in outcomes.values()]
        lines.append(
            _line([engine, *(cell for one in said for cell in (f"{one['found']} of {one['planted']}", f"{one['invented']:,}"))])
        )
    return lines


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
