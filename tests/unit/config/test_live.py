"""Settings of the live service that contradict each other, in one topology and between those of one run."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from stream_recon.config import check_together
from stream_recon.config.scalars import parse_duration, spelled_duration
from stream_recon.errors import ConfigError
from stream_recon.model.plan import OWN_TOPICS, CheckpointPlan, TopologyPlan

Load = Callable[..., TopologyPlan]
Refused = Callable[..., list[str]]


# One topology -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["999ms", "1us"])
def test_a_short_silence_proves_nothing(refused: Refused, value: str) -> None:
    assert refused(f"idle_after: {value}") == [
        f"orders.yaml:15: idle_after: got {value!r}; so short a silence proves nothing; write 1s or more, for example 30s "
        "(or never)"
    ]


def test_a_second_of_silence_and_none_at_all_are_taken(load: Load) -> None:
    assert load("idle_after: 1s").source.idle_after == 1_000_000
    assert load("idle_after: never").source.idle_after is None


def test_a_stall_takes_longer_than_being_idle(load: Load, refused: Refused) -> None:
    assert load("stall_timeout: 31s").source.stall_timeout == 31_000_000
    assert refused("stall_timeout: 30s") == [
        "orders.yaml:15: stall_timeout: is 30s on side pg, whose idle_after is 30s: a silence would be taken for fact before it "
        "is one; write a longer time, or never"
    ]


def test_a_stall_timeout_is_held_against_the_side_s_own_idle_after(refused: Refused) -> None:
    (inherited,) = refused("stall_timeout: 1m", target="idle_after: 5m")
    assert inherited.startswith("orders.yaml:15: stall_timeout: is 1m on side maria, whose idle_after is 5m:")
    (own,) = refused("idle_after: 5m", target="stall_timeout: 1m")
    assert own.startswith("orders.yaml:14: targets[0].stall_timeout: is 1m on side maria, whose idle_after is 5m:")


def test_a_stall_timeout_without_lifts_has_no_effect(load: Load, refused: Refused) -> None:
    assert refused("idle_after: never\nstall_timeout: 1h") == [
        "orders.yaml:16: stall_timeout: has no effect on side pg, which without idle_after is never stalled; write never, or a "
        "time for idle_after"
    ]
    plan = load("stall_timeout: 1h", target="idle_after: never\nstall_timeout: never")
    assert (plan.source.stall_timeout, plan.targets[0].stall_timeout) == (3_600_000_000, None)


def test_a_heartbeat_is_no_topic_that_is_compared(refused: Refused) -> None:
    why = "name the topic of another table that is written through the same database log"
    assert refused(source="heartbeat: {topic: pg.orders}") == [
        f"orders.yaml:8: source.heartbeat.topic: 'pg.orders' is compared, by side pg; {why}"
    ]
    assert refused("heartbeat:\n  topic: maria.orders") == [
        f"orders.yaml:16: heartbeat.topic: 'maria.orders' is compared, by side maria; {why}"
    ]


def test_a_heartbeat_has_commit_times(load: Load, refused: Refused) -> None:
    why = (
        "side maria has format json and no event_time, so that the rows of a heartbeat have no commit time; write event_time: "
        "COLUMN there, or the heartbeat inside the other sides only"
    )
    assert refused(target="heartbeat: {topic: beat}", target_format="json") == [f"orders.yaml:14: targets[0].heartbeat: {why}"]
    assert refused("heartbeat: {topic: beat}", target_format="json") == [f"orders.yaml:15: heartbeat: {why}"]
    plan = load("heartbeat: {topic: beat}\nevent_time: at", target_format="json")
    assert (plan.source.heartbeat, plan.targets[0].heartbeat, plan.targets[0].event_time) == ("beat", "beat", "at")
    assert load(source="heartbeat: {topic: beat}", target_format="json").targets[0].heartbeat is None


def test_a_side_may_run_ahead_far_enough_for_a_window_to_close(load: Load, refused: Refused) -> None:
    assert load("max_ahead: 41s").max_ahead == 41_000_000
    why = "less than window + settle + clock_skew: a side would be paused for ever before a window can close; write max_ahead:"
    assert refused("max_ahead: 40s") == [f"orders.yaml:15: max_ahead: got 40s, {why} 41s or more"]
    assert refused("window: 1s\nsettle: 3600s") == [
        f"orders.yaml:16: settle: too long for the default max_ahead of 1h, {why} 3602s or more"
    ]


@pytest.mark.parametrize("text", ["0s", "1us", "1500ms", "90s", "90m", "25h", "36500d"])
def test_durations_are_spelled_as_they_are_read(text: str) -> None:
    assert spelled_duration(parse_duration(text)) == text


# Several topologies of one run --------------------------------------------------------------------------------------------------


def problems(*plans: TopologyPlan) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_together(plans)
    return str(caught.value).splitlines()


def test_topologies_of_one_deployment_go_together(load: Load) -> None:
    plan = load("kafka: {bootstrap.servers: here}")
    check_together([])
    check_together([plan])
    own = replace(plan.source, kafka=(("bootstrap.servers", "there"),))
    check_together([plan, replace(plan, name="b", parallelism=1, source=own), replace(plan, name="c", window=5_000_000)])


def test_two_topologies_have_two_names(load: Load) -> None:
    plan = load()
    assert problems(plan, plan, replace(plan, name="b")) == [
        "orders: name: 2 topologies have this name; write a name of its own for each"
    ]


def test_a_run_serves_one_deployment(load: Load) -> None:
    """Their clusters may differ then, so nothing is said of those."""
    plan = load()
    other = replace(plan, name="b", prefix="audit", kafka=(("bootstrap.servers", "there"),))
    assert problems(plan, other, replace(plan, name="c")) == [
        "outputs.prefix: these topologies belong to several deployments: audit (b), recon (orders); start one run per prefix"
    ]


def test_a_deployment_has_one_cluster_and_no_value_is_shown(load: Load) -> None:
    plan = load("kafka: {bootstrap.servers: here, client.id: recon}")
    other = replace(plan, name="b", kafka=(("bootstrap.servers", "hidden"), ("client.id", "recon"), ("sasl.password", "hidden")))
    assert problems(plan, replace(plan, name="c"), other) == [
        "b: kafka: bootstrap.servers, sasl.password: not as in orders, but a deployment has one cluster for its own topics; "
        "write the same at the top of both, and what one side needs inside that side"
    ]


def test_a_deployment_has_one_state(load: Load) -> None:
    plan = load("checkpoints: {location: s3://bucket/a}")
    check_together([plan, replace(plan, name="b")])
    for other in (None, CheckpointPlan("s3://bucket/b", 300_000_000, 3)):
        assert problems(plan, replace(plan, name="b", checkpoints=other)) == [
            "b: checkpoints: not as in orders, but a deployment has one state; write the same in both"
        ]


@pytest.mark.parametrize("topic", [f"recon.{name}" for name in OWN_TOPICS])
def test_no_side_reads_what_the_deployment_writes(load: Load, topic: str) -> None:
    plan = load()
    why = f"topic {topic!r} is one that the deployment itself writes; read another topic, or write another outputs.prefix"
    assert problems(replace(plan, source=replace(plan.source, topics=("pg.orders", topic)))) == [f"orders: side pg: {why}"]
    target = replace(plan.targets[0], heartbeat=topic)
    assert problems(replace(plan, targets=(target,))) == [f"orders: side maria: {why}"]


def test_the_topics_of_another_prefix_may_be_read(load: Load) -> None:
    plan = load("outputs: {prefix: other}")
    check_together([replace(plan, source=replace(plan.source, topics=("recon.audit",)))])


def test_everything_that_is_wrong_is_told_at_once(load: Load) -> None:
    plan = load()
    both = replace(plan, source=replace(plan.source, topics=("recon.digests",)))
    assert [message.split(":")[0] for message in problems(plan, both)] == ["orders", "orders"]
