"""Healthy, odd and broken Avro in one batch: the vectorised decoder gives what the reference decoder gives, always.

Each batch grows from one seed: schemas, values at their borders, then octets bent. A failing seed is the whole story.
"""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.model.messages import Decoded
from stream_recon.model.plan import TypeRule
from stream_recon.normalise.avro.schema import Avro
from stream_recon.normalise.columnar.avro.reading import Slow
from stream_recon.normalise.columnar.avro.spans import Spans
from stream_recon.normalise.columnar.buffers import packed
from stream_recon.normalise.types.wire import Wire
from tests.unit.normalise.avro_making import UNREAD, Maker, bent
from tests.unit.normalise.avro_writing import (
    Branch,
    Octets,
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
    promptly,
    record,
    varint,
)

Pairs = list[tuple[bytes | None, bytes | None]]
MINUS_2_63 = varint(-(2**63))
RULES = [
    *[
        "boolean",
        "integer",
        "decimal",
        "float",
        "string",
        "bytes",
        "date",
        "timestamp",
        "time",
        "uuid",
        "json",
        "list",
        "set",
        "map",
    ],
    *["timestamp ms", "timestamp us", "timestamp ns", "time ms", "time us", "bytes hex", "bytes base64", "decimal 9 2"],
]


def rule(topic: Topic) -> TypeRule | None:
    r = topic.r
    if r.random() < (0.7 if topic.calm < 1 else 0.95):
        return None
    name, *args = r.choice(RULES).split(" ")
    return TypeRule(name, tuple(args))


@dataclass
class Kind:
    """One schema of a topic, and what writes under it."""

    octets: bytes
    writer: Writer
    maker: Maker
    columns: dict[str, Schema]

    def written(self, value: Any) -> bytes:
        return self.octets + self.writer.write(value)


class Topic:
    """Keys and values of one topic: versions of its schema, and other things that may stand in it."""

    def __init__(self, r: random.Random) -> None:
        self.r = r
        self.calm = r.choice([0.0, 0.9, 0.98, 1.0])
        self.schemas = Schemas()
        key = r.choice(["long", "long", "int", "string"])
        self.columns = [f"c{i}" for i in range(r.randrange(1, 5))]
        self.values = [self.version(key) for _ in range(r.choice([1, 1, 1, 2, 3]))]
        self.keys = [self.kind(key_schema({"id": one}), {"id": one}) for one in (key, "string", "int")]
        self.plain_keys = [self.kind(one, {}) for one in ("long", "string", ["null", "string"])]
        self.schemas.add({"type": "no schema"})

    def kind(self, schema: Schema, columns: dict[str, Schema], maker: Maker | None = None) -> Kind:
        return Kind(self.schemas.add(schema), Writer(schema), maker or Maker(self.r, self.calm), columns)

    def version(self, key: Schema) -> Kind:
        maker = Maker(self.r, self.calm)
        columns = {"id": key, **{name: maker.schema() for name in self.columns if self.r.random() < 0.9}}
        schema = envelope(columns)
        return self.kind(["null", schema] if self.r.random() < 0.05 else schema, columns, maker)

    def message(self, at: int) -> tuple[bytes | None, bytes | None]:
        r = self.r
        kind = r.choice(self.values)
        kind.writer.block, kind.writer.counted = r.choice([(None, False)] * 8 + [(1, False), (2, True)])
        image = {name: kind.maker.value(schema) for name, schema in kind.columns.items()}
        image["id"] = str(at) if kind.columns["id"] == "string" else at
        op = r.choice("cccuuurrd")
        before = r.choice([None, image, {**image, "id": image["id"] * 2}]) if op in "ud" else None
        time = r.choice([None, 10**15 + at])
        made = change(r.choice([op] * 20 + ["t", "m", "x"]), before, None if op == "d" else image, ts_us=time)
        return self.key_of(image["id"]), None if r.random() < 0.03 else kind.written(made)

    def key_of(self, value: Any) -> bytes | None:
        r = self.r
        if r.random() < 0.1:
            return r.choice([None, b"", b"5", b'{"id": 1}', b'{"payload": {"id": 1}}', b"\0\0\0\0\x63\2"])
        if r.random() < 0.05:
            kind = r.choice(self.plain_keys)
            return kind.written(int(value) if kind.writer.schema == "long" else str(value))
        kind = self.keys[0 if r.random() < 0.9 else r.randrange(3)]
        return kind.written({"id": str(value) if kind.columns["id"] == "string" else int(value)})


def batch(seed: int) -> tuple[Topic, Pairs]:
    r = random.Random(seed)
    topic = Topic(r)
    share = r.choice([0, 0, 0.02, 0.1, 0.5])
    pairs: Pairs = []
    for at in range(r.choice([40, 80])):
        key, value = topic.message(at)
        if value is not None and r.random() < share:
            head = 5 if r.random() < 0.8 else 0
            value = value[:head] + bent(r, value[head:])
        if key is not None and r.random() < share / 2:
            key = bent(r, key)
        pairs.append((key, value))
    return topic, pairs


@given(st.integers(0, 2**32))
def test_decoders_agree_on_batches_of_any_kind(seed: int) -> None:
    topic, pairs = batch(seed)
    plan = feed({"id": None, **{name: rule(topic) for name in topic.columns}}, large=topic.columns[:1] if seed % 3 == 0 else ())
    reference, vectorised = decoders(plan, topic.schemas)
    whole = messages(pairs)
    wanted = reference.decode(whole)
    check_same(wanted, promptly(vectorised, whole), len(pairs))
    check_same(wanted, promptly(vectorised, messages(pairs, before=3, after=2)), len(pairs))


@given(st.integers(0, 2**32))
def test_a_message_decodes_alike_alone_and_in_company(seed: int) -> None:
    topic, pairs = batch(seed)
    _, vectorised = decoders(feed(dict.fromkeys(["id", *topic.columns])), topic.schemas)
    together = promptly(vectorised, messages(pairs))
    for at in range(0, len(pairs), 7):
        alone = vectorised.decode(messages([pairs[at]]))
        wanted = [{**row, "message": 0} for row in together.rows.to_pylist() if row["message"] == at]
        assert alone.rows.to_pylist() == wanted
        assert [letter.reason for letter in alone.dead] == [letter.reason for letter in together.dead if letter.message == at]


def one_column(schema: Schema, values: list[Any], *, count: int = 20, declared: TypeRule | None = None) -> tuple[Decoded, int]:
    """What both decoders make of messages with these values, in turn, and how many of them went the fast way."""
    schemas, columns = Schemas(), {"id": "long", "c": schema}
    octets, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    pairs: Pairs = []
    for at in range(count):
        made = change("c", None, {"id": at, "c": values[at % len(values)]})
        pairs.append((None, octets + writer.write(made)))
    reference, vectorised = decoders(feed({"id": None, "c": declared}), schemas)
    wanted = reference.decode(messages(pairs))
    check_same(wanted, vectorised.decode(messages(pairs)), count)
    return wanted, vectorised.statistics().vectorised


STRUCT = record("S", {"gone": "null", "a": optional("int"), "b": optional("int"), "never": ["null"]})
ENUM = {"type": "enum", "name": "E", "symbols": ["a", "b"]}
INTS = {"type": "array", "items": "int"}
LONGEST = b"\xff" * 9 + b"\1"
UNHEARD = {"a": None, "b": 5, "gone": None, "never": None}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "map", "values": optional("int")}, {"a": 1, "b": None}),
        (map_of_pairs("int", optional("string")), [{"key": 1, "value": None}, {"key": 2, "value": "x"}]),
        (STRUCT, UNHEARD),
        ({"type": "array", "items": STRUCT}, [UNHEARD, UNHEARD]),
        ({"type": "map", "values": {"type": "map", "values": STRUCT}}, {"x": {"y": UNHEARD}}),
        ({"type": "array", "items": ["null"]}, [None, None]),
        ({"type": "array", "items": ENUM}, ["a", "b"]),
        (["null"], None),
        ("null", None),
        (INTS, list(range(100))),
        ({"type": "enum", "name": "Wide", "symbols": [f"w{i}" for i in range(9000)]}, "w8999"),
    ],
)
def test_what_arrow_nests_is_read_the_fast_way(schema: Schema, value: Any) -> None:
    decoded, fast = one_column(schema, [value])
    assert decoded.rows.num_rows == 20
    assert fast == 20


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (["string"], Branch(0, "x")),
        (["null", "string", "null"], Branch(2, None)),
        (optional(record("Empty", {})), {}),
        ({"type": "map", "values": "null"}, {"a": None}),
        ({"type": "fixed", "name": "Zero", "size": 0}, b""),
    ],
)
def test_what_the_engine_cannot_read_is_read_all_the_same(schema: Schema, value: Any) -> None:
    assert one_column(schema, [value])[0].rows.num_rows == 20


@pytest.mark.parametrize("schema", [["int", "string"], ["null", "int", "string"], ["null", record("A", {}), record("B", {})]])
def test_a_union_of_several_types_is_refused_by_its_column_alone(schema: Schema) -> None:
    value = Branch(1, "x" if schema[1] == "string" else 4 if schema[1] == "int" else {})
    decoded, _ = one_column(schema, [value, *([None] if "null" in schema else [])])
    assert {letter.reason.partition(":")[0] for letter in decoded.dead} == {"column c"}
    assert all(letter.key is not None for letter in decoded.dead)


HUGE = varint(2**62)


@pytest.mark.parametrize(
    ("schema", "octets"),
    [
        *[
            ("boolean", b"\2"),
            ("boolean", b"\xff"),
            ("int", varint(2**31)),
            ("int", varint(-(2**31) - 1)),
            ("int", varint(2**32)),
        ],
        *[
            ("long", b"\xff" * 9 + b"\2"),
            ("long", b"\xff" * 9 + b"\x7f"),
            ("long", b"\x80" * 10 + b"\0"),
            ("long", b"\x80" * 40 + b"\0"),
        ],
        *[(optional("string"), varint(index) + b"\2a") for index in (-1, -2, -3, 2, 3, 2**31, 2**32 + 1, 2**62)],
        *[(optional("string", null_first=False), varint(index)) for index in (-1, -2, 2, 5, 2**32 + 1)],
        *[(optional("string"), varint(index)) for index in (-2, 2, 4)],
        *[(["null"], varint(index)) for index in (-1, 1)],
        *[(ENUM, varint(index)) for index in (-1, -2, 2, 2**32)],
        *[
            ("string", b"\2\xff"),
            ("string", b"\6\xed\xa0\x80"),
            ("string", b"\1"),
            ("string", HUGE),
            ("string", varint(-(2**63))),
        ],
        *[("bytes", b"\1"), ("bytes", HUGE), ("bytes", varint(2**63 - 1) + b"abc"), ("float", b"\0"), ("double", b"\0" * 7)],
        *[
            (INTS, HUGE),
            (INTS, HUGE + b"\0"),
            (INTS, MINUS_2_63 + b"\0\0"),
            (INTS, b"\1\4\2\0"),
            (INTS, b"\1\1\2\0"),
            (INTS, b"\2"),
        ],
        *[(INTS, b"\1" + HUGE + b"\2\0"), (INTS, varint(-(2**62)) + b"\2\2\0"), (INTS, b"\2\2\2\2")],
        *[({"type": "map", "values": "int"}, one) for one in (HUGE, MINUS_2_63 + b"\0\0", b"\2\2\xff\2\0", b"\2\1\2\0")],
        (record("Split", {"a": "string", "b": "string"}), b"\2\xc3\2\xa9"),
        ({"type": "array", "items": "string"}, b"\4\2\xc3\2\xa9\0"),
    ],
)
def test_octets_that_are_no_datum_never_become_a_row(schema: Schema, octets: bytes) -> None:
    columns = {"id": "long", "c": schema}
    schemas = Schemas()
    name, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    good = {"id": 1, "c": Maker(random.Random(1), 1.0).value(schema)}
    pairs: Pairs = [(None, name + writer.write(change("c", None, good))) for _ in range(18)]
    pairs[5] = None, name + writer.write(change("c", None, {"id": 2, "c": Octets(octets)}))
    pairs[9] = None, name + writer.write(change("u", {"id": 2, "c": Octets(octets)}, good))
    for plan in (feed({"id": None, "c": None}), feed({"id": None})):
        reference, vectorised = decoders(plan, schemas)
        wanted = reference.decode(messages(pairs))
        check_same(wanted, vectorised.decode(messages(pairs)), len(pairs))
        assert [letter.message for letter in wanted.dead] == [5, 9]


@pytest.mark.parametrize("octets", [b"x", b"\0", b"x" * 12, b"x" * 100_000])
@pytest.mark.parametrize("at", [0, 7, 39])
def test_octets_behind_a_datum_are_a_dead_letter_and_end(octets: bytes, at: int) -> None:
    schemas = Schemas()
    columns = {"id": "long"}
    name, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    pairs: Pairs = [(None, name + writer.write(change("c", None, {"id": i}))) for i in range(40)]
    pairs[at] = None, (pairs[at][1] or b"") + octets
    reference, vectorised = decoders(feed({"id": None}), schemas)
    wanted = reference.decode(messages(pairs))
    check_same(wanted, promptly(vectorised, messages(pairs)), 40)
    assert [letter.message for letter in wanted.dead] == [at]


@pytest.mark.parametrize(
    ("schema", "spelling"),
    [
        *[("int", b"\x82\x80\0"), ("int", b"\x82\x80\x80\x80\0"), ("long", b"\x82" + b"\x80" * 8 + b"\0")],
        *[(INTS, b"\1\2\2\0"), (INTS, b"\x82\0\2\0"), (INTS, b"\2\2\x80\0"), (optional("int"), b"\x82\0\2")],
        *[("string", b"\x82\0x"), (ENUM, b"\x82\0")],
    ],
)
def test_a_longer_spelling_of_a_value_is_the_same_value(schema: Schema, spelling: bytes) -> None:
    value = {"int": 1, "long": 1, "string": "x"}.get(str(schema), "b" if schema is ENUM else [1] if schema is INTS else 1)
    decoded, _ = one_column(schema, [value, Octets(spelling)], count=2)
    many, _ = one_column(schema, [value, Octets(spelling)])
    assert len(set(decoded.rows["hash"].to_pylist())) == 2  # their ids differ
    one, other = (one_column(schema, [each], count=1)[0].rows["hash"].to_pylist() for each in (value, Octets(spelling)))
    assert one == other
    assert not many.dead


@pytest.mark.parametrize(
    "schema",
    [
        *["string", "bytes", {"type": "fixed", "name": "F", "size": 28}, {"type": "enum", "name": "E", "symbols": [UNREAD]}],
        *[{"type": "array", "items": one} for one in ("string", "bytes", optional("string"), "int", "long", optional("int"))],
        *[{"type": "map", "values": one} for one in ("string", optional("string"))],
        *[decimal(2), named("bytes", "io.debezium.data.Bits"), named("string", "io.debezium.data.Json")],
        *[named("string", "io.debezium.time.ZonedTimestamp"), named("string", "io.debezium.data.Uuid")],
    ],
)
def test_a_placeholder_is_unknown_in_every_type(schema: Schema) -> None:
    inner = schema if isinstance(schema, str) else schema["type"]
    octets = UNREAD.encode()
    if inner == "array":
        element = schema["items"]
        number = element in ("int", "long", optional("int"))
        value: Any = list(octets) if number else [octets if element == "bytes" else UNREAD]
    else:
        value = {"map": {UNREAD: UNREAD}, "string": UNREAD, "enum": UNREAD}.get(inner, octets)
    decoded, _ = one_column(schema, [value])
    assert decoded.rows["hash"].null_count == 20
    assert decoded.rows.num_rows == 20


def test_octets_whose_base64_is_the_hex_of_the_placeholder_are_alike_for_both() -> None:
    one_column("bytes", [base64.b64decode(UNREAD.encode().hex()), b"other"])


def test_a_block_that_tells_its_octets_is_not_taken_for_the_end_of_an_array() -> None:
    schemas, columns = Schemas(), {"id": "long", "c": INTS, "d": "string", "e": "int"}
    octets, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    made = [change("c", None, {"id": at, "c": [1], "d": "x", "e": 0}) for at in range(20)]
    for at in range(0, 20, 2):
        made[at]["after"] |= {"c": Octets(b"\1"), "d": Octets(b"\2x"), "e": Octets(b"\0")}  # or: one element, of one octet
    pairs: Pairs = [(None, octets + writer.write(one)) for one in made]
    reference, vectorised = decoders(feed({"id": None, "d": None, "e": None}), schemas)
    wanted = reference.decode(messages(pairs))
    check_same(wanted, vectorised.decode(messages(pairs)), 20)
    assert len(wanted.dead) == 10


@pytest.mark.parametrize(
    "value",
    [
        list(range(2_000)),
        Octets(b"\2\2" * 20_000 + b"\0"),
        Octets(b"\xfe\xff\xff\xff\x0f" + b"\2" * 20_000),
        Octets(LONGEST),
    ],
    ids=["many elements", "many blocks", "fewer elements than claimed", "less than none"],
)
def test_arrays_of_any_length_end(value: Any) -> None:
    schemas, columns = Schemas(), {"id": "long", "c": INTS}
    octets, writer = schemas.add(envelope(columns)), Writer(envelope(columns))
    pairs: Pairs = [
        (None, octets + writer.write(change("c", None, {"id": at, "c": value if at % 8 else [7]}))) for at in range(24)
    ]
    reference, vectorised = decoders(feed({"id": None, "c": None}), schemas)
    check_same(reference.decode(messages(pairs)), promptly(vectorised, messages(pairs)), 24)
    assert vectorised.statistics().vectorised == 3


def test_long_values_are_not_kept() -> None:
    read: list[Any] = []

    def reader(value: Any) -> tuple[str, bytes]:
        read.append(value)
        return "j", b""

    slow = Slow(reader)
    texts = packed(np.frombuffer(b"x" * 5_000 + b"short", np.uint8), np.array([0, 5_000, 5_005]))
    none = np.zeros(2, np.int64)
    values = Spans(texts, Avro("string", Wire("string")), none != 0, texts.offsets[:-1], texts.offsets[1:], none)
    slow(values)
    slow(values)
    assert [len(value) for value in read] == [5_000, 5, 5_000]


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17])
def test_batches_of_few_messages(count: int) -> None:
    if count:
        assert one_column("string", ["x"], count=count)[0].rows.num_rows == count
    else:
        _, vectorised = decoders(feed({"id": None}), Schemas())
        assert vectorised.decode(messages([])).rows.num_rows == 0
        assert vectorised.decode(messages([], before=3, after=2)).rows.num_rows == 0
