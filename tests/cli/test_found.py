"""Faults that hostile recordings have found: each was an answer that broke its promise."""

import resource
from collections import Counter
from typing import Any

from tests.cli.harness import START_MS, World, line, rows, topology


def test_two_empty_recordings_are_equal(world: World) -> None:
    result = world.replay(topology(), s=[], t=[])
    assert (result.code, result.summary["verdict"], result.summary["partitions"]) == (0, "clean", [])
    assert result.summary["windows"] == {"clean": 0, "discrepant": 0, "inconclusive": 0}


def test_a_column_whose_values_only_the_exact_parser_reads_is_compared(world: World) -> None:
    result = world.replay(topology(), s=rows("st", '{"id":1,"v":1e400}'), t=rows("tt", '{"id":1,"v":1e401}'))
    assert (result.code, result.opened) == (1, [((1,), "value_mismatch")])


def test_a_column_with_nothing_but_lone_surrogates_is_not_passed_over(world: World) -> None:
    text = r'{"id":1,"v":"\ud83d"}'
    result = world.replay(topology(dead_letters={"max_share": "100%"}), s=rows("st", text), t=rows("tt", text))
    assert (result.code, result.opened, len(result.reasons)) == (2, [], 2)


def test_fifty_empty_years_between_two_rows_cost_neither_minutes_nor_gigabytes(world: World) -> None:
    payloads = [{"id": 1, "at": "1970-01-01T00:00:00Z"}, {"id": 1, "at": "2026-11-21T04:00:00Z"}]
    declared = {"event_time": "at", "types": {"at": "timestamp"}}
    arguments = world.arguments(
        topology(declared, declared), "--digest-partitions", "1", s=rows("st", *payloads), t=rows("tt", *payloads)
    )
    result = world.finish(world.start(*arguments, preexec_fn=_bounded))
    assert (result.code, result.stderr.count("error")) == (0, 0)
    assert len(result.events("audit")) < 10_000


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (8, 8))


def test_a_state_directory_answers_for_its_own_recordings_only(world: World) -> None:
    state = ("--state", str(world.place / "state"))
    source, same = rows("st", {"id": 1, "v": 1}), rows("tt", {"id": 1, "v": 1})
    assert world.replay(topology(), *state, s=source, t=same).code == 0
    for other in (
        rows("tt", {"id": 1, "v": 2}),
        rows("tt", {"id": 1, "v": 1}, {"id": 2, "v": 1}),
        rows("tt", {"id": 1, "v": None}),
    ):
        result = world.replay(topology(), *state, s=source, t=other)
        assert (result.code, "other recordings" in result.stderr, world.out.joinpath("summary.json").exists()) == (3, True, False)
    assert world.replay(topology(), *state, s=source, t=same).code == 0


def test_columns_that_only_one_side_has_are_named_as_not_compared(world: World) -> None:
    result = world.replay(topology(), s=rows("st", {"id": 1, "Amount": 1}), t=rows("tt", {"id": 1, "amount": 2}))
    assert [("'Amount'" in w, "'amount'" in w, "not compared" in w) for w in result.summary["warnings"]] == [
        (True, False, True),
        (False, True, True),
    ]
    assert "not compared" in result.stderr
    told = topology(compare={"ignore": ["Amount", "amount"]})
    assert (
        world.replay(told, s=rows("st", {"id": 1, "Amount": 1}), t=rows("tt", {"id": 1, "amount": 2})).summary["warnings"] == []
    )


def test_an_integer_that_overflows_in_an_expression_is_no_guess(world: World) -> None:
    source = {"columns": {"total": "a + b"}, "types": {"a": "integer", "b": "integer"}}
    wrapped = rows("tt", {"id": 1, "total": -(2**63)})
    result = world.replay(
        topology(source, dead_letters={"max_share": "100%"}), s=rows("st", {"id": 1, "a": 2**63 - 1, "b": 1}), t=wrapped
    )
    assert result.code != 0


UNREAD = "__debezium_unavailable_value"


def change(second: float, op: str, **row: Any) -> dict[str, Any]:
    """A Debezium change, ``second`` after the start."""
    return {"op": op, "before": None, "after": row or None, "source": {"ts_us": START_MS * 1000 + round(second * 1_000_000)}}


def at(topic: str, partition: int, offset: int, second: float, payload: Any, key: Any = None) -> dict[str, Any]:
    return line(topic, offset, payload, key=key, partition=partition, ts=START_MS + round(second * 1000))


def test_a_column_is_filled_in_event_time_order_whatever_else_its_digest_partition_holds(world: World) -> None:
    side = {"format": "debezium-json"}
    plan = topology({**side, "order": "event_time"}, side, window="1s", settle="1s", compare={"large": ["v"]})
    source = [
        at("st", 1, 0, 15.5, change(24.5, "u", id=0, v="x")),
        at("st", 1, 1, 15.505, change(15.5, "u", id=2, v="a")),
        at("st", 2, 0, 18, change(17, "u", id=2, v=UNREAD)),
    ]
    beside = at("tt", 0, 0, 23, change(23, "c", id=1, v="b"))
    for lines in ([], [beside]):
        result = world.replay(plan, "--digest-partitions", "1", s=source, t=lines)
        assert ((2,), "missing_in_target") in result.opened, f"with {len(lines)} other rows"


def test_a_truncate_touches_a_key_left_unknown_whatever_else_its_digest_partition_holds(world: World) -> None:
    side = {"format": "debezium-json"}
    lenient = {"dead_letters": {"max_share": "100%"}, "out_of_orderness": "4s", "clock_skew": "1s"}
    plan = topology(side, side, window="1s", settle="1s", **lenient)
    target = [
        at("tt", 0, 0, 3.5, change(2.5, "r", id=1, v=UNREAD)),
        at("tt", 1, 0, 7.005, change(7, "t")),
        at("tt", 1, 1, 10.5, change(6.5, "c", id=0, v=1)),
        at("tt", 1, 2, 16.5, "5", key={"id": 1}),
    ]
    beside = at("tt", 2, 0, 0.005, change(0, "c", id=2, v=1))

    def judged(*extra: str) -> dict[str, int]:
        result = world.replay(plan, *extra, s=[], t=[*target, beside])
        totals: Counter[str] = Counter()
        for certificate in result.events("audit"):
            totals.update({name: count for name, count in certificate["counts"].items() if name != "repeated"})
        return dict(totals)

    assert judged("--digest-partitions", "1") == judged("--digest-partitions", "3", "--batch-rows", "1")


def test_a_truncate_counts_for_a_key_whose_newer_version_was_folded_before_it(world: World) -> None:
    side = {"format": "debezium-json"}
    plan = topology(
        side, side, window="2s", settle="0s", clock_skew="1s", out_of_orderness="4s", dead_letters={"max_share": "100%"}
    )
    target = [
        at("tt", 1, 4, 10.501, change(10.501, "c", id=2, v=1)),
        at("tt", 1, 6, 17.506, change(27.501, "t")),
        at("tt", 1, 7, 18.502, change(20.002, "c", id=2, v=1)),
        at("tt", 1, 8, 24.502, change(24.502, "c", id=0, v=1)),
    ]

    def rows_of(*extra: str) -> int:
        result = world.replay(plan, *extra, s=[at("st", 0, 6, 5.501, "5", key={"id": 2})], t=target)
        return sum(certificate["counts"]["target_rows"] for certificate in result.events("audit"))

    assert rows_of("--digest-partitions", "1") == rows_of("--digest-partitions", "3", "--batch-rows", "1") == 4
