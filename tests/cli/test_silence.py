"""No value of a row leaves normalise: not in an event, a certificate, a dead letter, a message, nor in the state on disk."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import Result, World, line, rows, topology

WORD = "Zzyzx"
NUMBER = "918273645546372819"
SECRETS = [
    WORD.encode(),
    WORD.lower().encode(),
    WORD.encode("utf-16-le"),
    WORD.encode().hex().encode(),
    base64.b64encode(f"{WORD} in bytes".encode()),
    NUMBER.encode(),
    int(NUMBER).to_bytes(8, "little"),
    int(NUMBER).to_bytes(8, "big"),
    b"1987-06-05",
]
STATE_KEPT = topology(dead_letters={"max_share": "100%", "payload": "masked"})


def values(**other: Any) -> dict[str, Any]:
    """A row with a marker in each kind of column."""
    return {
        "text": f"{WORD} text",
        "number": int(NUMBER),
        "fraction": float(f"0.{NUMBER}"),
        "document": {f"{WORD} key": [f"{WORD} inside", int(NUMBER)]},
        "array": [f"{WORD} item"],
        "stamp": "1987-06-05T04:03:02Z",
        "raw": base64.b64encode(f"{WORD} in bytes".encode()).decode(),
        **other,
    }


def written(place: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(place.rglob("*")):
        if path.is_file():
            yield str(path), path.read_bytes()


def assert_silent(result: Result, world: World) -> None:
    places = [*written(world.out), *written(world.place / "state")]
    for where, data in [("stdout", result.stdout.encode()), ("stderr", result.stderr.encode()), *places]:
        told = [secret for secret in SECRETS if secret in data]
        assert not told, f"{where} tells {told}"


def replayed(world: World, plan: dict[str, Any], *extra: str, **sides: Any) -> Result:
    result = world.replay(plan, "--state", str(world.place / "state"), *extra, **sides)
    assert_silent(result, world)
    return result


def test_the_markers_are_found_where_they_stand(world: World) -> None:
    data = json.dumps(values()).encode() + int(NUMBER).to_bytes(8, "little")
    assert {WORD.encode(), NUMBER.encode(), b"1987-06-05"} <= {secret for secret in SECRETS if secret in data}


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_no_value_of_rows_that_differ(world: World, extra: tuple[str, ...]) -> None:
    source = rows("st", *(values(id=i) for i in range(5)), step_ms=20_000)
    target = rows("tt", *(values(id=i, text=f"{WORD} other") for i in range(4)), values(id=9), step_ms=20_000)
    result = replayed(world, STATE_KEPT, *extra, s=source, t=target)
    assert (result.code, len(result.opened)) == (1, 6)


def test_no_value_of_declared_types_and_large_columns(world: World) -> None:
    types = {"types": {"raw": "bytes(base64)", "stamp": "timestamp", "document": "map", "fraction": "float"}}
    plan = topology(types, types, compare={"large": ["text"]})
    result = replayed(world, plan, s=rows("st", values(id=1)), t=rows("tt", values(id=1, text=WORD)))
    assert (result.code, result.opened) == (1, [((1,), "value_mismatch")])


@pytest.mark.parametrize(
    "declared",
    [
        "integer",
        "decimal(18, 4)",
        "boolean",
        "float",
        "uuid",
        "date",
        "timestamp",
        "timestamp(us)",
        "time",
        "bytes(hex)",
        "json",
        "map",
    ],
)
def test_no_value_of_a_declared_type_that_fails(world: World, declared: str) -> None:
    types = {"types": {"text": declared, "number": declared}}
    plan = topology(types, types, dead_letters={"max_share": "100%"})
    result = replayed(world, plan, s=rows("st", values(id=1)), t=rows("tt", values(id=1)))
    assert (result.code, len(result.reasons)) == (2, 2)


@pytest.mark.parametrize(
    "payload",
    [
        WORD,
        f'"{WORD}"',
        NUMBER,
        f'["{WORD}"]',
        f'{{"id":1,"text":"{WORD}',
        f'{{"id":1,"text":"{WORD}","text":"{WORD}"}}',
        f'{{"id":1,"text":{{"a":"{WORD}","a":1}}}}',
        f'{{"id":1,"text":"{WORD}\\ud800"}}',
        f'{{"id":1,"text":{NUMBER}e99999}}',
        f'{{"id":null,"text":"{WORD}"}}',
        f'{{"text":"{WORD}"}}',
        "[" * 200 + f'"{WORD}"' + "]" * 200,
    ],
)
def test_no_value_of_an_undecodable_message(world: World, payload: str) -> None:
    result = replayed(world, STATE_KEPT, s=rows("st", payload), t=rows("tt", values(id=1)))
    assert len(result.reasons) == 1


def test_no_value_of_an_expression_that_fails(world: World) -> None:
    source = {"columns": {"total": "cast(text as bigint) + 1"}, "types": {"text": "string"}}
    plan = topology(source, dead_letters={"max_share": "100%"})
    result = replayed(world, plan, s=rows("st", values(id=1)), t=rows("tt", {"id": 1, "total": 1}))
    assert (result.code, result.reasons) == (2, ["an expression fails on this row"])


def test_no_value_of_debezium_images_headers_or_deletes(world: World) -> None:
    def change(op: str, before: Any, after: Any) -> dict[str, Any]:
        return {"op": op, "before": before, "after": after, "source": {"ts_ms": 1_700_000_000_000, "name": WORD}, "ts_ms": 1}

    def told(topic: str, *changes: Any) -> list[dict[str, Any]]:
        headers = [{"key": "context", "value": WORD}]
        return [line(topic, at, one, key={"id": at}) | {"headers": headers} for at, one in enumerate(changes)]

    side = {"format": "debezium-json"}
    first = values(id=0)
    changes = [change("c", None, first), change("u", values(id=1), values(id=1, text=WORD)), change("d", values(id=2), None)]
    odd = [change("x", values(id=3), values(id=3)), {"op": WORD}, change("c", None, WORD), change("u", None, [WORD])]
    plan = topology(side, side, dead_letters={"max_share": "100%"})
    result = replayed(world, plan, s=told("st", *changes, *odd), t=told("tt", change("c", None, values(id=0, text="x"))))
    assert (result.code, len(result.reasons)) == (1, 4)


@pytest.mark.parametrize(
    "text",
    [
        f'{{"topic":"st","payload":"{WORD}',
        f'["{WORD}"]',
        json.dumps(line("st", 0, None) | {"payload": {"text": WORD}}),
        json.dumps(line("st", 0, None) | {"ts": WORD}),
        json.dumps({"topic": "st", "partition": 0, "offset": 0, "ts": 0, "key": None, "payload_b64": f"{WORD}!"}),
    ],
)
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_value_of_a_line_that_is_refused(world: World, text: str, debug: tuple[str, ...]) -> None:
    result = world.run(*debug, *world.arguments(STATE_KEPT, s=[text], t=[]))
    assert result.code == 3
    assert_silent(result, world)


def test_no_value_of_two_messages_at_one_offset(world: World) -> None:
    source = [line("st", 0, values(id=1)), line("st", 0, values(id=1, text=f"{WORD} again"))]
    result = replayed(world, STATE_KEPT, s=source, t=rows("tt", values(id=1)))
    assert len(result.summary["warnings"]) == 1
