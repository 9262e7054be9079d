"""What a process has used: CPU of all its threads, and its largest memory."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reading:
    """Wall (monotonic, the same for all processes of a machine) and CPU seconds, and the peak of memory in octets."""

    wall: float
    cpu: float
    peak: int


def read() -> Reading:
    """Now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Reading(time.monotonic(), used.ru_utime + used.ru_stime, _peak(used.ru_maxrss))


def _peak(told: int) -> int:
    """``ru_maxrss`` of a process that was started by a larger one may be that one's: Linux knows better."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return told if sys.platform == "darwin" else told * 1024
    lines = (line.split() for line in status.splitlines())
    return next(int(line[1]) * 1024 for line in lines if line[0] == "VmHWM:")
