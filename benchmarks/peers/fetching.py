"""Installs the engines into ``.broker``, beside the broker: Python's with pip, Java's with Maven, from pinned versions.

- .broker/peers-faust, -quix: virtual environments, from engines/*-requirements.txt
- .broker/peers-streams, -flink: jars, by one profile each of java/pom.xml; classes are compiled anew each time

What cannot be set up is an error: a peer that is missing would look like one that nobody thought of.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from benchmarks.peers.catalogue import HERE, Tools
from tools.kafka.fetch import HOME, java, maven, once
from tools.programs import run

POM: Final = HERE / "java" / "pom.xml"
_PYTHON: Final[tuple[str, ...]] = ("faust", "quix")
_STRICTLY: Final = (
    "--strict",
    "--allow-untyped-decorators",
    "--allow-untyped-calls",
    "--config-file=",
    "--explicit-package-bases",
)
_JAVA: Final = {"streams": "Kafka Streams, 90 MB", "flink": "Flink, 150 MB"}


class PeerError(Exception):
    """A peer cannot be set up or does not do its work. The text says which, why, and what to do."""


def tools(kinds: Iterable[str]) -> Tools:
    """Everything that these kinds of engines need.

    Raises:
        PeerError, BrokerError: one cannot be set up.
    """
    wanted = set(kinds)
    paths = {kind: _environment(kind) for kind in _PYTHON if kind in wanted}
    paths |= {kind: _classes(kind) for kind in _JAVA if kind in wanted}
    return Tools(java("A peer") if wanted & _JAVA.keys() else None, paths)


def versions() -> dict[str, str]:
    """Of the peers, as they are pinned."""
    found = dict(re.findall(r"<([a-z-]+)\.version>([^<]+)<", POM.read_text(encoding="utf-8")))
    for kind, name in (("faust", "faust-streaming"), ("quix", "quixstreams")):
        pinned = re.search(rf"^{name}==(\S+)", _requirements(kind).read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert pinned, f"{_requirements(kind)} does not pin {name}"
        found[name] = pinned[1]
    return found


def check(kinds: Iterable[str]) -> None:
    """Types of the Python engines, each with the libraries of its own environment, which ours has not.

    Raises:
        PeerError: mypy complains.
    """
    given = tools(kinds)
    for kind in _PYTHON:
        if kind in given.paths:
            program = HERE / "engines" / f"{kind}_app.py"
            command = [sys.executable, "-m", "mypy", *_STRICTLY, f"--python-executable={given.paths[kind]}", str(program)]
            said = run(command, {**os.environ, "MYPYPATH": str(program.parent)})
            if said:
                raise PeerError(f"{program.name} does not pass mypy:\n{said}")


def _requirements(kind: str) -> Path:
    return HERE / "engines" / f"{kind}-requirements.txt"


def _environment(kind: str) -> str:
    place = once(f"peers-{kind}", _requirements(kind), lambda fresh: _install(kind, fresh))
    return str(place / "bin" / "python")


def _install(kind: str, place: Path) -> None:
    print(f"peers: installing {kind} into {place}, with pip, once", file=sys.stderr, flush=True)
    locked = ["--quiet", "--require-hashes", "-r", str(_requirements(kind))]
    said = run([sys.executable, "-m", "venv", str(place)]) or run(
        [str(place / "bin" / "python"), "-m", "pip", "install", *locked]
    )
    if said:
        raise PeerError(f"{kind} cannot be installed. Mend that, or leave it out with --only. pip said:\n{said}")


def _classes(kind: str) -> str:
    """The class path: our class of the engine, freshly compiled with all warnings, and its jars."""
    jars = once(f"peers-{kind}", POM, lambda place: maven(POM, _JAVA[kind], "-P", kind, f"-Dplace={place}"))
    compiler = java("A peer").with_name("javac")
    if not compiler.exists():
        raise PeerError(
            f"There is no compiler beside {java('A peer')}. Install a JDK (Debian and Ubuntu: apt-get install"
            f" default-jdk-headless    Fedora: dnf install java-latest-openjdk-devel    macOS: brew install openjdk), or name"
            f" one in JAVA_HOME"
        )
    place = HOME / f"peers-{kind}-classes"
    shutil.rmtree(place, ignore_errors=True)
    sources = [str(HERE / "java" / f"{name}.java") for name in ("Envelope", f"{kind.title()}Job")]
    strictly = ["--release", "17", "-Xlint:all,-processing,-classfile", "-Werror"]
    said = run([str(compiler), *strictly, "-cp", str(jars / "*"), "-d", str(place), *sources])
    if said:
        raise PeerError(f"The Java of {kind} does not compile:\n{said}")
    return f"{place}:{jars / '*'}"
