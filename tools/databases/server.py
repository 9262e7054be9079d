"""One database server as a process of its own: its directory, its port, its user, its start and its end.

    with Postgres() as db:       a fresh, empty database on a free port of the loopback address
        db.run("CREATE ...")     anything; says what the client program said
        db.query("SELECT ...")   one query; its rows as text, exactly

Both servers refuse to run as root: then they run as the first of ``USERS`` that the machine has. Nothing here is durable.
"""

from __future__ import annotations

import abc
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from tools.databases.fetch import DatabaseError, say
from tools.programs import Running, tail

HOST = "127.0.0.1"
USERS = ("postgres", "mysql", "nobody")
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0


class Server(Running):
    """A running server. ``user`` may do everything, replication included. It dies with the process that made it."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    """What asks for an orderly end that does not wait for clients."""

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self.user = "recon"
        self.password = secrets.token_hex(8)
        self.database = "recon"
        self._uid: int | None
        self._gid: int | None
        self._uid, self._gid = _account()
        self._groups: list[str | int] | None = None if self._gid is None else [self._gid]
        self._home = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.log_path = self._home / "server.log"
        self.log_path.write_bytes(b"")

    @abc.abstractmethod
    def _prepare(self) -> Sequence[str]:
        """Makes the data directory; returns the server's command."""

    @abc.abstractmethod
    def _client(self) -> tuple[Sequence[str], Mapping[str, str]]:
        """The client program's command, which reads statements, and its environment. It stops at the first error."""

    @abc.abstractmethod
    def query(self, sql: str) -> list[list[str | None]]:
        """The rows of one query (SELECT, WITH, VALUES; no semicolon) as text, exactly: None is null, '' is not.

        Bytes are no text: ask for them as hex.

        Raises:
            DatabaseError: the server refused it.
        """

    def run(self, sql: str) -> str:
        """Runs statements, in order, as the client program does; returns what it printed: values between tabs, no headings.

        Raises:
            DatabaseError: the server refused one; the text says what it said.
        """
        command, environment = self._client()
        done = subprocess.run(
            command, input=sql.encode("utf-8"), env={**os.environ, **environment}, capture_output=True, check=False
        )
        if done.returncode != 0:
            said = tail(done.stderr.decode("utf-8", "replace"))
            begin = tail(sql[:500], 8)
            raise DatabaseError(f"{self.name} refused statements that begin with\n{begin}\nMend them. It said\n{said}")
        return done.stdout.decode("utf-8")

    def start(self) -> None:
        """Returns when the server answers.

        Raises:
            DatabaseError: it is not there, or does not start; the text shows the end of its log.
        """
        assert self._process is None, "this server runs already"
        if self._uid is not None and self._gid is not None:
            os.chown(self._home, self._uid, self._gid)
        self.port = _free_port()
        command = self._prepare()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,  # Ctrl-C is ours to answer
                user=self._uid,
                group=self._gid,
                extra_groups=self._groups,
            )
        self._guard = _guarding(self._process.pid, self._home)
        self._await_answer(self._process)

    def close(self) -> None:
        """Ends the server, by its process id, and removes its directory."""
        if self._process is not None:
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                say(f"{self.name} did not stop within {STOP_WITHIN_S:.0f} s and is killed; its log ends with\n{self._log_tail()}")
                self._process.kill()
                self._process.wait()
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
        self._process = self._guard = None
        shutil.rmtree(self._home, ignore_errors=True)

    def _once(self, command: Sequence[str]) -> None:
        """A program that makes the data directory, run as the server is."""
        with self.log_path.open("ab") as log:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                user=self._uid,
                group=self._gid,
                extra_groups=self._groups,
                check=False,
            )
        if done.returncode != 0:
            raise self._failed(
                f"could not make its data directory: {Path(command[0]).name} ended with exit code {done.returncode}"
            )

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        """It is our server that answers: no other knows the password."""
        deadline = time.monotonic() + READY_WITHIN_S
        while True:
            if process.poll() is not None:
                raise self._failed(f"ended with exit code {process.returncode} before it was ready")
            try:
                self.run("SELECT 1;")
            except DatabaseError as error:
                if time.monotonic() > deadline:
                    raise self._failed(f"did not answer within {READY_WITHIN_S:.0f} s ({error})") from error
                time.sleep(0.05)
            else:
                return

    def _failed(self, what: str) -> DatabaseError:
        return DatabaseError(
            f"{self.name} {what}. Mend what its log says, then start it again. The log ends with\n{self._log_tail()}"
        )

    def _log_tail(self) -> str:
        return tail(self.log_path.read_text(encoding="utf-8", errors="replace"))


def _account() -> tuple[int, int] | tuple[None, None]:
    """The user and group that the server runs as; None: as this process does."""
    if os.geteuid() != 0:
        return None, None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in USERS:
        if name in known:
            return known[name].pw_uid, known[name].pw_gid
    raise DatabaseError(
        f"Database servers refuse to run as root, and there is none of the users {', '.join(USERS)}. Add one: useradd mysql"
    )


def _free_port() -> int:
    """From below the range that systems give to outgoing connections."""
    for port in random.sample(range(20_000, 32_000), 12_000):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise DatabaseError("No port from 20000 to 31999 is free. End what holds them.")


def _guarding(pid: int, home: Path) -> subprocess.Popen[bytes]:
    """Ends the server when this process ends, however it ends: then the pipe is closed that the guard reads."""
    script = 'read -r _; kill -QUIT "$0"; sleep 1; kill -9 "$0" 2>/dev/null; rm -rf "$1"'
    return subprocess.Popen(["/bin/sh", "-c", script, str(pid), str(home)], stdin=subprocess.PIPE, start_new_session=True)
