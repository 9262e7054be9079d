"""The programs of the database servers: those of the machine, else Debian's packages.

Nothing that is installed here starts a server by itself. MariaDB's ``-core`` packages hold programs alone, no service;
PostgreSQL's package would make and start a cluster called main, unless it is told not to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.programs import run

CREATECLUSTER = Path("/etc/postgresql-common/createcluster.d")
VERSIONS = Path("/usr/lib/postgresql")
"""Where Debian keeps programs of PostgreSQL that are not for the PATH."""
SBIN = Path("/usr/sbin")
"""Where Debian keeps mariadbd; not on every user's PATH."""
LOCK_WAIT_S = 300
"""Somebody else may be installing something."""


class DatabaseError(Exception):
    """There is no database, or it refused something. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What one database is made of: its programs, and where to get them."""

    name: str
    needed: tuple[str, ...]
    packages: tuple[str, ...]
    advice: str


POSTGRES = Programs(
    "PostgreSQL",
    ("initdb", "postgres", "psql"),
    ("postgresql",),
    "Debian and Ubuntu: apt-get install postgresql    Fedora: dnf install postgresql-server    macOS: brew install postgresql",
)
MARIADB = Programs(
    "MariaDB",
    ("mariadb-install-db", "mariadbd", "mariadb"),
    ("mariadb-server-core", "mariadb-client-core"),
    "Debian and Ubuntu: apt-get install mariadb-server    Fedora: dnf install mariadb-server    macOS: brew install mariadb",
)


def say(text: str) -> None:
    """Progress, on stderr: stdout is for what other programs read."""
    print(f"databases: {text}", file=sys.stderr, flush=True)


def postgres_programs() -> Mapping[str, Path]:
    """PostgreSQL's programs by name.

    Raises:
        DatabaseError: they are not there and cannot be installed.
    """
    return _programs(POSTGRES, _postgres_places)


def mariadb_programs() -> Mapping[str, Path]:
    """MariaDB's programs by name.

    Raises:
        DatabaseError: they are not there and cannot be installed.
    """
    return _programs(MARIADB, lambda: [SBIN])


def _postgres_places() -> list[Path]:
    """The newest version first."""
    found = [place for place in VERSIONS.glob("*/bin") if re.fullmatch(r"[0-9]+", place.parent.name)]
    return sorted(found, key=lambda place: int(place.parent.name), reverse=True)


def _programs(wanted: Programs, places: Callable[[], Sequence[Path]]) -> Mapping[str, Path]:
    found = _found(wanted, places())
    if found is None:
        with Path(__file__).open(encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be installing the same
            found = _found(wanted, places())
            if found is None:
                _install(wanted)
                found = _found(wanted, places())
    if found is None:
        raise DatabaseError(
            f"{wanted.name} is installed, and {', '.join(wanted.needed)} are not where they should be. {wanted.advice}"
        )
    return found


def _found(wanted: Programs, places: Sequence[Path]) -> Mapping[str, Path] | None:
    """All of them, the server's from one place: initdb must be of the server's version."""
    for path in (*(str(place) for place in places), None):
        found = {name: shutil.which(name, path=path) or shutil.which(name) for name in wanted.needed}
        whole = {name: Path(place).resolve() for name, place in found.items() if place is not None}
        if len(whole) == len(found):
            return whole
    return None


def _install(wanted: Programs) -> None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        may = "cannot install it: that takes root and apt-get"
        raise DatabaseError(
            f"{wanted.name} is not on this machine, and this process {may}. Install it, then run this again. {wanted.advice}"
        )
    say(f"no {wanted.name} on this machine: installing Debian's packages {' '.join(wanted.packages)}")
    apt = ["apt-get", "--quiet", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_S}"]
    unasked = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*apt, "install", "--yes", "--no-install-recommends", *wanted.packages]
    with _no_cluster_of_its_own():
        if run(install, unasked):  # the usual reason: package lists that are missing or old
            said = run([*apt, "update"], unasked) or run(install, unasked)
            if said:
                raise DatabaseError(
                    f"apt-get could not install {wanted.name}. Mend that, then run this again. {wanted.advice}\n{said}"
                )


@contextlib.contextmanager
def _no_cluster_of_its_own() -> Iterator[None]:
    """PostgreSQL's package asks this when it is set up, and only then."""
    told = CREATECLUSTER / f"tests-{os.getpid()}.conf"
    told.parent.mkdir(parents=True, exist_ok=True)
    told.write_text("create_main_cluster = false\n", encoding="ascii")
    try:
        yield
    finally:
        told.unlink()
