"""What the demo shows: a board while it runs, a line for each event where there is no terminal, the result at the end.

Pure: a board in, something that rich can print out.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream_recon.demo.drive import Board, Said, SideState
from stream_recon.demo.faults import Planted
from stream_recon.demo.score import Found, Line, Result
from stream_recon.demo.world import STALL
from stream_recon.engine.events import instant
from stream_recon.limits import MICROS

STRIP_CELLS = 62
"""Windows that the strip shows: all of a run."""

BAR_CELLS = 24
FULL_SECONDS = 32
"""A lag that fills the bar: from there on it would be an alarm (settle, and what watermarks hold back)."""

_STYLES = {"clean": "green", "discrepant": "red", "inconclusive": "yellow", "empty": "bright_black"}


def board(state: Board, speed: int, rows: int | None) -> RenderableType:
    """The whole picture. ``rows``: how many of the newest faults are listed (None: no list)."""
    parts: list[RenderableType] = [_sides(state), Text(), _windows(state)]
    if rows is not None:
        parts += [Text(), _faults(state, rows)]
    title = f"a dual write with planted faults{state.place}   {clock(state.now)}   {speed}x"
    return Panel(Group(*parts), title=title, title_align="left")


def _sides(state: Board) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("side", "messages", "newest", "watermark"):
        table.add_column(name, justify="right" if name == "messages" else "left", style="bold" if name == "side" else "")
    table.add_column("its lag, full at settle")
    for side in state.sides:
        table.add_row(side.name, f"{side.read:,}", clock(side.newest), clock(side.watermark), _bar(side))
    return table


def _bar(side: SideState) -> Text:
    if side.watermark is None:
        return Text("no change yet", "bright_black")
    lag = max(0, side.at - side.watermark) / MICROS
    cells = min(BAR_CELLS, round(lag * BAR_CELLS / FULL_SECONDS))
    style = "green" if lag < FULL_SECONDS / 4 else "yellow" if lag < FULL_SECONDS else "red"
    return Text("█" * cells, style) + Text("░" * (BAR_CELLS - cells), "bright_black") + Text(f" {lag:4.1f} s")


def _windows(state: Board) -> Text:
    counts = state.tally.windows()
    line = Text("windows closed  ")
    for verdict, count in counts.items():
        line += Text(f"{count} {verdict}  ", _STYLES[verdict])
    cells = sorted(state.strip.items())[-STRIP_CELLS:]
    line += Text("\n")
    for _, verdict in cells:
        line += Text("■", _STYLES[verdict])
    return line + Text(_note(state), "italic")


def _note(state: Board) -> str:
    if state.note:
        return f"\n{state.note}"
    since = state.now - state.start
    if STALL[0] <= since < STALL[1] + 10 * MICROS:
        return "\nthe target stands still: that is lag, within settle, and no alarm is due"
    return ""


def _faults(state: Board, rows: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name, width in (("kind", 14), ("order", 5), ("planted", 8), ("opened", 8), ("resolved", 8), ("what happened", None)):
        table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=width)
    happened = [line for line in state.score.lines() if line.planted is None or line.planted.at <= state.now]
    for line in happened[-rows:]:
        table.add_row(*_fault(line, state.now))
    return table


def _fault(line: Line, now: int) -> list[Text]:
    found, planted = line.found[-1] if line.found else None, line.planted
    if planted is None:
        assert found is not None
        return [
            Text(_short(found.kind), "red"),
            Text(str(found.key)),
            Text("-"),
            Text(said(found.opened)),
            Text("-"),
            Text("not planted"),
        ]
    style = "bright_black" if found is None else "green" if found.resolved else "red"
    healing = planted.healed is not None and planted.healed <= now
    end = "" if found is None else said(found.resolved) if found.resolved else "healing" if healing else "open"
    return [
        Text(_short(planted.kind), style),
        Text(str(planted.key)),
        Text(clock(planted.at)),
        Text("not due" if found is None else said(found.opened), style),
        Text(end, style),
        Text(planted.story, "bright_black"),
    ]


def heading(state: Board, messages: int) -> list[str]:
    """What is about to happen, for a log."""
    stall = f"{clock(state.start + STALL[0])} to {clock(state.start + STALL[1])}"
    return [
        f"a dual write: {messages:,} messages, {len(state.planted)} faults planted; the target stands still from {stall}, "
        "which is lag and no fault",
    ]


def event_line(event: Said) -> str:
    """One event for a log: when it was said, what of which order, and which window opened it."""
    found = event.found
    where = f"in the window to {said(found.window_end)}" if event.status == "opened" else ""
    return f"{said(event.time)}  {event.status:<9} {found.kind:<21} order {found.key}  {where}".rstrip()


def result_table(result: Result) -> Table:
    """Found against planted."""
    table = Table(title="found against planted", title_justify="left", box=None, padding=(0, 1, 0, 0))
    for name in ("planted", "order", "at", "healed", "found", "opened", "resolved", ""):
        table.add_column(name, no_wrap=True)
    for line in result.lines:
        table.add_row(*_result(line.planted, line.found), "ok" if line.right else "WRONG")
    return table


def _result(planted: Planted | None, found: tuple[Found, ...]) -> list[str]:
    key = planted.key if planted is not None else found[0].key
    return [
        _short(planted.kind) if planted is not None else "-",
        str(key),
        clock(planted.at) if planted is not None else "-",
        clock(planted.healed) if planted is not None else "-",
        ", ".join(_short(f.kind) for f in found) or "-",
        ", ".join(said(f.opened) for f in found) or "-",
        ", ".join(said(f.resolved) if f.resolved else "open" for f in found) or "-",
    ]


def _short(kind: str) -> str:
    return kind.removesuffix("_in_target")


def result_lines(result: Result) -> list[str]:
    """Counts in words."""
    summary, certificates = result.summary, result.certificates
    windows = ", ".join(f"{count} {verdict}" for verdict, count in summary["windows"].items())
    chains = "every link holds" if not certificates.broken else f"{len(certificates.broken)} links do not hold"
    planted = [line for line in result.lines if line.planted is not None]
    more = len(result.lines) - len(planted)
    return [
        f"faults: {len(planted)} planted, {sum(line.right for line in planted)} found as planted, {more} more found",
        f"messages: {result.messages:,} sent, {result.accounted:,} accounted for",
        f"windows: {windows}",
        f"certificates: {certificates.count} in {len(certificates.chains)} chains, {chains}",
        *(f"WRONG: {text}" for text in result.wrong),
    ]


def clock(time: int | None) -> str:
    """``HH:MM:SS`` of a time in µs."""
    return "-" if time is None else instant(time)[11:19]


def said(time: str | None) -> str:
    """``HH:MM:SS`` of a time in an event."""
    return "-" if time is None else time[11:19]
