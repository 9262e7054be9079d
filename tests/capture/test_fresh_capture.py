"""Two real databases, through real Debezium, read by the reference decoder: what SQL wrote is what the canonical form says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from stream_recon.model.messages import Op
from stream_recon.model.plan import Format
from stream_recon.normalise.discover import discover
from stream_recon.normalise.reference import ReferenceDecoder
from tests.capture.capture import SIDES, TABLES, Capture, control_topics, names
from tests.capture.distorted import DISTORTED
from tests.capture.events import life, wiped
from tests.capture.reading import LARGE, assert_alike, columns, events, feed, outcomes, plan_of
from tests.capture.tables import STREAM_FROM, Table, framed

JSON = Format.DEBEZIUM_JSON
EVERY = [pytest.param(side, name, id=f"{side}-{name}") for side in SIDES for name in names(side)]

READ = [
    pytest.param(capture, side, table, id=f"{capture}-{side}-{table.name}")
    for capture in DISTORTED
    for side in SIDES
    for table in TABLES[side]
    if table.name in names(side, capture)
]


def expected(capture: str, side: str, table: Table) -> dict[int, dict[str, str]]:
    """Column texts by the row's id, as they arrive."""
    found = table.texts()
    for column in table.columns:
        for row, text in DISTORTED[capture].get((side, table.name, column.name), {}).items():
            found[row][column.name] = text
    return found


def operation(row: int) -> Op:
    return Op.READ if row < STREAM_FROM else Op.UPSERT


def row_hash(row: int, texts: dict[str, str]) -> bytes:
    """By DESIGN section 4, without the project's code."""
    every = {**texts, "id": f"n:{row}"}
    return hashlib.sha256(b"".join(framed(every[name]) for name in sorted(every, key=str.encode))).digest()


@pytest.mark.parametrize(("capture", "side", "table"), READ)
def test_each_column_is_what_sql_wrote(fresh: Capture, capture: str, side: str, table: Table) -> None:
    messages = fresh.messages(fresh.topic(side, capture, table.name))
    want, got = expected(capture, side, table), {}
    for name, rule in columns(side, table.name, capture).items():
        for outcome in outcomes(feed(side, {name: rule}, format_=JSON), messages):
            if outcome.reason is not None:
                assert outcome.key is not None
                got[int(outcome.key[0][1]), name] = "!"
            else:
                ((op, row, texts),) = events([name], [outcome])
                assert row is not None
                assert texts is not None
                assert op == operation(row)
                got[row, name] = texts[name]
    assert got == {(row, name): text for row, texts in want.items() for name, text in texts.items()}


@pytest.mark.parametrize(("capture", "side", "table"), READ)
def test_each_row_is_hashed_or_a_dead_letter(fresh: Capture, capture: str, side: str, table: Table) -> None:
    messages = fresh.messages(fresh.topic(side, capture, table.name))
    plan = plan_of(side, table.name, JSON, capture)
    decoded = ReferenceDecoder(plan).decode(messages)
    assert_alike(plan, messages)
    want = expected(capture, side, table)
    refused = {row for row, texts in want.items() if "!" in texts.values()}
    assert {letter.key_text for letter in decoded.dead} == {framed(f"n:{row}") for row in refused}
    assert len(decoded.dead) == len(refused)
    assert len(decoded.control) == 0
    rows = [(row["op"], row["key_text"], row["hash"]) for row in decoded.rows.to_pylist()]
    assert rows == [
        (operation(row), framed(f"n:{row}"), row_hash(row, texts)) for row, texts in sorted(want.items()) if row not in refused
    ]


@pytest.mark.parametrize(("side", "table"), EVERY)
def test_the_vectorised_decoder_gives_the_same(fresh: Capture, side: str, table: str) -> None:
    plan = plan_of(side, table, JSON)
    assert_alike(plan, fresh.messages(fresh.topic(side, "json", table)))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("table", ["life", "wiped"])
def test_each_event_is_what_sql_did(fresh: Capture, side: str, table: str) -> None:
    messages = fresh.messages(fresh.topic(side, "json", table))
    read = columns(side, table)
    assert events(read, outcomes(feed(side, read, format_=JSON), messages)) == (life(side) if table == "life" else wiped())


def test_what_was_not_sent_is_unknown_and_the_rest_is_hashed(fresh: Capture) -> None:
    messages = fresh.messages(fresh.topic("pg", "json", "life"))
    decoded = ReferenceDecoder(plan_of("pg", "life", JSON)).decode(messages)
    rows = decoded.rows.to_pylist()
    for row, (op, key, texts) in zip(rows, life("pg"), strict=True):
        assert (row["op"], row["key_text"]) == (op, framed(f"n:{key}"))
        assert (row["rest"] is None) == (texts is None)
        assert (row["hash"] is None) == (texts is None or "?" in texts.values())
        if texts is not None:
            kept = [row[f"large_{place}"] for place in range(len(LARGE))]
            wanted = {"?": None, "~": b""}
            assert kept == [
                wanted.get(text, hashlib.sha256(framed(text)).digest()) for text in map(texts.get, sorted(LARGE)) if text
            ]


@pytest.mark.parametrize("capture", ["json", "structured"])
def test_both_sides_of_shared_types_are_equal(fresh: Capture, capture: str) -> None:
    def hashes(side: str, capture: str) -> dict[bytes, bytes]:
        messages = fresh.messages(fresh.topic(side, capture, "shared"))
        decoded = ReferenceDecoder(plan_of(side, "shared", JSON)).decode(messages)
        return {row["key_text"]: row["hash"] for row in decoded.rows.to_pylist()}

    source = hashes("pg", capture)
    assert len(source) == 2 * 3 + 1
    assert None not in source.values()
    assert hashes("maria", "json") == source


@pytest.mark.parametrize("topic", control_topics("json"))
def test_control_topics_hold_control_records_only(fresh: Capture, topic: str) -> None:
    messages = fresh.messages(topic)
    decoded = ReferenceDecoder(feed("side", {}, format_=JSON)).decode(messages)
    assert len(messages) > 0
    assert list(decoded.control) == list(range(len(messages)))
    assert discover(JSON, messages.value) == frozenset()


@pytest.mark.parametrize("side", SIDES)
def test_columns_are_found_in_the_schemas(fresh: Capture, side: str) -> None:
    for table in names(side):
        messages = fresh.messages(fresh.topic(side, "json", table))
        assert discover(JSON, messages.value) == {"id", *columns(side, table)}


def test_recordings_name_every_schema_that_they_need(fresh: Capture) -> None:
    schemas = json.loads(fresh.schemas.read_text(encoding="utf-8"))
    needed = {int.from_bytes(octets[1:5], "big") for octets in avro_octets(fresh)}
    assert {int(number) for number in schemas} == needed
    assert all(json.loads(each["schema"]) for each in schemas.values())


def avro_octets(fresh: Capture) -> Iterator[bytes]:
    topics = [*control_topics("avro"), *(fresh.topic(side, "avro", table) for side in SIDES for table in names(side))]
    for topic in topics:
        messages = fresh.messages(topic)
        for octets in [*messages.key.to_pylist(), *messages.value.to_pylist()]:
            if octets is not None:
                assert octets[0] == 0
                yield octets
