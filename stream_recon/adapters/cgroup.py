"""The memory that Linux counts and limits for this container or unit: control groups, version 2 and 1."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_UNLIMITED: Final = 1 << 60
"""Version 1 says "no limit" by a number about as large as there are."""


def memory(groups: Path = Path("/sys/fs/cgroup"), mine: Path = Path("/proc/self/cgroup")) -> tuple[int, int | None] | None:
    """Octets in use, without page cache that can be dropped, and the limit (None: there is none); None where nothing is counted,
    as elsewhere than on Linux.
    """
    try:
        lines = [line.split(":", 2) for line in mine.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return None
    for number, controllers, path in lines:
        if number == "0":
            place, names, cache = groups, ("memory.current", "memory.max"), "inactive_file"
        elif "memory" in controllers.split(","):
            place, names, cache = groups / "memory", ("memory.usage_in_bytes", "memory.limit_in_bytes"), "total_inactive_file"
        else:
            continue
        for directory in (place / path.lstrip("/"), place):  # within a container the path may be the host's
            used, limit = (_number(directory / name) for name in names)
            if used is not None:
                used = max(0, used - _counted(directory / "memory.stat", cache))
                return used, None if limit is None or limit >= _UNLIMITED else limit
    return None


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _counted(stat: Path, name: str) -> int:
    try:
        lines = (line.split() for line in stat.read_text(encoding="ascii").splitlines())
    except OSError:
        return 0
    return next((int(line[1]) for line in lines if line[0] == name), 0)
