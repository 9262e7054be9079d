"""Prometheus's programs: those of the machine, else Debian's package, unpacked into ``.broker``; installed it starts a server."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.programs import run

HOME: Final = Path(__file__).resolve().parents[1] / ".broker" / "prometheus"
ADVICE: Final = "Debian and Ubuntu: apt-get install prometheus    macOS: brew install prometheus    or prometheus.io/download"


class PrometheusError(Exception):
    """There is no Prometheus. The text says what to do."""


def program(name: str) -> Path:
    """``prometheus`` or ``promtool``.

    Raises:
        PrometheusError: it is not there and cannot be had.
    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    with Path(__file__).open(encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be fetching the same
        if not (HOME / "usr/bin" / name).exists():
            _fetch()
    return HOME / "usr/bin" / name


def _fetch() -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise PrometheusError(f"Prometheus is not on this machine. Install it, then run this again. {ADVICE}")
    print("prometheus: not on this machine: unpacking Debian's package, once", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as place:
        download = ["sh", "-c", f"cd {place} && apt-get --quiet download prometheus"]
        if run(download):  # the usual reason: package lists that are missing or old
            said = run(["apt-get", "--quiet", "update"]) or run(download)
            if said:
                raise PrometheusError(f"apt-get cannot fetch Prometheus. Mend that, then run this again. {ADVICE}\n{said}")
        (package,) = Path(place).glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", package, HOME], check=True)
