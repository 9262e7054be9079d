"""``run`` on a real broker that loses its machine: a new one goes on from checkpoints in a bucket, and nothing is said twice."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.buckets import SECRET, bucket, served
from tests.kafka.living import DIGEST_PARTITIONS, Deployment, Shape, Table, now_us, wait_for
from tools.kafka.broker import Broker

EVERY_S = 10
LOST = 77


@pytest.fixture
def location() -> Iterator[str]:
    with served() as options:
        yield bucket(options)


def test_a_new_machine_goes_on_from_the_checkpoints(broker: Broker, prefix: str, location: str, tmp_path: Path) -> None:
    settings = {"checkpoints": {"location": location, "every": f"{EVERY_S}s", "keep": 2}}
    table = Table("t", Shape("json", settings=settings), broker.bootstrap, prefix)
    deployment = Deployment(broker.bootstrap, prefix, tmp_path, [table])
    try:
        table.both(1, "as it was")
        deployment.start()
        with table.busy():
            table.write("source", LOST, "lost")
            table.waits_until_opened(LOST, "missing_in_target")
            wait_for(lambda: ages(deployment) == set(range(DIGEST_PARTITIONS)), "a checkpoint of each", 3 * EVERY_S)
            table.waits_until_closed(now_us())
        assert sum(v for _, v in deployment.metric("checkpoint_failures_total")) == 0
        assert sum(v for _, v in deployment.metric("checkpoint_bytes_total")) > 0
        deployment._kill()
        shutil.rmtree(tmp_path / "state")
        deployment.start()
        wait_for(lambda: restored(deployment) == set(range(DIGEST_PARTITIONS)), f"restored\n{deployment.log()}")
        with table.busy():
            table.write("source", LOST + 1, "lost, too")
            table.waits_until_opened(LOST + 1, "missing_in_target")
            table.waits_until_closed(now_us())
        assert deployment.stop() == {"all": 0}
        assert table.open() == {LOST: "missing_in_target", LOST + 1: "missing_in_target"}
        assert len(table.discrepancies()) == 2
        table.nothing_broken()
        assert SECRET not in deployment.log()
    finally:
        deployment.close()
        print(deployment.log())


def ages(deployment: Deployment) -> set[int]:
    return {int(labels["digest_partition"]) for labels, _ in deployment.metric("checkpoint_age_seconds")}


def restored(deployment: Deployment) -> set[int]:
    """Digest partitions that began at a checkpoint, which is not the log's beginning."""
    found = re.findall(r"digest partition (\d+): restored from the checkpoint at ([1-9]\d*)", deployment.log())
    return {int(home) for home, _ in found}
