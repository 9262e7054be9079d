"""``run`` on a real broker, live: what it says of sides that stop, rows that are lost, workers that stand still.

    test ─────────> its own table, written to while it is read       all tables at the same time,
    deployment ───> one ``run`` for all of them                      each test waits for its own

The times are small, so that each story takes seconds: window 1 s, settle 2 s, clock_skew 1 s, idle_after 3 s.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.kafka.living import (
    IDLE_S,
    SECOND,
    SETTLE_S,
    SKEW_S,
    Deployment,
    Shape,
    Table,
    micros,
    now_us,
    stays,
    wait_for,
)
from tools.kafka.broker import Broker

STORY_S = 120.0
LOST = 77


@dataclass(frozen=True)
class Story:
    """What happens to one table: before the deployment starts, and then.

    ``alone``: it has a deployment of its own, with a process tree for each stage, that it starts and stops itself.
    """

    shape: Shape
    before: Callable[[Table], None]
    then: Callable[[Table], None]
    alone: bool


Told = Callable[["Live"], None]

STORIES: dict[str, Story] = {}


class Live:
    """One deployment, and the stories of its tables as they go on."""

    def __init__(self, deployment: Deployment, told: dict[str, Future[None]]) -> None:
        self.deployment = deployment
        self.told = told

    def tell(self, name: str) -> None:
        self.told[name].result(STORY_S)

    def ends(self) -> None:
        """Waits for every story; how it went is for its own test to say."""
        for story in self.told.values():
            story.exception(STORY_S)


def agree_on_one_row(table: Table) -> None:
    table.both(1, "as it was")


def story(
    shape: Shape, before: Callable[[Table], None] = agree_on_one_row, *, alone: bool = False
) -> Callable[[Callable[[Table], None]], Told]:
    """Makes a story of one table a test that waits for it: they all go on at the same time."""

    def told(then: Callable[[Table], None]) -> Told:
        name = then.__name__
        STORIES[name] = Story(shape, before, then, alone)

        def test(live: Live) -> None:
            live.tell(name)

        test.__name__, test.__doc__ = name, then.__doc__
        return test

    return told


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """The stories that are asked for."""
    prefix = f"live-{uuid.uuid4().hex[:8]}-"
    chosen = [s for item in request.session.items if (s := item.name) in STORIES] or list(STORIES)[:1]
    numbers = {name: number for number, name in enumerate(STORIES)}
    tables = {name: Table(f"t{numbers[name]}", STORIES[name].shape, broker.bootstrap, prefix) for name in chosen}
    place = tmp_path_factory.mktemp("live")
    together = [table for name, table in tables.items() if not STORIES[name].alone]
    deployments = [Deployment(broker.bootstrap, prefix, place, together)] if together else []
    for name in chosen:
        if STORIES[name].alone:
            (place / name).mkdir()
            deployments.append(Deployment(broker.bootstrap, f"{prefix}{name[5:30]}-", place / name, [tables[name]], split=True))
    try:
        for name, table in tables.items():
            STORIES[name].before(table)
        if together:
            deployments[0].start()
        with ThreadPoolExecutor(len(tables)) as pool:
            told = {name: pool.submit(STORIES[name].then, table) for name, table in tables.items()}
            yield Live(deployments[0], told)
        assert not together or deployments[0].stop() == {"all": 0}
    finally:
        for deployment in deployments:
            deployment.close()
            print(deployment.log())


# ---- stalled ---------------------------------------------------------------------------------------------------------------


@story(Shape("json", partitions={"source": 3, "target": 2}))
def test_a_stopped_target_is_one_event_and_no_discrepancy_and_converges_when_it_is_back(table: Table) -> None:
    with table.busy():
        table.waits_until_closed(now_us())
        assert table.metric("side_stalled", "target") == 0
        table.halt("target")
        halted = now_us()
        wait_for(lambda: table.stalls() == [("stalled", "target")], f"stalled; {table.stand()}")
        wait_for(lambda: table.metric("side_stalled", "target") == 1, "the metric says so")
        stays(lambda: table.stalls() == [("stalled", "target")] and not table.discrepancies(), "one event, nothing else")
        assert table.closed_until() < halted + SECOND
        table.release("target")
        wait_for(lambda: len(table.stalls()) == 2, f"resumed; {table.stand()}")
        wait_for(lambda: table.metric("side_stalled", "target") == 0, "the metric says so")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.stalls() == [("stalled", "target"), ("resumed", "target")]
    assert table.discrepancies() == []
    table.nothing_broken()
    stalled, resumed = table.audit("stalled", "resumed")
    assert abs(micros(stalled["since"]) - halted) < SECOND
    assert resumed["since"] == stalled["since"]
    assert stalled["waiting"] > 0


@story(
    Shape("json", partitions={"source": 2, "left": 2, "right": 2}),
)
def test_a_stalled_target_does_not_hold_up_the_other_pair(table: Table) -> None:
    with table.busy():
        table.waits_until_closed(now_us())
        table.halt("left")
        halted = now_us()
        wait_for(lambda: table.stalls() == [("stalled", "left")], f"stalled; {table.stand()}")
        for side in ("source", "left"):
            lost = table.write(side, LOST, "lost on the right")
        table.waits_until_opened(LOST, "missing_in_target")
        table.waits_until_closed(now_us(), "right")
        assert table.closed_until("left") < halted + SECOND < lost
        assert table.open("left") == {}
        table.release("left")
        wait_for(lambda: len(table.stalls()) == 2, f"resumed; {table.stand()}")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.stalls() == [("stalled", "left"), ("resumed", "left")]
    assert table.open("right") == {LOST: "missing_in_target"}
    assert table.discrepancies("left") == []
    assert len(table.discrepancies()) == 1
    table.nothing_broken()


def nothing_on_the_target(table: Table) -> None:
    table.write("source", 1, "first")


@story(Shape("json", partitions={"source": 2, "target": 2}), nothing_on_the_target)
def test_a_target_that_never_spoke_is_stalled_and_converges_when_it_does(table: Table) -> None:
    table.halt("target")
    table.write("target", 1, "first", at=table.last["source"])
    with table.busy():
        wait_for(lambda: table.stalls() == [("stalled", "target")], f"stalled; {table.stand()}")
        stays(lambda: table.stalls() == [("stalled", "target")] and not table.discrepancies(), "one event, nothing else")
        assert table.audit("stalled")[0]["since"] is None
        assert table.audit("window") == []
        table.release("target")
        wait_for(lambda: len(table.stalls()) == 2, f"resumed; {table.stand()}")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.stalls() == [("stalled", "target"), ("resumed", "target")]
    assert table.discrepancies() == []
    table.nothing_broken()


# ---- idle ------------------------------------------------------------------------------------------------------------------


def one_row_in_partitions_that_go_idle(table: Table) -> None:
    table.write("source", 1, "alone", partition=2)
    table.write("target", 1, "alone", partition=1)


@story(
    Shape("json", event_time=False, partitions={"source": 4, "target": 3}, lanes={"source": [0, 1], "target": [0]}),
    one_row_in_partitions_that_go_idle,
)
def test_idle_partitions_among_busy_ones_hold_nothing_up(table: Table) -> None:
    with table.busy():
        table.waits_until_closed(now_us())
        table.write("source", LOST, "lost")
        table.waits_until_opened(LOST, "missing_in_target")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.open() == {LOST: "missing_in_target"}
    assert len(table.discrepancies()) == 1
    assert table.stalls() == []
    table.nothing_broken()


@story(Shape("json", event_time=False))
def test_a_last_row_that_is_lost_while_both_sides_rest_is_reported(table: Table) -> None:
    for key in range(10, 20):
        table.both(key, "agreed")
        time.sleep(0.1)
    table.write("source", LOST, "lost")
    table.waits_until_opened(LOST, "missing_in_target")
    table.waits_until_closed(table.last["source"])
    assert table.open() == {LOST: "missing_in_target"}
    assert len(table.discrepancies()) == 1
    assert table.stalls() == []
    table.nothing_broken()
    last = max(table.audit("window"), key=lambda b: str(b["window"]["end"]))
    assert last["idle_assumed"]


def has_rested(table: Table) -> bool:
    """What comes now on one side alone is further from the other side's last row than lag may be."""
    return now_us() > table.last["target"] + (SETTLE_S + SKEW_S + 0.5) * SECOND


@story(Shape("debezium-json"))
def test_a_last_row_that_is_lost_after_a_rest_is_one_stall_until_the_target_speaks(table: Table) -> None:
    table.both(2, "agreed")
    table.waits_until_closed(table.last["source"])
    wait_for(lambda: has_rested(table), "rest")
    lost = table.write("source", LOST, "lost")
    wait_for(lambda: table.stalls() == [("stalled", "target")], f"stalled; {table.stand()}")
    stays(lambda: table.stalls() == [("stalled", "target")] and not table.discrepancies(), "one event, nothing else", 8)
    assert table.closed_until() < lost
    table.both(3, "after the night")
    table.waits_until_opened(LOST, "missing_in_target")
    wait_for(lambda: len(table.stalls()) == 2, f"resumed; {table.stand()}")
    table.waits_until_closed(table.last["source"])
    assert table.stalls() == [("stalled", "target"), ("resumed", "target")]
    assert table.open() == {LOST: "missing_in_target"}
    assert len(table.discrepancies()) == 1
    table.nothing_broken()


def agree_and_beat(table: Table) -> None:
    agree_on_one_row(table)
    table.beat(list(table.beats))


@story(Shape("debezium-json", heartbeats=("source", "target")), agree_and_beat)
def test_with_heartbeats_a_last_row_that_is_lost_is_reported_though_nothing_else_moves(table: Table) -> None:
    with table.often(lambda: table.beat(["source"]), 0.5):
        with table.often(lambda: table.beat(["target"]), 0.5):
            table.both(2, "agreed")
            table.waits_until_closed(table.last["source"])
            wait_for(lambda: has_rested(table), "rest")
            table.write("source", LOST, "lost")
            table.waits_until_opened(LOST, "missing_in_target")
            assert table.stalls() == []
            wait_for(lambda: now_us() > table.last["source"] + (SETTLE_S + SKEW_S + 0.5) * SECOND, "rest")
        # now the target's log stands still: nobody vouches for it any more
        later = table.write("source", LOST + 1, "lost, too")
        wait_for(lambda: table.stalls() == [("stalled", "target")], f"stalled; {table.stand()}")
        stays(lambda: table.stalls() == [("stalled", "target")] and len(table.discrepancies()) == 1, "one event, nothing else")
        assert table.closed_until() < later
        with table.often(lambda: table.beat(["target"]), 0.5):
            table.waits_until_opened(LOST + 1, "missing_in_target")
            wait_for(lambda: len(table.stalls()) == 2, f"resumed; {table.stand()}")
    assert table.stalls() == [("stalled", "target"), ("resumed", "target")]
    assert table.open() == {LOST: "missing_in_target", LOST + 1: "missing_in_target"}
    assert len(table.discrepancies()) == 2
    table.nothing_broken()


# ---- behind, not idle ------------------------------------------------------------------------------------------------------


def a_minute_of_which_the_target_has_a_second(table: Table) -> None:
    table.beat(["source"])
    begin = now_us() - 60 * SECOND
    for number in range(600):
        if number == 10:
            table.halt("target")
        table.both(1000 + number, "in the past", at=begin + number * SECOND // 10)


@story(
    Shape(partitions={"source": 3, "target": 2}, heartbeats=("source",), settings={"max_ahead": "5s"}),
    a_minute_of_which_the_target_has_a_second,
)
def test_a_side_that_is_paused_is_not_taken_for_idle(table: Table) -> None:
    """The source is paused, and goes on, as its heartbeats tell; the target comes in two pieces with a silence between them."""
    with table.busy(), table.often(lambda: table.beat(["source"]), 0.5):
        wait_for(lambda: (table.metric("paused_partitions", "source") or 0) > 0, "the source is paused")
        table.write("source", LOST, "lost")
        stays(lambda: not table.discrepancies(), "nothing is said of what only waits", IDLE_S + 5)
        assert (table.metric("paused_partitions", "source") or 0) > 0
        table.release("target", table.kept("target") // 2)
        stays(lambda: not table.discrepancies(), "nothing is said of what only waits", IDLE_S + 5)
        table.release("target")
        table.waits_until_opened(LOST, "missing_in_target", 40)
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.metric("paused_partitions", "source") == 0
    assert table.open() == {LOST: "missing_in_target"}
    assert len(table.discrepancies()) == 1
    table.nothing_broken()
    assert table.metric("late_rows_total", "source") == table.metric("late_rows_total", "target") == 0


@story(
    Shape(partitions={"source": 3, "target": 3}, lanes={"target": [0, 1]}, heartbeats=("source", "target")),
    agree_and_beat,
    alone=True,
)
def test_workers_that_stand_still_or_were_stopped_take_nothing_for_idle(table: Table) -> None:
    """Rows come while normalise is frozen for longer than idle_after, and while nothing runs; ``status`` tells both times."""
    deployment = table.deployment
    deployment.start()
    with table.busy(), table.often(lambda: table.beat(table.sides), 0.5):
        table.waits_until_closed(now_us())
        with deployment.frozen("normalise"):
            time.sleep(IDLE_S + 2)
        table.waits_until_closed(now_us())
        assert table.discrepancies() == table.audit("stalled", "resumed") == []
        table.nothing_broken()
        has_watermark_and_lag(deployment, table)
        assert deployment.stop() == {"normalise": 0, "reconcile": 0}
        stopped = now_us()
        has_watermark_and_lag(deployment, table)
        wait_for(lambda: now_us() > stopped + (IDLE_S + 1) * SECOND, "a backlog", IDLE_S + 2)
        table.write("source", LOST, "lost")
        for key in range(2000, 6000):
            table.both(key, "backlog")
        deployment.start()
        table.waits_until_opened(LOST, "missing_in_target")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.open() == {LOST: "missing_in_target"}
    assert len(table.discrepancies()) == 1
    assert table.stalls() == []
    table.nothing_broken()
    assert deployment.stop() == {"normalise": 0, "reconcile": 0}


def has_watermark_and_lag(deployment: Deployment, table: Table) -> None:
    """``status`` knows how far each side is."""
    (shown,) = deployment.status()["topologies"]
    assert (shown["topology"], shown["open"]) == (table.name, True)
    assert [s["side"] for s in shown["sides"]] == table.sides
    for side in shown["sides"]:
        assert side["watermark"] is not None
        assert side["event_time_lag_seconds"] is not None, side


# ---- what differs ----------------------------------------------------------------------------------------------------------

LATE, WRONG, UNDELETED, STRANGE, STALE, MISSING, FINE = range(10, 17)


def agree_on_what_will_differ(table: Table) -> None:
    for key in (LATE, WRONG, UNDELETED, STALE, FINE):
        table.both(key, "as it was")


@story(Shape("debezium-json", settings={"out_of_orderness": "1s"}), agree_on_what_will_differ)
def test_lag_is_no_discrepancy_and_what_differs_has_its_kind(table: Table) -> None:
    with table.busy():
        table.waits_until_closed(table.last["target"])
        table.write("source", WRONG, "right", op="u")
        table.write("target", WRONG, "wrong", op="u")
        table.delete("source", UNDELETED)
        table.write("target", STRANGE + 100, "invented")
        table.write("source", STALE, "news", op="u")
        table.write("source", MISSING, "lost")
        table.both(FINE, "changed", op="u")
        sent = table.write("source", LATE, "changed", op="u")
        wait_for(lambda: now_us() > sent + (SETTLE_S - 0.8) * SECOND, "lag")
        assert table.write("target", LATE, "changed", op="u") < sent + SETTLE_S * SECOND, "this machine is too slow"
        kinds = {
            WRONG: "value_mismatch",
            UNDELETED: "undeleted_in_target",
            STRANGE + 100: "unexpected_in_target",
            STALE: "stale_in_target",
            MISSING: "missing_in_target",
        }
        for key, kind in kinds.items():
            table.waits_until_opened(key, kind)
        table.write("target", WRONG, "right", op="u")
        table.delete("target", UNDELETED)
        healed = [("opened", "value_mismatch"), ("resolved", "value_mismatch")]
        wait_for(lambda: table.steps(WRONG) == healed, f"healed; {table.stand()}")
        gone = [("opened", "undeleted_in_target"), ("resolved", "undeleted_in_target")]
        wait_for(lambda: table.steps(UNDELETED) == gone, f"deleted at last; {table.stand()}")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.opened() == kinds
    assert table.open() == {k: kind for k, kind in kinds.items() if k not in {WRONG, UNDELETED}}
    assert table.stalls() == []
    table.nothing_broken()


# ---- loading ---------------------------------------------------------------------------------------------------------------

KEYS = range(10, 60)
CHANGED, DELETED, KEPT, NEVER = KEYS[1], KEYS[2], KEYS[3], KEYS[4]


def the_source_is_read(table: Table) -> None:
    at = now_us() - SECOND
    for key in KEYS:
        table.write("source", key, "as it was", at=at, op="r")


@story(Shape("debezium-json", partitions={"source": 2, "target": 3}), the_source_is_read)
def test_a_snapshot_that_comes_later_opens_nothing_falsely_and_what_it_lacks_is_found(table: Table) -> None:
    table.write("source", CHANGED, "changed since", op="u")
    table.delete("source", DELETED)
    table.delete("source", KEPT)

    def copies(keys: Sequence[int], at: int) -> None:
        for key in keys:
            if key not in {DELETED, NEVER}:
                text = "changed since" if key == CHANGED else "as it was" if key in KEYS else f"row {key}"
                table.write("target", key, text, at=at, op="r")

    with table.busy(["source"]):  # a source at rest as well would be taken for the end of the copy after ``idle_after``
        wait_for(lambda: now_us() > table.last["source"], "a change")
        stays(lambda: not table.discrepancies(), "nothing is known of the target yet", SETTLE_S + SKEW_S + 3)
        copies(KEYS[:20], now_us())
        stays(lambda: not table.discrepancies(), "half of it is there", SETTLE_S + SKEW_S + IDLE_S + 1)
    copies([*KEYS[20:], *range(1_000_001, table._fresh + 1)], now_us())
    with table.busy():
        table.waits_until_opened(NEVER, "missing_in_target")
        table.waits_until_opened(KEPT, "undeleted_in_target")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.open() == table.opened() == {NEVER: "missing_in_target", KEPT: "undeleted_in_target"}
    table.nothing_broken()


OLD, HALF, NEW = 10, 11, 12


def rows_before_the_start(table: Table) -> None:
    table.both(1, "before")
    table.write("source", OLD, "before")
    table.write("source", HALF, "before")
    table.write("target", HALF, "something else")


@story(Shape("debezium-json", settings={"start": "latest"}), rows_before_the_start)
def test_a_key_whose_row_lies_before_the_start_is_not_unexpected(table: Table) -> None:
    table.write("target", OLD, "touched again", op="u")
    with table.busy():
        table.both(NEW, "after")
        table.waits_until_closed(now_us())
        assert table.discrepancies() == []
        table.write("target", NEW, "wrong", op="u")
        table.waits_until_opened(NEW, "value_mismatch")
        table.waits_until_closed(now_us())
    table.waits_until_closed(table.last["source"])
    assert table.open() == table.opened() == {NEW: "value_mismatch"}
    assert sum(b["counts"]["inconclusive"] for b in table.audit("window")) == 1
    table.nothing_broken()


# ---- at the end of all of them ---------------------------------------------------------------------------------------------


@story(Shape("debezium-json"))
def test_a_column_that_appears_is_told_and_changes_no_verdict(table: Table) -> None:
    assert table.metric("schema_drift_columns", "target") == 0
    later = now_us()
    table.more[later] = {"colour": "red"}
    table.write("source", 2, "alike", at=later - 1)
    table.write("target", 2, "alike", at=later)
    table.flush()
    wait_for(lambda: table.metric("schema_drift_columns", "target") == 1, "the metric says so")
    assert table.metric("schema_drift_columns", "source") == 0
    with table.busy():
        table.waits_until_closed(later)
    assert [(b["side"], b["columns"]) for b in table.audit("schema_drift")] == [("target", ["colour"])]
    assert table.open() == {}


def test_the_metrics_agree_with_the_topics(live: Live) -> None:
    live.ends()
    deployment = live.deployment
    assert deployment.runs()
    wait_for(lambda: counted_in_topics(deployment) == counted_in_metrics(deployment), "metrics and topics agree", 30)
    assert sum(counted_in_topics(deployment).values()) > 0
    assert {v for _, v in deployment.metric("side_stalled")} == {0}


def counted_in_topics(deployment: Deployment) -> Counter[tuple[str, ...]]:
    deployment.reads_all()
    found: Counter[tuple[str, ...]] = Counter()
    newest = {}
    for body in deployment.said("discrepancies"):
        found["said", body["topology"], body["target"], body["status"]] += 1
        newest[body["id"]] = body
    for body in newest.values():
        found["open", body["topology"], body["target"]] += body["status"] in {"opened", "updated"}
    for body in deployment.said("audit"):
        if body["type"] == "window":
            found["windows", body["topology"], body["target"], body["verdict"]] += 1
    return +found


def counted_in_metrics(deployment: Deployment) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for labels, value in deployment.metric("discrepancies_total"):
        found["said", labels["topology"], labels["target"], labels["status"]] += int(value)
    for labels, value in deployment.metric("open_discrepancies"):
        found["open", labels["topology"], labels["target"]] += int(value)
    for labels, value in deployment.metric("windows_total"):
        found["windows", labels["topology"], labels["target"], labels["verdict"]] += int(value)
    return +found
