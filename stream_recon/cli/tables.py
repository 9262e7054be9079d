"""A picture of the service as tables for people, narrow enough for 80 columns: pure, used by ``run`` and ``status``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from rich.table import Table
from rich.text import Text

from stream_recon.cli.output import printable
from stream_recon.engine.events import instant
from stream_recon.limits import MICROS
from stream_recon.service.picture import PairPicture, Picture, SidePicture, TopologyPicture

Line = TypeVar("Line")

Rates = Mapping[tuple[str, str], float]
"""Rows a second by topology and side."""

_STYLES: Final = {
    "ok": "green",
    "idle": "bright_black",
    "loading": "cyan",
    "paused": "yellow",
    "unread": "yellow",
    "stalled": "bold red",
}
_VERDICTS: Final = {"clean": "green", "discrepant": "red", "inconclusive": "yellow"}
_RANKS: Final = {"stalled": 1, "unread": 2, "paused": 3, "loading": 4}
_CALM: Final = 2
_LAG_SECONDS: Final = 60
"""A lag from which on it is shown in yellow."""


def sides(picture: Picture, rates: Rates | None, limit: int | None = None) -> Table:
    """How the sides are read. ``rates`` null: without that column. ``limit``: so many lines; those in trouble are kept."""
    table = _table("topology", "side", ">lag", ">behind", *([] if rates is None else [">rows/s"]), "watermark", "state")
    lines = [(t, s) for t in picture.topologies for s in t.sides]
    for t, s in _fitting(table, lines, lambda line: _rank(*line), limit):
        cells: list[str | Text] = [_name(t.topology), _name(s.side), _lag(s.lag), _count(s.behind)]
        if rates is not None:
            cells.append(_count(round(rates.get((t.topology, s.side), 0))))
        table.add_row(*cells, clock(s.watermark, picture.at), state(t, s, picture.at))
    return table


def pairs(picture: Picture, limit: int | None = None) -> Table:
    """How the pairs compare; windows are certificates since the process began."""
    table = _table("topology", "target", "so far", ">open", ">clean", ">discr.", ">inconcl.", "closed to", ">waiting")
    lines = [(t, p) for t in picture.topologies for p in t.pairs]
    for t, p in _fitting(table, lines, lambda line: not line[1].open, limit):
        counts = [_count(p.windows[name]) for name in _VERDICTS]
        names = _name(t.topology), _name(p.target)
        table.add_row(*names, so_far(p), _count(p.open), *counts, clock(p.closed, picture.at), _count(p.waiting))
    return table


def trouble(topology: TopologyPicture, side: SidePicture) -> bool:
    """Whether somebody should look at a side."""
    return _rank(topology, side) < _CALM


def _rank(topology: TopologyPicture, side: SidePicture) -> int:
    """0 and 1: trouble; from 2 on: how much it is worth a look."""
    if topology.stopped is not None:
        return 0
    return _RANKS.get(side.state, len(_RANKS) + 1)


def state(topology: TopologyPicture, side: SidePicture, at: int) -> Text:
    """The one word that says most about a side, and what belongs to it."""
    if topology.stopped is not None:
        return Text("STOPPED", "bold red")
    word, style = side.state, _STYLES[side.state]
    if word == "stalled":
        since = "it never spoke" if side.since is None else f"since {clock(side.since, at)}"
        waiting = f", {side.waiting:,} wait" if side.waiting else ""
        return Text(f"STALLED {since}{waiting}", style)
    if word == "paused" and side.paused < len(side.readings):
        word = f"paused {side.paused}/{len(side.readings)}"
    return Text("not read here" if word == "unread" else word, style)


def so_far(pair: PairPicture) -> Text:
    """A pair's verdict, and how much of it is seen from here."""
    verdict = pair.verdict
    text = Text("-") if verdict is None else Text(verdict, _VERDICTS[verdict])
    if pair.suspended:
        text.append(" SUSPENDED", "bold red")
    if pair.homes < pair.parts:
        text.append(f" ({pair.homes} of {pair.parts} parts)", "yellow")
    return text


def clock(time: int | None, at: int) -> str:
    """A time for who reads at ``at``: of that day (UTC) without its date."""
    if time is None:
        return "-"
    text, today = instant(time), instant(at)
    return text[11:19] if text[:10] == today[:10] else f"{text[:10]} {text[11:16]}"


def _lag(lag: int | None) -> Text:
    return Text(shown_lag(lag), "yellow" if lag is not None and lag >= _LAG_SECONDS * MICROS else "")


def shown_lag(lag: int | None) -> str:
    """``5.2s``, ``2m05s``, ``3h07m``, ``4d02h``."""
    if lag is None:
        return "-"
    sign, seconds = "-" if lag < 0 else "", abs(lag) / MICROS
    if seconds < 100:
        return f"{sign}{seconds:.1f}s"
    for size, unit, part, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{sign}{int(seconds // size)}{unit}{int(seconds % size // part):02}{small}"
    raise AssertionError(seconds)


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _name(text: str) -> Text:
    return Text(printable(text))


def _table(*columns: str) -> Table:
    """``>``: numbers, to the right. Only names and states give way where it is narrow."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        name = column.removeprefix(">")
        if name in {"topology", "side", "target"}:
            table.add_column(name, overflow="fold", min_width=6)
        elif name in {"state", "so far"}:
            table.add_column(name)
        else:
            table.add_column(name, justify="right" if name != column else "left", no_wrap=True)
    return table


def _fitting(table: Table, lines: Sequence[Line], rank: Callable[[Line], int], limit: int | None) -> list[Line]:
    """At most ``limit`` lines in their order, chosen by their rank; the table says how many it leaves out."""
    if limit is None or len(lines) <= limit:
        return list(lines)
    chosen = sorted(sorted(range(len(lines)), key=lambda i: rank(lines[i]))[:limit])
    table.caption, table.caption_justify = f"and {len(lines) - limit} more", "left"
    return [lines[i] for i in chosen]
