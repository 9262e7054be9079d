"""How a pair stands, for metrics: plain values between two messages, and reading them changes nothing."""

from __future__ import annotations

from dataclasses import asdict

from stream_recon.align.side import FOREVER
from stream_recon.engine.reconciler import Reconciler
from stream_recon.model.digest import End, Flag, Record
from stream_recon.sim.disk import MemoryStore
from tests.laws.records import Row, S, block, entries_of, lift, opened, timed, told

RECORDS: list[Record] = [
    opened(),
    block("s", 0, [Row(1, 1, "a"), Row(2, 12, "a"), Row(3, 13, "a"), Row(3, 13, None, flags=Flag.MARK)]),
    block("t", 0, [Row(1, 1, "b"), Row(2, 12, "a")], watermark=11),
    lift("t", 2, 31),
    lift("s", 4, 21),
    End("hand"),
]


def test_a_pair_says_what_is_open_how_far_it_is_and_what_waits() -> None:
    reconciler = Reconciler(0, MemoryStore())
    assert reconciler.standing == []
    stood = []
    for entry in entries_of(timed(RECORDS)):
        list(reconciler.fold(entry))
        (standing,) = reconciler.standing
        stood.append(standing)
        if entry.offset == 3:
            reconciler.commit()
            reconciler = Reconciler(0, reconciler._pending._store)
            assert reconciler.standing == [standing]
    assert (stood[0].topology, stood[0].pair, stood[0].chain) == ("hand", "t", "hand/t/0")
    assert [s.buffered > 0 for s in stood] == [s.source is not None for s in stood]
    values = [tuple(asdict(s).values())[3:8] for s in stood]
    assert values == [
        (0, None, None, None, (0, 0)),
        (0, 13 * S, None, None, (3, 0)),
        (1, 13 * S, 11 * S, 10 * S, (2, 1)),
        (1, 13 * S, 31 * S, 10 * S, (2, 1)),
        (1, 21 * S, 31 * S, 20 * S, (0, 0)),
        (1, FOREVER, FOREVER, 20 * S, (0, 0)),
    ]


def test_to_look_changes_nothing() -> None:
    reconciler, out = Reconciler(0, MemoryStore()), []
    for entry in entries_of(timed(RECORDS)):
        for event in reconciler.fold(entry):
            out.append(event)
            assert len(reconciler.standing) == 1
        reconciler.commit()
    assert out == told(timed(RECORDS))
