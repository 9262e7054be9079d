"""The arrows between rooms, read from the syntax trees: who may import whom, no clock in the core, a docstring everywhere.

``complaints`` is the rule; one test runs it over the package, the others over bad samples that it must catch.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "stream_recon"

EVERYONE = frozenset({"errors", "limits"})
CORE = frozenset({"normalise", "align", "compare", "lifecycle", "audit"})
ALLOWED: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "limits": frozenset(),
    "model": frozenset(),
    "ports": frozenset({"model"}),
    "config": frozenset({"model"}),
    "normalise": frozenset({"model"}),
    "align": frozenset({"model"}),
    "compare": frozenset({"model"}),
    "lifecycle": frozenset({"model"}),
    "audit": frozenset({"model"}),
    "engine": CORE | {"model", "config", "ports"},
    "adapters": frozenset({"model", "ports"}),
    "service": CORE | {"model", "config", "ports", "engine"},
    "sim": CORE | {"model", "config", "ports", "engine", "service", "adapters"},
    "demo": CORE | {"model", "config", "ports", "engine"},
}
"""Rooms that are not named here (``cli``) stand outside and may import everything."""

DOORS: dict[str, frozenset[str]] = {
    "demo": frozenset(
        {"stream_recon.cli.wire", "stream_recon.cli.hosting", "stream_recon.cli.output", "stream_recon.service.report"}
    )
}
"""Single modules that a room may use beyond its arrows. The demo is a command with a room of its own: it takes its pipeline, or
the service and what its workers report, from where adapters meet the engine, and writes as the other commands do, but knows
neither an adapter nor another command."""

VENDORS = frozenset(
    {
        "rocksdict",
        "sqlite3",
        "datafusion",
        "confluent_kafka",
        "faust",
        "prometheus_client",
        "cryptography",
        "boto3",
        "hvac",
        "httpx",
    }
)
"""At most one of them in a file of ``adapters``; in no file of ``model, align, compare, lifecycle, engine``."""

PYDANTIC_ROOM = "config"

IMPURE_MODULES = frozenset({"time", "random", "secrets", "logging", "socket", "threading", "asyncio", "subprocess", "tempfile"})
PURE_ROOMS = CORE | {"model"}
CLOCK_CALLS = frozenset(
    {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "Timestamp.now", "uuid.uuid1", "uuid.uuid4"}
)


def complaints(room: str, name: str, source: str) -> Iterator[str]:
    """What is wrong with the module ``name`` of ``room``."""
    tree = ast.parse(source)
    if not ast.get_docstring(tree):
        yield f"{name}: no module docstring"
    imported = list(_imports(tree))
    allowed = ALLOWED.get(room)
    for module, line in imported:
        top, _, rest = module.partition(".")
        if top == "stream_recon" and allowed is not None:
            target = rest.partition(".")[0]
            known = target in allowed | EVERYONE | {room} or module in DOORS.get(room, frozenset())
            if not known and (target or room != "cli"):
                yield f"{name}:{line}: {room} imports {target or 'the package itself'}"
        if top.startswith("pydantic") and room != PYDANTIC_ROOM:
            yield f"{name}:{line}: pydantic outside {PYDANTIC_ROOM}"
        if room in PURE_ROOMS and top in IMPURE_MODULES:
            yield f"{name}:{line}: {room} is pure and imports {top}"
    vendors = {module.partition(".")[0] for module, _ in imported} & VENDORS
    if room == "adapters" and len(vendors) > 1:
        yield f"{name}: two vendors in one file: {', '.join(sorted(vendors))}"
    if room in {"model", "align", "compare", "lifecycle", "engine"} and vendors:
        yield f"{name}: {room} imports the vendor {', '.join(sorted(vendors))}"
    if room in PURE_ROOMS:
        yield from (f"{name}:{line}: {room} asks the clock or chance" for line in _clock_reads(tree))


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "stream_recon.?" if node.level else node.module or ""
            if base == "stream_recon":
                yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield base, node.lineno


def _clock_reads(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if f"{name}.{node.attr}" in CLOCK_CALLS:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and node.module == "uuid":
            yield from (node.lineno for alias in node.names if f"uuid.{alias.name}" in CLOCK_CALLS)


def test_the_package_keeps_its_arrows() -> None:
    found: list[str] = []
    for path in sorted(ROOT.rglob("*.py")):
        relative = path.relative_to(ROOT)
        room = relative.parts[0].removesuffix(".py")
        found += complaints(room, str(relative), path.read_text(encoding="utf-8"))
    assert found == []


DOC = '"""A room."""\n'


@pytest.mark.parametrize(
    ("room", "source", "complaint"),
    [
        ("align", "x = 1", "no module docstring"),
        ("align", "", "no module docstring"),
        ("align", DOC + "from stream_recon.compare import judge", "align imports compare"),
        ("align", DOC + "from stream_recon import compare", "align imports compare"),
        ("align", DOC + "import stream_recon.engine.replay", "align imports engine"),
        ("align", DOC + "from . import fold", "align imports ?"),
        ("model", DOC + "from stream_recon.config import load_topology", "model imports config"),
        ("config", DOC + "from stream_recon.normalise.canonical import Item", "config imports normalise"),
        ("adapters", DOC + "from stream_recon.engine.replay import replay", "adapters imports engine"),
        ("engine", DOC + "def f():\n    from stream_recon.adapters.rocks import Rocks", "engine imports adapters"),
        ("engine", DOC + "from stream_recon.cli import output", "engine imports cli"),
        ("demo", DOC + "from stream_recon.cli import listing", "demo imports cli"),
        ("demo", DOC + "from stream_recon.adapters.rocks import RocksStore", "demo imports adapters"),
        ("engine", DOC + "from stream_recon.cli.wire import opened", "engine imports cli"),
        ("engine", DOC + "from stream_recon.demo import run_demo", "engine imports demo"),
        ("engine", DOC + "import rocksdict", "engine imports the vendor rocksdict"),
        ("errors", DOC + "from stream_recon.model.plan import Format", "errors imports model"),
        ("adapters", DOC + "import sqlite3, rocksdict", "two vendors in one file: rocksdict, sqlite3"),
        ("normalise", DOC + "import time", "normalise is pure and imports time"),
        ("compare", DOC + "import logging.config", "compare is pure and imports logging"),
        ("lifecycle", DOC + "from random import choice", "lifecycle is pure and imports random"),
        ("audit", DOC + "import datetime\ndatetime.datetime.now()", "audit asks the clock or chance"),
        ("audit", DOC + "from datetime import date\ndate.today()", "audit asks the clock or chance"),
        ("audit", DOC + "import uuid\nf = uuid.uuid4", "audit asks the clock or chance"),
        ("audit", DOC + "from uuid import uuid1 as f", "audit asks the clock or chance"),
        ("engine", DOC + "from pydantic import BaseModel", "pydantic outside config"),
    ],
)
def test_bad_samples_are_caught(room: str, source: str, complaint: str) -> None:
    assert any(complaint in text for text in complaints(room, "sample.py", source))


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("align", DOC + "import numpy\nfrom stream_recon.model.plan import Format\nfrom stream_recon.errors import LogError"),
        ("align", DOC + "from stream_recon import limits\nfrom stream_recon.align.pieces import cut"),
        ("engine", DOC + "from stream_recon.compare.judge import judge\nfrom stream_recon.ports import Log\nimport time"),
        ("adapters", DOC + "import rocksdict\nfrom stream_recon.ports import Store"),
        ("cli", DOC + "from stream_recon import __version__\nfrom stream_recon.engine.replay import replay"),
        ("demo", DOC + "from stream_recon.cli.wire import opened\nfrom stream_recon.engine.replay import bodies\nimport time"),
        ("config", DOC + "from pydantic import BaseModel"),
        ("audit", DOC + "import datetime\nanalysis.now()"),
    ],
)
def test_good_samples_pass(room: str, source: str) -> None:
    assert list(complaints(room, "sample.py", source)) == []
