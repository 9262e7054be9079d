"""Other programs, run for what they do: silent when they succeed, quoted when they fail."""

from __future__ import annotations

import abc
import socket
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Nothing if the command succeeds; else the end of what it said, with its exit code."""
    out, into = subprocess.PIPE, subprocess.STDOUT
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=into, text=True, check=False)
    return "" if done.returncode == 0 else f"{tail(done.stdout)}\n    (exit code {done.returncode})"


def tail(text: str, lines: int = 30) -> str:
    """The end of what a program said, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Running(abc.ABC):
    """Something that runs for as long as a ``with`` lasts; a start that fails is closed too."""

    @abc.abstractmethod
    def start(self) -> None:
        """Returns when it can be used."""

    @abc.abstractmethod
    def close(self) -> None:
        """Ends it, started or not, and gives back what it holds."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
