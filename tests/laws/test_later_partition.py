"""A partition that appears after the share was opened: announced, waited for, accounted for, and still there after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_recon.model.messages import Upstream
from tests.laws.drive import Drive
from tests.laws.hand import P, history, up
from tests.oracle.strategies import Batch

SOURCE = [[up(10, key=1), up(100, key=1)], [up(40, key=2), up(101, key=2)]]
TARGET = [[up(11, key=1), up(41, key=2), up(102, key=1), up(103, key=2)]]


@pytest.mark.parametrize("homes", [1, 3])
@pytest.mark.parametrize("dies", [False, True])
def test_no_window_closes_without_a_partition_that_appeared_later(tmp_path: Path, homes: int, *, dies: bool) -> None:
    whole = history(SOURCE, TARGET, params=P)
    late = whole.source.partitions[1]
    drive = Drive(history(SOURCE[:1], TARGET, params=P), tmp_path, homes=homes)
    drive.deliver(Batch(0, 0, 0, 1))
    upstream = Upstream("source", late.topic, late.number)
    first = late.items[0].offset
    drive.pipeline.announce(upstream, first, drive.now)
    drive.pipeline.drain()
    if dies:
        drive.die()
    drive.deliver(Batch(0, 0, 1, 2))
    drive.deliver(Batch(1, 0, 0, 4))
    said = drive.pipeline.log.read("audit", 0, 0, 1000)
    assert not said, "the new partition has not spoken, so nothing behind its watermark may be judged"
    drive.history = whole
    drive.deliver(Batch(0, 1, 0, 2))
    answers = drive.finish()
    assert (answers.summary.verdict, answers.summary.exit_code) == ("clean", 0)
    rows = {(p["side"], p["topic"], p["partition"]): p["rows"] for p in answers.summary.partitions}
    assert rows["source", late.topic, late.number] == 2
