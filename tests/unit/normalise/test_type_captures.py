"""Captures of all types of one table decode to what ``schema.sql`` and ``changes.sql`` wrote: hashes by hand."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.adapters.schemas import FileSchemas
from stream_recon.model.messages import Messages, Op, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, Ids
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder

PLACE = Path(__file__).parents[2] / "fixtures" / "types"
BOOK = SchemaBook(FileSchemas(PLACE / "debezium-pg-avro-schemas-by-id.json", Ids.CONFLUENT))
CAPTURES = {
    "debezium-pg-json-schema": (Format.DEBEZIUM_JSON, None),
    "debezium-pg-avro-apicurio": (Format.DEBEZIUM_AVRO, BOOK),
}
NAMES = ["amount", "body", "customer", "d", "doc", "f", "free_num", "id", "local_ts", "ok", "placed_at", "raw", "tags"]
TAGS = {"amount": "n", "body": "s", "customer": "u", "d": "d", "doc": "j", "f": "f", "free_num": "n", "id": "n"}
TAGS |= {"local_ts": "t", "ok": "b", "placed_at": "t", "raw": "x", "tags": "l"}


def md5s(count: int) -> str:
    """``string_agg(md5(i::text), '')``."""
    return "".join(hashlib.md5(str(i).encode(), usedforsecurity=False).hexdigest() for i in range(1, count + 1))


def first(g: int, **other: str | None) -> dict[str, str | None]:
    """A row of the snapshot."""
    row: dict[str, str | None] = {
        "amount": {1: "1.2345", 2: "2.469", 3: "3.7035"}[g],
        "body": md5s(400) if g == 2 else f"é€😀 {g}",
        "customer": f"00000000-0000-4000-8000-00000000000{g}",
        "d": "2026-02-28",
        "doc": f'{{"a":[1,2],"k":{g},"n":null}}',
        "f": {1: "0.1", 2: "0.2", 3: "0.3"}[g],
        "free_num": {1: "0.33333333333333333333", 2: "0.66666666666666666667", 3: "1"}[g],
        "id": str(g),
        "local_ts": "2026-03-29T02:30:00.123000",
        "ok": "1" if g % 2 == 0 else "0",
        "placed_at": f"2026-11-21T0{2 + g}:00:00.123456",
        "raw": f"00ff100000000{g}",
        "tags": "s1:xs1:y",
    }
    return row | other


TEN: dict[str, str | None] = {
    "amount": "99999999999999.9999",
    "body": None,
    "customer": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    "d": None,
    "doc": '{"big":123456789012345678901234567890,"f":1.1}',
    "f": "NaN",
    "free_num": None,  # NaN, which decimal.handling.mode=precise makes null
    "id": "10",
    "local_ts": None,
    "ok": None,
    "placed_at": "2026-11-21T05:00:00.000001",
    "raw": "",
    "tags": None,
}
ELEVEN: dict[str, str | None] = {
    "amount": "-0.0001",
    "body": md5s(500),
    "customer": "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
    "d": "0001-01-01",
    "doc": "[]",
    "f": "-1e+300",
    "free_num": "123456789012345678901234567890.123456789",
    "id": "11",
    "local_ts": "1900-01-01T00:00:00.000000",
    "ok": "1",
    "placed_at": "1969-12-31T23:59:59.999999",
    "raw": "00",
    "tags": "",
}
UNKNOWN = "unknown"
"""Of a row that holds a TOASTed column which did not change."""


def framed(name: str, text: str | None) -> bytes:
    return b"~" if text is None else f"{TAGS[name]}{len(text.encode())}:{text}".encode()


def digest(row: dict[str, str | None]) -> bytes:
    return hashlib.sha256(b"".join(framed(name, row[name]) for name in NAMES)).digest()


SHORT = ELEVEN | {"ok": "0", "body": "short now"}
LATER = digest(first(1, amount="9"))
"""An update of row 1 that is in both captures and not in ``changes.sql``; rows 20 and 21 are left out."""
WRITTEN: dict[str, dict[str, list[bytes | str]]] = {
    "debezium-pg-json-schema": {
        "1": [digest(first(1)), digest(first(1, amount="5")), LATER],
        "2": [digest(first(2)), UNKNOWN],
        "3": [digest(first(3)), "gone"],
        "10": [digest(TEN), "gone"],
        "11": [digest(ELEVEN), UNKNOWN, digest(SHORT)],
        "12": [digest(TEN | {"id": "12"})],
    },
    "debezium-pg-avro-apicurio": {  # its snapshot was taken after the changes
        "1": [digest(first(1, amount="5")), LATER],
        "2": [digest(first(2, amount="3.469"))],
        "11": [digest(SHORT)],
        "12": [digest(TEN | {"id": "12"})],
    },
}
"""Versions by key: the row hash, ``unknown``, or ``gone``."""


def messages(name: str, topic: str) -> list[Messages]:
    parts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(PLACE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in map(json.loads, file):
            if line["topic"].endswith(topic):
                parts[line["partition"]].append(line)

    def octets(lines: list[dict[str, Any]], field: str) -> pa.Array:
        found = [line.get(f"{field}_b64") for line in lines]
        plain = [line.get(field) for line in lines]
        return pa.array(
            [
                base64.b64decode(c) if c is not None else None if p is None else p.encode()
                for c, p in zip(found, plain, strict=True)
            ],
            pa.binary(),
        )

    found = []
    for partition, lines in parts.items():
        lines.sort(key=lambda line: int(line["offset"]))
        offset, time = (np.array([line[field] for line in lines], np.int64) for field in ("offset", "ts"))
        found.append(Messages(Upstream("s", topic, partition), offset, time, octets(lines, "key"), octets(lines, "payload")))
    return found


@pytest.mark.parametrize("capture", CAPTURES)
def test_every_version_of_every_row_is_what_sql_wrote(capture: str) -> None:
    form, book = CAPTURES[capture]
    plan = FeedPlan("s", form, tuple(ColumnPlan(n, n, reads=(n,), key=n == "id") for n in NAMES))
    reference = ReferenceDecoder(plan, book)
    columnar = ColumnarDecoder(plan, reference, book)
    found: dict[str, list[bytes | str]] = defaultdict(list)
    rows = []
    for part in messages(capture, ".orders"):
        decoded = reference.decode(part)
        assert decoded.dead == ()
        assert columnar.decode(part).rows.equals(decoded.rows)
        rows += [(row["t"], int(part.offset[row["message"]]), row) for row in decoded.rows.to_pylist()]
    for _, _, row in sorted(rows, key=lambda one: (one[0] is None, one[0] or 0, one[1])):
        if row["op"] == Op.TOMBSTONE:
            continue
        key = row["key_text"].partition(b":")[2].decode()
        found[key].append("gone" if row["op"] == Op.DELETE else row["hash"] or UNKNOWN)
    assert {key: versions for key, versions in found.items() if key not in {"20", "21"}} == WRITTEN[capture]


def test_mariadb_decodes_to_the_last_message() -> None:
    names = ["amount", "body", "customer", "d", "doc", "e", "f", "id", "local_ts", "ok", "placed_at", "raw", "u", "uid"]
    plan = FeedPlan("s", Format.DEBEZIUM_JSON, tuple(ColumnPlan(n, n, reads=(n,), key=n == "id") for n in names))
    reference = ReferenceDecoder(plan)
    for part in messages("debezium-mariadb-json-schema", ".orders"):
        decoded = reference.decode(part)
        assert decoded.dead == ()
        assert ColumnarDecoder(plan, reference).decode(part).rows.equals(decoded.rows)
