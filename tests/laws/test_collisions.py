"""Keys whose ids share their first half are told apart wherever keys are looked up, and by the whole fold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.align.pieces import Rows, seal
from stream_recon.engine.base import BaseState
from stream_recon.engine.closing import member, union
from stream_recon.engine.pending import Pending
from stream_recon.engine.reconciler import Reconciler
from stream_recon.model.digest import Block, Counts, End, Feed, Open, Pair, Range, Record, digest_schema, encode
from stream_recon.model.versions import State, version_dtype
from stream_recon.ports import Entry
from stream_recon.sim.disk import MemoryStore
from tests.laws.ordeal import exact, folding

S = 1_000_000
Key = tuple[int, int]
KEYS: list[Key] = [(7, 1), (7, 2), (7, 1 << 63), (8, 1), (7 << 40, 1), ((7 << 40) + 1, 1), ((7 << 40) + 1, 2)]
"""Pairs that share the first half, or all of its upper bits."""


def words(keys: Sequence[Key]) -> tuple[Any, Any]:
    return np.array([k[0] for k in keys], np.uint64), np.array([k[1] for k in keys], np.uint64)


def rows_of(keys: Sequence[Key]) -> Rows:
    """A present version a key, numbered by its offset."""
    version = np.zeros(len(keys), version_dtype(0))
    version["offset"], version["state"] = np.arange(len(keys)), State.PRESENT
    return Rows(*words(keys), version, pa.array([b"n1:%d" % (n % 10) for n in range(len(keys))], pa.binary()))


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=20), st.lists(st.sampled_from(KEYS), min_size=1, max_size=8))
def test_a_piece_finds_each_key_its_own_rows(held: list[Key], asked: list[Key]) -> None:
    piece = seal(rows_of(held), np.zeros(len(held), bool), None)
    assert [*zip(piece.high.tolist(), piece.low.tolist(), strict=True)] == sorted(set(held))
    assert piece.clash == (len({k[0] for k in held}) < len(set(held)))
    place, hit = piece.find(*words(asked))
    assert hit.tolist() == [key in held for key in asked]
    for key, at in zip(np.array(asked)[hit].tolist(), place[hit].tolist(), strict=True):
        mine = [n for n, k in enumerate(held) if k == tuple(key)]
        assert int(piece.last[at]) == mine[-1]
        rows, _ = piece.rows_of(np.array([at]))
        assert rows.tolist() == mine


@given(st.lists(st.lists(st.sampled_from(KEYS), max_size=6), max_size=4))
def test_a_union_holds_each_key_once_in_order(parts: list[list[Key]]) -> None:
    high, low = union([words(sorted(part)) for part in parts])
    assert [*zip(high.tolist(), low.tolist(), strict=True)] == sorted({k for part in parts for k in part})


@given(st.sets(st.sampled_from(KEYS), max_size=8), st.lists(st.sampled_from(KEYS), max_size=8, unique=True))
def test_membership_is_by_the_whole_key(keys: set[Key], wanted: list[Key]) -> None:
    ordered = sorted(keys)
    assert member(*words(ordered), words(wanted)).tolist() == [k in wanted for k in ordered]


def test_the_base_state_keeps_them_apart() -> None:
    pending, rows = Pending(MemoryStore()), rows_of(KEYS)
    base = BaseState(pending, b"B", 0)
    base.write(rows.high, rows.low, rows.version, rows.version, rows.text.to_pylist())
    for _ in range(2):
        records = base.read(rows.high[::-1], rows.low[::-1])
        assert records.source["offset"].tolist() == [*range(len(KEYS))][::-1]
        assert records.text == rows.text.to_pylist()[::-1]
        pending.commit()


# ---- the whole fold ------------------------------------------------------------------------------------------------------


def key_bytes(key: Key) -> bytes:
    return key[0].to_bytes(8, "big") + key[1].to_bytes(8, "big")


def block(feed: str, start: int, versions: Sequence[tuple[Key, int, str]]) -> Block:
    """Rows (key, time in s, content) of the one partition of a feed, from an offset on."""
    count = len(versions)
    columns = {
        "range": [0] * count,
        "key": [key_bytes(k) for k, _, _ in versions],
        "key_text": [b"n1:%d" % (KEYS.index(k) % 10) for k, _, _ in versions],
        "hash": [content.encode().ljust(32, b".") for _, _, content in versions],
        "t": [t * S for _, t, _ in versions],
        "time": [t * S for _, t, _ in versions],
        "offset": [start + n for n in range(count)],
        "index": [0] * count,
        "flags": [0] * count,
    }
    schema = digest_schema(0)
    rows = pa.RecordBatch.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    last, end = versions[-1][1] * S, start + count
    known: dict[str, Any] = {"watermark": last, "raw": last, "loaded": None, "leading": False, "first": versions[0][1] * S}
    if "latest" in Range.__dataclass_fields__:
        known["latest"] = last
    return Block("hand", (Range(feed, feed, "", 0, start, end, counts=Counts(rows=end), **known),), rows)


def opened() -> Open:
    feeds = tuple(Feed(name, name, ((name, "", 0, 0),), "log", "complete") for name in ("s", "t"))
    return Open("hand", "s", 10 * S, 2 * S, 0, 1 << 60, 1, "", feeds, (Pair("t", "s", "t", "", ("id",)),))


def said(records: Sequence[Record], cache_bytes: int) -> tuple[list[Any], list[Any]]:
    """Discrepancies (key, status, kind, window) and the counts of keys (equal, different), all windows together."""
    reconciler = Reconciler(0, MemoryStore(), cache_bytes=cache_bytes)
    events = []
    for offset, record in enumerate(records):
        events += [orjson.loads(e.body) for e in reconciler.fold(Entry(offset, 0, None, encode(record)))]
        reconciler.commit()
    found = [(e["key"]["id"], e["status"], e["kind"], e["window"]["end"][17:19]) for e in events if e["type"] == "discrepancy"]
    counts = [e["counts"] for e in events if e["type"] == "window"]
    return found, [sum(c[n] for c in counts) for n in ("keys", "equal", "different")]


@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
@pytest.mark.parametrize("windows", [1, 1000])
@pytest.mark.parametrize("slow", [False, True])
def test_a_difference_is_that_of_its_key_alone(cache_bytes: int, windows: int, slow: bool) -> None:
    source = [(k, 1, f"a{n}") for n, k in enumerate(KEYS)] + [(KEYS[1], 32, "b"), (KEYS[0], 50, "last")]
    target = [(k, 2, f"a{n}" if n else "x") for n, k in enumerate(KEYS)] + [
        (KEYS[0], 22, "a0"),
        (KEYS[4], 42, "y"),
        (KEYS[0], 51, "last"),
    ]
    records: list[Record] = [
        opened(),
        block("s", 0, source[:4]),
        block("t", 0, target[:4]),
        block("s", 4, source[4:]),
        block("t", 4, target[4:]),
    ]
    with folding(windows):
        if slow:
            with exact():
                found, counts = said([*records, End("hand")], cache_bytes)
        else:
            found, counts = said([*records, End("hand")], cache_bytes)
    assert found == [
        (0, "opened", "value_mismatch", "10"),
        (0, "resolved", "value_mismatch", "30"),
        (1, "opened", "stale_in_target", "40"),
        (4, "opened", "value_mismatch", "50"),
    ]
    assert counts == [len(KEYS) + 4, len(KEYS) - 1 + 2, 3]
