"""The canonical form as SQL (docs/spec/canonical.*.sql) on real servers: against the golden vectors, and against the product.

A difference here means that an auditor would compute another hash than we do. One of the three is then wrong.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from stream_recon.model.plan import TypeRule
from stream_recon.normalise.canonical import Cell, Digester, Item, framed
from stream_recon.normalise.types import Options, parse_wire, reader
from stream_recon.normalise.types.values import loads
from tests.databases.kinds import KINDS
from tests.databases.values import NULL, Value
from tests.vectors.reading import row_vectors, vectors
from tools.databases import DatabaseError, MariaDb, Postgres, Server

SPEC = Path(__file__).resolve().parents[2] / "docs" / "spec"
VALUES_OF_A_KIND = 2000
ROWS = 2000
COVERED = {
    "postgresql": {
        "null": 20,
        "b": 5,
        "n": 52,
        "f": 58,
        "s": 34,
        "x": 16,
        "d": 32,
        "t": 50,
        "c": 19,
        "u": 5,
        "j": 69,
        "l": 15,
        "m": 11,
        "i": 5,
    },
    "mariadb": {"null": 15, "b": 11, "n": 49, "f": 47, "s": 32, "x": 16, "d": 25, "t": 26, "c": 20, "u": 13, "j": 68, "l": 5},
}
"""Vectors of each file that each database computes. A vector more is a number more here; one less must be missed."""
COVERED_ROWS = {"postgresql": 29, "mariadb": 28}


WRONG_QUESTION = r"syntax error|SQL syntax|(?i:function|column|schema|type|operator)[^\n]*does not exist|not unique"
"""Errors about how a value was asked for; the golden ones must be about the value."""


@pytest.fixture(scope="module")
def servers(postgres: Postgres, mariadb: MariaDb) -> dict[str, Server]:
    """Both, with the functions; loaded twice, as an auditor may."""
    found: dict[str, Server] = {"postgresql": postgres, "mariadb": mariadb}
    for name, server in found.items():
        for _ in range(2):
            server.run((SPEC / f"canonical.{name}.sql").read_text(encoding="utf-8"))
    return found


def expression(vector: object, database: str) -> str | None:
    found = getattr(vector, database)
    assert found is None or isinstance(found, str)
    return found


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_golden_vectors(servers: dict[str, Server], database: str) -> None:
    accepted = {one.id: one for one in vectors() if expression(one, database) is not None and not one.refused}
    union = " UNION ALL ".join(f"SELECT '{name}', {expression(one, database)}" for name, one in accepted.items())
    answers = {str(name): text for name, text in servers[database].query(union)}
    wrong = {name: text for name, text in answers.items() if text is None or not accepted[name].is_framed(text.encode())}
    assert not wrong
    assert answers.keys() == accepted.keys()


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_golden_refusals(servers: dict[str, Server], database: str) -> None:
    for one in vectors():
        if one.refused and expression(one, database) is not None:
            with pytest.raises(DatabaseError) as error:
                print(one.id, servers[database].query(f"SELECT {expression(one, database)}"))
            assert not re.search(WRONG_QUESTION, str(error.value)), one.id


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_no_database_covers_less(database: str) -> None:
    covered = Counter(one.file for one in vectors() if expression(one, database) is not None)
    assert covered == COVERED[database]


@pytest.mark.parametrize("database", ["postgresql", "mariadb"])
def test_golden_rows(servers: dict[str, Server], database: str) -> None:
    expected, asked = [], []
    for vector in row_vectors():
        columns = vector.sorted_columns()
        if all(database in column for column in columns):
            large = "canonical.large({})" if database == "postgresql" else "canonical_large({})"
            texts = [large.format(column[database]) if column.get("large") else column[database] for column in columns]
            keys = [column[database] for column in columns if column.get("key")]
            asked.append(f"SELECT '{vector.id}', {', '.join(hashes(database, texts, keys, vector.hash_key))}")
            expected.append([vector.id, vector.row_text, vector.row_hash, vector.key_id])
    assert servers[database].query(" UNION ALL ".join(asked)) == expected
    assert len(expected) == COVERED_ROWS[database]


def hashes(database: str, texts: Sequence[str], keys: Sequence[str], hash_key: bytes | None) -> tuple[str, str, str]:
    """Expressions: row text, row hash, key id."""
    if database == "postgresql":
        row, key = " || ".join(texts), " || ".join(keys)
        more = "" if hash_key is None else f", '\\x{hash_key.hex()}'::bytea"
        return row, f"canonical.row_hash({row}{more})", f"canonical.key_id({key}{more})"
    row, key = f"CONCAT({', '.join(texts)})", f"CONCAT({', '.join(keys)})"
    if hash_key is None:
        return row, f"canonical_row_hash({row})", f"canonical_key_id({key})"
    return row, f"canonical_row_hmac({row}, X'{hash_key.hex()}')", f"canonical_key_hmac({key}, X'{hash_key.hex()}')"


def item(kind: str, value: Value) -> Item | None:
    """What the product reads."""
    one = KINDS[kind]
    found = loads(value.wire)
    rule = None if one.declared is None else TypeRule(one.declared)
    return None if found is None else reader(rule, parse_wire(loads(json.dumps(one.schema))), Options())(found)


def filled(server: Server, table: str, types: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    columns = ", ".join(f"c{i} {column}" for i, column in enumerate(types))
    server.run(f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (place INT PRIMARY KEY, {columns});")
    lines = [f"({place}, {', '.join(row)})" for place, row in enumerate(rows)]
    pieces = [lines[at : at + 500] for at in range(0, len(lines), 500)]
    server.run("".join(f"INSERT INTO {table} VALUES {', '.join(piece)};\n" for piece in pieces))


@pytest.mark.parametrize("kind", KINDS)
def test_generated_values(servers: dict[str, Server], kind: str) -> None:
    random = Random(f"canonical {kind}")  # the same on every run
    values = [KINDS[kind].make(random) if random.random() > 0.02 else NULL for _ in range(VALUES_OF_A_KIND)]
    expected = [framed(item(kind, value)).decode() for value in values]
    assert len(set(expected)) > (1 if kind in {"boolean", "tinyint"} else 100)
    computed = 0
    for database, server in servers.items():
        column = KINDS[kind].postgresql if database == "postgresql" else KINDS[kind].mariadb
        if column is None:
            continue
        literals = [value.postgresql if database == "postgresql" else value.mariadb for value in values]
        filled(server, "generated", [column[0]], [[literal] for literal in literals])
        rows = server.query(f"SELECT {column[1].format('c0')} FROM generated ORDER BY place")
        texts = [row[0] for row in rows]
        different = [(database, *triple) for triple in zip(literals, texts, expected, strict=True) if triple[1] != triple[2]]
        assert not different, different[:5]
        computed += 1
    assert computed == (KINDS[kind].postgresql is not None) + (KINDS[kind].mariadb is not None) > 0


SHARED = sorted(kind for kind, one in KINDS.items() if one.postgresql and one.mariadb)


@pytest.mark.parametrize("hash_key", [None, b"secret", bytes(range(200))], ids=["plain", "keyed", "long key"])
def test_whole_rows_of_both_databases(servers: dict[str, Server], hash_key: bytes | None) -> None:
    """One table of all shared types in both, ``text`` and ``json`` large: the same hashes as ours, row by row."""
    random = Random(f"rows {hash_key!r}")
    names = ["id", *SHARED]
    kinds = {"id": "bigint"} | {kind: kind for kind in SHARED}
    large = {"text", "json"}
    order = sorted(names, key=str.encode)
    rows = [
        {name: NULL if name != "id" and random.random() < 0.1 else KINDS[kinds[name]].make(random) for name in order}
        for _ in range(ROWS if hash_key is None else ROWS // 10)
    ]
    digester = Digester(hash_key)
    expected = []
    for row in rows:
        items = {name: item(kinds[name], row[name]) for name in order}
        digest = digester.row([Cell(items[name]) for name in order], [name in large for name in order])
        assert digest.hash is not None
        expected.append([digest.hash.hex(), digester.key_id(framed(items["id"])).hex()])
    for database, server in servers.items():
        columns = {name: getattr(KINDS[kinds[name]], database) for name in order}
        literals = [[getattr(row[name], database) for name in order] for row in rows]
        filled(server, "whole", [columns[name][0] for name in order], literals)
        texts = {name: columns[name][1].format(f"c{place}") for place, name in enumerate(order)}
        wrap = "canonical.large({})" if database == "postgresql" else "canonical_large({})"
        parts = [wrap.format(texts[name]) if name in large else texts[name] for name in order]
        _, row_hash, key_id = hashes(database, parts, [texts["id"]], hash_key)
        assert server.query(f"SELECT {row_hash}, {key_id} FROM whole ORDER BY place") == expected, database
    assert len({digest for digest, _ in expected}) == len(rows)
    assert len(SHARED) >= 17


def test_a_session_of_postgresql_changes_nothing(servers: dict[str, Server]) -> None:
    settings = ["extra_float_digits=-15", "datestyle='German'", "intervalstyle='sql_standard'", "timezone='Asia/Tokyo'"]
    settings += ["bytea_output='escape'", "standard_conforming_strings=off", "escape_string_warning=off"]
    asked = """SELECT canonical.f(1.5e-7), canonical.n(12.50), canonical.t(timestamptz '2026-11-21 04:00+00'),
        canonical.d('infinity'), canonical.i('-1 day +02:03:04.5'), canonical.x(decode('ff10', 'hex')),
        canonical.j(json '["b"]')"""
    said = servers["postgresql"].run("".join(f"SET {setting};" for setting in settings) + asked)
    assert said == 'f6:1.5e-7\tn4:12.5\tt26:2026-11-21T04:00:00.000000\td8:infinity\ti17:P0Y0M-1DT2H3M4.5S\tx4:ff10\tj5:["b"]\n'


@pytest.mark.parametrize("mode", ["", "STRICT_TRANS_TABLES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,ORACLE"])
def test_a_session_of_mariadb_changes_nothing_for_columns_of_a_function_s_types(servers: dict[str, Server], mode: str) -> None:
    filled(
        servers["mariadb"],
        "modes",
        ["DOUBLE", "DATETIME(6)", "JSON"],
        [["1.5e-7", "'2026-11-21 04:00:00'", "'[1e1,\"\\\\u0001b\"]'"]],
    )
    session = f"SET SESSION sql_mode='{mode}'; SET NAMES latin1;"
    said = servers["mariadb"].run(f"{session} SELECT canonical_f(c0), canonical_t(c1), HEX(canonical_j(c2)) FROM modes;")
    document = b'j14:[10,"\\u0001b"]'
    assert said == f"f6:1.5e-7\tt26:2026-11-21T04:00:00.000000\t{document.hex().upper()}\n"


@pytest.mark.parametrize(
    "asked", ["canonical_set('aaaa,bbbb,cccc,dddd')", """canonical_j('{"aaaa": 1, "bbbb": 2, "cccc": 3}')"""]
)
def test_mariadb_never_cuts_what_it_joins(servers: dict[str, Server], asked: str) -> None:
    with pytest.raises(DatabaseError, match="group_concat_max_len"):
        print(servers["mariadb"].run(f"SET SESSION group_concat_max_len = 16; SELECT {asked};"))


def test_a_float_is_no_exact_number(servers: dict[str, Server]) -> None:
    with pytest.raises(DatabaseError, match="expected an exact number, got a float"):
        servers["mariadb"].run("SELECT canonical_n(1e30);")
    with pytest.raises(DatabaseError, match=r"canonical\.n\(double precision\) does not exist"):
        servers["postgresql"].run("SELECT canonical.n(1e30::float8);")


def test_a_list_of_raw_nulls_is_refused(servers: dict[str, Server]) -> None:
    """Framed elements are meant, where null is ``~``."""
    with pytest.raises(DatabaseError, match="expected framed elements, got null"):
        servers["postgresql"].run("SELECT canonical.l(ARRAY['s1:a', NULL]);")
