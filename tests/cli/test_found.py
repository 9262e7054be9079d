"""Faults that hostile recordings have found: each was an answer that broke its promise."""

import resource

from tests.cli.harness import World, rows, topology


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
