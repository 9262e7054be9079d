"""Envelopes: what becomes of a message (DESIGN 3.1, 7; docs/spec/canonical-form.md, sections 6 and 7)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_recon.errors import ConfigError
from stream_recon.model.messages import Decoded, Messages, Op, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format, TypeRule
from stream_recon.normalise.discover import discover
from stream_recon.normalise.reference import ReferenceDecoder

SOURCE = {"ts_us": 1_000_001, "ts_ms": 7}
ID = {"field": "id", "type": "int64"}


def column(name: str, **settings: Any) -> ColumnPlan:
    expression = settings.get("expression")
    defaults = {"upstream": None if expression else name, "reads": (name,), "key": name == "id"}
    return ColumnPlan(name=name, **{**defaults, **settings})


def feed(*columns: ColumnPlan, form: Format = Format.DEBEZIUM_JSON, **settings: Any) -> FeedPlan:
    return FeedPlan("side", form, tuple(sorted(columns, key=lambda c: c.name.encode())), **settings)


PLAIN = feed(column("id"), column("a"))
JSON = feed(column("id"), column("a"), form=Format.JSON)


def octets(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else json.dumps(value).encode()


def decode(plan: FeedPlan, *pairs: tuple[Any, Any], timestamp: int = 5) -> Decoded:
    keys, values = [octets(key) for key, _ in pairs], [octets(value) for _, value in pairs]
    count = np.arange(len(pairs), dtype=np.int64)
    messages = Messages(
        Upstream("side", "t", 0),
        count,
        np.full(len(pairs), timestamp),
        pa.array(keys, pa.binary()),
        pa.array(values, pa.binary()),
    )
    return ReferenceDecoder(plan).decode(messages)


def rows(decoded: Decoded) -> list[tuple[Any, ...]]:
    assert decoded.dead == ()
    return [(Op(row["op"]).name, row["t"], row["key_text"], row["hash"]) for row in decoded.rows.to_pylist()]


def sha(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def change(op: str, before: Any = None, after: Any = None, source: Any = SOURCE) -> dict[str, Any]:
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": 99}


def row(a: Any, number: int = 1) -> dict[str, Any]:
    return {"id": number, "a": a}


def reason(plan: FeedPlan, key: Any, value: Any, **kwargs: Any) -> tuple[str, bytes | None]:
    decoded = decode(plan, (key, value), **kwargs)
    assert decoded.rows.num_rows == 0
    assert len(decoded.control) == 0
    (dead,) = decoded.dead
    assert (dead.key is None) == (dead.key_text is None)
    return dead.reason, dead.key_text


@pytest.mark.parametrize(("op", "expected"), [("c", Op.UPSERT), ("u", Op.UPSERT), ("r", Op.READ)])
def test_present_rows(op: str, expected: Op) -> None:
    assert rows(decode(PLAIN, ({"id": 1}, change(op, after=row("x"))))) == [(expected.name, 1_000_001, b"n1:1", sha("s1:xn1:1"))]


@pytest.mark.parametrize(("value", "text"), [(None, "~"), ("", "s0:"), (0, "n1:0")])
def test_null_empty_and_zero_are_three_rows(value: Any, text: str) -> None:
    assert rows(decode(PLAIN, (None, change("c", after=row(value)))))[0][3] == sha(f"{text}n1:1")


def test_unknown_is_the_fourth() -> None:
    assert rows(decode(PLAIN, (None, change("u", after=row("__debezium_unavailable_value")))))[0][3] is None


def test_a_column_that_the_image_does_not_hold_is_null() -> None:
    assert rows(decode(PLAIN, (None, change("c", after={"id": 1}))))[0][3] == sha("~n1:1")


@pytest.mark.parametrize(
    ("source", "time"),
    [
        ({"ts_us": 5, "ts_ns": 6000, "ts_ms": 7}, 5),
        ({"ts_ns": 6999, "ts_ms": 7}, 6),
        ({"ts_ms": 7}, 7000),
        ({"ts_us": None, "ts_ms": 0}, 0),
    ],
)
def test_event_time(source: Any, time: int) -> None:
    assert rows(decode(PLAIN, (None, change("c", after=row("x"), source=source))))[0][1] == time


@pytest.mark.parametrize(
    "source", [None, {}, {"ts_us": "5"}, {"ts_ms": True}, {"ts_ms": 1.5}, {"ts_ms": 2**62}, [], {"ts_us": 2**63}]
)
def test_a_change_without_a_time_is_a_dead_letter_with_its_key(source: Any) -> None:
    text, key = reason(PLAIN, {"id": 1}, change("c", after=row("x"), source=source))
    assert text.startswith("source")
    assert key == b"n1:1"


def test_a_delete_has_a_key_and_no_hash() -> None:
    fabricated = {"id": 1, "a": ""}
    expected = [("DELETE", 1_000_001, b"n1:1", None)]
    assert rows(decode(PLAIN, ({"id": 1}, change("d", before=fabricated)))) == expected
    assert rows(decode(PLAIN, (None, change("d", before=fabricated)))) == expected
    assert rows(decode(PLAIN, ({"id": 1}, change("d")))) == expected


def test_a_delete_whose_key_nothing_tells() -> None:
    assert reason(PLAIN, None, change("d")) == (
        "key column id: expected it in the message key or the row, got it in neither",
        None,
    )


def test_truncate_and_tombstone() -> None:
    decoded = decode(PLAIN, (None, change("t")), ({"id": 1}, None), ({"schema": None, "payload": {"id": 2}}, None))
    assert rows(decoded) == [
        ("TRUNCATE", 1_000_001, None, None),
        ("TOMBSTONE", None, b"n1:1", None),
        ("TOMBSTONE", None, b"n1:2", None),
    ]


@pytest.mark.parametrize("key", [None, b"plain", 5, [1], {"other": 1}, {"id": None}, b"\xff", b'{"id":1,"id":2}'])
def test_a_tombstone_whose_key_cannot_be_read_is_a_dead_letter(key: Any) -> None:
    assert reason(PLAIN, key, None)[1] is None


def test_a_changed_key_in_one_update_is_two_rows() -> None:
    decoded = decode(
        PLAIN,
        ({"id": 2}, change("u", before=row("x", 1), after=row("x", 2))),
        ({"id": 2}, change("u", before={"a": 0}, after=row("x", 2))),
    )
    assert [name for name, *_ in rows(decoded)] == ["DELETE", "UPSERT", "UPSERT"]
    assert decoded.rows.column("key_text").to_pylist() == [b"n1:1", b"n1:2", b"n1:2"]
    assert decoded.rows.column("index").to_pylist() == [0, 1, 0]
    assert decoded.rows.column("message").to_pylist() == [0, 0, 1]
    assert len(set(decoded.rows.column("t").to_pylist())) == 1


def test_message_key_and_row_must_agree() -> None:
    text, key = reason(PLAIN, {"id": 2}, change("c", after=row("x")))
    assert text == "key column id: expected the message key and the row to agree, got two values"
    assert key is None


def test_a_message_key_that_is_no_object_says_nothing() -> None:
    for key in (b"plain", b"5", b"\xff", b"[]", b""):
        assert rows(decode(PLAIN, (key, change("c", after=row("x")))))[0][2] == b"n1:1"


def test_a_part_of_the_key_in_the_message_key() -> None:
    plan = feed(column("id"), column("a", key=True))
    assert rows(decode(plan, ({"id": 1}, change("c", after=row("x")))))[0][2] == b"s1:xn1:1"
    assert "agree" in reason(plan, {"id": 2}, change("c", after=row("x")))[0]


def test_a_null_key_column() -> None:
    assert reason(PLAIN, None, change("c", after={"id": None, "a": 1})) == ("key column id: expected a value, got null", None)


@pytest.mark.parametrize(
    "payload",
    [
        {"ts_ms": 1},
        {"ts_ms": 1, "ts_us": 1, "ts_ns": 1},
        {"status": "BEGIN", "id": "1", "event_count": None, "data_collections": None, "ts_ms": 1},
        {"status": "END", "id": "1", "event_count": 2, "data_collections": []},
        {"source": {}, "databaseName": "", "schemaName": None, "ddl": None, "tableChanges": []},
        {"op": "m", "source": SOURCE, "message": {}},
    ],
)
def test_control_records_are_known_by_their_shape(payload: Any) -> None:
    decoded = decode(PLAIN, (None, payload), ({"id": 1}, {"schema": None, "payload": payload}))
    assert list(decoded.control) == [0, 1]
    assert discover(Format.DEBEZIUM_JSON, pa.array([octets(payload)], pa.binary())) == frozenset()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"5",
        b"[]",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        {},
        {"op": "x"},
        {"op": "m", "source": SOURCE, "message": {}, "after": {"id": 1}},
        {"op": "m", "source": SOURCE, "before": {"id": 1}},
        {"op": ["c"]},
        {"status": ["BEGIN"], "id": 1},
        {"id": 1, "a": "x"},
        {"schema": {"type": []}, "payload": change("t")},
        {"schema": {}, "payload": None},
        b'{"op":"t","op":"t"}',
        change("c"),
        change("c", after="{}"),
    ],
)
def test_what_is_no_envelope_is_a_dead_letter_with_the_key_of_the_message(value: Any) -> None:
    assert reason(PLAIN, {"id": 1}, value)[1] == b"n1:1"


def enveloped(payload: Any, *fields: dict[str, Any], key: bool = False) -> dict[str, Any]:
    image = {"type": "struct", "fields": list(fields)}
    schema = image if key else {"type": "struct", "fields": [{"field": name, **image} for name in ("before", "after")]}
    return {"schema": schema, "payload": payload}


DATE = {"field": "a", "type": "int32", "name": "io.debezium.time.Date"}


def test_the_schema_types_the_columns_and_is_decided_per_message() -> None:
    bare = change("c", after=row(0))
    decoded = decode(
        PLAIN, (None, enveloped(bare, ID, DATE)), (None, bare), (None, enveloped(bare, ID, DATE)), (None, enveloped(bare, ID))
    )
    texts = ["d10:1970-01-01n1:1", "n1:0n1:1", "d10:1970-01-01n1:1", "n1:0n1:1"]
    assert [digest for *_, digest in rows(decoded)] == [sha(text) for text in texts]


def test_a_key_without_a_schema_is_read_by_the_schema_of_its_row() -> None:
    uuid = "a0000000-0000-4000-8000-000000000001"
    field = {"field": "id", "type": "string", "name": "io.debezium.data.Uuid"}
    value = change("c", after={"id": uuid, "a": 0})
    expected = f"u36:{uuid}".encode()
    assert rows(decode(PLAIN, ({"id": uuid}, enveloped(value, field))))[0][2] == expected
    assert rows(decode(PLAIN, (enveloped({"id": uuid}, field, key=True), value)))[0][2] == expected
    assert rows(decode(PLAIN, (enveloped({"id": uuid}, field, key=True), None)))[0][2] == expected


def test_columns_are_mapped_and_typed() -> None:
    plan = feed(
        column("number", upstream="id", key=True),
        column("at", upstream="a", type=TypeRule("timestamp", ("ms",)), timezone="Europe/Berlin"),
    )
    decoded = decode(plan, ({"id": 1}, change("c", after=row(3_600_000))), (None, change("c", after={"a": 0})))
    assert decoded.rows.column("hash").to_pylist() == [sha("t26:1970-01-01T00:00:00.000000n1:1")]
    assert decoded.dead[0].reason == "key column id: expected it in the message key or the row, got it in neither"


def test_a_refused_column_is_named_and_its_value_is_not() -> None:
    plan = feed(column("id"), column("a", type=TypeRule("decimal", ("18", "4"))))
    assert reason(plan, {"id": 1}, change("c", after=row("s3cret"))) == (
        "column a: expected decimal(18, 4), got a string that does not fit",
        b"n1:1",
    )


def test_large_columns() -> None:
    plan = feed(column("id"), column("a", large=True))
    values = [None, "", "__debezium_unavailable_value"]
    decoded = decode(plan, *[(None, change("u", after=row(value))) for value in values], ({"id": 1}, change("d")))
    inner = hashlib.sha256(b"s0:")
    assert decoded.rows.column("hash").to_pylist() == [sha("~n1:1"), sha(f"h64:{inner.hexdigest()}n1:1"), None, None]
    assert decoded.rows.column("rest").to_pylist() == [sha("?n1:1")] * 3 + [None]
    assert decoded.rows.column("large_0").to_pylist() == [b"", inner.digest(), None, None]


def test_json_rows() -> None:
    decoded = decode(JSON, (None, row("x")), ({"id": 1}, {"id": 1}), ({"id": 1}, {"a": 1.50}), ({"id": 1}, None))
    hashes = [sha("s1:xn1:1"), sha("~n1:1"), sha("n3:1.5n1:1"), None]
    assert rows(decoded) == [(op, 5000, b"n1:1", h) for op, h in zip(["UPSERT"] * 3 + ["DELETE"], hashes, strict=True)]


def test_json_knows_no_control_and_no_placeholder() -> None:
    plan = feed(column("id", key=False), column("ts_ms", key=True), form=Format.JSON)
    assert rows(decode(plan, (None, {"ts_ms": 1})))[0][0] == "UPSERT"
    assert rows(decode(JSON, (None, row("__debezium_unavailable_value"))))[0][3] is not None


def test_json_with_a_schema() -> None:
    value = {"schema": {"type": "struct", "fields": [ID, DATE]}, "payload": row(0)}
    assert rows(decode(JSON, (None, value)))[0][3] == sha("d10:1970-01-01n1:1")
    plan = feed(column("schema", key=True), column("payload"), form=Format.JSON)
    assert rows(decode(plan, (None, {"schema": "x", "payload": "y"})))[0][3] == sha("s1:ys1:x")


@pytest.mark.parametrize(
    ("declared", "value", "time"),
    [
        (None, 1_500, 1_500_000),
        (None, "1970-01-01T00:00:01.5Z", 1_500_000),
        (None, "1970-01-01T00:00:00.0000019Z", 1),
        (TypeRule("timestamp", ("us",)), 1_500, 1_500),
        (TypeRule("timestamp", ("ns",)), -1, -1),
    ],
)
def test_json_event_time(declared: TypeRule | None, value: Any, time: int) -> None:
    types = () if declared is None else (("a", declared),)
    plan = feed(column("id"), form=Format.JSON, event_time="a", types=types)
    assert rows(decode(plan, (None, row(value)), ({"id": 1}, None))) == [
        ("UPSERT", time, b"n1:1", sha("n1:1")),
        ("TOMBSTONE", None, b"n1:1", None),
    ]


def test_json_event_time_in_a_declared_zone() -> None:
    plan = feed(column("id"), form=Format.JSON, event_time="a", timezones=(("a", "Europe/Berlin"),))
    assert rows(decode(plan, (None, row("1970-01-01T01:00:01"))))[0][1] == 1_000_000


@pytest.mark.parametrize("value", [None, "", "infinity", True, 1.5, [], 2**63 - 1])
def test_json_event_time_that_is_none(value: Any) -> None:
    plan = feed(column("id"), form=Format.JSON, event_time="a")
    text, key = reason(plan, None, row(value))
    assert text.startswith("event time column a: expected")
    assert key == b"n1:1"


def test_a_broker_timestamp_beyond_bounds() -> None:
    assert reason(JSON, {"id": 1}, None, timestamp=2**62)[1] == b"n1:1"


def test_a_repeated_field_leaves_the_key_of_the_message() -> None:
    assert reason(JSON, {"id": 1}, b'{"id":1,"a":1,"a":2}')[1] == b"n1:1"
    assert reason(JSON, None, b'{"id":1,"a":{"x":1,"x":2}}') == (
        "column a: expected JSON, got an object with a repeated key",
        b"n1:1",
    )


def test_five_megabytes() -> None:
    text = "x" * 5_000_000
    assert rows(decode(JSON, (None, row(text))))[0][3] == sha(f"s5000000:{text}n1:1")


def expression(sql: str, *reads: str) -> ColumnPlan:
    return column("e", expression=sql, reads=reads)


SQL_TYPES = {
    "a": TypeRule("decimal", ("18", "4")),
    "s": TypeRule("string"),
    "d": TypeRule("date"),
    "f": TypeRule("float"),
    "t": TypeRule("timestamp", ("ms",)),
}


@pytest.mark.parametrize(
    ("sql", "reads", "text"),
    [
        ("a * 2", ("a",), "n4:2.46"),
        ("cast(a as bigint)", ("a",), "n1:1"),
        ("upper(s)", ("s",), "s2:XY"),
        ("s = 'xy'", ("s",), "b1:1"),
        ("d + interval '1 day'", ("d",), None),
        ("cast(d as date)", ("d",), "d10:2026-11-21"),
        ("f / 2", ("f",), "f4:0.05"),
        ("cast(f as float)", ("f",), "f19:0.10000000149011612"),
        ("t", ("t",), "t26:1970-01-01T00:00:01.000000"),
        ("cast(s as bytea)", ("s",), "x4:7879"),
        ("nullif(s, 'xy')", ("s",), "~"),
        ("try_cast(s as int)", ("s",), "~"),
        ("null", (), "~"),
    ],
)
def test_expressions(sql: str, reads: tuple[str, ...], text: str | None) -> None:
    plan = feed(column("id"), expression(sql, *reads), form=Format.JSON, types=tuple(SQL_TYPES.items()))
    found = rows(decode(plan, (None, {"id": 1, "a": 1.23, "s": "xy", "d": "2026-11-21", "f": 0.1, "t": 1000})))
    if text is not None:
        assert found[0][3] == sha(f"{text}n1:1")


def test_an_expression_that_fails_on_a_row_refuses_that_row() -> None:
    plan = feed(column("id"), expression("1 / a", "a"), form=Format.JSON, types=(("a", TypeRule("integer")),))
    decoded = decode(plan, (None, row(1)), (None, row(0)), (None, row(2**70)), (None, row("s3cret")))
    assert decoded.rows.column("message").to_pylist() == [0]
    assert [dead.message for dead in decoded.dead] == [1, 2, 3]
    assert not any("s3cret" in dead.reason for dead in decoded.dead)


def test_a_step_that_a_row_does_not_take_hides_no_number_that_wrapped() -> None:
    types = tuple((name, TypeRule("integer")) for name in "ab")
    plan = feed(
        column("id"), expression("case when a = 0 then b + 1 else (b / a) * 2 end", "a", "b"), form=Format.JSON, types=types
    )
    decoded = decode(plan, *((None, {"id": at, "a": 0, "b": b}) for at, b in enumerate((1, 2**63 - 1))))
    assert decoded.rows.column("message").to_pylist() == [0]
    assert ["64 bits" in dead.reason for dead in decoded.dead] == [True]


def test_an_expression_over_an_unknown_column_is_unknown() -> None:
    plan = feed(column("id"), expression("upper(a)", "a"), types=(("a", TypeRule("string")),))
    decoded = decode(plan, (None, change("u", after=row("__debezium_unavailable_value"))), (None, change("u", after=row("x"))))
    assert decoded.rows.column("hash").to_pylist() == [None, sha("s1:Xn1:1")]


def test_a_key_by_expression() -> None:
    plan = feed(column("e", expression="lower(id)", reads=("id",), key=True), column("a"), types=(("id", TypeRule("string")),))
    decoded = decode(plan, ({"id": "X"}, change("c", after={"id": "X", "a": 0})), ({"id": "X"}, None))
    assert decoded.rows.column("key_text").to_pylist() == [b"s1:x", b"s1:x"]


@pytest.mark.parametrize("sql", ["nope + 1", "a +", "upper(", "make_array(a)"])
def test_an_expression_that_cannot_work_is_refused_at_once(sql: str) -> None:
    with pytest.raises(ConfigError):
        ReferenceDecoder(feed(column("id"), expression(sql, "a"), form=Format.JSON, types=(("a", TypeRule("integer")),)))


@pytest.mark.parametrize("types", [(), (("a", TypeRule("list")),)])
def test_an_expression_needs_declared_types_without_a_schema(types: Any) -> None:
    with pytest.raises(ConfigError, match="declare in `types`"):
        ReferenceDecoder(feed(column("id"), expression("a", "a"), form=Format.JSON, types=types))


def test_discover() -> None:
    def found(form: Format, *values: Any) -> frozenset[str]:
        return discover(form, pa.array([octets(value) for value in values], pa.binary()))

    debezium = [
        change("c", after={"x": 1}),
        change("d", before={"y": 1}),
        b"{",
        None,
        {"ts_ms": 1},
        enveloped(change("t"), ID, DATE),
        b"\xff",
    ]
    assert found(Format.DEBEZIUM_JSON, *debezium, *debezium) == {"x", "y", "id", "a"}
    assert found(
        Format.JSON, {"x": 1}, {"y": None}, None, b"[]", {"schema": {"type": "struct", "fields": [ID]}, "payload": {}}
    ) == {"x", "y", "id"}


JUNK = st.recursive(
    st.sampled_from([None, "", 0, True, "x", 2**70, 1e300, "__debezium_unavailable_value", "c", "u", "d", SOURCE]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "a", "op", "before", "after", "source", "schema", "payload", "type", "fields", "field", "name", "ts_us"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)
PAIRS = st.lists(st.tuples(JUNK | st.binary(max_size=9), JUNK | st.binary(max_size=9)), max_size=6)


@settings(max_examples=300)
@given(
    PAIRS,
    st.sampled_from(
        [PLAIN, JSON, feed(column("id"), column("a", large=True, type=TypeRule("set")), form=Format.JSON, event_time="ts_us")]
    ),
)
def test_every_message_becomes_one_of_three_whatever_came_before(pairs: list[tuple[Any, Any]], plan: FeedPlan) -> None:
    """Law 3, and independence: decoding together and alone gives the same."""
    together = decode(plan, *pairs)
    assert sorted(
        {*together.rows.column("message").to_pylist(), *map(int, together.control), *(d.message for d in together.dead)}
    ) == list(range(len(pairs)))
    alone = [decode(plan, pair) for pair in pairs]
    bodies = [[{**row, "message": at} for row in one.rows.to_pylist()] for at, one in enumerate(alone)]
    assert together.rows.to_pylist() == [row for body in bodies for row in body]
    assert [d.reason for d in together.dead] == [d.reason for one in alone for d in one.dead]


EXACT = (("a", TypeRule("integer")), ("d", TypeRule("decimal", ("18", "4"))), ("f", TypeRule("float")))


@pytest.mark.parametrize(
    ("sql", "reads", "one", "other"),
    [
        ("d * 1.0", ("d",), {"d": "99999999999999.9999"}, {"d": "99999999999999.9998"}),
        ("a * 1.1", ("a",), {"a": 2**53 + 1}, {"a": 2**53}),
        ("nullif(a, 0.0)", ("a",), {"a": 2**53 + 1}, {"a": 2**53}),
        ("case when a < 0 then 0.0 else a end", ("a",), {"a": 2**53 + 1}, {"a": 2**53}),
    ],
)
def test_a_literal_with_a_point_rounds_no_exact_column(sql: str, reads: tuple[str, ...], one: Any, other: Any) -> None:
    plan = feed(column("id"), expression(sql, *reads), form=Format.JSON, types=EXACT)
    rows = decode(plan, ({"id": 1}, {"id": 1} | one), ({"id": 1}, {"id": 1} | other)).rows.to_pylist()
    assert rows[0]["hash"] != rows[1]["hash"]


@pytest.mark.parametrize("sql", ["coalesce(a, f)", "a + f", "sqrt(a)", "a > f"])
def test_an_exact_column_becomes_no_float_unless_the_expression_says_so(sql: str) -> None:
    with pytest.raises(ConfigError, match="makes a float of a, which is exact: write cast"):
        ReferenceDecoder(feed(column("id"), expression(sql, "a", "f"), form=Format.JSON, types=EXACT))
    said = sql.replace("a", "cast(a as double)") if sql != "coalesce(a, f)" else "coalesce(cast(a as double), f)"
    ReferenceDecoder(feed(column("id"), expression(said, "a", "f"), form=Format.JSON, types=EXACT))
