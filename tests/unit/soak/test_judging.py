"""The judge of a soak takes what is right, and no wrong output."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.soak.judging import broken
from tools.soak.reading import Said
from tools.soak.table import SECOND, WINDOW_US, Planted, Side

Json = dict[str, Any]
BEGIN = 1_800_000_000 * SECOND
PLANTED = [
    Planted(1, "missing_in_target", BEGIN + SECOND, BEGIN + 40 * SECOND),
    Planted(2, "stale_in_target", BEGIN + 21 * SECOND),
    Planted(1, "undeleted_in_target", BEGIN + 90 * SECOND),
]
GIVEN: dict[Side, int] = {"source": 30, "target": 20}


def stamp(us: int) -> str:
    return f"2027-01-15T08:{us % (3600 * SECOND) // (60 * SECOND):02d}:{us % (60 * SECOND) // SECOND:02d}.000000Z"


def discrepancies() -> list[Json]:
    """Of key 1 two in turn, of key 2 one that stays."""
    said = [(one, event) for one in PLANTED for event in one.said()]
    return [
        {
            "id": f"{one.key}-{one.made}",
            "status": status,
            "kind": kind,
            "key": {"id": one.key},
            "window": {"start": stamp(start), "end": stamp(start + WINDOW_US)},
        }
        for one, (status, kind, start) in said
    ]


def certificates() -> list[Json]:
    counts = {"source_rows": 10, "target_rows": 5, "late": 0}
    first: Json = {
        "type": "window",
        "chain": "soak/target/0",
        "verdict": "clean",
        "causes": [],
        "number": 7,
        "windows": 2,
        "counts": counts,
        "window": {},
        "ranges": [{"side": "source", "topic": "t", "partition": 0, "from": 0, "to": 9}],
    }
    second = first | {"number": 9, "windows": 1, "counts": counts | {"source_rows": 20, "target_rows": 15}}
    return [first, second | {"verdict": "discrepant", "ranges": [first["ranges"][0] | {"from": 9, "to": 30}]}]


def chained(bodies: list[Json]) -> list[bytes]:
    values: list[bytes] = []
    for seq, body in enumerate(bodies):
        prev = hashlib.sha256(values[-1]).hexdigest() if values else None
        values.append(json.dumps({"seq": seq, "prev": prev} | body).encode())
    return values


def outputs(found: list[Json], audit: list[bytes], letters: list[bytes]) -> list[Said]:
    topics = {"p.audit": audit, "p.dead-letters": letters, "p.discrepancies": [json.dumps(body).encode() for body in found]}
    return [Said(topic, 0, offset, value) for topic, values in topics.items() for offset, value in enumerate(values)]


def test_what_follows_from_what_was_planted_is_right() -> None:
    assert broken(outputs(discrepancies(), chained(certificates()), []), PLANTED, GIVEN) == []


def test_two_differences_of_a_key_may_stand_in_any_order() -> None:
    """They stand in partitions of their own."""
    found = discrepancies()
    assert broken(outputs([found[3], *found[:3]], chained(certificates()), []), PLANTED, GIVEN) == []


def changed(index: int, **columns: Any) -> Callable[[list[Json]], list[Json]]:
    return lambda bodies: [*bodies[:index], bodies[index] | columns, *bodies[index + 1 :]]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda found: found[1:],
        lambda found: found[:-1],
        lambda found: [*found, found[-1]],
        lambda found: [found[1], found[0], *found[2:]],
        lambda found: [*found, found[0] | {"id": "x", "key": {"id": 3}}],
        changed(2, kind="value_mismatch"),
        changed(2, status="updated"),
        changed(2, window={"start": stamp(BEGIN), "end": stamp(BEGIN + WINDOW_US)}),
    ],
)
def test_a_discrepancy_that_is_missing_said_twice_invented_or_another_one_is_wrong(
    wrong: Callable[[list[Json]], list[Json]],
) -> None:
    assert broken(outputs(wrong(discrepancies()), chained(certificates()), []), PLANTED, GIVEN) != []


@pytest.mark.parametrize(
    "wrong",
    [
        changed(1, verdict="inconclusive"),
        changed(1, causes=[{"kind": "gap"}]),
        changed(1, counts={"source_rows": 20, "target_rows": 15, "late": 1}),
        changed(1, counts={"source_rows": 20, "target_rows": 14, "late": 0}),
        changed(1, ranges=[{"side": "source", "topic": "t", "partition": 0, "from": 8, "to": 30}]),
        changed(1, number=8),
        changed(1, seq=2),
        changed(1, prev="0" * 64),
        lambda bodies: [*bodies, {"type": "stalled", "chain": "soak/target/0"}],
    ],
)
def test_a_certificate_that_is_in_doubt_or_does_not_go_on_is_wrong(wrong: Callable[[list[Json]], list[Json]]) -> None:
    assert broken(outputs(discrepancies(), chained(wrong(certificates())), []), PLANTED, GIVEN) != []


def test_a_dead_letter_is_wrong() -> None:
    assert broken(outputs(discrepancies(), chained(certificates()), [b"{}"]), PLANTED, GIVEN) != []
