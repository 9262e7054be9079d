"""One engine as a tree of processes, of a session of its own: what it has used, and its end. Reads ``/proc``, so Linux only."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.kafka.broker import guarding
from tools.programs import Running, tail

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_STOP_S: Final = 20.0
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Use:
    """CPU seconds since the start, user and system; resident octets now."""

    cpu: float
    resident: int


class Tree(Running):
    """Started in a session, by which its descendants are known however they were made; ended as a whole."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._command, self._environment, self._log = command, environment, log
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._guard = guarding(self._process.pid)

    def exit_code(self) -> int | None:
        """None: its first process has not ended."""
        assert self._process is not None
        return self._process.poll()

    def said(self) -> str:
        """The end of its log, without Java's stack frames, which would push the reason out of sight."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return tail("\n".join(line for line in lines if not line.startswith("\t")))

    def use(self) -> Use:
        """Now. Descendants that ended count with their parents."""
        assert self._process is not None
        each = list(_session(self._process.pid))
        return Use(sum(ticks for ticks, _ in each) / _TICKS, sum(pages for _, pages in each) * _PAGE)

    def close(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        deadline = time.monotonic() + _STOP_S
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        with suppress(ProcessLookupError):  # all of it has ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.kill()
            self._guard.wait()
            self._guard.stdin.close()


def _session(leader: int) -> Iterator[tuple[int, int]]:
    """(ticks, pages) of each process of a session."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                after = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(after[3]) == leader:
                    yield sum(map(int, after[11:15])), int(after[21])
