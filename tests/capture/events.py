"""What happens to rows while the capture runs, beside the events that must come of it, by hand.

An event is an operation, the row's id (None: no key) and, of a row that is present, its texts as in ``tables``; ``?`` is a value
that the connector did not send: PostgreSQL keeps large values beside the row (TOAST), and an update that leaves one alone does
not say it.
"""

from __future__ import annotations

from stream_recon.model.messages import Op
from tests.capture.tables import MARKER, many

Event = tuple[Op, int | None, dict[str, str] | None]

LONG = "0123456789" * 500  # beyond 2 kB: does not fit into PostgreSQL's row
_LISTED = 800

LIFE_COLUMNS = {"pg": ("body", "doc", "idents", "name", "nums", "raw", "tags"), "maria": ("body", "name")}

_PG_BEFORE = f"""
CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;
CREATE TYPE mood AS ENUM ('so so', 'happy');
CREATE TABLE life (id bigint PRIMARY KEY, name text, body text, doc jsonb, tags text[], nums integer[], raw bytea, idents uuid[]);
ALTER TABLE life ALTER body SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL, ALTER tags SET STORAGE EXTERNAL,
                 ALTER nums SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, ALTER idents SET STORAGE EXTERNAL;
INSERT INTO life VALUES (1, 'first', '{LONG}', '"{LONG}"', ARRAY['{LONG}'], array_fill(7, ARRAY[{_LISTED}]), '{LONG}',
                         array_fill('aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'::uuid, ARRAY[{_LISTED}]));
INSERT INTO life VALUES (2, 'second', '', 'null', ARRAY[]::text[], '{{}}', '', NULL);
INSERT INTO life (id, name) VALUES (3, 'third'), (4, 'fourth');
"""
_MARIA_BEFORE = f"""
SET sql_mode = '';
CREATE TABLE life (id bigint PRIMARY KEY, name varchar(20), body longtext);
INSERT INTO life VALUES (1, 'first', '{LONG}'), (2, 'second', ''), (3, 'third', NULL), (4, 'fourth', NULL);
"""
_WIPED_BEFORE = "CREATE TABLE wiped (id bigint PRIMARY KEY, name varchar(20));\nINSERT INTO wiped VALUES (1, 'before');\n"
BEFORE = {"pg": _PG_BEFORE + _WIPED_BEFORE, "maria": _MARIA_BEFORE + _WIPED_BEFORE}
"""SQL, before the capture begins."""

_DURING = """
INSERT INTO life (id, name) VALUES (5, 'fifth');
UPDATE life SET name = 'renamed' WHERE id = 1;
UPDATE life SET body = NULL WHERE id = 2;
DELETE FROM life WHERE id = 3;
UPDATE life SET id = 14 WHERE id = 4;
UPDATE life SET id = 11 WHERE id = 1;
BEGIN; INSERT INTO life (id, name) VALUES (77, 'rolled back'); ROLLBACK;
UPDATE life SET name = name WHERE id = 2;
INSERT INTO wiped VALUES (2, 'during');
TRUNCATE TABLE wiped;
INSERT INTO wiped VALUES (3, 'after');
"""
DURING = {"pg": _DURING, "maria": f"SET sql_mode = '';\n{_DURING}"}
"""SQL, while the capture runs."""

_FIRST = {
    "name": "s:first",
    "body": f"s:{LONG}",
    "doc": f'j:"{LONG}"',
    "tags": many(f"s:{LONG}"),
    "nums": many(*["n:7"] * _LISTED),
    "raw": f"x:{LONG.encode().hex()}",
    "idents": many(*["u:aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"] * _LISTED),
}
_SECOND = {"name": "s:second", "body": "s:", "doc": "j:null", "tags": "l:", "nums": "l:", "raw": "x:", "idents": "~"}


def _row(side: str, **texts: str) -> dict[str, str]:
    return {name: texts.get(name, "~") for name in LIFE_COLUMNS[side]}


def life(side: str) -> list[Event]:
    """The events of table ``life``."""
    unsaid = dict.fromkeys(LIFE_COLUMNS["pg"], "?") if side == "pg" else _FIRST
    renamed = _row(side, **{**unsaid, "name": "s:renamed"})
    second = _row(side, **{**_SECOND, "body": "~"})
    unchanged: list[Event] = [(Op.UPSERT, 2, second)] if side == "pg" else []  # MariaDB says nothing then
    return [
        (Op.READ, 1, _row(side, **_FIRST)),
        (Op.READ, 2, _row(side, **_SECOND)),
        (Op.READ, 3, _row(side, name="s:third")),
        (Op.READ, 4, _row(side, name="s:fourth")),
        (Op.UPSERT, 5, _row(side, name="s:fifth")),
        (Op.UPSERT, 1, renamed),
        (Op.UPSERT, 2, second),
        (Op.DELETE, 3, None),
        (Op.TOMBSTONE, 3, None),
        (Op.DELETE, 4, None),
        (Op.TOMBSTONE, 4, None),
        (Op.UPSERT, 14, _row(side, name="s:fourth")),
        (Op.DELETE, 1, None),
        (Op.TOMBSTONE, 1, None),
        (Op.UPSERT, 11, renamed),
        *unchanged,
        (Op.UPSERT, MARKER, _row(side)),
    ]


def wiped() -> list[Event]:
    """The events of table ``wiped``, on either side."""
    return [
        (Op.READ, 1, {"name": "s:before"}),
        (Op.UPSERT, 2, {"name": "s:during"}),
        (Op.TRUNCATE, None, None),
        (Op.UPSERT, 3, {"name": "s:after"}),
        (Op.UPSERT, MARKER, {"name": "~"}),
    ]
