"""What is fuzzed: one function for each format. Any octets, as key or as value, alone and among healthy messages of the topic:
the vectorised decoder says what the reference decoder says, every message becomes exactly one of rows, control record and dead
letter, and nothing is raised.

    input    one octet (which of them is new: value, key, both the same) | the message
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from stream_recon.model.messages import Decoded, Messages
from stream_recon.model.plan import FeedPlan, Format
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder
from tests.unit.normalise.avro_making import UNREAD
from tests.unit.normalise.avro_writing import (
    SOURCE,
    Schema,
    Schemas,
    Writer,
    change,
    check_same,
    decimal,
    decoders,
    envelope,
    feed,
    key_schema,
    map_of_pairs,
    messages,
    named,
    optional,
    record,
)

Pair = tuple[bytes | None, bytes | None]
_HEALTHY: Final = 17
"""As many messages as the fast way needs, and one."""


class Target:
    """One format: both decoders of a feed, healthy messages, and inputs to begin with."""

    def __init__(self, reference: ReferenceDecoder, vectorised: ColumnarDecoder, healthy: Pair, corpus: Sequence[bytes]) -> None:
        self._reference = reference
        self._vectorised = vectorised
        self._healthy = healthy
        self.corpus = corpus

    def __call__(self, data: bytes) -> None:
        """Raises ``AssertionError`` if the decoders differ, and whatever they raise."""
        pair = self._pair(data)
        self._compare(messages([pair] * _HEALTHY))
        if self._compare(messages([self._healthy] * _HEALTHY + [pair, self._healthy])).dead:
            return
        self._compare(messages([pair, self._healthy] * _HEALTHY, before=1, after=1))

    def _pair(self, data: bytes) -> Pair:
        which, message = data[:1], data[1:]
        key, value = self._healthy
        return (message if which in (b"k", b"b") else key), (message if which != b"k" else value)

    def _compare(self, batch: Messages) -> Decoded:
        wanted = self._reference.decode(batch)
        check_same(wanted, self._vectorised.decode(batch), len(batch))
        return wanted


_COLUMNS: Final[dict[str, Schema]] = {
    "id": "long",
    "amount": optional(decimal(2)),
    "at": optional(named("string", "io.debezium.time.ZonedTimestamp")),
    "doc": optional(named("string", "io.debezium.data.Json")),
    "due": optional(named("int", "io.debezium.time.Date"), null_first=False),
    "kind": {"type": "enum", "name": "K", "symbols": ["new", "paid"]},
    "paid": "boolean",
    "ratio": optional("double"),
    "raw": "bytes",
    "seen": named("long", "io.debezium.time.MicroTimestamp"),
    "single": "float",
}
_NESTED: Final[dict[str, Schema]] = {
    "id": "string",
    "either": ["null", "int"],
    "gone": "null",
    "list": {"type": "array", "items": optional("int")},
    "pairs": map_of_pairs("long", optional("string")),
    "struct": optional(record("S", {"n": "null", "a": optional("int"), "b": "boolean"})),
    "tags": {"type": "map", "values": optional("string")},
    "fixed": {"type": "fixed", "name": "F", "size": 3},
}
_ROW: Final[dict[str, Any]] = {
    "id": 7,
    "amount": b"\x04\xd2",
    "at": "2026-11-21T04:00:00.5Z",
    "doc": '{"b": 1.10}',
    "due": 20_000,
    "kind": "paid",
    "paid": True,
    "ratio": 0.1,
    "raw": b"\0\xff",
    "seen": 1_700_000_000_000_000,
    "single": 1.5,
}
_NESTED_ROW: Final[dict[str, Any]] = {
    "id": "x",
    "either": 5,
    "gone": None,
    "list": [1, None, 300],
    "pairs": [{"key": 1, "value": None}, {"key": 2, "value": "x"}],
    "struct": {"n": None, "a": None, "b": True},
    "tags": [("a", "x"), ("b", None)],
    "fixed": b"abc",
}


def debezium_avro() -> Target:
    """Two schemas of values, one of keys."""
    schemas, corpus = Schemas(), []
    key = key_schema({"id": "long"})
    key_octets = schemas.add(key) + Writer(key).write({"id": 7})
    for columns, row in ((_COLUMNS, _ROW), (_NESTED, _NESTED_ROW)):
        octets, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
        empty = {name: None if isinstance(columns[name], list) else value for name, value in row.items()}
        changes = [change("c", None, row), change("u", row, empty), change("r", None, empty), change("d", row, None)]
        corpus += [b"v" + octets + writer.write(one) for one in changes]
    corpus += [
        b"k" + key_octets,
        b"b" + key_octets,
        b"v" + schemas.add(SOURCE),
        b"v\0\0\0\0\x63\0",
        b"v\1" + bytes(16),
        b"k\0",
        b"v",
    ]
    names = [*_COLUMNS, *(name for name in _NESTED if name != "id")]
    return Target(*decoders(feed(dict.fromkeys(names)), schemas), (key_octets, corpus[0][1:]), corpus)


def _json_target(form: Format, columns: Sequence[str], healthy: tuple[str, str], more: Sequence[str]) -> Target:
    plan: FeedPlan = replace(feed(dict.fromkeys(columns)), format=form)
    key, value = (one.encode() for one in healthy)
    corpus = [b"v" + value, b"k" + key, *(b"v" + one.encode() for one in more), b"k7", b'k{"id": null}', b"v"]
    reference = ReferenceDecoder(plan)
    return Target(reference, ColumnarDecoder(plan, ReferenceDecoder(plan)), (key, value), corpus)


_IMAGE: Final = {"id": 7, "name": "été \n", "doc": '{"a":[1.50]}', "amount": "BNI=", "paid": True, "ratio": 1e-7, "gone": None}


def debezium_json() -> Target:
    """Values with Connect's schema and without."""
    kinds = {"id": "int64", "name": "string", "paid": "boolean", "ratio": "double", "gone": "string"}
    fields: list[dict[str, Any]] = [{"type": kind, "optional": True, "field": name} for name, kind in kinds.items()]
    fields.append({"type": "string", "name": "io.debezium.data.Json", "field": "doc"})
    scale = {"scale": "2"}
    fields.append({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": scale, "field": "amount"})
    images = [{"type": "struct", "fields": fields, "optional": True, "field": name} for name in ("before", "after")]
    source = {"type": "struct", "field": "source", "fields": [{"type": "int64", "field": "ts_us"}]}
    schema = {"type": "struct", "fields": [*images, source, {"type": "string", "field": "op"}]}
    payload = {"before": None, "after": _IMAGE, "source": {"ts_us": 10**15}, "op": "c"}
    updated = payload | {"before": _IMAGE, "op": "u", "after": _IMAGE | {"id": 8, "name": UNREAD}}
    deleted = payload | {"before": {"id": 7}, "op": "d", "after": None}
    written = [_compact({"schema": schema, "payload": one}) for one in (payload, updated, deleted)]
    bare = [_compact(one) for one in (payload, updated, deleted)]
    return _json_target(Format.DEBEZIUM_JSON, list(_IMAGE), ('{"id":7}', written[0]), [*written[1:], *bare])


def plain_json() -> Target:
    """Rows without a schema."""
    odd = '{"id":7,"name":"\\ud83d\\ude00\\u0000","doc":{"b":1.10,"a":[]},"amount":-0.0,"paid":1e400}'
    return _json_target(Format.JSON, list(_IMAGE), ('{"id":7}', _compact(_IMAGE)), [odd, "[]", "null", '{"id":7,"id":8}'])


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "debezium-avro": debezium_avro,
    "debezium-json": debezium_json,
    "json": plain_json,
}
