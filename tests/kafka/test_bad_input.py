"""What ``run`` says when the world is wrong, on a real broker: what, where, what to do; the right code; never "clean"."""

from __future__ import annotations

import json
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli import deployment, upkeep
from stream_recon.cli.clusters import REACH_SECONDS
from stream_recon.service.job import Names
from tests.kafka.refusing import WITHIN_S, Here, Live, ids, live, until
from tools.kafka.broker import USERS, Broker

ONLY_HERE = {"id": 9, "v": "only here"}
SECRET = USERS["guest"]


@pytest.fixture
def world(bootstrap: str, prefix: str, tmp_path: Path) -> Iterator[Live]:
    with live(bootstrap, prefix, tmp_path) as world:
        yield world


@pytest.fixture
def here(capfd: pytest.CaptureFixture[str]) -> Here:
    """``stream-recon`` in this process."""
    return Here(capfd)


# ---- the broker ------------------------------------------------------------------------------------------------------------


def test_a_broker_that_is_down_at_the_start_is_named_in_one_line_within_20_s(
    world: Live, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert REACH_SECONDS + 5 <= 20
    monkeypatch.setattr(deployment, "REACH_SECONDS", 3)
    result = here("run", world.topology(kafka={"bootstrap.servers": "127.0.0.1:1"}))
    result.refused(3, "no answer from 127.0.0.1:1", "Connection refused", "check that the brokers run", "bootstrap.servers")
    assert result.seconds < 8
    assert len(result.stderr.splitlines()) <= 2


def test_no_cluster_named_anywhere_says_how_to_name_one(world: Live, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    path = world.topology()
    path.write_text(path.read_text().replace(f'"bootstrap.servers": "{world.bootstrap}", ', ""))
    here("run", path).refused(3, "kafka: {bootstrap.servers: HOST:PORT}", "KAFKA_BOOTSTRAP")


def test_an_unknown_client_setting_is_named_with_where_it_stands(world: Live, here: Here) -> None:
    world.make("s", "t")
    result = here("run", world.topology(kafka={"fetch.max.byte": 5}))
    result.refused(3, '"fetch.max.byte"', "kafka", "topology")


@pytest.mark.parametrize("setting", [{"fetch.max.bytes": "many"}, {"session.timeout.ms": 5, "debug": "no-such-context"}])
def test_a_client_setting_with_an_impossible_value_is_named(world: Live, here: Here, setting: dict[str, object]) -> None:
    world.make("s", "t")
    result = here("run", world.topology(kafka=setting))
    result.refused(3, list(setting)[-1], "kafka settings")


def test_settings_of_consumers_are_checked_before_any_worker_starts(world: Live, here: Here) -> None:
    world.make("s", "t")
    world.both(*ids(range(2)))
    result = here("run", world.topology(kafka={"session.timeout.ms": "soon"}), "--state", world.place / "state")
    result.refused(3, "session.timeout.ms", "kafka settings")


# ---- source topics ---------------------------------------------------------------------------------------------------------


def test_a_topic_that_is_not_there_is_named_with_its_like(world: Live, here: Here) -> None:
    world.make("s", "orders")
    result = here("run", world.topology(target={"topics": [world.name("order")]}))
    result.refused(3, "side t", f"no topic {world.name('order')}", world.bootstrap, f"did you mean {world.name('orders')}")


def test_a_heartbeat_topic_that_is_not_there_is_named(world: Live, here: Here) -> None:
    world.make("s", "t")
    result = here("run", world.topology(source={"heartbeat": {"topic": world.name("beat")}, "event_time": "at"}))
    result.refused(3, "side s", f"no topic {world.name('beat')}")


# ---- our own topics --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "settings", "mend"),
    [
        ("digests", {"max_message_bytes": "1000000"}, "max.message.bytes=16777216"),
        ("digests", {"cleanup_policy": "compact"}, "cleanup.policy=delete"),
        ("digests", {"message_timestamp_type": "CreateTime"}, "message.timestamp.type=LogAppendTime"),
        ("digests", {"retention_ms": "604800000"}, "retention.ms=-1"),
        ("discrepancies", {"max_message_bytes": "1000"}, "max.message.bytes=1048588"),
        ("discrepancies", {"cleanup_policy": "delete"}, "cleanup.policy=compact"),
        ("discrepancies", {"min_compaction_lag_ms": "86400000"}, "min.compaction.lag.ms=604800000"),
        ("audit", {"retention_bytes": "1000"}, "retention.bytes=-1"),
        ("dead-letters", {"max_message_bytes": "1000"}, "max.message.bytes=1048588"),
    ],
)
def test_a_topic_of_ours_that_would_break_a_promise_is_refused_with_the_command_that_mends_it(
    world: Live, here: Here, output: str, settings: dict[str, Any], mend: str
) -> None:
    world.make("s", "t")
    right = {
        "digests": {"message_timestamp_type": "LogAppendTime", "max_message_bytes": "16777216"},
        "discrepancies": {"cleanup_policy": "compact", "min_compaction_lag_ms": "604800000"},
    }
    forever = {} if output == "discrepancies" else {"retention_ms": "-1"}
    world.make_as(f"{world.prefix}.{output}", **{**forever, **right.get(output, {}), **settings})
    result = here("run", world.topology())
    topic = f"--entity-type topics --entity-name {world.prefix}.{output}"
    command = f"kafka-configs.sh --bootstrap-server {world.bootstrap} --alter {topic} --add-config {mend}"
    result.refused(3, f"topic {world.prefix}.{output}", command)
    assert result.error.rstrip().endswith(mend), "nothing else is to be mended"


def test_a_digest_log_with_another_number_of_partitions_is_refused_with_the_way_out(world: Live, here: Here) -> None:
    world.make("s", "t")
    world.make_as(
        f"{world.prefix}.digests",
        partitions=2,
        message_timestamp_type="LogAppendTime",
        max_message_bytes="16777216",
        retention_ms="-1",
    )
    result = here("run", world.topology(), "--digest-partitions", "4")
    result.refused(3, f"{world.prefix}.digests", "expected 4 partitions, got 2", "--digest-partitions", "outputs.prefix")


# ---- a deployment that runs ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service with one open discrepancy, that nothing below may disturb."""
    with live(broker.bootstrap, f"running-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("running")) as world:
        world.make("s", "t")
        world.put(s=[*ids(range(5)), ONLY_HERE], t=ids(range(5)))
        service = world.start(world.topology())
        service.says(r"reads .*-t/0 from 0")
        until(lambda: world.of("opened"))
        yield world
        service.stop().ended(0)
        world.said_once()
        assert world.of("opened")[0] == (9, "missing_in_target", "opened")


def test_another_run_with_the_same_state_directory_is_refused(running: Live, here: Here) -> None:
    result = here("run", running.topology(), "--state", running.place / "state")
    result.refused(3, "another run of this deployment holds", str(running.place / "state"), "--name")


def test_a_run_once_beside_the_service_is_refused_with_another_prefix_to_take(running: Live, here: Here) -> None:
    result = here("run", running.topology(), "--once")
    result.refused(3, "topology x is run as a service", running.prefix, f"--prefix {running.prefix}-once")


@pytest.mark.parametrize("change", [{"settle": "2s"}, {"parallelism": 2}, {"compare": {"ignore": ["v"]}}])
def test_a_topology_under_other_settings_in_the_same_deployment_is_refused(
    running: Live, here: Here, change: dict[str, Any]
) -> None:
    result = here("run", running.topology(file="changed", **change), "--state", running.place / "other")
    result.refused(3, "topology x", "opened with other settings", running.prefix, "another outputs.prefix", "rebuild")


@pytest.mark.parametrize("command", [("rebuild",), ("reset", "--yes")])
def test_a_deployment_whose_workers_run_is_neither_rebuilt_nor_reset(
    running: Live, here: Here, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(upkeep, "SESSION_SECONDS", 0.0)
    monkeypatch.setattr(upkeep, "_PAUSE_SECONDS", 0.1)
    before = running.topic_id(f"{running.prefix}.digests")
    extra = ("--state", running.place / "state") if command[0] == "reset" else ()
    result = here(command[0], running.topology(), *command[1:], *extra)
    result.refused(3, f"group {running.prefix}.normalise has", "stop the deployment's workers first")
    assert running.topic_id(f"{running.prefix}.digests") == before


def test_a_reset_that_nobody_said_yes_to_says_what_it_would_delete(
    running: Live, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_stopped", lambda plans: deployment.Deployment(plans, Names(plans[0].prefix)))
    result = here("reset", running.topology(), "--state", running.place / "state")
    result.refused(3, f"{running.prefix}.digests", f"{running.prefix}.normalise", "--yes")


def test_a_partition_added_to_a_source_topic_is_announced_and_its_rows_are_compared(running: Live) -> None:
    running.grow("t", 2)
    now = int(time.time() * 1000)
    running.write("s", {"id": 20, "v": "right"}, {"id": 21, "v": "same"}, at_ms=now)
    running.write("t", {"id": 20, "v": "wrong"}, {"id": 21, "v": "same"}, at_ms=now, partition=1)
    running.services[0].says(rf"{running.name('t')}/1 is new: read from its beginning")
    until(lambda: (20, "value_mismatch", "opened") in running.of("opened"))
    assert [key for key, *_ in running.of("opened")] == [9, 20]


# ---- signals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_in_order_and_the_next_run_goes_on_without_a_word_twice(world: Live, number: int) -> None:
    world.make("s", "t")
    world.put(s=[*ids(range(5)), ONLY_HERE], t=ids(range(5)))
    service = world.start(world.topology())
    service.says(r"reads .*-t/0 from 0")
    if number == signal.SIGTERM:
        until(lambda: world.of("opened"))
    result = service.stop(number).ended(0)
    assert "stopping: what was read is written and committed first" in result.stderr
    again = world.start(world.topology())
    again.says(r"reads .*-s/0 from 6")
    until(lambda: world.of("opened"))
    again.stop(number).ended(0)
    world.said_once()
    assert world.of() == [(9, "missing_in_target", "opened")]


def test_a_second_sigint_ends_at_once(world: Live) -> None:
    world.make("s", "t")
    world.both(*ids(range(5)))
    service = world.start(world.topology())
    service.says(r"reads .*-t/0 from 0")
    service.process.send_signal(signal.SIGINT)
    service.says("stopping")
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(1) == -signal.SIGINT
    until(lambda: not service.processes())  # workers notice by themselves


# ---- two at once -----------------------------------------------------------------------------------------------------------


def test_of_two_runs_with_one_name_and_two_state_directories_one_ends_and_says_name(world: Live) -> None:
    world.make("s", "t")
    world.both(*ids(range(5)))
    path = world.topology()
    first = world.start(path, state="one")
    first.says(r"reads .*-t/0")
    second = world.start(path, state="two")
    # each takes the place of the other a few times
    until(lambda: [s for s in (first, second) if s.process.poll() is not None], 2 * WITHIN_S)
    loser, winner = sorted((first, second), key=lambda s: s.process.poll() is None)
    loser.end().refused(3, "place", "--name")  # its client may not say who holds it now, only that it has given it up
    world.put(s=[*ids(range(5, 9)), ONLY_HERE], t=ids(range(5, 9)))
    until(lambda: world.of("opened"))
    winner.stop().ended(0)
    world.said_once()


# ---- dead letters ----------------------------------------------------------------------------------------------------------


def test_too_many_dead_letters_stop_their_topology_and_no_other(world: Live) -> None:
    world.make("s", "t", "bad")
    world.put(s=ids(range(5)), t=ids(range(5)), bad=[*ids(range(5)), *[b"{no json"] * 20])
    bad = world.topology("bad", source={"topics": [world.name("bad")]})
    service = world.start(bad, world.topology("good"))
    told = service.says("topology bad stopped")
    assert "20 of the last 30 messages" in told
    assert "dead_letters.max_share" in told
    world.put(s=[ONLY_HERE], t=[{"id": 8, "v": "only there"}])
    until(lambda: len([e for e in world.discrepancies if e["topology"] == "good"]) == 2)
    service.stop().ended(3)
    letters = world.events("dead-letters")
    assert len(letters) == 20
    assert not [c for c in world.certificates if c["topology"] == "bad" and c["verdict"] == "clean"]


def test_a_run_of_which_every_topology_stopped_ends_with_3_and_says_why(world: Live) -> None:
    world.make("s", "t")
    world.both(*ids(range(5)), *[b"{no json"] * 20)
    result = world.start(world.topology()).end()
    result.refused(3, "topology x stopped", "dead_letters.max_share", "dead-letter topic")


# ---- what is gone ----------------------------------------------------------------------------------------------------------


def test_a_topic_made_anew_while_running_is_read_from_its_beginning_and_never_clean(world: Live) -> None:
    world.make("s", "t")
    world.both(*ids(range(5)))
    service = world.start(world.topology())
    service.says(r"reads .*-t/0 from 0")
    until(lambda: world.certificates)
    world.delete("s")
    world.make("s")
    made = world.now()
    world.both(*ids(range(20, 23)))
    service.says(rf"topic {world.name('s')} was made anew")
    service.says(rf"{world.name('s')}/0 is new: read from its beginning")
    certificate = until(lambda: next((c for c in world.certificates if c["window"]["end"] > made), None))
    assert certificate["verdict"] == "inconclusive", certificate
    service.stop().ended(0)
    world.said_once()


@pytest.fixture(scope="module")
def away(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """While the service was stopped, the source topic of ``anew`` was made anew, and ``short`` lost messages unread."""
    with live(broker.bootstrap, f"away-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("away")) as world:
        world.make("s", "t", "s2", "t2")
        anew = world.topology("anew")
        short = world.topology("short", source={"topics": [world.name("s2")]}, target={"topics": [world.name("t2")]})
        world.put(**dict.fromkeys(("s", "t", "s2", "t2"), ids(range(5))))
        first = world.start(anew, short)
        until(lambda: {c["topology"] for c in world.certificates if c["counts"]["keys"]} == {"anew", "short"})
        first.stop().ended(0)
        world.stopped = world.now()
        world.delete("s")
        world.make("s")
        world.put(**dict.fromkeys(("s", "t", "s2", "t2"), ids(range(5, 10))))
        world.cut("s2", 8)
        second = world.start(anew, short)
        second.says(rf"reads {world.name('t2')}/0")
        yield world
        second.stop().ended(0)
        world.said_once()
        assert world.of() == []


def after(world: Live, topology: str) -> list[dict[str, Any]]:
    """Certificates of windows that hold rows which came while nothing ran, once they are there."""
    return until(
        lambda: [
            c
            for c in world.certificates
            if c["topology"] == topology and c["window"]["end"] > world.stopped and c["counts"]["keys"]
        ]
    )


def test_a_topic_made_anew_while_stopped_is_told_and_its_windows_are_inconclusive(away: Live) -> None:
    away.services[-1].says(rf"{away.name('s')}/0 is new: read from its beginning")
    assert {c["verdict"] for c in after(away, "anew")} == {"inconclusive"}


def test_messages_that_retention_took_unread_are_a_gap_in_log_and_certificates(away: Live) -> None:
    told = away.services[-1].says("retention took")
    assert f"{away.name('s2')}/0: retention took offsets 5 to 7 before they were read" in told
    assert "retention.ms" in told
    certificates = after(away, "short")
    assert {c["verdict"] for c in certificates} == {"inconclusive"}
    assert any("gap" in str(c) for c in certificates), certificates


# ---- large messages --------------------------------------------------------------------------------------------------------


def test_a_source_message_of_5_mb_is_compared_to_its_last_byte(world: Live) -> None:
    world.make("s", "t", max_message_bytes="10000000")
    text = "x" * 5_000_000
    world.write("s", {"id": 1, "v": text + "a"}, {"id": 2, "v": text})
    world.write("t", {"id": 1, "v": text + "b"}, {"id": 2, "v": text})
    world.start(world.topology(), "--once").end().ended(1)
    assert world.of() == [(1, "value_mismatch", "opened")]


# ---- rebuild and reset -----------------------------------------------------------------------------------------------------


def test_a_rebuild_finds_again_under_changed_settings_and_a_reset_forgets_all(world: Live, here: Here) -> None:
    world.make("s", "t")
    world.put(s=[*ids(range(5)), ONLY_HERE, {"id": 10, "v": "right"}], t=[*ids(range(5)), {"id": 10, "v": "wrong"}])
    first = world.start(world.topology())
    until(lambda: len(world.of("opened")) == 2)
    first.stop().ended(0)

    checkpoints = world.place / "kept"
    changed = world.topology(compare={"ignore": ["v"]}, checkpoints={"location": str(checkpoints)})
    result = here("rebuild", changed, "--reason", "v is written by nobody", "--json").ended(0)
    assert json.loads(result.stdout) == {"generations": {"x": 2}}
    second = world.start(changed)
    until(lambda: len(world.of("opened")) == 3)
    second.stop().ended(0)
    assert [key for key, _, status in world.of() if status == "dismissed"] == [9, 10]
    assert [key for key, _, status in world.of() if status == "opened"] == [9, 9, 10]
    world.said_once()
    acts = [body for body in world.events("audit") if body["type"] in {"started", "stopped", "rebuilt"} and "by" in body]
    assert [body["type"] for body in acts if body["type"] != "rebuilt"] == ["started", "stopped", "started"]
    assert {body["reason"] for body in acts if body["type"] == "rebuilt"} == {"v is written by nobody"}
    assert {body["by"]["host"] for body in acts} == {socket.gethostname()}

    logs = [world.topic_id(f"{world.prefix}.digests"), "of-another-log"]
    mine, another = (checkpoints / world.prefix / str(log) / "0" / "files" for log in logs)
    mine.mkdir(parents=True)
    another.mkdir(parents=True)
    result = here("reset", changed, "--yes", "--state", world.place / "state").ended(0)
    assert (mine.parents[1].exists(), another.exists()) == (False, True)
    assert all(world.topic_id(f"{world.prefix}.{own}") is None for own in ("digests", "topologies"))
    assert not (world.place / "state" / world.prefix).exists()
    assert world.of("opened"), "what was put out stays without --outputs"
