"""Rows as the messages of a connector: texts are put together column by column, no row is touched by Python.

json            the row itself, event time in updated_at
debezium-json   Debezium's envelope, with the schema around it or without
debezium-avro   the same under schemas that the topology names by a file (``avro``)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_recon.bench import avro
from stream_recon.bench.data import Ints, Rows

CHUNK: Final = 20_000
"""Rows made at once: with a schema a message has 3 KB."""

_STATUS: Final = pa.array(["new", "paid", "packed", "shipped", "returned"])
_NOTE: Final = pa.array(
    [
        "null",
        '"gift wrap, leave at the side door if nobody is at home then"',
        '"call the customer on arrival at the gate, gate code 4711"',
        '"priority customer: expedite, insured up to 5000 EUR by us"',
    ]
)
_NOTES: Final = pa.array([None if one == "null" else one[1:-1] for one in _NOTE.to_pylist()], pa.string())
_TYPES: Final[dict[str, dict[str, Any]]] = {
    "id": {"type": "int64"},
    "customer_id": {"type": "int32"},
    "amount": {"type": "string"},
    "status": {"type": "string"},
    "note": {"type": "string"},
    "updated_at": {"type": "int64", "name": "io.debezium.time.MicroTimestamp"},
}
_SOURCE: Final = ("version", "connector", "name", "ts_ms", "snapshot", "db", "ts_us", "schema", "table", "txId", "lsn")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages in the order in which they are written; ``timestamp`` in ms."""

    partition: list[int]
    timestamp: list[int]
    key: list[bytes]
    value: list[bytes]

    def part(self, start: int, stop: int) -> Chunk:
        """Some of them."""
        return Chunk(self.partition[start:stop], self.timestamp[start:stop], self.key[start:stop], self.value[start:stop])


def messages(rows: Rows, encoding: str, partitions: int, *, schema: bool) -> Iterator[Chunk]:
    """The rows of one side as messages of the format ``encoding``."""
    around = _around() if schema else ("", "", "", "")
    for start in range(0, len(rows), CHUNK):
        some = rows.take(slice(start, start + CHUNK))
        if encoding == "debezium-avro":
            key, value = avro.keys(some), avro.values(some, start, _NOTES, _STATUS)
        else:
            key = _joined(around[0] + '{"id":', _text(some.key), "}" + around[1])
            value = _plain(some, quoted=False) if encoding == "json" else _enveloped(some, start, around)
        yield Chunk(
            (some.key % partitions).tolist(),
            (some.written // 1000).tolist(),
            key.cast(pa.binary()).to_pylist(),
            value.cast(pa.binary()).to_pylist(),
        )


def _plain(rows: Rows, *, quoted: bool) -> pa.Array:
    """``quoted``: the amount is a string, as Debezium writes it under ``decimal.handling.mode=string``."""
    mark = '"' if quoted else ""
    return _joined(
        '{"id":',
        _text(rows.key),
        ',"customer_id":',
        _text(rows.customer),
        f',"amount":{mark}',
        _text(rows.cents // 100),
        ".",
        pc.utf8_lpad(_text(rows.cents % 100), 2, "0"),
        f'{mark},"status":"',
        _STATUS.take(pa.array(rows.status)),
        '","note":',
        _NOTE.take(pa.array(rows.note)),
        ',"updated_at":',
        _text(rows.time),
        "}",
    )


def _enveloped(rows: Rows, start: int, around: tuple[str, ...]) -> pa.Array:
    number = np.arange(start, start + len(rows))
    operation = pa.array(["u", "c"]).take(pa.array(rows.first.astype(np.int64)))
    return _joined(
        around[2] + '{"before":null,"after":',
        _plain(rows, quoted=True),
        ',"source":{"version":"3.7.0.Final","connector":"postgresql","name":"pg","ts_ms":',
        _text(rows.time // 1000),
        ',"snapshot":"false","db":"shop","ts_us":',
        _text(rows.time),
        ',"schema":"public","table":"orders","txId":',
        _text(number + 733),
        ',"lsn":',
        _text(26_765_488 + 100 * number),
        '},"transaction":null,"op":"',
        operation,
        '","ts_ms":',
        _text(rows.written // 1000),
        ',"ts_us":',
        _text(rows.written),
        "}" + around[3],
    )


def _text(values: Ints) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _joined(*parts: str | pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _around() -> tuple[str, str, str, str]:
    """What JsonConverter with ``schemas.enable`` puts before and after a key and a value."""
    row = [_field(name, kind) for name, kind in _TYPES.items()]
    source = [_field(n, {"type": "int64" if n in {"ts_ms", "ts_us", "txId", "lsn"} else "string"}) for n in _SOURCE]
    block = [_field(n, {"type": kind}) for n, kind in (("id", "string"), ("total_order", "int64"))]
    envelope = [_struct("before", row), _struct("after", row), _struct("source", source), _struct("transaction", block)]
    envelope += [_field("op", {"type": "string"}), _field("ts_ms", {"type": "int64"}), _field("ts_us", {"type": "int64"})]
    key, value = ({**_struct(None, fields), "optional": False} for fields in (row[:1], envelope))
    return _prefix(key), "}", _prefix(value), "}"


def _prefix(schema: dict[str, Any]) -> str:
    return f'{{"schema":{json.dumps(schema, separators=(",", ":"))},"payload":'


def _field(name: str, kind: dict[str, Any]) -> dict[str, Any]:
    return {**kind, "optional": name != "id", "field": name}


def _struct(name: str | None, fields: list[dict[str, Any]]) -> dict[str, Any]:
    told = {} if name is None else {"field": name}
    title = f"pg.public.orders.{(name or 'envelope').title()}"
    return {"type": "struct", "fields": fields, "optional": True, "name": title, **told}
