"""What the exit code promises, and that every command speaks JSON when asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import World, rows, topology

ROW, OTHER = {"id": 1, "v": 1}, {"id": 1, "v": 2}


def test_0_nothing_differs_and_everything_was_seen(world: World) -> None:
    assert world.replay(topology(), s=rows("st", ROW), t=rows("tt", ROW)).code == 0


def test_0_what_healed_is_no_difference_at_the_end(world: World) -> None:
    result = world.replay(topology(), s=rows("st", ROW), t=rows("tt", OTHER, ROW, step_ms=60_000))
    assert [event["status"] for event in result.events("discrepancies")] == ["opened", "resolved"]
    assert (result.code, result.summary["open"]) == (0, 0)


def test_1_a_discrepancy_is_open_at_the_end(world: World) -> None:
    assert world.replay(topology(), s=rows("st", ROW), t=rows("tt", OTHER)).code == 1


def test_1_stands_above_2(world: World) -> None:
    lenient = topology(dead_letters={"max_share": "100%"})
    result = world.replay(lenient, s=rows("st", ROW, "no json"), t=rows("tt", OTHER))
    assert (result.code, result.summary["windows"]["discrepant"]) == (1, 1)


def test_2_nothing_is_open_but_something_was_not_understood(world: World) -> None:
    lenient = topology(dead_letters={"max_share": "100%"})
    assert world.replay(lenient, s=rows("st", ROW, "no json"), t=rows("tt", ROW)).code == 2


def test_2_a_counterpart_never_seen_under_partial_history(world: World) -> None:
    result = world.replay(topology(target={"history": "partial"}), s=rows("st", ROW), t=[])
    assert (result.code, result.opened) == (2, [])


@pytest.mark.parametrize("extra", [("--digest-partitions", "0"), ("--batch-rows", "x"), ("--nonsense",)])
def test_3_an_option_that_cannot_work(world: World, extra: tuple[str, ...]) -> None:
    result = world.run(*world.arguments(topology(), *extra, s=[], t=[]))
    assert (result.code, world.out.exists()) == (3, False)
    assert "--help" in result.stderr


def test_3_a_side_without_a_recording(world: World) -> None:
    result = world.run(*world.arguments(topology(), s=[]))
    assert (result.code, "--side t=FILE" in result.stderr) == (3, True)


def test_4_results_that_find_no_place(world: World) -> None:
    world.out.write_text("a file", encoding="utf-8")
    result = world.run(*world.arguments(topology(), s=rows("st", ROW), t=rows("tt", OTHER)))
    assert (result.code, str(world.out) in result.stderr) == (4, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_4_a_summary_that_standard_output_does_not_take(world: World, extra: tuple[str, ...]) -> None:
    arguments = world.arguments(topology(), *extra, s=rows("st", ROW), t=rows("tt", ROW))
    with Path("/dev/full").open("wb") as full:
        process = world.start(*arguments, stdout=full)
        result = world.finish(process)
    assert (result.code, "standard output" in result.stderr) == (4, True)
    assert result.summary["verdict"] == "clean"


def documents(text: str) -> list[Any]:
    return [json.loads(one) for one in text.splitlines()]


def test_json_replay_gives_the_summary_alone(world: World) -> None:
    result = world.replay(topology(), "--json", s=rows("st", ROW), t=rows("tt", OTHER))
    assert documents(result.stdout) == [result.summary]
    assert (result.code, result.stderr) == (result.summary["exit_code"], "")


def test_json_discrepancies_gives_the_bodies_as_written(world: World) -> None:
    world.replay(topology(), s=rows("st", ROW), t=rows("tt", OTHER))
    result = world.run("discrepancies", str(world.out), "--json")
    assert result.stdout.encode() == (world.out / "discrepancies.jsonl").read_bytes()
    assert [(body["key"], body["status"]) for body in documents(result.stdout)] == [({"id": 1}, "opened")]


def test_json_discrepancies_of_a_clean_run_is_nothing(world: World) -> None:
    world.replay(topology(), s=rows("st", ROW), t=rows("tt", ROW))
    result = world.run("discrepancies", str(world.out), "--json")
    assert (result.code, result.stdout) == (0, "")


def test_json_validate_says_valid_and_what_is_wrong(world: World) -> None:
    good, bad = world.place / "good.yaml", world.place / "bad.yaml"
    good.write_text(json.dumps(topology()), encoding="utf-8")
    bad.write_text(json.dumps(topology(widow="10s")), encoding="utf-8")
    assert world.run("validate", str(good), "--json").code == 0
    result = world.run("validate", str(bad), "--json")
    assert result.code == 3
    assert "widow" in json.dumps(documents(result.stdout))


@pytest.mark.parametrize(
    "arguments",
    [("replay", "no.yaml", "--side", "s=", "--out", "out"), ("discrepancies", "nowhere"), ("validate",), ("nonsense",)],
)
def test_json_failures_are_json_too(world: World, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.chdir(world.place)
    result = world.run(*arguments, "--json")
    (failure,) = documents(result.stdout)
    assert (result.code, failure["exit_code"]) == (3, 3)
    assert failure["error"]
    assert result.stderr != ""


def test_json_version(world: World) -> None:
    (version,) = documents(world.run("version", "--json").stdout)
    assert version["version"]
