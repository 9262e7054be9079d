"""One Java program in the background: started, awaited, ended by its pid, and never longer alive than who started it."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tools.connect.fetch import ConnectError, say
from tools.kafka.broker import guarding
from tools.kafka.network import HOST, choose_ports
from tools.programs import Running, tail

JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
READY_WITHIN_S = 90.0
STOP_WITHIN_S = 10.0
ANSWER_WITHIN_S = 60.0
TAIL_LINES = 40


class Refusal(Exception):
    """An HTTP answer that is an error: its status and what it said."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"HTTP {status}: {said}")
        self.status = status


class Program:
    """A Java program with a directory and a port of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.home = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.port = choose_ports(self.home / "ports")[0]
        self.log_path = self.home / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it serves HTTP."""
        return f"http://{HOST}:{self.port}"

    def start(self, command: Sequence[str], is_ready: Callable[[], bool]) -> None:
        """Returns when it is ready.

        Raises:
            ConnectError: it ends or stays silent; the text shows the end of its log.
        """
        assert self._process is None, f"this {self._name} runs already"
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to answer
            )
        self._guard = guarding(self._process.pid)
        deadline = time.monotonic() + READY_WITHIN_S
        while not is_ready():
            if self._process.poll() is not None:
                raise self.failed(f"ended with exit code {self._process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise self.failed(f"did not answer within {READY_WITHIN_S:.0f} s")
            time.sleep(0.05)

    def close(self) -> None:
        """Ends the program and removes its directory."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                say(f"{self._name} did not stop within {STOP_WITHIN_S:.0f} s and is killed")
        for process in (self._process, self._guard):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._guard = None
        shutil.rmtree(self.home, ignore_errors=True)

    def failed(self, what: str) -> ConnectError:
        """The error for this, with the end of the log, without Java's stack frames, which push the reason out of sight."""
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        said = tail("\n".join(line for line in lines if not line.startswith("\tat ")), TAIL_LINES)
        return ConnectError(f"{self._name} {what}. Mend what its log says, then start it again. The log ends with\n{said}")

    def ask(self, path: str, *, method: str = "GET", body: object = None) -> Any:
        """The JSON that it answers, None for an empty answer.

        Raises:
            Refusal: it answers with an error.
            OSError: it does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise Refusal(error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text else None

    def answers(self, path: str) -> bool:
        """Whether it answers there without an error."""
        try:
            self.ask(path)
        except (OSError, Refusal):
            return False
        return True


class Service(Running):
    """What one program offers, for as long as the ``with`` lasts."""

    def __init__(self, name: str) -> None:
        self._program = Program(name)

    def close(self) -> None:
        """Ends the program; what it knew is gone."""
        self._program.close()
