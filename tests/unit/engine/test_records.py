"""Records of the digest log come back from their messages as they went in, and the page names their fields."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import orjson
import pyarrow as pa
import pytest

from stream_recon.errors import LogError
from stream_recon.model.digest import (
    Act,
    Block,
    By,
    Drift,
    End,
    Feed,
    Lift,
    Open,
    Pair,
    Partition,
    Range,
    Record,
    Stall,
    Undecodable,
    decode,
    digest_schema,
    encode,
)

PAGE = (Path(__file__).resolve().parents[3] / "docs/spec/digest-log.md").read_text(encoding="utf-8")
FEED = Feed("s", "source", (("a.b", "id", 0, 7),), "log", "complete", ("Ä", "id", "total"))
OPEN = Open("t", "source", 10, 5, 1, 99, 4, "c0ffee", (FEED,), (Pair("x", "s", "y", "abba", ("id",), 2),), 3)
RANGE = Range("s", "a.b", "id", 0, 7, 9, None, 1, None, 2, False, None, undecodable=(Undecodable(8, 1, 2),), schemas=("4", "7"))
BY = By("ops", "recon-0", None, "0.1.0")
RECORDS: list[Record] = [
    OPEN,
    replace(OPEN, by=BY, reason="CHG-7"),
    replace(OPEN, generation=1),
    Block("t", (RANGE,), pa.RecordBatch.from_pylist([], schema=digest_schema(1)), generation=3),
    Lift("t", "s", "a.b", "id", 0, 9, 12, 3),
    Partition("t", "s", "a.b", "id2", 0, 0, None, 3),
    Stall("t", "s", 12, 5, False, 3),
    Stall("t", "s", None, 0, True),
    Drift("t", "s", ("colour", "Ä"), 3),
    Act("t", "started", ("normalise", "reconcile"), BY, 3),
    End("t", 3),
    End("t", 3, (("s", "a.b", "id", 0, 9),)),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode(encode(record)) == record


def test_columns_as_resolved_are_in_the_log() -> None:
    back = decode(encode(OPEN))
    assert isinstance(back, Open)
    assert back.feeds[0].columns == ("Ä", "id", "total")
    assert replace(FEED, columns=()) != FEED
    assert Feed("s", "source", (), "log", "complete").columns == ()


@pytest.mark.parametrize("cls", [Open, Block, Lift, Partition, Stall, Drift, Act, End])
def test_every_record_names_its_generation_and_is_of_the_first_unless_told(cls: type) -> None:
    (generation,) = [f for f in fields(cls) if f.name == "generation"]
    assert generation.default == 1


def test_an_unknown_kind_is_refused_with_the_ones_that_are_known() -> None:
    schema = pa.schema([]).with_metadata({b"stream_recon": orjson.dumps({"format": 1, "kind": "nap", "topology": "t"})})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema):
        pass
    with pytest.raises(
        LogError, match="expected one of open, block, lift, partition, stall, drift, act, end, got a record of kind 'nap'"
    ):
        decode(bytes(sink.getvalue()))


@pytest.mark.parametrize(("title", "cls"), [("7. `stall`", Stall), ("8. `drift`", Drift)])
def test_the_page_names_the_fields(title: str, cls: type) -> None:
    section = PAGE.split(f"\n## {title}")[1].split("\n## ", maxsplit=1)[0]
    first = section.split("\n\n")[1].split(".")[0]
    assert re.findall(r"`([^`]+)`", first) == [f.name for f in fields(cls)]
