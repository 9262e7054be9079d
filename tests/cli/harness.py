"""A small world for the command line: recordings written line by line, one command run over them, and what it left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli.main import run

START_MS = 1_700_000_000_000
"""A multiple of every window used here."""
COMMAND = [sys.executable, "-m", "stream_recon"]
ROOT = Path(__file__).resolve().parents[2]


def line(topic: str, offset: int, payload: Any, *, key: Any = None, partition: int = 0, ts: int = START_MS) -> dict[str, Any]:
    """One recorded message; ``payload`` and ``key``: text as it is, null, or a value to be written as JSON."""
    return {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "ts": ts,
        "key": _text(key),
        "payload": _text(payload),
        "headers": [],
    }


def rows(topic: str, *payloads: Any, step_ms: int = 0) -> list[dict[str, Any]]:
    """Messages of partition 0 with offsets from 0."""
    return [line(topic, at, payload, ts=START_MS + at * step_ms) for at, payload in enumerate(payloads)]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def topology(source: Mapping[str, Any] | None = None, target: Mapping[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """Source ``s`` with topic ``st``, target ``t`` with topic ``tt``, plain JSON rows, key ``id``."""
    side = {"format": "json", "key": ["id"]}
    return {
        "version": 1,
        "name": "x",
        "source": {"name": "s", "topics": ["st"], **side, **(source or {})},
        "targets": [{"name": "t", "topics": ["tt"], **side, **(target or {})}],
        "window": "10s",
        "settle": "10s",
        "clock_skew": "0s",
        "out_of_orderness": "0s",
        **top,
    }


@dataclass(frozen=True)
class Result:
    """Exit code, both streams, and the files of ``--out``."""

    code: int
    stdout: str
    stderr: str
    out: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(body) for body in (self.out / f"{name}.jsonl").read_bytes().splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.out / "summary.json").read_bytes())
        return summary

    @property
    def opened(self) -> list[tuple[Any, str]]:
        """Key and kind of every ``opened``."""
        events = self.events("discrepancies")
        return sorted((tuple(event["key"].values()), event["kind"]) for event in events if event["status"] == "opened")

    @property
    def reasons(self) -> list[str]:
        return [letter["reason"] for letter in self.events("dead_letters")]

    def account_for_every_position(self) -> None:
        """Law 3."""
        for p in self.summary["partitions"]:
            parts = p["rows"] + p["control"] + p["dead_letters"] + p["unused"] + p["gaps"]
            assert p["to"] - p["from"] == parts, p


class World:
    """Files under one directory, and the command line over them."""

    def __init__(self, place: Path, capture: pytest.CaptureFixture[str] | None) -> None:
        self.place = place
        self._capture = capture
        self.out = place / "out"

    def write(self, name: str, lines: Sequence[Mapping[str, Any] | str]) -> Path:
        path = self.place / f"{name}.jsonl"
        path.write_text("".join(f"{text if isinstance(text, str) else json.dumps(text)}\n" for text in lines), encoding="utf-8")
        return path

    def arguments(self, plan: Mapping[str, Any], *extra: str, **sides: Sequence[Mapping[str, Any] | str]) -> list[str]:
        path = self.place / "x.yaml"
        path.write_text(json.dumps(plan), encoding="utf-8")
        recorded = [text for name, lines in sides.items() for text in ("--side", f"{name}={self.write(name, lines)}")]
        return ["replay", str(path), *recorded, "--out", str(self.out), *extra]

    def replay(self, plan: Mapping[str, Any], *extra: str, **sides: Sequence[Mapping[str, Any] | str]) -> Result:
        """``replay`` in this process; every position of what was read is accounted for."""
        result = self.run(*self.arguments(plan, *extra, **sides))
        if (self.out / "summary.json").exists():
            result.account_for_every_position()
        return result

    def run(self, *arguments: str) -> Result:
        assert self._capture is not None
        self._capture.readouterr()
        code = run(list(arguments))
        stdout, stderr = self._capture.readouterr()
        assert "fault of stream-recon itself" not in stdout + stderr, stderr
        return Result(code, stdout, stderr, self.out)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """The command in a process of its own."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([*COMMAND, *arguments], env=environment, **streams)

    def finish(self, process: subprocess.Popen[bytes]) -> Result:
        stdout, stderr = process.communicate(timeout=60)
        return Result(process.returncode, (stdout or b"").decode(), stderr.decode(), self.out)
