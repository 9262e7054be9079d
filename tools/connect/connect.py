"""A real Kafka Connect worker with Debezium for developers and tests: one process, standalone, on the loopback address only.

    with Connect(broker.bootstrap) as connect:
        connect.create("orders", {"connector.class": POSTGRES, ...})       returns when its task runs

Standalone, since a worker alone has nobody to share its work with: no group to join, no topics for its own state.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tools.connect.fetch import ConnectError, part
from tools.connect.process import JVM, Refusal, Service
from tools.kafka.fetch import java
from tools.kafka.network import HOST

POSTGRES = "io.debezium.connector.postgresql.PostgresConnector"
MARIADB = "io.debezium.connector.mariadb.MariaDbConnector"
RUNS_WITHIN_S = 60.0

JSON: Mapping[str, str] = {
    "key.converter": "org.apache.kafka.connect.json.JsonConverter",
    "key.converter.schemas.enable": "true",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "true",
}
"""Settings of a connector that writes JSON with its schema. For Avro see ``Apicurio.converter``."""

_LOGGING = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


class Connect(Service):
    """One worker on a port of its own, without connectors at the start. It dies with the process that made it.

    ``settings``: of the worker, over its defaults here.
    """

    def __init__(self, bootstrap: str, *, settings: Mapping[str, str] | None = None) -> None:
        super().__init__("connect")
        self._bootstrap = bootstrap
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        """Base of Connect's REST API."""
        return self._program.address

    def start(self) -> None:
        """Returns when the worker takes connectors.

        Raises:
            BrokerError: it cannot be fetched, or does not start.
        """
        home = self._program.home
        for name in ("postgres", "mariadb", "avro"):
            plugin = home / "plugins" / name
            plugin.parent.mkdir(exist_ok=True)
            plugin.symlink_to(part(name), target_is_directory=True)
        settings = {
            "bootstrap.servers": self._bootstrap,
            "listeners": f"http://{HOST}:{self._program.port}",
            "plugin.path": home / "plugins",
            "plugin.discovery": "service_load",  # the quick way: plugins are those that jars list, see fetch
            "offset.storage.file.filename": home / "offsets",
            "offset.flush.interval.ms": 1000,
            **JSON,
            **self._settings,
        }
        config, logging = home / "worker.properties", home / "log4j2.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        logging.write_text(_LOGGING, encoding="utf-8")
        options = ["-Xmx320m", *JVM, "-Duser.timezone=UTC", f"-Dlog4j2.configurationFile={logging}", "-cp", f"{part('worker')}/*"]
        command = [str(java()), *options, "org.apache.kafka.connect.cli.ConnectStandalone", str(config)]
        self._program.start(command, lambda: self._program.answers("/connectors"))

    def create(self, name: str, config: Mapping[str, str]) -> None:
        """Returns when the connector's task runs.

        Raises:
            ConnectError: its settings are refused, or it fails: the text shows what it says.
        """
        try:
            self._program.ask(f"/connectors/{name}/config", method="PUT", body=dict(config))
        except Refusal as refusal:
            raise ConnectError(f"Connect refused connector {name}. Mend its settings. It said:\n    {refusal}") from refusal
        deadline = time.monotonic() + RUNS_WITHIN_S
        while not self._runs(name):
            if time.monotonic() > deadline:
                raise self._program.failed(f"did not get the task of connector {name} to run within {RUNS_WITHIN_S:.0f} s")
            time.sleep(0.05)

    def check(self, name: str) -> None:
        """Nothing if the connector runs still.

        Raises:
            ConnectError: it failed since.
        """
        if not self._runs(name):
            raise self._program.failed(f"has no running task of connector {name}")

    def delete(self, name: str) -> None:
        """Stops the connector and forgets it; what it sent is in the topics then."""
        self._program.ask(f"/connectors/{name}", method="DELETE")

    def _runs(self, name: str) -> bool:
        try:
            status: dict[str, Any] = self._program.ask(f"/connectors/{name}/status")
        except Refusal as refusal:
            if refusal.status == 404:  # accepted, and not yet known
                return False
            raise
        parts = [status["connector"], *status["tasks"]]
        for each in parts:
            if each["state"] == "FAILED":
                raise ConnectError(f"Connector {name} failed. Mend what it says, then create it again:\n{each.get('trace', '')}")
        return len(parts) > 1 and all(each["state"] == "RUNNING" for each in parts)
