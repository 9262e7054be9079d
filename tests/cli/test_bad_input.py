"""Recordings and topologies that are wrong: each is told by file, line and remedy, or counted and never taken for equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import START_MS, World, line, rows, topology

GOOD = {"id": 1, "v": "same"}
LENIENT = topology(dead_letters={"max_share": "100%"})


def test_an_undecodable_message_is_counted_and_makes_its_window_inconclusive(world: World) -> None:
    result = world.replay(LENIENT, s=rows("st", GOOD, "{no json"), t=rows("tt", GOOD))
    assert (result.code, result.summary["verdict"], result.opened) == (2, "inconclusive", [])
    assert [p["dead_letters"] for p in result.summary["partitions"]] == [1, 0]
    (letter,) = result.events("dead_letters")
    assert {k: letter[k] for k in ("side", "topic", "partition", "offset")} == {
        "side": "s",
        "topic": "st",
        "partition": 0,
        "offset": 1,
    }
    assert letter["reason"] == "not JSON"


def test_a_message_without_its_key_column_is_a_dead_letter_that_names_the_column(world: World) -> None:
    result = world.replay(LENIENT, s=rows("st", GOOD, {"v": "x"}), t=rows("tt", GOOD, {"id": None, "v": "x"}))
    assert (result.code, result.opened, len(result.reasons)) == (2, [], 2)
    assert all("key column id" in reason for reason in result.reasons)


@pytest.mark.parametrize("declared", ["integer", "decimal(18, 4)", "timestamp(ms)", "boolean", "float"])
def test_text_where_a_number_is_declared_leaves_its_key_unknown_never_equal(world: World, declared: str) -> None:
    types = {"types": {"v": declared}}
    bad = rows("st", {"id": 1, "v": "twelve"})
    result = world.replay(
        topology(types, types, dead_letters={"max_share": "100%"}), s=bad, t=rows("tt", {"id": 1, "v": "twelve"})
    )
    assert (result.code, result.opened, len(result.reasons)) == (2, [], 2)
    assert all(reason.startswith("column v: expected") for reason in result.reasons)


def test_an_unknown_key_is_known_again_with_its_next_version(world: World) -> None:
    types = {"types": {"v": "integer"}}
    source = rows("st", {"id": 1, "v": "x"}, {"id": 1, "v": 2}, step_ms=60_000)
    result = world.replay(
        topology(types, types, dead_letters={"max_share": "100%"}),
        s=source,
        t=[line("tt", 0, {"id": 1, "v": 3}, ts=START_MS + 60_000)],
    )
    assert (result.code, result.opened) == (1, [((1,), "value_mismatch")])


def test_a_message_of_5_mb_is_compared_to_its_last_byte(world: World) -> None:
    text = "x" * 5_000_000
    source = rows("st", {"id": 1, "v": text + "a"}, {"id": 2, "v": text})
    result = world.replay(topology(), s=source, t=rows("tt", {"id": 1, "v": text + "b"}, {"id": 2, "v": text}))
    assert (result.code, result.opened) == (1, [((1,), "value_mismatch")])


@pytest.mark.parametrize(
    ("sides", "kind"),
    [
        ({"s": rows("st", GOOD), "t": []}, "missing_in_target"),
        ({"s": [], "t": rows("tt", GOOD)}, "unexpected_in_target"),
    ],
)
def test_an_empty_recording_of_one_side_differs_in_every_key(world: World, sides: dict[str, Any], kind: str) -> None:
    result = world.replay(topology(), **sides)
    assert (result.code, result.opened, len(result.summary["partitions"])) == (1, [((1,), kind)], 1)


def test_a_topic_of_which_no_message_was_recorded_is_told(world: World) -> None:
    result = world.replay(topology(source={"topics": ["st", "st2"]}), s=rows("st", GOOD), t=rows("tt", GOOD))
    assert (result.code, len(result.summary["warnings"])) == (0, 1)
    assert "side s: no recording has a message of topic st2, which is taken for empty" in result.stderr


def test_of_two_messages_at_one_offset_the_first_in_the_file_counts_with_a_warning(world: World) -> None:
    source = [*rows("st", GOOD), line("st", 0, {"id": 1, "v": "other"})]
    result = world.replay(topology(), s=source, t=rows("tt", GOOD))
    assert (result.code, result.opened) == (0, [])
    (warning,) = result.summary["warnings"]
    assert "two different messages at offset 0" in warning
    assert f"warning: {warning}" in result.stderr
    result = world.replay(topology(), s=source[::-1], t=rows("tt", GOOD))
    assert (result.code, result.opened) == (1, [((1,), "value_mismatch")])


def test_a_line_that_says_the_same_again_is_repeated_and_no_warning(world: World) -> None:
    result = world.replay(topology(), s=rows("st", GOOD) * 3, t=rows("tt", GOOD))
    assert (result.code, result.summary["warnings"]) == (0, [])
    assert [p["repeated"] for p in result.summary["partitions"]] == [2, 0]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "5",
        '{"topic":"st"}',
        json.dumps(line("st", -1, None)),
        json.dumps(line("elsewhere", 0, None)),
        '{"topic":"st","to',
    ],
)
def test_a_line_that_is_no_message_is_refused_by_file_and_line(world: World, text: str) -> None:
    result = world.replay(topology(), s=[*rows("st", GOOD), text], t=[])
    assert (result.code, result.stdout) == (3, "")
    assert f"{world.place / 's.jsonl'}:2: " in result.stderr


def test_dead_letters_above_max_share_write_all_files_and_fail(world: World) -> None:
    bad = ["no json"] * 10
    result = world.replay(topology(), s=rows("st", GOOD, *bad), t=rows("tt", GOOD))
    assert result.code == result.summary["exit_code"] == 3
    assert (len(result.reasons), result.events("audit") != []) == (10, True)
    assert "max_share" in result.stderr


def test_dead_letters_at_max_share_are_only_inconclusive(world: World) -> None:
    good = [{"id": i} for i in range(95)]
    half = topology(dead_letters={"max_share": "10%"})
    result = world.replay(half, s=rows("st", *good, *["no json"] * 10), t=[line("tt", i, {"id": i}) for i in range(95)])
    assert (result.code, len(result.reasons)) == (2, 10)


def test_a_topology_with_an_unknown_field_is_refused_with_file_and_line(world: World) -> None:
    path = world.place / "typo.yaml"
    side = "{name: %s, topics: [%s], format: json, key: [id]}"
    path.write_text(
        f"version: 1\nname: x\nsource: {side % ('s', 'st')}\ntargets: [{side % ('t', 'tt')}]\nsettel: 30s\n", encoding="utf-8"
    )
    for command in (("validate", str(path)), ("replay", str(path), "--side", "s=", "--side", "t=", "--out", str(world.out))):
        result = world.run(*command)
        assert (result.code, world.out.exists()) == (3, False)
        told = result.stdout + result.stderr
        assert f"{path}:5" in told
        assert "settel" in told
        assert "settle" in told


def test_a_file_that_is_not_there_is_named(world: World) -> None:
    arguments = world.arguments(topology(), s=[], t=[])
    (world.place / "t.jsonl").unlink()
    result = world.run(*arguments)
    assert (result.code, str(world.place / "t.jsonl") in result.stderr) == (3, True)


def test_a_cut_gzip_is_refused_by_name(world: World) -> None:
    arguments = world.arguments(topology(), s=[], t=[])
    import gzip

    Path(world.place / "t.jsonl").write_bytes(gzip.compress(json.dumps(line("tt", 0, GOOD)).encode() * 100)[:-9])
    result = world.run(*arguments)
    assert (result.code, "t.jsonl" in result.stderr) == (3, True)
