"""Prometheus's programs: those of the machine, else Debian's package, unpacked into ``.broker``; installed it starts a server."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from tools.programs import Running, free_port, run, tail

HOME: Final = Path(__file__).resolve().parents[1] / ".broker" / "prometheus"
ADVICE: Final = "Debian and Ubuntu: apt-get install prometheus    macOS: brew install prometheus    or prometheus.io/download"
START_SECONDS: Final = 60.0


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


class Prometheus(Running):
    """A Prometheus that scrapes one address each second, with rules; its data goes with it."""

    def __init__(self, scraped: str, rules: Path) -> None:
        self._scraped, self._rules = scraped, rules
        self._place = tempfile.TemporaryDirectory(prefix="prometheus-")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        place, port = Path(self._place.name), free_port()
        self.url = f"http://127.0.0.1:{port}"
        scrape = {"job_name": "stream-recon", "scrape_interval": "1s", "static_configs": [{"targets": [self._scraped]}]}
        settings = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(self._rules)], "scrape_configs": [scrape]}
        (place / "prometheus.yml").write_text(json.dumps(settings), encoding="utf-8")  # YAML, too
        command = [str(program("prometheus")), f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
        with (place / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise PrometheusError(f"Prometheus does not start:\n{tail((place / 'log').read_text(encoding='utf-8'))}")
            time.sleep(0.2)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The answer to an instant query, one entry a series.

        Raises:
            PrometheusError: it is none.
        """
        asked = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/query?{asked}", timeout=30) as answer:
                body: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{expression}: {error.read().decode()}") from error
        found: list[dict[str, Any]] = body["data"]["result"]
        return found

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._place.cleanup()
