"""What an hour of samples says: trends with their confidence, as a part of a document and as a picture.

A trend is the slope of least squares through the means of ``BLOCKS`` equal stretches after a warm-up. Neighbouring samples are
alike, so an interval from all of them would be too narrow; means over minutes are nearly independent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

BLOCKS: Final = 12
T_95: Final = 2.228
"""Student's t for 95%, two-sided, with ``BLOCKS`` - 2 degrees of freedom."""
LIVED: Final = 0.9
"""A process has a trend if it lived for this share of the time after the warm-up."""
MIB: Final = 2**20
_HOUR: Final = 3600.0

Series = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Trend:
    """Mean, and slope an hour with half the width of its 95% interval."""

    mean: float
    slope: float
    within: float

    @property
    def shows(self) -> bool:
        """The interval does not hold 0."""
        return abs(self.slope) > self.within


def trend(series: Series, begin: float, end: float) -> Trend | None:
    """Over ``[begin, end)``, in seconds; None: a stretch has no sample."""
    length = (end - begin) / BLOCKS
    blocks: list[list[float]] = [[] for _ in range(BLOCKS)]
    for at, value in series:
        if begin <= at < end:
            blocks[min(int((at - begin) / length), BLOCKS - 1)].append(value)
    if not all(blocks):
        return None
    xs = [(begin + (i + 0.5) * length) / _HOUR for i in range(BLOCKS)]
    ys = [fmean(block) for block in blocks]
    x, y = fmean(xs), fmean(ys)
    spread = sum((a - x) ** 2 for a in xs)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / spread
    left = sum((b - y - slope * (a - x)) ** 2 for a, b in zip(xs, ys, strict=True))
    return Trend(y, slope, T_95 * math.sqrt(left / (BLOCKS - 2) / spread))


def trends(samples: Mapping[str, Any], warm_up: float, end: float) -> dict[str, Trend]:
    """Of the tree as a whole, and of each process that lived nearly all the time; by what is said of them."""
    named = {
        "all processes: resident MiB": ("rss", MIB),
        "all processes: own MiB (anonymous)": ("own", MIB),
        "all processes: open files": ("files", 1),
        "all processes: threads": ("threads", 1),
        "state of steady, MiB": ("steady_state_bytes", MIB),
        "state of victim, MiB": ("victim_state_bytes", MIB),
        "open transactions": ("open_transactions", 1),
        "output lag, s": ("output_lag_seconds", 1),
        "event-time lag, s": ("event_time_lag_seconds", 1),
        "messages behind": ("messages_behind", 1),
    }
    wanted = {text: (samples["series"].get(name, []), unit) for text, (name, unit) in named.items()}
    for name, of in samples["processes"].items():
        times = [at for at, _ in of["rss"]]
        if min(times) <= warm_up + (1 - LIVED) * (end - warm_up) and max(times) - max(min(times), warm_up) >= LIVED * (
            end - warm_up
        ):
            text = f"{name.partition('/')[0]}/{samples['stages'][name]}"
            wanted |= {f"{text}: own MiB (anonymous)": (of["own"], MIB), f"{text}: resident MiB": (of["rss"], MIB)}
            wanted |= {f"{text}: open files": (of["files"], 1), f"{text}: threads": (of["threads"], 1)}
    found = ((text, trend([(at, value / unit) for at, value in series], warm_up, end)) for text, (series, unit) in wanted.items())
    return {text: it for text, it in found if it is not None}


# ---- a part of the document ------------------------------------------------------------------------------------------------


def section(result: Mapping[str, Any]) -> str:
    """Markdown: how it was done, what held, what went wrong meanwhile, and trends."""
    lines = [*_how(result), "", *_held(result), "", *_wrong(result), "", *_trends(result)]
    return "\n".join(lines) + "\n"


def _how(result: Mapping[str, Any]) -> Iterator[str]:
    machine, counts = result["machine"], result["counts"]
    yield (
        f"On {result['date'][:10]}, `{result['command']}`, at commit {result['commit']}: {machine['cpu']}, {machine['cores']} "
        f"cores shared with the brokers and others, Python {machine['python']}."
    )
    yield (
        f"{result['seconds'] / 60:.0f} minutes of input: {counts['source']:,} rows of the source and {counts['target']:,} of the "
        f"target, {counts['planted']:,} differences planted, {counts['mended']:,} of them mended."
    )


def _held(result: Mapping[str, Any]) -> Iterator[str]:
    counts = result["counts"]
    if result["broken"]:
        yield "**Not all of it held:**"
        yield ""
        yield from (f"* {line}" for line in result["broken"])
        return
    yield (
        f"All held: {counts['opened']:,} discrepancies opened and {counts['resolved']:,} resolved, each once, in the window and "
        f"of the kind that follow from what was planted, and nothing else; {counts['certificates']:,} certificates in "
        f"{counts['chains']} chains without a break hold every row once, none inconclusive; what a reader of committed messages "
        "saw on the way is what was there at the end; no transaction was left open."
    )


def _wrong(result: Mapping[str, Any]) -> Iterator[str]:
    yield "| what went wrong | times | results at most so far behind, s: median | longest |"
    yield "|---|---|---|---|"
    by_name: dict[str, list[float]] = {}
    for fault in result["faults"]:
        by_name.setdefault(fault["what"], []).append(fault["behind_s"])
    for name, seconds in sorted(by_name.items()):
        yield f"| {name} | {len(seconds)} | {sorted(seconds)[len(seconds) // 2]:.0f} | {max(seconds):.0f} |"


def _trends(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"After a warm-up of {result['warm_up_s'] / 60:.0f} minutes:"
    yield ""
    yield "| | mean | change an hour | 95% |"
    yield "|---|---|---|---|"
    for text, it in result["trends"].items():
        mark = "**" if abs(it["slope"]) > it["within"] else ""
        yield f"| {text} | {it['mean']:,.1f} | {mark}{it['slope']:+,.2f}{mark} | ± {it['within']:,.2f} |"


# ---- a picture ------------------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 720, 110, 60, 26, 34
_PANELS: Final = (
    ("memory of all processes, own, MiB", "own", MIB),
    ("open files of all processes", "files", 1),
    ("state, steady, MiB", "steady_state_bytes", MIB),
    ("how far results are behind, s", "output_lag_seconds", 1),
)


def picture(result: Mapping[str, Any]) -> str:
    """SVG: what was sampled over the time, one below the other; a grey stripe is a fault while it lasts."""
    height = _TOP + len(_PANELS) * (_HEIGHT + _GAP)
    end = result["seconds"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 20} {height}" font-family="sans-serif" '
        'font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for i, (text, name, unit) in enumerate(_PANELS):
        series = [(at, value / unit) for at, value in result["samples"]["series"].get(name, []) if at <= end]
        parts += _panel(text, series, result["faults"], end, _TOP + i * (_HEIGHT + _GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(text: str, series: Series, faults: Sequence[Mapping[str, Any]], end: float, top: int) -> Iterator[str]:
    most = max((value for _, value in series), default=1.0) or 1.0

    def x(at: float) -> float:
        return _LEFT + _WIDTH * at / end

    def y(value: float) -> float:
        return top + _HEIGHT * (1 - value / (1.05 * most))

    for fault in faults:
        width = max(_WIDTH * fault["lasted_s"] / end, 1)
        yield f'<rect x="{x(fault["at"]):.1f}" y="{top}" width="{width:.1f}" height="{_HEIGHT}" fill="#ddd"/>'
    yield f'<text x="{_LEFT}" y="{top - 6}">{text}</text>'
    for value in (0.0, most):
        yield f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
    yield f'<path d="M{_LEFT} {top}V{top + _HEIGHT}H{_LEFT + _WIDTH}" fill="none" stroke="#999"/>'
    points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in series)
    yield f'<polyline points="{points}" fill="none" stroke="#0b62a4" stroke-width="1.2"/>'
    for minute in range(0, int(end / 60) + 1, 10):
        yield f'<text x="{x(minute * 60):.1f}" y="{top + _HEIGHT + 14}" text-anchor="middle">{minute} min</text>'
