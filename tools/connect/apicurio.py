"""A real schema registry for developers and tests: Apicurio Registry, in memory, on the loopback address only.

    with Apicurio() as registry: ...        registry.url is what a Confluent client is given

It speaks three languages to the same schemas: Confluent's (``url``), Apicurio's own of version 2, which the Avro converter
uses (``converter_url``), and of version 3.
"""

from __future__ import annotations

from typing import Any

from tools.connect.fetch import AVRO_CONVERTER, part, registry_java
from tools.connect.process import JVM, Service
from tools.kafka.network import HOST

_CONFLUENT = "/apis/ccompat/v7"
_NATIVE = "/apis/registry/v2"


class Apicurio(Service):
    """One registry on a port of its own, empty at the start. It dies with the process that made it."""

    def __init__(self) -> None:
        super().__init__("apicurio")

    @property
    def url(self) -> str:
        """Base of the Confluent-compatible API."""
        return f"{self._program.address}{_CONFLUENT}"

    @property
    def converter_url(self) -> str:
        """Base of the API that the Avro converter speaks."""
        return f"{self._program.address}{_NATIVE}"

    def converter(self) -> dict[str, str]:
        """Settings of a connector that writes Avro by this registry: magic 0 and a 4-byte id that ``schema`` knows."""
        common = {
            "": AVRO_CONVERTER,
            ".apicurio.registry.url": self.converter_url,
            ".apicurio.registry.auto-register": "true",
            ".apicurio.registry.find-latest": "true",
            ".apicurio.registry.as-confluent": "true",
            ".apicurio.registry.use-id": "contentId",  # global ids mean other schemas to the Confluent API, or none
            ".apicurio.registry.headers.enabled": "false",
        }
        names = {f"{kind}.converter{name}": value for kind in ("key", "value") for name, value in common.items()}
        return {**names, "schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro"}

    def schema(self, number: int) -> Any:
        """What the Confluent API answers for this id: ``{"schema": "..."}`` at least.

        Raises:
            Refusal: there is none.
        """
        return self._program.ask(f"{_CONFLUENT}/schemas/ids/{number}")

    def start(self) -> None:
        """Returns when the registry answers.

        Raises:
            BrokerError: it cannot be fetched, or does not start.
        """
        jar = part("registry") / "quarkus-run.jar"
        settings = {
            "quarkus.http.host": HOST,
            "quarkus.http.port": str(self._program.port),
            "quarkus.log.level": "WARN",
            "quarkus.banner.enabled": "false",
        }
        options = [f"-D{name}={value}" for name, value in settings.items()]
        command = [str(registry_java()), "-Xmx160m", *JVM, *options, "-jar", str(jar)]
        self._program.start(command, lambda: self._program.answers(f"{_CONFLUENT}/subjects"))
