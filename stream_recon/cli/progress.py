"""Shows how far a long step is: a bar on a terminal, a line now and then elsewhere, nothing for ``--json``.

Work that takes less than two seconds shows nothing.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from stream_recon.cli.output import say

QUIET_SECONDS = 2.0
LINE_SECONDS = 10.0
"""Between two lines in a log."""


class ProgressReport:
    """Call it with (stage, done, in all); use it as a context, so that the bar is taken away."""

    def __init__(self, *, silent: bool, terminal: bool | None = None) -> None:
        self._silent = silent
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._start = time.monotonic()
        self._next_line = self._start + QUIET_SECONDS
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._silent or now - self._start < QUIET_SECONDS:
            return
        if self._terminal:
            self._draw(stage, done, total)
        elif now >= self._next_line:
            say(f"{stage}: {100 * done // total if total else 100}% after {now - self._start:.0f}s")
            self._next_line = now + LINE_SECONDS

    def _draw(self, stage: str, done: int, total: int) -> None:
        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=Console(stderr=True, force_terminal=True), transient=True)
            self._bar.start()
        if self._task is None or stage != self._stage:
            self._stage = stage
            self._task = self._bar.add_task(stage, total=total)
        self._bar.update(self._task, completed=done, total=total)
