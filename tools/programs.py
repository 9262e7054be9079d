"""Other programs, run for what they do: silent when they succeed, quoted when they fail."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Nothing if the command succeeds; else the end of what it said, with its exit code."""
    out, into = subprocess.PIPE, subprocess.STDOUT
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=into, text=True, check=False)
    return "" if done.returncode == 0 else f"{tail(done.stdout)}\n    (exit code {done.returncode})"


def tail(text: str, lines: int = 30) -> str:
    """The end of what a program said, indented."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])
