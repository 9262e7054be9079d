"""A digest block that is deleted from the log: no window that its rows could touch is called clean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from stream_recon.engine.pipeline import AUDIT, DIGESTS
from stream_recon.engine.reconciler import Reconciler
from stream_recon.model.digest import Block, Range, decode
from stream_recon.ports import Entry
from stream_recon.sim.disk import MemoryStore
from tests.laws.drive import Drive
from tests.oracle.generate import Rolled
from tests.oracle.strategies import delivery_of, seeded

SEEDS: Final = range(60)
SIZE: Final = 25

Certificate = dict[str, Any]


def folded(entries: list[Entry], home: int) -> list[Certificate]:
    """What is certified of a digest partition with these messages."""
    reconciler = Reconciler(home, MemoryStore())
    bodies = [orjson.loads(event.body) for entry in entries for event in reconciler.fold(entry) if event.topic == AUDIT]
    return [body for body in bodies if body["type"] == "window"]


def after(lost: Range, entries: list[Entry]) -> int | None:
    """The first time of what follows in its partition; None: nothing with a time does."""
    for entry in entries:
        record = decode(entry.value)
        for one in record.ranges if isinstance(record, Block) else ():
            if one.upstream == lost.upstream and one.first is not None:
                return one.first
    return None


def before(lost: Range, entries: list[Entry]) -> int | None:
    """Where its partition's watermark stood."""
    marks = [
        one.watermark
        for e in entries
        if isinstance(r := decode(e.value), Block)
        for one in r.ranges
        if one.upstream == lost.upstream
    ]
    return next((mark for mark in reversed(marks) if mark is not None), None)


def touched(lost: Range, side: str, certificates: list[Certificate], low: int | None, high: int | None) -> Iterator[Certificate]:
    """Certificates of windows that hold a time from ``low`` to ``high``, of pairs that the side is in."""
    for one in certificates:
        window = (number := one["number"]), number + one["windows"]
        size = one["size"]
        reaches = (low is None or window[1] * size > low) and (high is None or window[0] * size <= high)
        if side in (one["source"], one["target"]) and reaches:
            yield one


def test_no_window_that_a_deleted_block_could_touch_is_clean(tmp_path: Path) -> None:
    looked = 0
    for seed in SEEDS:
        history, d = seeded(seed, "wild", SIZE), Rolled(seed)
        homes = d.number(1, 3)
        drive = Drive(history, tmp_path, homes=homes)
        for batch in delivery_of(d, history, repeats=False):
            drive.deliver(batch)
        drive.finish()
        home = d.number(0, homes - 1)
        entries = list(drive.log.read(DIGESTS, home, 0, 1 << 40))
        blocks = [i for i, e in enumerate(entries) if isinstance(r := decode(e.value), Block) and len(r.rows)]
        if not blocks:
            continue
        place = d.pick(blocks)
        lost = decode(entries[place].value)
        assert isinstance(lost, Block)
        found = [one | {"size": history.params.window} for one in folded([*entries[:place], *entries[place + 1 :]], home)]
        for range_ in lost.ranges:
            if range_.end > range_.start:
                span = before(range_, entries[:place]), after(range_, entries[place + 1 :])
                for one in touched(range_, range_.feed.partition("~")[0], found, *span):
                    looked += 1
                    assert one["verdict"] != "clean", (seed, range_, span, one)
    assert looked > 40
