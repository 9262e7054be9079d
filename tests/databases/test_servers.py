"""The servers that tests are given: what they say is what is there, they are set up as promised, and nothing of them stays."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tools.databases import DatabaseError, MariaDb, Postgres, Server, fetch
from tools.databases import mariadb as mariadb_module
from tools.databases import postgres as postgres_module

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Server)
    return found


def test_rows_are_exact(server: Server) -> None:
    texts = ["", "NULL", "\\N", "\\", "a\\tb", "a\tb", "a\nb\n", "'", "é😀", " x "]
    literals = [text.replace("'", "''") for text in texts]
    if isinstance(server, MariaDb):
        literals = [literal.replace("\\", "\\\\") for literal in literals]
    columns = ", ".join(f"'{literal}'" for literal in literals)
    assert server.query(f"SELECT {columns}, NULL, 1.50") == [[*texts, None, "1.50"]]
    assert server.query("SELECT 1 AS a, NULL AS b UNION ALL SELECT 2, 'x' ORDER BY a -- the last line") == [
        ["1", None],
        ["2", "x"],
    ]
    assert server.query("SELECT 1 AS a WHERE 1 = 0") == []


def test_a_zero_octet_is_text_in_mariadb(mariadb: MariaDb) -> None:
    assert mariadb.query("SELECT CONCAT('a', CHAR(0 USING utf8mb4), '0')") == [["a\0" + "0"]]


def test_other_controls_are_text_in_postgresql(postgres: Postgres) -> None:
    assert postgres.query("SELECT E'\\b\\f\\r\\x0b\\x01'") == [["\b\f\r\x0b\x01"]]


def test_statements_run_in_order_until_one_is_refused(server: Server) -> None:
    said = server.run(
        "DROP TABLE IF EXISTS ordered; CREATE TABLE ordered (n INT); INSERT INTO ordered VALUES (1); SELECT n, 'x' FROM ordered;"
    )
    assert said == "1\tx\n"
    with pytest.raises(DatabaseError, match=r"(?s)INSERT INTO ordered.*nowhere"):
        server.run("INSERT INTO ordered VALUES (2); INSERT INTO nowhere VALUES (1); INSERT INTO ordered VALUES (3);")
    assert server.query("SELECT n FROM ordered ORDER BY n") == [["1"], ["2"]]
    with pytest.raises(DatabaseError, match="nowhere"):
        server.query("SELECT 1 FROM nowhere")


def test_postgresql_is_ready_for_logical_replication(postgres: Postgres) -> None:
    settings = ["wal_level", "server_encoding", "lc_collate", "timezone"]
    asked = ", ".join(f"current_setting('{name}')" for name in settings)
    assert postgres.query(f"SELECT {asked}") == [["logical", "UTF8", "C", "UTC"]]
    assert int(postgres.query("SELECT current_setting('max_replication_slots')")[0][0] or 0) >= 4
    made = postgres.query("SELECT slot_name FROM pg_create_logical_replication_slot('tried', 'pgoutput')")
    assert made == [["tried"]]
    postgres.run("SELECT pg_drop_replication_slot('tried');")


def test_mariadb_writes_a_binary_log_of_rows(mariadb: MariaDb) -> None:
    settings = ["@@log_bin", "@@binlog_format", "@@binlog_row_image", "@@character_set_server", "@@time_zone", "@@server_id"]
    assert mariadb.query(f"SELECT {', '.join(settings)}") == [["ON", "ROW", "FULL", "utf8mb4", "+00:00", "1"]]
    mariadb.run("CREATE OR REPLACE TABLE logged (n INT PRIMARY KEY); INSERT INTO logged VALUES (1);")
    assert str(mariadb.query("SELECT @@gtid_binlog_pos")[0][0]).startswith("0-1-")
    assert mariadb.run("SHOW MASTER STATUS;").startswith("binlog.")
    assert "REPLICATION SLAVE" in mariadb.run("SHOW GRANTS;") or "ALL PRIVILEGES" in mariadb.run("SHOW GRANTS;")


@pytest.mark.parametrize("kind", [Postgres, MariaDb])
def test_nothing_stays(kind: type[Server]) -> None:
    with kind() as server:
        home, port = server.log_path.parent, server.port
        assert server._process is not None
        pid = server._process.pid
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert home.exists()
    assert not home.exists()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.parametrize("kind", ["Postgres", "MariaDb"])
def test_a_server_ends_with_its_maker(kind: str) -> None:
    script = f"""
from tools.databases import {kind}
server = {kind}()
server.start()
print(server._process.pid, server._guard.pid, server.log_path.parent, flush=True)
input()
"""
    maker = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert maker.stdin is not None
    assert maker.stdout is not None
    pid, guard, home = maker.stdout.readline().split()
    ends = [os.pidfd_open(int(pid)), os.pidfd_open(int(guard))]
    maker.send_signal(signal.SIGKILL)
    maker.communicate()
    for end in ends:
        assert select.select([end], [], [], 30)[0], "the server outlived its maker"
        os.close(end)
    assert not Path(home).exists()


@pytest.mark.parametrize(
    ("module", "kind"), [(postgres_module, Postgres), (mariadb_module, MariaDb)], ids=["postgres", "mariadb"]
)
def test_a_server_that_does_not_start_says_why(module: ModuleType, kind: type[Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTINGS", {**module.SETTINGS, "no_such_setting": "1"})
    server = kind()
    with pytest.raises(DatabaseError, match=r"(?s)ended with exit code .* before it was ready.*no.such.setting"), server:
        pass
    assert not server.log_path.parent.exists()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without databases; its PATH is the directory returned."""
    places = tmp_path / "bin"
    places.mkdir()
    monkeypatch.setenv("PATH", str(places))
    monkeypatch.setattr(fetch, "VERSIONS", tmp_path / "postgresql")
    monkeypatch.setattr(fetch, "SBIN", tmp_path / "sbin")
    monkeypatch.setattr(fetch, "CREATECLUSTER", tmp_path / "createcluster.d")
    return places


def program(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)


def test_what_is_missing_is_said(bare: Path) -> None:
    with pytest.raises(DatabaseError, match=r"PostgreSQL is not on this machine.*apt-get install postgresql "):
        fetch.postgres_programs()
    with pytest.raises(DatabaseError, match=r"MariaDB is not on this machine.*apt-get install mariadb-server "):
        fetch.mariadb_programs()


def test_only_root_installs(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bare / "apt-get", "exit 0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DatabaseError, match="takes root and apt-get"):
        fetch.postgres_programs()


def test_the_newest_version_is_taken(bare: Path, tmp_path: Path) -> None:
    for version in ("9", "15", "7.4"):
        for name in fetch.POSTGRES.needed:
            program(tmp_path / "postgresql" / version / "bin" / name)
    assert fetch.postgres_programs()["initdb"] == tmp_path / "postgresql" / "15" / "bin" / "initdb"


def test_an_installation_makes_no_cluster_of_its_own(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt fails, as it does with old package lists."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    made = tmp_path / "postgresql" / "15" / "bin"
    program(
        bare / "apt-get",
        f'/bin/echo "$@" >> {tmp_path}/asked',
        f'case "$*" in *update*) : > {tmp_path}/updated; exit 0;; esac',
        f"[ -e {tmp_path}/updated ] || exit 100",
        f"/bin/cat {tmp_path}/createcluster.d/*.conf > {tmp_path}/told",
        f"/bin/mkdir -p {made}",
        *(f"/bin/cp /bin/true {made}/{name}" for name in fetch.POSTGRES.needed),
    )
    assert fetch.postgres_programs()["psql"] == made / "psql"
    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert [line.rpartition(" --no-install-recommends ")[2].split()[-1] for line in asked] == [
        "postgresql",
        "update",
        "postgresql",
    ]
    assert (tmp_path / "told").read_text(encoding="utf-8") == "create_main_cluster = false\n"
    assert not list((tmp_path / "createcluster.d").iterdir())


def test_an_installation_that_fails_says_what_apt_said(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(bare / "apt-get", "echo no network", "exit 100")
    with pytest.raises(DatabaseError, match=r"(?s)could not install MariaDB.*no network.*exit code 100"):
        fetch.mariadb_programs()


def test_an_installation_without_programs_is_an_error(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(bare / "apt-get", "exit 0")
    with pytest.raises(DatabaseError, match="are not where they should be"):
        fetch.mariadb_programs()
