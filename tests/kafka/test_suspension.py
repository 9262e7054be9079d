"""``run`` on a real broker, where one of two targets stops and more waits for it than may: its pair alone is suspended, and all
that differs is open when the target is back.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kafka.living import DIGEST_PARTITIONS, Deployment, Json, Shape, Table, now_us, stays, wait_for
from tools.kafka.broker import Broker

MAX_BUFFER = 256 * 1024
LOST, ALTERED, FINE = 11, 12, 13
MANY, SOME = 8_000, 600
"""Rows of which far more than ``MAX_BUFFER`` waits, and so few that a pair keeps both sides of them within it."""
WITHIN_S = 60.0


@pytest.fixture
def table(broker: Broker, prefix: str, tmp_path: Path) -> Iterator[Table]:
    """A source and two targets; nothing runs yet."""
    table = Table("orders", Shape("json", partitions={"source": 2, "near": 2, "far": 1}), broker.bootstrap, prefix)
    deployment = Deployment(broker.bootstrap, prefix, tmp_path, [table])
    try:
        yield table
    finally:
        deployment.close()
        print(deployment.log())


def rows(table: Table, first: int, count: int) -> int:
    """Rows of keys of their own, the same on all sides; returns the time of the last."""
    return [table.both(key, "agreed", at=now_us()) for key in range(first, first + count)][-1]


def of_pair(table: Table, name: str, target: str) -> float:
    """A metric of one pair; -1: no sample."""
    return next((value for labels, value in table.deployment.metric(name) if labels["target"] == target), -1)


def is_suspended(table: Table) -> None:
    """The pair of the target that stopped, everywhere, and what waits for it is bounded again; the other pair is not."""
    wait_for(lambda: of_pair(table, "suspended_digest_partitions", "far") == DIGEST_PARTITIONS, "it is suspended", WITHIN_S)
    stays(lambda: of_pair(table, "buffered_bytes", "far") <= MAX_BUFFER, "what waits is bounded", 2)
    assert of_pair(table, "suspended_digest_partitions", "near") == 0
    assert table.discrepancies() == []


def chains(table: Table, target: str) -> list[list[Json]]:
    """What is said in the chain of each digest partition of a pair."""
    found: dict[str, list[Json]] = {}
    for body in table.audit("window", "suspended", "stalled", "resumed", "started", "stopped"):
        if body["chain"].split("/")[1] == target:
            found.setdefault(body["chain"], []).append(body)
    return [found[chain] for chain in sorted(found)]


def rows_of(chain: list[Json], side: str) -> int:
    """Rows for which its certificates account, compared or passed over."""
    return sum(body["counts"][side] + body.get("suspended", {}).get(side, 0) for body in windows_of(chain))


def windows_of(chain: list[Json]) -> list[Json]:
    return [body for body in chain if body["type"] == "window"]


def is_whole(chain: list[Json]) -> None:
    """Nothing twice, and every window has one certificate."""
    assert [body["seq"] for body in chain] == list(range(len(chain)))
    assert all(one["number"] + one["windows"] == next_["number"] for one, next_ in pairwise(windows_of(chain)))


def was_passed_over(chain: list[Json]) -> None:
    """One event; the windows that it names are inconclusive, and the one behind them says so, too."""
    is_whole(chain)
    (said,) = (body for body in chain if body["type"] == "suspended")
    (after,) = (body for body in windows_of(chain) if "suspended" in body)
    passed = [body for body in windows_of(chain) if any(cause["kind"] == "suspended" for cause in body["causes"])]
    assert {body["verdict"] for body in passed} == {"inconclusive"}
    assert (said["behind"], said["max_buffer"]) == ("far", MAX_BUFFER // DIGEST_PARTITIONS)
    assert said["from"] == after["suspended"]["from"] == passed[0]["window"]["start"]
    assert after["window"]["start"] == after["suspended"]["to"] == passed[-1]["window"]["end"]
    assert after["suspended"]["source_rows"] > MANY // DIGEST_PARTITIONS // 2


def test_a_target_for_which_too_much_waits_is_passed_over_alone_and_all_that_differs_is_open_afterwards(table: Table) -> None:
    deployment = table.deployment
    for key in (ALTERED, FINE):
        table.both(key, "as it was")
    deployment.start()
    with table.busy():
        table.waits_until_closed(now_us(), within=WITHIN_S)
        table.halt("far")
        rows(table, 10_000, MANY)
        for side in table.sides:
            table.write(side, FINE, "news")
            table.write(side, ALTERED, "news" if side != "far" else "wrong")
            if side != "far":
                table.write(side, LOST, "news")
        table.waits_until_closed(rows(table, 20_000, 1), "near", WITHIN_S)
        assert of_pair(table, "buffered_bytes", "far") > 2 * MAX_BUFFER
        assert of_pair(table, "suspended_digest_partitions", "far") == 0

        # another max_buffer holds with the next start, and no rebuild
        assert deployment.stop() == {"all": 0}
        table.shape.settings["max_buffer"] = "256KiB"
        deployment.write(table)
        deployment.start()
        is_suspended(table)

        deployment.kill_reconcile()
        table.waits_until_closed(rows(table, 30_000, SOME), "near", WITHIN_S)
        is_suspended(table)

        table.release("far")
        table.waits_until_opened(LOST, "missing_in_target", WITHIN_S)
        wait_for(lambda: of_pair(table, "suspended_digest_partitions", "far") == 0, "it is over", WITHIN_S)
    table.waits_until_closed(table.last["source"], within=WITHIN_S)

    assert table.open("far") == table.opened() == {LOST: "missing_in_target", ALTERED: "value_mismatch"}
    near, far = chains(table, "near"), chains(table, "far")
    assert len(near) == len(far) == DIGEST_PARTITIONS
    for chain in near:
        is_whole(chain)
        assert {body["type"] for body in chain} <= {"window", "started", "stopped"}
        assert {body["verdict"] for body in windows_of(chain)} == {"clean"}
    for chain in far:
        was_passed_over(chain)
    for side, lost in (("source_rows", 0), ("target_rows", 1)):
        assert sum(rows_of(chain, side) for chain in far) == sum(rows_of(chain, side) for chain in near) - lost
