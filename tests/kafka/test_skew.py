"""``run`` on a real broker over two tables. One has a backlog, nearly all of it in one partition and a third of it of one key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_recon.model.digest import Block, decode
from tests.kafka.living import DIGEST_PARTITIONS, SECOND, Deployment, Shape, Table, now_us
from tests.kafka.loading import Place, ends, read
from tools.kafka.broker import Broker

BACKLOG, FEW = 120_000, 600
HOT, LOST, STALE = 0, 30, 60
LANES = [0] * 27 + [1, 2, 3]
BACK_S = 60
WITHIN_S = 90.0


@pytest.fixture
def tables(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[tuple[Table, Table]]:
    """One that is hot, one that is calm; nothing runs yet."""
    uneven = Shape("json", {"source": 4, "target": 4}, {"source": LANES, "target": LANES})
    hot = Table("hot", uneven, broker.bootstrap, prefix)
    calm = Table("calm", Shape("json"), broker.bootstrap, prefix)
    deployment = Deployment(broker.bootstrap, prefix, tmp_path, [hot, calm])
    try:
        yield hot, calm
    finally:
        deployment.close()
        print(deployment.log())


def fill(table: Table, count: int, hot: bool) -> None:
    """A minute that agrees, up to now."""
    begin = now_us() - BACK_S * SECOND
    for number in range(count):
        key = HOT if hot and number % 3 == 0 else 1_000 + number % 5_000
        table.both(key, f"row {number}", at=begin + number * BACK_S * SECOND // count)


def rows_in_front(bootstrap: str, table: Table, filled: dict[Place, int], other: Table) -> int:
    """How many rows of the other table stand in the digest log before all of what this one was filled with."""
    count = 0
    waiting: dict[int, dict[Place, int]] = {}
    for message in read(bootstrap, [f"{table.deployment.prefix}.digests"]):
        left, record = waiting.setdefault(message.partition, dict(filled)), decode(message.value)
        if left and isinstance(record, Block):
            count += len(record.rows) if record.topology == other.name else 0
            for range_ in record.ranges:
                if range_.end >= left.get((range_.topic, range_.partition), range_.end + 1):
                    del left[range_.topic, range_.partition]
    assert len(waiting) == DIGEST_PARTITIONS
    assert not any(waiting.values())
    return count


def test_a_hot_partition_and_a_hot_key_hold_up_no_other_table(tables: tuple[Table, Table], bootstrap: str) -> None:
    hot, calm = tables
    hot.both(STALE, "as it was", at=now_us() - (BACK_S + 1) * SECOND)
    fill(hot, BACKLOG, hot=True)
    fill(calm, FEW, hot=False)
    hot.write("source", STALE, "news")
    for table in tables:
        table.write("source", LOST, "lost")
        table.flush()
    places = {table: ends(bootstrap, list(table.topics.values()), committed=False) for table in tables}
    assert places[hot][hot.topics["source"], 0] > 0.9 * BACKLOG

    hot.deployment.start()
    with hot.busy(), calm.busy():
        for table in (calm, hot):
            table.waits_until_opened(LOST, "missing_in_target", WITHIN_S)
    for table in tables:
        table.waits_until_closed(table.last["source"], within=WITHIN_S)
    assert calm.opened() == calm.open() == {LOST: "missing_in_target"}
    assert hot.opened() == hot.open() == {LOST: "missing_in_target", STALE: "stale_in_target"}
    for table in tables:
        table.nothing_broken()
        assert table.stalls() == []
    in_front = rows_in_front(bootstrap, calm, places[calm], hot)
    print(f"{in_front:,} of {2 * BACKLOG:,} rows stand in front of the calm table's {2 * FEW:,}")
    assert in_front < BACKLOG
