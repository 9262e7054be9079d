"""Real Debezium messages: every one decodes, and what is left of each key hashes to what SQL read from the databases.

The expected texts are made here, from SQL's answers, without the project's code (tests/fixtures/dual-write/README.md).
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.adapters.schemas import FileSchemas
from stream_recon.model.messages import Messages, Op, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, Ids, TypeRule
from stream_recon.normalise.avro.book import SchemaBook
from stream_recon.normalise.discover import discover
from stream_recon.normalise.reference import ReferenceDecoder

FIXTURES = Path(__file__).parents[2] / "fixtures" / "dual-write"
KEYS = {"orders": ["id"], "payments": ["order_id", "seq"], "customers": ["handle"]}
FORMATS = {"json": Format.DEBEZIUM_JSON, "avro": Format.DEBEZIUM_AVRO}
BOOKS = {"json": None, "avro": SchemaBook(FileSchemas(FIXTURES / "avro-schemas-by-id.json", Ids.CONFLUENT))}
TYPES = {"orders": {"paid": TypeRule("boolean"), "customer": TypeRule("uuid"), "doc": TypeRule("json")}}


def lines(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(FIXTURES / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def recording(name: str) -> list[Messages]:
    partitions: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for line in lines(name):
        partitions[line["topic"], line["partition"]].append(line)
    return [
        _messages(topic, partition, sorted(found, key=lambda line: line["offset"]))
        for (topic, partition), found in partitions.items()
    ]


def _messages(topic: str, partition: int, found: list[dict[str, Any]]) -> Messages:
    def octets(field: str) -> pa.Array:
        return pa.array([None if line[field] is None else base64.b64decode(line[field]) for line in found], pa.binary())

    offset = np.array([line["offset"] for line in found], np.int64)
    timestamp = np.array([line["ts"] for line in found], np.int64)
    return Messages(Upstream("side", topic, partition), offset, timestamp, octets("key_b64"), octets("payload_b64"))


def feed(form: str, table: str, names: frozenset[str]) -> FeedPlan:
    types = TYPES.get(table, {})
    columns = tuple(
        ColumnPlan(
            name, name, reads=(name,), type=types.get(name), large=name == "note" and table == "orders", key=name in KEYS[table]
        )
        for name in sorted(names, key=str.encode)
    )
    return FeedPlan("side", FORMATS[form], columns, tuple(types.items()))


def framed(tag: str, text: str) -> bytes:
    return f"{tag}{len(text.encode())}:{text}".encode()


def plain(number: str | Decimal) -> str:
    value = Decimal(number)
    return "0" if value == 0 else format(value.normalize(Context(prec=500)), "f")


def jcs(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, list):
        return "[" + ",".join(map(jcs, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{jcs(k)}:{jcs(value[k])}" for k in sorted(value, key=lambda k: k.encode("utf-16-be"))) + "}"
    return json.dumps(value, ensure_ascii=False)


def document(text: str) -> bytes:
    return framed("j", jcs(json.loads(text, parse_int=Decimal, parse_float=Decimal)))


def of(tag: str) -> Callable[[Any], bytes]:
    return lambda value: framed(tag, str(value))


def number(value: Any) -> bytes:
    return framed("n", plain(str(value)))


def large(value: str) -> bytes:
    return framed("h", hashlib.sha256(framed("s", value)).hexdigest())


COLUMNS: dict[str, dict[str, Callable[[Any], bytes]]] = {
    "orders": {
        "amount": number,
        "customer": of("u"),
        "doc": document,
        "due": of("d"),
        "id": number,
        "note": large,
        "paid": lambda value: framed("b", "1" if value else "0"),
        "placed_at": of("t"),
        "qty": number,
        "raw": of("x"),
    },
    "payments": {"amount": number, "method": of("s"), "note": of("s"), "order_id": number, "paid_at": of("t"), "seq": number},
    "customers": {"credit": number, "email": of("s"), "handle": of("s"), "joined": of("d"), "name": of("s"), "seen_at": of("t")},
}


def truth(side: str, table: str) -> dict[bytes, bytes]:
    """Key text to row hash, from what SQL read."""
    found = {}
    for row in lines(f"final-{side}-{table}"):
        texts = {name: b"~" if row[name] is None else text(row[name]) for name, text in COLUMNS[table].items()}
        found[b"".join(texts[name] for name in KEYS[table])] = hashlib.sha256(b"".join(texts.values())).digest()
    return found


def left(form: str, side: str, table: str) -> dict[bytes, bytes | None]:
    """Key text to row hash, from the messages: the last version by time, then offset."""
    decoder = ReferenceDecoder(feed(form, table, frozenset(COLUMNS[table])), BOOKS[form])
    versions = []
    for messages in recording(f"{side}-{form}-{table}"):
        decoded = decoder.decode(messages)
        assert decoded.dead == ()
        assert len(decoded.control) == 0
        partition = messages.upstream.partition
        versions += [
            (row["t"], partition, messages.offset[row["message"]], row["index"], row)
            for row in decoded.rows.to_pylist()
            if row["op"] != Op.TOMBSTONE
        ]
    state: dict[bytes, bytes | None] = {}
    for *_, row in sorted(versions, key=lambda version: version[:4]):
        state.pop(row["key_text"], None)
        assert row["key"] == hashlib.sha256(row["key_text"]).digest()[:16]
        if row["op"] in {Op.UPSERT, Op.READ}:
            state[row["key_text"]] = row["hash"]
    return state


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("side", ["pg", "maria"])
@pytest.mark.parametrize("table", list(COLUMNS))
def test_what_is_left_is_what_the_database_holds(form: str, side: str, table: str) -> None:
    found, expected = left(form, side, table), truth(side, table)
    assert found.keys() == expected.keys()
    known = {key: digest for key, digest in found.items() if digest is not None}
    assert known == {key: expected[key] for key in known}
    unknown = found.keys() - known.keys()
    assert (len(unknown) > 0) == (side == "pg" and table == "orders"), "TOASTed notes, on PostgreSQL only"


@pytest.mark.parametrize("forms", [(a, b) for a in FORMATS for b in FORMATS])
@pytest.mark.parametrize("table", list(COLUMNS))
def test_the_sides_differ_in_the_faulty_keys_only(forms: tuple[str, str], table: str) -> None:
    source, target = left(forms[0], "pg", table), left(forms[1], "maria", table)
    differing = {
        key
        for key in source.keys() | target.keys()
        if source.get(key) != target.get(key) and not (key in source and source[key] is None)
    }
    kinds = [COLUMNS[table][name] for name in KEYS[table]]
    faults = json.loads((FIXTURES / "faults.json").read_text(encoding="utf-8"))[table]
    assert differing == {b"".join(text(value) for text, value in zip(kinds, key, strict=True)) for key in faults}


CONTROL = [("pg", "heartbeat"), ("pg", "transaction"), ("maria", "heartbeat"), ("maria", "transaction"), ("maria", "ddl")]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("side", "kind"), CONTROL)
def test_control_topics_hold_control_records_only(form: str, side: str, kind: str) -> None:
    decoder = ReferenceDecoder(feed(form, "orders", frozenset(COLUMNS["orders"])), BOOKS[form])
    for messages in recording(f"{side}-{form}-{kind}"):
        decoded = decoder.decode(messages)
        assert list(decoded.control) == list(range(len(messages)))
        assert decoded.rows.num_rows == 0
        assert decoded.dead == ()
        assert discover(FORMATS[form], messages.value, BOOKS[form]) == frozenset()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("side", ["pg", "maria"])
@pytest.mark.parametrize("table", list(COLUMNS))
def test_columns_are_found_in_the_schemas(form: str, side: str, table: str) -> None:
    names: frozenset[str] = frozenset[str]().union(
        *(discover(FORMATS[form], messages.value, BOOKS[form]) for messages in recording(f"{side}-{form}-{table}"))
    )
    only_target = {"synced_at"} if (side, table) == ("maria", "customers") else set()
    assert names == COLUMNS[table].keys() | only_target
