"""A PostgreSQL for tests: UTF-8, C collation, UTC, and ready for logical replication."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence

from tools.databases.fetch import postgres_programs
from tools.databases.server import Server

SETTINGS: Mapping[str, str | int] = {
    "wal_level": "logical",
    "max_replication_slots": 10,
    "max_wal_senders": 10,
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "off",  # nothing here is to last
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "unix_socket_directories": "",
}
_ESCAPES: Mapping[str, str] = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Postgres(Server):
    """See ``Server``."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT

    def query(self, sql: str) -> list[list[str | None]]:
        # COPY's text form escapes what would end a field or a line, and its null is no text.
        text = self.run(f"COPY (\n{sql}\n) TO STDOUT;")
        return [[_field(field) for field in line.split("\t")] for line in text.split("\n")[:-1]]

    def _prepare(self) -> Sequence[str]:
        programs = postgres_programs()
        secret = self._home / "password"
        secret.write_text(self.password, encoding="ascii")
        data = self._home / "data"
        how = ["--encoding=UTF8", "--locale=C", f"--username={self.user}", "--auth=scram-sha-256", "--no-sync"]
        self._once([str(programs["initdb"]), f"--pgdata={data}", f"--pwfile={secret}", *how])
        single = [str(programs["postgres"]), "--single", "-D", str(data), "postgres"]
        self._once(["/bin/sh", "-c", f'echo "CREATE DATABASE {self.database}" | "$0" "$@"', *single])
        settings = {**SETTINGS, "listen_addresses": self.host, "port": self.port}
        return [str(programs["postgres"]), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]

    def _client(self) -> tuple[Sequence[str], Mapping[str, str]]:
        command = [
            str(postgres_programs()["psql"]),
            "--no-psqlrc",
            "--quiet",
            "--no-align",
            "--tuples-only",
            "--field-separator=\t",
        ]
        login = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
            "PGCLIENTENCODING": "UTF8",
            "PGCONNECT_TIMEOUT": "5",
            "PGOPTIONS": "-c client_min_messages=warning",
        }
        return [*command, "--set=ON_ERROR_STOP=1", "--file=-"], login


def _field(text: str) -> str | None:
    return None if text == "\\N" else re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)
