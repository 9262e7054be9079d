"""What Prometheus is told: each metric once, samples only for what is known, labels that are bounded by the topologies."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from stream_recon.lifecycle.states import Kind
from stream_recon.model.digest import Counts
from stream_recon.service.histogram import Observed
from stream_recon.service.metrics import Family, families
from stream_recon.service.picture import STATUSES, PairPicture, Picture, Reading, SidePicture, TopologyPicture
from stream_recon.service.report import CLOSED, TRANSACTION

S = 1_000_000
NOW = 1_795_266_000 * S
READING = Reading("pg.orders", 0, "n-0", 100, 110, NOW - 5 * S, paused=False, idle=True)
SIDE = SidePicture("pg", (READING,), Counts(1000, 9, 8, 7, 6), Counts(50, 4, 3, 2, 1), 10, NOW - 5 * S, 5_250_000)
STALLED = replace(SIDE, side="maria", stalled=True, since=NOW - 90 * S, waiting=12)
PAIR = PairPicture(
    "maria",
    2,
    2,
    3,
    NOW - 5 * S,
    NOW - 5 * S,
    NOW - 40 * S,
    7,
    ended=False,
    windows={"clean": 5, "discrepant": 1, "inconclusive": 0},
    events=dict.fromkeys(STATUSES, 0) | {"opened": 4},
    buffered=5_000,
    suspended=0,
    kinds={str(kind): {Kind.MISSING: 2, Kind.STALE: 1}.get(kind, 0) for kind in Kind},
    oldest=NOW - 300 * S,
    causes={"gap": 2, "undecodable": 0},
    keys={"equal": 990, "different": 9, "inconclusive": 1},
)
PICTURE = Picture(
    NOW,
    {"normalise": 2, "reconcile": 1},
    (TopologyPicture("orders", None, (SIDE, STALLED), (PAIR,)),),
    10,
    1,
    2.5,
    400,
    6,
    checkpoints={0: NOW - 20 * S, 3: NOW - 500_000},
    checkpoints_made=9,
    checkpoints_failed=2,
    checkpoint_bytes=4096,
    observed={
        (CLOSED, "orders", "maria"): Observed((0, 1, 0, 2, *[0] * 7, 1), 4000.0),
        (TRANSACTION, "", ""): Observed((3, *[0] * 11), 0.006),
    },
)
NOTHING = replace(
    PICTURE,
    topologies=(
        TopologyPicture(
            "orders",
            "why",
            (SidePicture("pg", (), Counts(), Counts(), None, None, None),),
            (replace(PAIR, homes=0, open=None, closed=None, waiting=None, buffered=None, kinds={}, oldest=None),),
        ),
    ),
    backlog=None,
    checkpoints={},
    observed={},
)


def by_name(picture: Picture) -> dict[str, Family]:
    found = families(picture, "1.2.3")
    assert len({f.name for f in found}) == len(found)
    return {f.name.removeprefix("stream_recon_"): f for f in found}


def values(picture: Picture, name: str) -> dict[tuple[str, ...], float]:
    return dict(by_name(picture)[name].samples)


def test_sides_in_seconds_and_counters_since_the_process_began() -> None:
    pg, maria = ("orders", "pg"), ("orders", "maria")
    assert values(PICTURE, "event_time_lag_seconds") == {pg: 5.25, maria: 5.25}
    assert values(PICTURE, "watermark_timestamp_seconds")[pg] == NOW / S - 5
    assert values(PICTURE, "messages_behind")[pg] == 10
    assert values(PICTURE, "rows_total")[pg] == 50
    assert values(PICTURE, "control_records_total")[pg] == 4
    assert values(PICTURE, "dead_letters_total")[pg] == 3
    assert values(PICTURE, "late_rows_total")[pg] == 1
    assert values(PICTURE, "side_stalled") == {pg: 0, maria: 1}
    assert values(PICTURE, "stalled_since_timestamp_seconds") == {maria: NOW / S - 90}
    assert values(PICTURE, "paused_partitions") == {pg: 0, maria: 0}
    assert values(PICTURE, "idle_partitions") == values(PICTURE, "partitions") == {pg: 1, maria: 1}


def test_pairs_by_verdict_and_status_with_zeros_from_the_start() -> None:
    place = ("orders", "maria")
    assert values(PICTURE, "windows_total") == {(*place, "clean"): 5, (*place, "discrepant"): 1, (*place, "inconclusive"): 0}
    assert values(PICTURE, "discrepancies_total") == {(*place, s): 4 if s == "opened" else 0 for s in STATUSES}
    assert values(PICTURE, "open_discrepancies") == {
        (*place, kind): {Kind.MISSING: 2, Kind.STALE: 1}.get(kind, 0) for kind in Kind
    }
    assert values(PICTURE, "keys_total") == {(*place, "equal"): 990, (*place, "different"): 9, (*place, "inconclusive"): 1}
    assert values(PICTURE, "causes_total") == {(*place, "gap"): 2, (*place, "undecodable"): 0}
    assert values(PICTURE, "oldest_open_timestamp_seconds") == {place: NOW / S - 300}
    assert values(PICTURE, "waiting_rows") == {place: 7}
    assert values(PICTURE, "closed_until_timestamp_seconds") == {place: NOW / S - 40}


def test_times_as_histograms() -> None:
    found = by_name(PICTURE)
    bounds = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, inf)
    counts = (0, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 4)
    assert found["window_close_delay_seconds"].buckets == [(("orders", "maria"), tuple(zip(bounds, counts, strict=True)), 4000.0)]
    ((labels, buckets, total),) = found["transaction_duration_seconds"].buckets
    assert (labels, buckets[0], buckets[-1], total) == ((), (0.005, 3), (inf, 3), 0.006)
    assert found["time_to_detect_seconds"].buckets == found["time_to_converge_seconds"].buckets == []


def test_the_service_as_a_whole() -> None:
    assert values(PICTURE, "transactions_total") == {(): 10}
    assert values(PICTURE, "producers_replaced_total") == {(): 1}
    assert values(PICTURE, "log_entries_total") == {(): 400}
    assert values(replace(PICTURE, singly=7), "messages_decoded_singly_total") == {(): 7}
    assert values(PICTURE, "log_backlog") == {(): 6}
    assert values(PICTURE, "checkpoint_age_seconds") == {("0",): 20, ("3",): 0.5}
    assert values(PICTURE, "checkpoints_total") == {(): 9}
    assert values(PICTURE, "checkpoint_failures_total") == {(): 2}
    assert values(PICTURE, "checkpoint_bytes_total") == {(): 4096}
    assert values(PICTURE, "topology_stopped") == {("orders",): 0}
    assert values(PICTURE, "workers") == {("normalise",): 2, ("reconcile",): 1}
    assert values(PICTURE, "build_info") == {("1.2.3",): 1}


def test_the_memory_of_the_container_if_it_is_known() -> None:
    found = {f.name: f.samples for f in families(PICTURE, "1", (5, None))}
    assert (found["stream_recon_cgroup_memory_bytes"], found["stream_recon_cgroup_memory_limit_bytes"]) == ([((), 5.0)], [])


def test_what_is_not_known_has_no_sample() -> None:
    unknown = {
        "event_time_lag_seconds",
        "watermark_timestamp_seconds",
        "messages_behind",
        "side_stalled",
        "stalled_since_timestamp_seconds",
        "paused_partitions",
        "idle_partitions",
        "schema_drift_columns",
        "open_discrepancies",
        "oldest_open_timestamp_seconds",
        "window_close_delay_seconds",
        "time_to_detect_seconds",
        "time_to_converge_seconds",
        "transaction_duration_seconds",
        "waiting_rows",
        "buffered_bytes",
        "suspended_digest_partitions",
        "closed_until_timestamp_seconds",
        "log_backlog",
        "checkpoint_age_seconds",
        "cgroup_memory_bytes",
        "cgroup_memory_limit_bytes",
    }
    assert {name for name, family in by_name(NOTHING).items() if not (family.samples or family.buckets)} == unknown
    assert values(NOTHING, "partitions") == {("orders", "pg"): 0}
    assert values(NOTHING, "topology_stopped") == {("orders",): 1}


def test_names_say_kind_and_unit() -> None:
    for name, family in by_name(PICTURE).items():
        assert (family.kind == "counter") == name.endswith("_total")
        assert family.kind != "histogram" or name.endswith("_seconds")
        assert set(family.labels) <= {
            "topology",
            "side",
            "target",
            "verdict",
            "status",
            "stage",
            "version",
            "digest_partition",
            "kind",
            "cause",
            "judgement",
        }
        given = [labels for labels, _ in family.samples] + [labels for labels, *_ in family.buckets]
        assert all(len(labels) == len(family.labels) for labels in given)
