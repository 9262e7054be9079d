"""A MariaDB for tests: utf8mb4, UTC, and a row-based binary log with full images."""

from __future__ import annotations

import re
import signal
import uuid
from collections.abc import Mapping, Sequence

from tools.databases.fetch import mariadb_programs
from tools.databases.server import Server

SETTINGS: Mapping[str, str | int] = {
    "server-id": 1,
    "log-bin": "binlog",
    "binlog-format": "ROW",
    "binlog-row-image": "FULL",
    "gtid-strict-mode": "ON",
    "character-set-server": "utf8mb4",
    "default-time-zone": "+00:00",
    "skip-name-resolve": "ON",
    "innodb-flush-log-at-trx-commit": 0,  # nothing here is to last
    "innodb-buffer-pool-size": "32M",
    "innodb-log-file-size": "16M",
    "performance-schema": "OFF",
}


class MariaDb(Server):
    """See ``Server``. Its client drops a carriage return before a line feed in statements: write it as an escape."""

    name = "MariaDB"
    stop_signal = signal.SIGTERM

    def query(self, sql: str) -> list[list[str | None]]:
        # The client cannot tell a null from the text NULL; the server's own export can.
        place = self._home / f"rows-{uuid.uuid4().hex}"
        self.run(f"{sql}\nINTO OUTFILE '{place}' CHARACTER SET utf8mb4;")
        try:
            text = place.read_bytes().decode("utf-8")
        finally:
            place.unlink()
        rows: list[list[str | None]] = []
        row: list[str | None] = []
        for field, end in re.findall(r"((?:[^\\\t\n]|\\.)*)([\t\n])", text, re.DOTALL):
            row.append(None if field == "\\N" else re.sub(r"\\(.)", _unescaped, field, flags=re.DOTALL))
            if end == "\n":
                rows.append(row)
                row = []
        return rows

    def _prepare(self) -> Sequence[str]:
        programs = mariadb_programs()
        data = self._home / "data"
        how = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        self._once([str(programs["mariadb-install-db"]), "--no-defaults", f"--datadir={data}", *how])
        first = self._home / "first.sql"  # one statement a line
        user = f"'{self.user}'@'%'"
        first.write_text(
            f"CREATE DATABASE IF NOT EXISTS {self.database};\n"
            f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {user} WITH GRANT OPTION;\n",
            encoding="ascii",
        )
        settings = {
            **SETTINGS,
            "datadir": data,
            "socket": self._home / "socket",
            "pid-file": self._home / "pid",
            "bind-address": self.host,
            "port": self.port,
            "init-file": first,
        }
        return [str(programs["mariadbd"]), "--no-defaults", *(f"--{name}={value}" for name, value in settings.items())]

    def _client(self) -> tuple[Sequence[str], Mapping[str, str]]:
        command = [str(mariadb_programs()["mariadb"]), "--no-defaults", "--batch", "--skip-column-names"]
        where = ["--protocol=TCP", f"--host={self.host}", f"--port={self.port}", f"--user={self.user}"]
        how = ["--default-character-set=utf8mb4", "--connect-timeout=5", f"--database={self.database}"]
        return [*command, *where, *how], {"MYSQL_PWD": self.password}


def _unescaped(found: re.Match[str]) -> str:
    return "\0" if found[1] == "0" else found[1]
