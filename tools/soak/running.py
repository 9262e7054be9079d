"""One ``run`` with all its processes, and what the system and its metrics say of them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parents[2]
_STOP_S: Final = 60.0
_METRIC: Final = re.compile(r"^stream_recon_(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Use:
    """What a process holds: resident octets, of these its own, open files, threads; ``cpu``: the seconds that it used."""

    rss: int
    own: int
    files: int
    threads: int
    cpu: float


class Run:
    """Started, killed and started again under one name; ``state``: where it keeps its state."""

    def __init__(
        self,
        name: str,
        bootstrap: str,
        topologies: Sequence[Path],
        place: Path,
        *,
        workers: int,
        digest_partitions: int,
        memory: str = "512MiB",
    ) -> None:
        self.name = name
        self.state = place / f"{name}-state"
        self.log = place / f"{name}.log"
        with socket.socket() as some:
            some.bind(("127.0.0.1", 0))
            self._port: int = some.getsockname()[1]
        self._command = [sys.executable, "-m", "stream_recon", "run", *map(str, topologies)]
        self._command += ["--name", name, "--workers", str(workers)]
        self._command += ["--state", str(self.state), "--metrics", f"127.0.0.1:{self._port}", "--every", "60"]
        self._command += ["--digest-partitions", str(digest_partitions), "--memory", memory]
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap}
        self._process: subprocess.Popen[bytes] | None = None
        self._stages: dict[int, str] = {}

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """The whole tree, at one instant."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """In order; returns the exit code. What does not end is killed, and its code says so."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    # ---- its processes -------------------------------------------------------------------------------------------------

    def processes(self) -> dict[int, str]:
        """What each of them is: run, normalise, reconcile (which has states open), or starting."""
        if self._process is None:
            return {}
        found = {self._process.pid: "run"}
        for pid in _children(self._process.pid):
            if self._stages.get(pid) != "reconcile" and any("/digests-" in name for name in _files(pid)):
                self._stages[pid] = "reconcile"
            found[pid] = self._stages.get(pid, "normalise")
        return found

    def workers(self, stage: str) -> list[int]:
        return [pid for pid, what in self.processes().items() if what == stage]

    def uses(self) -> Iterator[tuple[int, str, Use]]:
        """(pid, stage, use) of each process that is there."""
        for pid, stage in self.processes().items():
            with suppress(OSError, KeyError):
                status = dict(
                    re.findall(r"^(\w+):\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
                )
                ticks = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
                yield (
                    pid,
                    stage,
                    Use(
                        rss=int(status["VmRSS"]) * 1024,
                        own=int(status["RssAnon"]) * 1024,
                        files=sum(1 for _ in _files(pid)),
                        threads=int(status["Threads"]),
                        cpu=sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
                    ),
                )

    def state_bytes(self) -> int:
        """Of all files in its state directory."""
        total = 0
        for at, _, names in os.walk(self.state):
            for name in names:
                with suppress(OSError):  # gone meanwhile
                    total += (Path(at) / name).stat().st_size
        return total

    # ---- its metrics ---------------------------------------------------------------------------------------------------

    def metrics(self) -> Mapping[str, list[float]]:
        """Samples by name, whatever their labels; nothing while it does not serve them."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=2) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        found: dict[str, list[float]] = {}
        for name, _, value in _METRIC.findall(text):
            found.setdefault(name, []).append(float(value))
        return found


def _children(pid: int) -> Iterable[int]:
    """The workers below a process."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in children:
        with suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                yield int(child)


def _files(pid: int) -> Iterator[str]:
    """Names of the files that a process has open."""
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                yield str(link.readlink())
