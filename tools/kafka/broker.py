"""A real Kafka broker for developers and tests: one process, KRaft, on the loopback address only.

    python tools/kafka/broker.py                    in the foreground; data in .broker/data stays between runs
    python tools/kafka/broker.py --exec CMD ...     runs CMD with KAFKA_BOOTSTRAP of a fresh broker; exits as CMD does
    python tools/kafka/broker.py --fetch            only fetches what is needed

    with Broker() as broker: ...                    the same for tests: fresh data, free ports

Kafka itself comes from Maven and Java from the machine, see ``fetch``. Not for production: no replicas, small and hasty.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

if not __package__:  # run as a file: its own directory is on the path, and the project is not
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.kafka.fetch import HOME, BrokerError, jars, java, say
from tools.kafka.network import HOST, answers, choose_ports
from tools.kafka.settings import QUICK, USERS, secured
from tools.programs import Running, tail

__all__ = ["QUICK", "USERS", "Broker", "BrokerError", "Member", "broker", "jars", "java", "new_cluster", "secured"]

JVM = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=INFO"]
READY_WITHIN_S = 180.0
"""One that was killed looks through all its logs first, a minute and more on a disk that others use."""
STOP_WITHIN_S = 30.0


@dataclass(frozen=True)
class Member:
    """A broker's place in its cluster, by whose id we know it from others.

    ``ports``: of the plain listener, of the controller, and of a further listener. ``voters``: controllers' ports by node.
    ``door``: the port at which the further listener says that it can be reached, if there is one.
    """

    node: int
    ports: Sequence[int]
    voters: Mapping[int, int]
    cluster: str
    door: int | None = None


def new_cluster() -> str:
    """A random id."""
    cluster = "-"
    while cluster.startswith("-"):  # would be read as an option
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return cluster


class Broker(Running):
    """One broker on ports and data of its own; ``restart`` keeps both. It dies with the process that made it.

    ``data``: a directory that stays, with its log and, while they are free, its ports; None: a temporary one.
    ``settings``: of the server, over ``QUICK``. ``sasl``: opens a second listener, see ``secured``. ``member``: of a cluster of
    several, see ``cluster``.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        settings: Mapping[str, str | int] | None = None,
        sasl: bool = False,
        member: Member | None = None,
    ) -> None:
        """Takes the directory and the ports.

        Raises:
            BrokerError: the directory cannot be written, or another broker runs on it.
        """
        self._temporary = data is None
        self._home = Path(tempfile.mkdtemp(prefix="broker-")) if data is None else data.absolute()
        self._lock = _locked(self._home)
        self._member = member or self._alone()
        self._port, self._controller, self._further = self._member.ports
        self._settings = {**QUICK, **(secured() if sasl else {}), **(settings or {})}
        self._has_sasl = sasl
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.log_path = self._home / "kafka.log"
        self.log_path.write_bytes(b"")

    def _alone(self) -> Member:
        ports = choose_ports(self._home / "ports")
        return Member(1, ports, {1: ports[1]}, new_cluster())

    @property
    def bootstrap(self) -> str:
        """Address of the plain listener."""
        return f"{HOST}:{self._port}"

    @property
    def sasl_bootstrap(self) -> str:
        """Address of the SASL_PLAINTEXT listener."""
        assert self._has_sasl, "only Broker(sasl=True) has a SASL listener"
        return f"{HOST}:{self._further}"

    def login(self, user: str, password: str | None = None) -> dict[str, Any]:
        """What confluent-kafka needs to come as this user by the SASL listener."""
        return {
            "bootstrap.servers": self.sasl_bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": USERS[user] if password is None else password,
        }

    @property
    def pid(self) -> int | None:
        """Of its process, while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Returns when the broker answers.

        Raises:
            BrokerError: it cannot be fetched, or does not start; the text shows the end of its log.
        """
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Starts the process, and does not wait: one of several answers when most of them run.

        Raises:
            BrokerError: it cannot be fetched, or refuses its settings.
        """
        assert self._process is None, "this broker runs already"
        try:
            everything = jars() / "*"  # before java(): Maven may bring one
            command = [str(java()), *JVM, "-cp", str(everything)]
            config = self._configured()
            self._format(command, config)
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    [*command, "kafka.Kafka", str(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is ours to answer
                )
            self._guard = guarding(self._process.pid)
        except BaseException:
            self.kill()
            raise

    def await_answer(self) -> None:
        """Returns when the broker answers.

        Raises:
            BrokerError: it does not; the text shows the end of its log.
        """
        assert self._process is not None, "this broker does not run"
        try:
            self._await_answer(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """An orderly end (SIGTERM). Does nothing if the broker does not run."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                say(f"did not stop within {STOP_WITHIN_S:.0f} s and is killed; its log ends with\n{self._log_tail()}")
        self.kill()

    def kill(self) -> None:
        """An end without warning (SIGKILL); returns when the process is gone and its ports are free."""
        for process in (self._process, self._guard):
            if process is not None:
                process.kill()
                process.wait()
                if process.stdin is not None:
                    process.stdin.close()
        self._process = self._guard = None

    def restart(self) -> None:
        """Stops the broker if it runs, and starts it on the same ports and data."""
        self.stop()
        self.start()

    def wait(self) -> None:
        """Waits until the broker ends by itself, which it should not.

        Raises:
            BrokerError: it did.
        """
        assert self._process is not None, "this broker does not run"
        self._process.wait()
        raise self._failed(f"ended by itself with exit code {self._process.returncode}")

    def close(self) -> None:
        """Stops the broker and gives its directory back."""
        self.stop()
        self._lock.close()
        if self._temporary:
            shutil.rmtree(self._home, ignore_errors=True)

    def _configured(self) -> Path:
        member = self._member
        listeners = {"PLAINTEXT": (self._port, "PLAINTEXT"), "CONTROLLER": (self._controller, "PLAINTEXT")}
        advertised = {"PLAINTEXT": self._port}
        if self._has_sasl:
            listeners["SASL"] = (self._further, "SASL_PLAINTEXT")
            advertised["SASL"] = self._further
        if member.door is not None:
            listeners["DOOR"] = (self._further, "PLAINTEXT")
            advertised["DOOR"] = member.door
        settings = {
            "node.id": member.node,
            "process.roles": "broker,controller",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": ",".join(f"{node}@{HOST}:{port}" for node, port in member.voters.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(f"{name}://{HOST}:{port}" for name, (port, _) in listeners.items()),
            "advertised.listeners": ",".join(f"{name}://{HOST}:{port}" for name, port in advertised.items()),
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, (_, protocol) in listeners.items()),
            "log.dirs": self._home / "log",
            **self._settings,
        }
        path = self._home / "server.properties"
        lines = [f"{name}={value}".replace("\\", "\\\\") for name, value in settings.items()]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def _format(self, command: Sequence[str], config: Path) -> None:
        """New data get the cluster's id; what is there already keeps the one that it has."""
        if (self._home / "log" / "meta.properties").exists():
            return
        storage = [*command, "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", self._member.cluster]
        with self.log_path.open("ab") as log:
            if subprocess.call([*storage, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log):
                raise self._failed("refused its settings")

    @property
    def _cluster(self) -> str:
        meta = self._home / "log" / "meta.properties"
        found = re.search(r"^cluster\.id=(.+)$", meta.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert found, f"{meta} has no cluster.id"
        return found[1]

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline, cluster = time.monotonic() + READY_WITHIN_S, self._cluster
        while not answers(self._port, cluster):
            if process.poll() is not None:
                raise self._failed(f"ended with exit code {process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise self._failed(f"did not answer within {READY_WITHIN_S:.0f} s")
            time.sleep(0.05)

    def _failed(self, what: str) -> BrokerError:
        advice = "Mend what its log says, then start it again"
        return BrokerError(f"The broker {what}. {advice}. The log ends with\n{self._log_tail()}")

    def _log_tail(self) -> str:
        """Without Java's stack frames, which would push the reason out of sight."""
        lines = self.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return tail("\n".join(line for line in lines if not line.startswith("\t")))


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """Where a broker is: the one of ``KAFKA_BOOTSTRAP``, or one of its own meanwhile."""
    if named := os.environ.get("KAFKA_BOOTSTRAP"):
        yield named
        return
    with Broker() as own:
        yield own.bootstrap


def _locked(home: Path) -> IO[str]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("a", encoding="ascii")
    except OSError as error:
        raise BrokerError(f"{home} cannot hold the broker's data: {error}. Name a directory that this user can write.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BrokerError(f"Another broker runs on {home}. Use that one, or stop it first.") from None
    return lock


def guarding(pid: int) -> subprocess.Popen[bytes]:
    """Kills the broker when this process ends, however it ends: then the pipe is closed that the guard reads."""
    script = 'read -r _; kill -9 "$0"'
    return subprocess.Popen(["/bin/sh", "-c", script, str(pid)], stdin=subprocess.PIPE, start_new_session=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="A real Kafka broker for developers and tests.")
    parser.add_argument("--data", type=Path, default=HOME / "data", help="where the foreground broker keeps its data")
    parser.add_argument("--fetch", action="store_true", help="only fetch what is needed")
    parser.add_argument("--exec", nargs=argparse.REMAINDER, metavar="CMD", help="run CMD with KAFKA_BOOTSTRAP of a fresh broker")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.fetch:
            say(f"{jars()}, {java()}")
        elif options.exec is not None:
            return _execute(options.exec)
        else:
            _serve(options.data)
    except BrokerError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _serve(data: Path) -> None:
    say("starting")
    with Broker(data) as broker:
        print(f"KAFKA_BOOTSTRAP={broker.bootstrap}", flush=True)
        say(f"Ctrl-C stops it; data and log stay in {data}")
        with contextlib.suppress(KeyboardInterrupt):  # the way it is meant to end
            broker.wait()
    say("stopped")


def _execute(command: Sequence[str]) -> int:
    if not command or not shutil.which(command[0]):
        raise BrokerError(f"--exec needs a command that can be run, not: {' '.join(command) or '(nothing)'}")
    say("starting")
    with Broker() as broker:
        child = subprocess.Popen(command, env={**os.environ, "KAFKA_BOOTSTRAP": broker.bootstrap})
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the command too: how to end is its decision
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
