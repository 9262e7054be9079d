"""The vectorised decoder on real captures and on healthy batches: equal to the reference, and without its help."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.model.messages import Messages, Op, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TypeRule
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.columnar.buffers import PAD, Texts, packed
from stream_recon.normalise.columnar.cells import _PLACEHOLDER_OCTETS
from stream_recon.normalise.columnar.scan import scan
from stream_recon.normalise.columnar.shape import learn
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.normalise.types.unavailable import _STRINGS

FIXTURES = Path(__file__).parents[2] / "fixtures" / "dual-write"
COLUMNS = {
    "orders": ["amount", "customer", "doc", "due", "id", "note", "paid", "placed_at", "qty", "raw"],
    "payments": ["amount", "method", "note", "order_id", "paid_at", "seq"],
    "customers": ["credit", "email", "handle", "joined", "name", "seen_at"],
}
KEYS = {"orders": {"id"}, "payments": {"order_id", "seq"}, "customers": {"handle"}}
TYPES = {"orders": {"paid": TypeRule("boolean"), "customer": TypeRule("uuid"), "doc": TypeRule("json")}}


def plan(form: Format, names: list[str], keys: set[str], large: tuple[str, ...] = (), **types: TypeRule) -> FeedPlan:
    columns = tuple(ColumnPlan(n, n, reads=(n,), type=types.get(n), large=n in large, key=n in keys) for n in sorted(names))
    return FeedPlan("side", form, columns, tuple(types.items()))


def stretch(keys: list[bytes | None], values: list[bytes | None]) -> Messages:
    offset = np.arange(len(keys), dtype=np.int64)
    return Messages(Upstream("side", "t", 0), offset, offset + 10**12, pa.array(keys, pa.binary()), pa.array(values, pa.binary()))


def recorded(name: str) -> list[Messages]:
    parts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(FIXTURES / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in map(json.loads, file):
            parts[line["partition"]].append(line)

    def octets(lines: list[dict[str, Any]], field: str) -> list[bytes | None]:
        return [None if line[field] is None else base64.b64decode(line[field]) for line in lines]

    return [stretch(octets(lines, "key_b64"), octets(lines, "payload_b64")) for lines in parts.values()]


def check(feed: FeedPlan, messages: Messages) -> ColumnarDecoder:
    reference = ReferenceDecoder(feed)
    decoder = ColumnarDecoder(feed, reference)
    expected, got = reference.decode(messages), decoder.decode(messages)
    got.rows.validate(full=True)
    assert got.rows.equals(expected.rows)
    assert got.control.tolist() == expected.control.tolist()
    assert got.dead == expected.dead
    return decoder


@pytest.mark.parametrize("large", [(), ("note",), ("doc", "note")])
@pytest.mark.parametrize("table", list(COLUMNS))
@pytest.mark.parametrize("side", ["pg", "maria"])
def test_captures_are_equal(side: str, table: str, large: tuple[str, ...]) -> None:
    columns = COLUMNS[table]
    feed = plan(Format.DEBEZIUM_JSON, columns, KEYS[table], tuple(set(large) & set(columns)), **TYPES.get(table, {}))
    for messages in recorded(f"{side}-json-{table}"):
        unread = sum(b"__debezium_unavailable_value" in (value.as_py() or b"") for value in messages.value)
        assert check(feed, messages).statistics().handed_over <= unread


@pytest.mark.parametrize("name", ["pg-json-heartbeat", "pg-json-transaction", "maria-json-ddl"])
def test_control_records_are_handed_over(name: str) -> None:
    for messages in recorded(name):
        assert check(plan(Format.DEBEZIUM_JSON, ["id"], {"id"}), messages).statistics().vectorised == 0


def change(at: int, op: str = "u", **row: Any) -> bytes:
    image = {"id": at, "note": f"n {at}", "qty": at % 7, **row}
    source = {"ts_us": 10**15 + at, "snapshot": "false"}
    payload = {"before": image if op == "d" else None, "after": None if op == "d" else image, "source": source, "op": op}
    return json.dumps(payload, separators=(",", ":")).encode()


def key(at: int) -> bytes:
    return json.dumps({"id": at}, separators=(",", ":")).encode()


def changes(count: int) -> Messages:
    values: list[bytes | None] = [change(at, "curd"[at % 4]) for at in range(count)]
    values[::10] = [None] * len(values[::10])
    return stretch([key(at) for at in range(count)], values)


CHANGES = plan(Format.DEBEZIUM_JSON, ["id", "note", "qty"], {"id"})


def test_healthy_changes_need_no_help() -> None:
    decoder = check(CHANGES, changes(400))
    assert decoder.statistics().handed_over == 0
    ops = set(ColumnarDecoder(CHANGES, ReferenceDecoder(CHANGES)).decode(changes(400)).rows.column("op").to_pylist())
    assert ops == {Op.UPSERT, Op.READ, Op.DELETE, Op.TOMBSTONE}


@pytest.mark.parametrize("dumps", [{"separators": (",", ":")}, {}, {"ensure_ascii": False}])
@pytest.mark.parametrize("keyed", [True, False])
def test_healthy_plain_rows_need_no_help(dumps: dict[str, Any], keyed: bool) -> None:
    mixed: list[Any] = [1, "é\n😀", True, {"b": [1.50]}, None, 1.25, -3, "x"]
    rows = [{"id": at, "any": mixed[at % 8], "note": f'\\ " {at}'} for at in range(200)]
    values: list[bytes | None] = [json.dumps(row, **dumps).encode() for row in rows]
    feed = plan(Format.JSON, ["any", "id", "note"], {"id"}, ("any",))
    assert check(feed, stretch([key(at) if keyed else None for at in range(200)], values)).statistics().handed_over == 0


@pytest.mark.parametrize(
    "bad",
    [
        *[b"", b"{", b"nonsense", b"\xff", b'"', b"\\", b'{"a":"', b'{"op":"u"}', b"[]", change(7)[:-1], change(7) + b"}"],
        *[
            change(7) + b"\n" + change(8),
            change(7) + change(8),
            change(7).replace(b'"n 7"', b'"n \xff"'),
            change(7, qty=[1, 2, {}]),
        ],
        *[
            change(7).replace(b'"qty":0', b'"qty":00'),
            change(7).replace(b'"qty":0', b'"qty":0,"qty":1'),
            change(8),
            change(7, "t"),
        ],
    ],
)
@pytest.mark.parametrize("at", [0, 150, 299])
def test_a_bad_message_costs_only_itself(bad: bytes, at: int) -> None:
    messages = stretch([key(i) for i in range(300)], [bad if i == at else change(i) for i in range(300)])
    assert check(CHANGES, messages).statistics().handed_over <= 1


def test_a_changed_key_is_two_rows() -> None:
    moved = change(3).replace(b'"before":null', b'"before":{"id":2,"note":"n","qty":1}')
    messages = stretch([key(3), key(4)], [moved, change(4)])
    assert check(CHANGES, messages).statistics().handed_over == 1


def test_nothing_in_nothing_out() -> None:
    check(CHANGES, stretch([], []))
    check(CHANGES, stretch([None, None], [None, None]))


@pytest.mark.parametrize("key", [b"k", b"k" * 64, b"k" * 65], ids=["short", "a block", "longer than a block"])
def test_keyed_hashes(key: bytes) -> None:
    large = plan(Format.DEBEZIUM_JSON, ["id", "note", "qty"], {"id"}, ("note",))
    for columns in (CHANGES.columns, large.columns):
        feed = FeedPlan("side", Format.DEBEZIUM_JSON, columns, hash_key=key)
        assert check(feed, changes(20)).statistics().handed_over == 0


def test_computed_columns() -> None:
    types = (("note", TypeRule("string")), ("qty", TypeRule("integer")))
    shout = ColumnPlan("shout", None, "upper(note)", ("note",))
    share = ColumnPlan("share", None, "case when qty = 3 then null else 42 / (qty - 3) end", ("qty",))
    feed = FeedPlan("side", Format.DEBEZIUM_JSON, (plan(Format.DEBEZIUM_JSON, ["id"], {"id"}).columns[0], share, shout), types)
    assert check(feed, changes(200)).statistics().handed_over == 0


def test_a_row_on_which_an_expression_fails_is_handed_over_alone() -> None:
    share = ColumnPlan("share", None, "1 / (qty - 3)", ("qty",))
    types = (("qty", TypeRule("integer")),)
    feed = FeedPlan("side", Format.DEBEZIUM_JSON, (plan(Format.DEBEZIUM_JSON, ["id"], {"id"}).columns[0], share), types)
    healthy: list[bytes | None] = [change(at, qty=4 + at) for at in range(40)]
    healthy[17] = change(17, qty=3)
    assert check(feed, stretch([key(at) for at in range(40)], healthy)).statistics().handed_over == 1


def texts(*values: bytes) -> Texts:
    offsets = np.cumsum([0, *map(len, values)]).astype(np.int64)
    return packed(np.frombuffer(b"".join(values), np.uint8), offsets)


def test_marks_stand_outside_strings_and_above_the_depth() -> None:
    found = scan(texts(b'{"a":"x,\\"}","b":{"c":1}}', b'{"d":2}'), 1)
    assert found.marks.tolist() == [0, 12, 24, 25, 31]
    assert found.first.tolist() == [0, 3, 5]
    assert not found.doubt.any()


@pytest.mark.parametrize(
    "bad", [b'{"a":"}', b'{"a":"\\q"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}', b'{"a":"\t"}', b"{", b'x{"a":1}']
)
def test_doubt_stays_with_its_text(bad: bytes) -> None:
    assert scan(texts(b'{"a":1}', bad, b'{"a":1}'), 1).doubt.tolist() == [False, True, False]


def test_blocks_have_no_seams() -> None:
    many = [b'{"k":"%s\\"","n":%d}' % (b"\\\\" * (at % 91) + b"{,}" * (at % 67), at) for at in range(2000)]
    found = scan(texts(*many), 1)
    assert not found.doubt.any()
    assert (np.diff(found.first) == 3).all()
    assert len(found.texts.data) == sum(map(len, many)) + PAD


@pytest.mark.parametrize(
    ("text", "holes"),
    [
        (b'{"a":1}', (("a",),)),
        (b'{"a":{"b":1,"c":{}},"d":2}', (("a", "b"), ("d",))),
        (b'{"a":1,"a":2}', None),
        (b'{"a":{},"a":2}', None),
        (b'{"a":[1]}', None),
        (b'{"a":1}}', None),
        (b'{"a"1}', None),
        (b'{"a":}', None),
        (b'{"\\u0061":1}', None),
        (b"{}", ()),
    ],
)
def test_a_template_is_an_object_of_scalars_and_objects(text: bytes, holes: tuple[tuple[str, ...], ...] | None) -> None:
    marks = [i for i, octet in enumerate(text) if octet in b"{}[],"]
    found = learn(text, marks)
    assert (None if found is None else found.holes) == holes


UNREAD = b"__debezium_unavailable_value"
ODD_VALUES = [
    *["12345678901234567890123456789012345678901234567890", "1e400", "-0", "1.50", "1E2", "1.5e-7", "999999986991104.0"],
    *['["' + UNREAD.decode() + '"1]', f'"{UNREAD.decode()}"', f'"{base64.b64encode(UNREAD).decode()}"', f'"{UNREAD.hex()}"'],
    json.dumps(json.dumps({UNREAD.decode(): UNREAD.decode()})),
    *['"\\u005f_debezium_unavailable_value"', "[1,{}]", '{"a":1,"a":2}', '{"a"}', '"\\ud83d\\ude00"', "-9223372036854775808"],
]


@pytest.mark.parametrize("text", ODD_VALUES)
@pytest.mark.parametrize("rule", ["none", "bytes", "float", "decimal", "integer", "string", "timestamp", "json"])
def test_odd_values_are_read_alike(text: str, rule: str) -> None:
    types = {} if rule == "none" else {"qty": TypeRule(rule)}
    feed = plan(Format.DEBEZIUM_JSON, ["id", "note", "qty"], {"id"}, (), **types)
    read = change(1).replace(b'"qty":1', b'"qty":' + text.encode())
    unread = change(2).replace(b'"snapshot":"false"', b'"snapshot":' + text.encode())
    timed = change(3).replace(b'"snapshot":"false"', b'"ts_ms":' + text.encode())
    gone = change(4, "d").replace(b'"after":null', b'"after":{"qty":' + text.encode() + b"}")
    check(feed, stretch([key(at) for at in range(5)], [change(0), read, unread, timed, gone]))


def test_an_event_time_beyond_the_range_is_no_time() -> None:
    columns = tuple(ColumnPlan(n, n, reads=(n,), key=n == "id") for n in ("at", "id"))
    feed = FeedPlan("side", Format.JSON, columns, event_time="at")
    values = [f'{{"id":{at},"at":{time}}}'.encode() for at, time in enumerate([0, 2**63 - 1, -(2**63), 2**52, -5])]
    check(feed, stretch([None] * 5, [*values]))


def test_no_form_of_the_placeholder_has_another_length() -> None:
    assert sorted({len(text) for text in _STRINGS}) == _PLACEHOLDER_OCTETS.tolist()
