"""The engines, ours first. What each keeps and promises stands beside it: without that the figures mean nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
OURS: Final = "stream-recon"
_OPENS: Final = [f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("util", "lang", "time")]
"""What Flink asks of Java 17."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One way to do the job.

    ``kind``: what must be installed for it (``fetching``). ``arguments``: of its program. ``keeps``: where state is, and what a
    crash may cost. ``slow``: measured on a fifth of the messages. ``timed``, ``exercised``: what it takes part in; an engine that
    differs from another in its store or its guarantee only is not exercised again.
    """

    name: str
    kind: str
    arguments: Sequence[str]
    keeps: str
    slow: bool = False
    timed: bool = True
    exercised: bool = True


@dataclass(frozen=True, slots=True)
class Tools:
    """What was installed: the interpreter or the class path of each kind, and Java."""

    java: Path | None = None
    paths: Mapping[str, str] = field(default_factory=dict)


ENGINES: Final = (
    Engine(OURS, "ours", (), "RocksDB, digest log; exactly once"),
    Engine("flink-heap", "flink", ("stream", "hashmap", "0"), "heap, checkpoints every 10 s; sink at least once"),
    Engine(
        "flink-rocksdb",
        "flink",
        ("stream", "rocksdb", "0"),
        "RocksDB, checkpoints every 10 s; sink at least once",
        exercised=False,
    ),
    Engine("flink-sql-heap", "flink", ("sql", "hashmap", "0"), "heap, checkpoints every 10 s; sink at least once"),
    Engine(
        "flink-sql-rocksdb",
        "flink",
        ("sql", "rocksdb", "0"),
        "RocksDB, checkpoints every 10 s; sink at least once",
        exercised=False,
    ),
    Engine("flink-heap, withIdleness(30 s)", "flink", ("stream", "hashmap", "30"), "as flink-heap", timed=False),
    Engine("kafka-streams-eos", "streams", ("exactly_once_v2",), "RocksDB, changelog; exactly once v2"),
    Engine("kafka-streams-alo", "streams", ("at_least_once",), "RocksDB, changelog; at least once", exercised=False),
    Engine("quix-eos", "quix", ("exactly-once",), "RocksDB, changelog; exactly once", slow=True, exercised=False),
    Engine("quix-alo", "quix", ("at-least-once",), "RocksDB, changelog; at least once", slow=True),
    Engine("faust", "faust", ("worker", "-l", "warn"), "RocksDB (rocksdict), changelog; at least once", slow=True),
)


def chosen(pattern: str | None) -> list[Engine]:
    """The engines whose name has something that matches.

    Raises:
        ValueError: none has, or it is no regular expression.
    """
    try:
        found = [e for e in ENGINES if pattern is None or re.search(pattern, e.name)]
    except re.error as error:
        raise ValueError(f"--only {pattern}: {error}") from error
    if not found:
        raise ValueError(f"--only {pattern}: matches none of {', '.join(e.name for e in ENGINES)}")
    return found


def command(engine: Engine, tools: Tools, topology: Path, state: Path) -> list[str]:
    """What runs it. ``topology``: for ours, which is told by a file what the others are told by their environment."""
    arguments = list(engine.arguments)
    if engine.kind == "ours":
        own = [sys.executable, "-m", "stream_recon", "run", str(topology), "--state", str(state), "--name", "peers"]
        return [*own, "--every", "60"]
    if engine.kind in {"faust", "quix"}:
        return [tools.paths[engine.kind], str(HERE / "engines" / f"{engine.kind}_app.py"), *arguments]
    memory, main, opens = ("-Xmx3g", "FlinkJob", _OPENS) if engine.kind == "flink" else ("-Xmx2g", "StreamsJob", [])
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [str(tools.java), memory, *opens, quiet, "-cp", tools.paths[engine.kind], main, *arguments]
