"""What ``run`` shows while it runs: a live view in a terminal, log lines elsewhere, or JSON for machines.

All but the JSON goes to stderr: stdout is for results.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import RLock
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from stream_recon.cli import tables
from stream_recon.cli.output import print_json, printable
from stream_recon.engine.events import instant
from stream_recon.service.picture import Picture, TopologyPicture

REFRESH_SECONDS: Final = 0.5
RATE_SECONDS: Final = 5.0
"""Rates are over at least so long, as workers report each second."""

_LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_STYLES: Final = {"WARN": "yellow", "ERROR": "red", "FATAL": "bold red"}
_OTHER_LINES: Final = 7
"""Of the view: two headings, two captions, an empty line, the last line and one to spare."""


class Screen:
    """Shows pictures and log records, from any thread. ``every``: seconds between lines where there is no live view."""

    def __init__(
        self,
        as_json: bool = False,
        every: float = 10.0,
        *,
        terminal: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._as_json = as_json
        self._every = every
        self._clock = clock
        self._lock = RLock()
        self._live: Live | None = None
        console = Console(stderr=True, highlight=False, markup=False)
        if not as_json and (sys.stderr.isatty() and console.is_interactive if terminal is None else terminal):
            self._live = Live(
                Text("starting"), console=console, auto_refresh=False, redirect_stdout=sys.stdout.isatty(), redirect_stderr=True
            )
        self._formatter = logging.Formatter("%(message)s")
        self._rates = _Rates()
        self._due = clock() + (0.0 if self._live is not None else every)
        self._left: Picture | None = None
        """The last picture, if it was not shown."""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Shows what is left and lets go of the terminal; what comes later are lines."""
        with self._lock:
            left, self._left = self._left, None
            if left is not None:
                self._put(left)
            if self._live is not None:
                self._live.stop()
                self._live = None

    def log(self, record: logging.LogRecord, worker: str) -> None:
        """A log record of a worker."""
        self._line(instant(int(record.created * 1e6)), record.levelname, worker, self._formatter.format(record))

    def show(self, picture: Picture) -> None:
        """How all stands now; may be called as often as one likes."""
        with self._lock:
            now = self._clock()
            self._rates.take(now, picture)
            self._left = picture
            if now >= self._due:
                self._left = None
                self._due = now + (REFRESH_SECONDS if self._live is not None else self._every)
                self._put(picture)

    # ---- the ways to show it -------------------------------------------------------------------------------------------

    def _put(self, picture: Picture) -> None:
        if self._as_json:
            print_json(picture.to_json())
        elif self._live is not None:
            view = board(picture, self._rates.rows, self._rates.transactions, self._live.console.height)
            self._live.update(view, refresh=True)
        else:
            for topology in picture.topologies:
                calm = not any(tables.trouble(topology, side) for side in topology.sides)
                text = summary(topology, self._rates.rows, picture.at)
                self._line(instant(picture.at), "INFO" if calm else "WARNING", topology.topology, text)

    def _line(self, at: str, level: str, who: str, text: str) -> None:
        """``2026-11-21T13:00:00Z INFO  normalise-0  reads ...``; further lines of a message are set in."""
        level = _LEVELS.get(level, level)
        line = printable(f"{at[:-8]}Z {level:<5} {who}  {text}".replace("\n", "\n    "))
        with self._lock, suppress(OSError):  # who reads the log may go away: the work goes on
            if self._live is not None:
                self._live.console.print(Text(line, _STYLES.get(level, "")), soft_wrap=True)
            else:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()


@contextmanager
def logged(screen: Screen, who: str) -> Iterator[None]:
    """Log records of this process to the screen, as those of ``who``."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            screen.log(record, who)

    root, handler = logging.getLogger("stream_recon"), Shown()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)


class _Rates:
    """How fast it goes, from the counters of the last seconds."""

    def __init__(self) -> None:
        self.rows: Mapping[tuple[str, str], float] = {}
        self.transactions = 0.0
        self._past: deque[tuple[float, Mapping[tuple[str, str], int], int]] = deque()

    def take(self, now: float, picture: Picture) -> None:
        if self._past and now - self._past[-1][0] < REFRESH_SECONDS:
            return
        rows = {(t.topology, s.side): s.done.rows for t in picture.topologies for s in t.sides}
        self._past.append((now, rows, picture.transactions))
        while len(self._past) > 2 and now - self._past[1][0] >= RATE_SECONDS:
            self._past.popleft()
        since, before, transactions = self._past[0]
        passed = now - since
        if passed > 0:
            self.rows = {name: (count - before.get(name, 0)) / passed for name, count in rows.items()}
            self.transactions = (picture.transactions - transactions) / passed


def board(picture: Picture, rates: Mapping[tuple[str, str], float], transactions: float, height: int) -> RenderableType:
    """The live view, in ``height`` lines if names are short; what is in trouble stays in sight."""
    stopped = [t.stopped for t in picture.topologies if t.stopped is not None]
    room = max(6, height - _OTHER_LINES - len(stopped))
    pairs = sum(len(t.pairs) for t in picture.topologies)
    sides = sum(len(t.sides) for t in picture.topologies)
    below = min(pairs, max(room - sides, room // 2))
    parts: list[RenderableType] = [
        tables.sides(picture, rates, room - below),
        Text(),
        tables.pairs(picture, below),
        *(Text(printable(why), "red") for why in stopped),
        Text("; ".join(_foot(picture, transactions)), "bright_black"),
    ]
    return Group(*parts)


def _foot(picture: Picture, transactions: float) -> Iterator[str]:
    yield f"{instant(picture.at)[11:19]} UTC"
    yield "workers: " + ", ".join(f"{count} {stage}" for stage, count in picture.workers.items())
    yield f"{transactions:.1f} transactions/s"
    yield f"{'-' if picture.backlog is None else format(picture.backlog, ',')} to fold"
    if picture.replaced:
        yield f"{picture.replaced} producers replaced"


def summary(topology: TopologyPicture, rates: Mapping[tuple[str, str], float], at: int) -> str:
    """One topology on one line of a log."""
    parts = [] if topology.stopped is None else [topology.stopped]
    for side in topology.sides:
        rate = rates.get((topology.topology, side.side), 0)
        behind = "-" if side.behind is None else side.behind
        state = tables.state(topology, side, at).plain
        parts.append(f"{side.side}: {state}, lag {tables.shown_lag(side.lag)}, behind {behind}, {rate:.0f} rows/s")
    for pair in topology.pairs:
        windows = ", ".join(f"{count} {verdict}" for verdict, count in pair.windows.items())
        told = ["nothing judged yet" if pair.verdict is None else tables.so_far(pair).plain]
        told += [] if pair.open is None else [f"{pair.open} open"]
        told += [f"windows {windows}", f"closed to {tables.clock(pair.closed, at)}"]
        told += [] if pair.waiting is None else [f"{pair.waiting} rows wait"]
        parts.append(f"{pair.target} compared: {', '.join(told)}")
    return "; ".join(parts)
