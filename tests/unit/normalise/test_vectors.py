"""The golden vectors (tests/vectors) against the reference reading: value by value, and as whole messages.

The files themselves are checked too: an expectation that contradicts itself would prove nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.errors import Refused
from stream_recon.model.messages import Decoded, Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TypeRule
from stream_recon.normalise.canonical import framed
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.normalise.types import Options, parse_wire, reader
from stream_recon.normalise.types.values import decode_utf8, loads
from tests.vectors.reading import HERE, VALUES, RowVector, Vector, row_vectors, vectors

ALL = vectors()
ROWS = row_vectors()
LEAST = {
    "null": 22,
    "b": 15,
    "n": 88,
    "f": 64,
    "s": 44,
    "x": 23,
    "d": 40,
    "t": 71,
    "c": 32,
    "u": 22,
    "j": 75,
    "l": 28,
    "m": 21,
    "i": 17,
}
"""How many there are: a vector that is taken away must be missed."""


def named(vector: Vector | RowVector) -> str:
    return vector.id


def test_no_vector_is_missing() -> None:
    counts = {file: sum(vector.file == file for vector in ALL) for file in VALUES}
    assert all(counts[file] >= LEAST[file] for file in VALUES), counts
    assert len(ROWS) >= 33
    assert len({*map(named, ALL), *map(named, ROWS)}) == len(ALL) + len(ROWS)
    assert {path.stem for path in HERE.glob("*.json")} == {*VALUES, "rows"}
    assert all(any(vector.refused for vector in ALL if vector.file == file) for file in VALUES if file != "null")


@pytest.mark.parametrize("vector", ALL, ids=named)
def test_a_vector_agrees_with_itself(vector: Vector) -> None:
    given = vector.given
    known = {"id", "about", "schema", "declared", "nfc", "timezone", "wire", "wire_hex", "tag", "text", "framed", "refused"}
    assert given.keys() <= known | {"framed_octets", "framed_sha256", "postgresql", "mariadb"}
    if "text" in given:
        assert given["tag"] == vector.file
        assert given["framed"] == f"{given['tag']}{len(given['text'].encode())}:{given['text']}"
    assert (vector.file == "null") == vector.is_null


@pytest.mark.parametrize("vector", ROWS, ids=named)
def test_a_row_vector_agrees_with_itself(vector: RowVector) -> None:
    key = b"".join(column["framed"].encode() for column in vector.sorted_columns() if column.get("key"))
    assert key.decode() == vector.key_text
    assert digest(vector, key)[:32] == vector.key_id
    texts = [column["framed"] for column in vector.sorted_columns()]
    assert (vector.row_text is None) == (None in texts)
    if vector.row_text is not None:
        assert digest(vector, vector.row_text.encode()) == vector.row_hash
        assert all(column.get("large") or column["framed"] in vector.row_text for column in vector.columns)


def digest(vector: RowVector, data: bytes) -> str:
    if vector.hash_key is None:
        return hashlib.sha256(data).hexdigest()
    return hmac.new(vector.hash_key, data, "sha256").hexdigest()


def rule_of(declared: str | None) -> TypeRule | None:
    if declared is None:
        return None
    found = re.fullmatch(r"([a-z]+)(?:\((.*)\))?", declared)
    assert found, declared
    return TypeRule(found[1], tuple(part.strip() for part in found[2].split(",")) if found[2] else ())


def read(vector: Vector) -> bytes:
    value = loads(decode_utf8(vector.wire))
    if value is None:
        return framed(None)
    wire = None if vector.schema is None else parse_wire(loads(json.dumps(vector.schema)))
    zone = None if vector.timezone is None else ZoneInfo(vector.timezone)
    return framed(reader(rule_of(vector.declared), wire, Options(vector.nfc, zone))(value))


@pytest.mark.parametrize("vector", ALL, ids=named)
def test_the_reading_of_a_value(vector: Vector) -> None:
    if vector.refused:
        with pytest.raises(Refused):
            read(vector)
    else:
        text = read(vector)
        assert vector.is_framed(text), text[:300]


def decode(feed: FeedPlan, value: bytes) -> Decoded:
    messages = Messages(
        Upstream("side", "topic", 0),
        np.array([0], np.int64),
        np.array([5], np.int64),
        pa.array([None], pa.binary()),
        pa.array([value], pa.binary()),
    )
    return ReferenceDecoder(feed).decode(messages)


def message(schemas: dict[str, dict[str, Any]] | None, columns: dict[str, bytes]) -> bytes:
    """A change event of Debezium's, with its schema or without."""
    after = b",".join(json.dumps(name).encode() + b":" + wire for name, wire in columns.items())
    payload = b'{"op": "c", "source": {"ts_us": 1000}, "after": {%b}}' % after
    if schemas is None:
        return payload
    row = {"type": "struct", "field": "after", "fields": [{**schema, "field": name} for name, schema in schemas.items()]}
    envelope = {"type": "struct", "fields": [{"type": "string", "field": "op"}, row]}
    return b'{"schema": %b, "payload": %b}' % (json.dumps(envelope).encode(), payload)


@pytest.mark.parametrize("vector", ALL, ids=named)
def test_a_message_that_holds_the_value(vector: Vector) -> None:
    """In a large column: then the digest row carries the hash of the framed text itself."""
    value = ColumnPlan("v", "v", type=rule_of(vector.declared), timezone=vector.timezone, large=True)
    feed = FeedPlan("side", Format.DEBEZIUM_JSON, (ColumnPlan("id", "id", key=True), value), unicode_nfc=vector.nfc)
    schemas = None if vector.schema is None else {"id": {"type": "int32"}, "v": vector.schema}
    decoded = decode(feed, message(schemas, {"id": b"1", "v": vector.wire}))
    if vector.refused:
        assert len(decoded.dead) == 1
        assert decoded.rows.num_rows == 0
        return
    assert not decoded.dead, decoded.dead[0].reason
    (row,) = decoded.rows.to_pylist()
    digest_row = "" if vector.is_null else vector.framed_sha256
    text = "n1:1~" if vector.is_null else f"n1:1h64:{vector.framed_sha256}"
    assert row["large_0"].hex() == digest_row
    assert row["hash"] == hashlib.sha256(text.encode()).digest()


@pytest.mark.parametrize("vector", ROWS, ids=named)
def test_a_message_that_holds_the_row(vector: RowVector) -> None:
    columns = tuple(
        ColumnPlan(column["name"], column["name"], key=column.get("key", False), large=column.get("large", False))
        for column in vector.sorted_columns()
    )
    feed = FeedPlan("side", Format.DEBEZIUM_JSON, columns, unicode_nfc=vector.nfc, hash_key=vector.hash_key)
    schemas = {column["name"]: column["schema"] for column in vector.columns}
    decoded = decode(feed, message(schemas, {column["name"]: column["wire"].encode() for column in vector.columns}))
    assert not decoded.dead, decoded.dead[0].reason
    (row,) = decoded.rows.to_pylist()
    assert row["key_text"] == vector.key_text.encode()
    assert row["key"].hex() == vector.key_id
    assert (None if row["hash"] is None else row["hash"].hex()) == vector.row_hash
    if vector.large_hashes:
        found = [row[f"large_{i}"] for i in range(len(vector.large_hashes))]
        assert tuple(None if one is None else one.hex() for one in found) == vector.large_hashes
        assert (None if row["rest"] is None else row["rest"].hex()) == vector.rest_hash
