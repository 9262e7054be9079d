"""Stretches of several partitions that are decoded together leave what they leave one by one."""

from __future__ import annotations

import json
import random

import numpy as np
import pyarrow as pa
import pytest

from stream_recon.engine.normaliser import FeedClock, Normaliser
from stream_recon.engine.progress import Progress, SetAside
from stream_recon.model.digest import encode
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import ColumnPlan, FeedPlan, Format
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.reference import ReferenceDecoder

PLACES = [Upstream("s", "t", partition) for partition in range(3)]
PLAN = FeedPlan("s", Format.DEBEZIUM_JSON, tuple(ColumnPlan(n, n, reads=(n,), key=n == "id") for n in ("id", "note")))
HEARTBEAT = b'{"ts_ms":1}'


def message(r: random.Random, at: int) -> tuple[bytes, bytes | None]:
    """A row, a delete, a tombstone, a control record or a dead letter."""
    key = r.randrange(5)
    row = {"id": key, "note": f"n{at}"}
    op = r.choice("cccud")
    change = {"before": None, "after": None if op == "d" else row, "op": op, "source": {"ts_us": 10**15 + at * 1000}}
    value = r.choice([json.dumps(change, separators=(",", ":")).encode()] * 6 + [None, HEARTBEAT, b"broken"])
    return json.dumps({"id": key}, separators=(",", ":")).encode(), value


def stretch(r: random.Random, place: Upstream, first: int) -> Messages:
    count = r.choice([1, 1, 5, 40])
    offset = first + np.cumsum([r.choice([1, 1, 1, 3]) for _ in range(count)])
    pairs = [message(r, int(at)) for at in offset]
    keys, values = (pa.array([pair[side] for pair in pairs], pa.binary()) for side in (0, 1))
    return Messages(place, offset.astype(np.int64), offset.astype(np.int64) + 10**12, keys, values)


def normaliser(few: int = 0) -> Normaliser:
    decoder = ColumnarDecoder(PLAN, ReferenceDecoder(PLAN), few=few)
    clock = FeedClock(5_000_000, 3_600_000_000, bare_nulls=False)
    return Normaliser("orders", decoder, clock, {place: Progress(0) for place in PLACES}, parallelism=2)


@pytest.mark.parametrize("seed", range(40))
def test_together_or_one_by_one(seed: int) -> None:
    """And whether few messages are left to the reference decoder or none."""
    r = random.Random(seed)
    together, alone = normaliser(few=20), normaliser()
    position = dict.fromkeys(PLACES, 0)
    for _ in range(3):
        stretches = [stretch(r, place, position[place]) for place in r.sample(PLACES, r.randint(1, 3))]
        position |= {m.upstream: int(m.offset[-1]) + 1 for m in stretches}
        letters: list[SetAside] = [letter for messages in stretches for letter in alone.add(messages)]
        assert together.add_all(stretches) == letters
    assert together.progress == alone.progress
    assert [encode(block) for block in together.flush()] == [encode(block) for block in alone.flush()]
