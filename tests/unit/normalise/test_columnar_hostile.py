"""Healthy, odd and broken messages in one batch: the vectorised decoder gives the bytes of the reference decoder, always.

Each batch grows from one seed: rows, then odd values, then messages bent octet by octet. A failing seed is the whole story.
"""

from __future__ import annotations

import base64
import json
import random
import uuid
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TokenPlan, TypeRule
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder

Rule = TypeRule
WIRE = {
    "id": ("int64", None),
    "customer": ("string", "io.debezium.data.Uuid"),
    "amount": ("bytes", "org.apache.kafka.connect.data.Decimal"),
    "placed_at": ("string", "io.debezium.time.ZonedTimestamp"),
    "seen_at": ("int64", "io.debezium.time.MicroTimestamp"),
    "note": ("string", None),
    "paid": ("boolean", None),
    "raw": ("bytes", None),
    "due": ("int32", "io.debezium.time.Date"),
    "qty": ("int32", None),
    "ratio": ("double", None),
    "narrow": ("float", None),
    "doc": ("string", "io.debezium.data.Json"),
    "at": ("int32", "io.debezium.time.Time"),
}
NAMES = list(WIRE)
TOKENS = TokenPlan((), b"t" * 32, 3)
COMPUTED = [
    (ColumnPlan("e1", None, "qty * 2 + id", ("id", "qty")),),
    (ColumnPlan("e1", None, "upper(note)", ("note",)), ColumnPlan("e2", None, "10 / qty", ("qty",))),
    (ColumnPlan("e1", None, "coalesce(ratio, 0.5)", ("ratio",)), ColumnPlan("note2", None, "amount + 1", ("amount",))),
]
DECLARED: list[dict[str, Rule]] = [
    {},
    {
        "customer": Rule("uuid"),
        "placed_at": Rule("timestamp"),
        "seen_at": Rule("timestamp", ("us",)),
        "raw": Rule("bytes", ("base64",)),
    },
    {
        "due": Rule("date"),
        "doc": Rule("json"),
        "amount": Rule("bytes"),
        "qty": Rule("decimal"),
        "ratio": Rule("decimal", ("9", "2")),
    },
    {"qty": Rule("boolean"), "amount": Rule("json"), "note": Rule("decimal"), "due": Rule("integer"), "paid": Rule("integer")},
    {"amount": Rule("decimal", ("9", "2")), "note": Rule("string"), "qty": Rule("float"), "placed_at": Rule("date")},
    {"raw": Rule("bytes", ("hex",)), "seen_at": Rule("timestamp", ("ns",)), "id": Rule("integer"), "at": Rule("time", ("ms",))},
    {"note": Rule("list"), "doc": Rule("map"), "qty": Rule("time", ("us",)), "at": Rule("timestamp", ("ms",))},
]


class Raw(str):
    """Text that stands in the message as it is."""

    __slots__ = ()


UNREAD = "__debezium_unavailable_value"
ODD: list[Any] = [
    *[None, True, False, 0, 1, 1.5, 10**30, "", "x", "1", "1.50", "-0", "NaN", "2026-01-01", 10**18],
    *[2**63 - 1, -(2**63), 2**63, 2**31],
    *["2026-01-01T00:00:00Z", "2026-02-29T00:00:00Z", "2024-02-29T23:59:59.9Z"],
    *["2026-01-01T00:00:00.1234567Z", "2026-01-01T24:00:00Z"],
    *["0000-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "2026-01-01T00:00:00+02:00", "2026-01-01 00:00:00", "infinity", "[1, 2]"],
    *["AA==", "AB==", "/w==", "AAAAAAAAAAAA", "gAAAAAAAAAA=", "A", "a-b_", "AA=A", "====", "A===", "\n"],
    *['a"b\\', "é", "\u0000", "😀"],
    *[UNREAD, base64.b64encode(UNREAD.encode()).decode(), UNREAD.encode().hex(), [UNREAD], {UNREAD: UNREAD}],
    *[json.dumps({UNREAD: UNREAD})],
    *[{"a": 1}, [1, 2], {"scale": 1, "value": "AQ=="}, {}, [], 1e300, 1e-7, 123456.0, 0.1, 1e15],
    *[123456789012345680.0, -719163, 2932897],
    *["A1B2C3D4-0000-4000-8000-000000000000", "a1b2c3d4-0000-4000-8000-000000000000", "a1b2c3d4-0000-4000-8000-00000000000g"],
    *map(Raw, ["1e2", "1.10", "-0", "-0.0", "1E-7", "0.000", "100.0100", "01", "1.", "tru", "nul", "truex"]),
    *map(Raw, ["NaN", "Infinity", "1" * 5000]),
    *map(Raw, ['"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00x\\u00e9\\u0041\\/\\b\\f"', '"\\u12"']),
    *map(Raw, ['"\\x"', '"a\\\\"', '"\\\\\\""']),
    *map(Raw, ['{"a":1,"a":2}', '{"a":{"b":[1,{"c":"}"}]}}', "[}", '"a" "b"', '"a""b"', "1 2", " 1", "1 "]),
    *map(Raw, ['"a"{}"b"', '"a\\"', ""]),
    *map(Raw, ["1234567890" * 5, "9223372036854775808", "-9223372036854775809", '"' + UNREAD[:10], '"a":1']),
    *map(Raw, ['1,"qty":2', '1,"zz":[2']),
]  # fmt: skip
BENT = b'{}[],:"\\ \n\t0123456789eE.+-tfnul/\x00\xff\xc3\xa9a'
OTHER_VALUES = [
    None,
    b"",
    b"{}",
    b"null",
    b"[]",
    b'"x"',
    b"{",
    b'{"a":1}',
    b"\\",
    b'"',
    b'{"schema":',
    b'{"schema":1,"payload":2}',
]
OTHER_KEYS = [None, b"", b"x", b"62", b"{", b" {}", b"null", b"\xff", b'"id"', b"\xef\xbb\xbf{}"]


def written(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def octets(value: Any) -> bytes:
    return written(value).encode("utf-8", "surrogatepass")


def row(r: random.Random, at: int) -> dict[str, Any]:
    return {
        "id": 10**15 + at,
        "customer": str(uuid.UUID(int=r.getrandbits(128))),
        "amount": base64.b64encode(r.randrange(-(10**9), 10**9).to_bytes(r.choice([5, 8]), "big", signed=True)).decode(),
        "placed_at": f"2026-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d}T01:19:44.{r.randrange(10**6):06d}Z",
        "seen_at": r.randrange(-(10**15), 10**16),
        "note": r.choice([None, "", "plain", 'a "quoted" one', "two\nlines", "été 😀"]),
        "paid": r.choice([None, True, False]),
        "raw": base64.b64encode(r.randbytes(r.randrange(9))).decode(),
        "due": r.choice([None, 0, 20_000, -1]),
        "qty": r.randrange(-10, 1000),
        "ratio": r.choice([None, 0.5, r.random(), r.random() * 1e6, 12.0]),
        "narrow": r.choice([None, 0.5, 0.1, 3.25]),
        "doc": r.choice([None, '{"b": 1.50, "a": [null, "x"]}', "null", "1e2"]),
        "at": r.randrange(86_400_000),
    }


def struct(names: list[str]) -> list[dict[str, Any]]:
    fields = []
    for name in names:
        kind, logical = WIRE[name]
        scale = {"parameters": {"scale": "4"}} if name == "amount" else {}
        fields.append({"type": kind, "optional": True, **({} if logical is None else {"name": logical}), **scale, "field": name})
    return fields


def schema() -> bytes:
    times = [{"type": "int64", "optional": True, "field": name} for name in ("ts_us", "ts_ns", "ts_ms", "lsn")]
    images = [{"type": "struct", "fields": struct(NAMES), "optional": True, "field": name} for name in ("before", "after")]
    source = {"type": "struct", "fields": times, "optional": False, "field": "source"}
    return octets({"type": "struct", "fields": [*images, source, {"type": "string", "optional": False, "field": "op"}]})


SCHEMA, ROW_SCHEMA = schema(), octets({"type": "struct", "fields": struct(NAMES)})
KEY_SCHEMA = octets({"type": "struct", "fields": struct(["id"])})


def envelope(r: random.Random, image: dict[str, Any], at: int) -> dict[str, Any]:
    op = r.choice("cuuuurd")
    source = {"ts_us": 10**15 + at, "ts_ns": None, "ts_ms": 10**12, "lsn": at, "sequence": '[null,"1"]'}
    before = r.choice([None, image, {"id": image.get("id")}]) if op in "ud" else None
    return {"before": before, "after": None if op == "d" else image, "source": source, "transaction": None, "op": op, "ts_ms": 1}


def odd_row(r: random.Random, at: int) -> dict[str, Any]:
    image = row(r, at)
    for _ in range(r.choice([0, 1, 1, 2])):
        image[r.choice([*NAMES, "extra"])] = r.choice(ODD)
    if r.random() < 0.1:
        image.pop(r.choice(list(image)))
    if r.random() < 0.1:
        image = {name: image[name] for name in r.sample(list(image), len(image))}
    return image


def odd_envelope(r: random.Random, image: dict[str, Any], at: int) -> dict[str, Any]:
    out = envelope(r, image, at)
    choice = r.random()
    if choice < 0.1:
        out[r.choice(list(out))] = r.choice(ODD)
    elif choice < 0.2:
        out["op"] = r.choice("crudtm")
    elif choice < 0.3:
        out["source"][r.choice(list(out["source"]))] = r.choice(ODD)
    elif choice < 0.4:
        out["before"] = r.choice([{"id": None}, {"id": 5}, {}, *ODD])
    elif choice < 0.45:
        out.pop(r.choice(list(out)))
    elif choice < 0.5:
        del out["source"]["ts_us"]
    return out


def bent(r: random.Random, text: bytes, start: int) -> bytes:
    out = bytearray(text)
    for _ in range(r.choice([1, 1, 2, 3])):
        at, how = r.randrange(min(start, len(out) - 1), len(out)) if len(out) > 1 else 0, r.random()
        if how < 0.4:
            out[at : at + 1] = bytes([r.choice(BENT)])
        elif how < 0.6:
            out[at:at] = bytes([r.choice(BENT)])
        elif how < 0.8:
            del out[at : at + r.choice([1, 1, 20])]
        else:
            out[at:at] = out[at : at + r.randrange(40)]
    return bytes(out)


def message(r: random.Random, form: Format, *, with_schema: bool, healthy: bool, at: int) -> tuple[bytes | None, bytes | None]:
    image = row(r, at) if healthy else odd_row(r, at)
    key: Any = {"id": 10**15 + at}
    if not healthy and r.random() < 0.1:
        key = r.choice([{"id": r.choice(ODD)}, {"ID": 1}, {"id": 1, "more": [1]}, *ODD])
    payload = image if form is Format.JSON else (envelope if healthy else odd_envelope)(r, image, at)
    value, head = octets(payload), b""
    if not healthy and r.random() < 0.1:
        value = octets(payload).replace(b'":', b'": ').replace(b',"', b', "')
    text = octets(key)
    if with_schema and (healthy or r.random() < 0.95):
        head = b'{"schema":' + (ROW_SCHEMA if form is Format.JSON else SCHEMA) + b',"payload":'
        value = head + value + b"}"
        text = b'{"schema":' + KEY_SCHEMA + b',"payload":' + text + b"}" if healthy or r.random() < 0.95 else text
    if healthy:
        return text, value
    value = bent(r, value, len(head) if r.random() < 0.9 else 0) if r.random() < 0.3 else value
    text = bent(r, text, 0) if r.random() < 0.1 else text
    return (
        r.choice(OTHER_KEYS) if r.random() < 0.05 else text,
        r.choice(OTHER_VALUES) if r.random() < 0.05 else value,
    )


def batch(r: random.Random, form: Format, count: int) -> Messages:
    with_schema, sick = r.random() < 0.5, r.choice([0.1, 0.5, 0.9])
    pairs = [message(r, form, with_schema=with_schema, healthy=r.random() >= sick, at=at) for at in range(count)]
    keys, values = ([pair[side] for pair in pairs] for side in (0, 1))
    number = np.arange(count, dtype=np.int64)
    offset = r.choice([0, 0, 3])  # a slice of a longer array must not be read from its start
    arrays = [pa.array([b'{"x":"'] * offset + column, pa.binary()).slice(offset) for column in (keys, values)]
    return Messages(Upstream("s", "t", 0), number, number + 10**12, arrays[0], arrays[1])


def feed(r: random.Random, form: Format) -> FeedPlan:
    names = sorted(r.choice([NAMES, [*NAMES, "extra"], ["id", "note", "qty"], ["id", "doc", "ratio", "narrow", "at"]]))
    types = {name: rule for name, rule in r.choice(DECLARED).items() if name in names}
    large = r.choice([[], [], ["note"], ["note", "doc"]])
    keys = r.choice([["id"], ["id"], ["id", "qty"]])
    zone = r.choice([None, None, "Europe/Berlin"])
    covered = r.choice([[], [], ["id", "note"], ["doc", "qty", "ratio", "placed_at", "raw"]])
    columns = tuple(
        ColumnPlan(
            name, name, reads=(name,), type=types.get(name), timezone=zone if name in {"seen_at", "placed_at"} else None,
            large=name in large, key=name in keys, token=name in covered,
        )
        for name in names
    )  # fmt: skip
    times = [None, None, "seen_at", "placed_at", "qty"] if form is Format.JSON else [None]
    computed = r.choice([(), (), *COMPUTED]) if types == {} and form is not Format.JSON else ()
    columns = tuple(sorted((*columns, *computed), key=lambda column: column.name))
    return FeedPlan(
        "s", form, columns, tuple(types.items()), event_time=r.choice(times), unicode_nfc=r.random() < 0.2,
        hash_key=r.choice([None, None, b"k" * r.choice([1, 64, 100])]), tokens=TOKENS,
    )  # fmt: skip


@pytest.mark.parametrize("form", [Format.DEBEZIUM_JSON, Format.JSON])
@given(seed=st.integers(0, 2**32))
def test_equal_to_the_reference(form: Format, seed: int) -> None:
    r = random.Random(seed)
    plan = feed(r, form)
    reference = ReferenceDecoder(plan)
    columnar = ColumnarDecoder(plan, reference)
    for _ in range(2):  # what was learnt from the first batch must not change the second
        messages = batch(r, form, r.choice([1, 3, 30, 120]))
        expected, got = reference.decode(messages), columnar.decode(messages)
        got.rows.validate(full=True)
        assert got.rows.schema == expected.rows.schema
        assert got.rows.to_pylist() == expected.rows.to_pylist()
        assert got.control.tolist() == expected.control.tolist()
        assert got.dead == expected.dead
