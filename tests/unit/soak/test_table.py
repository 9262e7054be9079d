"""What is planted is what differs: the table's own account against its rows, by brute force."""

from bisect import bisect_left

import pytest

from tools.soak.table import KINDS, LAG_US, SECOND, SETTLE_US, SKEW_US, WINDOW_US, Row, Table

BEGIN = 1_800_000_000 * SECOND
SEEDS = range(4)


def lived(seed: int, seconds: int = 240) -> tuple[Table, list[Row]]:
    table = Table(seed, BEGIN, keys=300, rate=30, every_s=2)
    rows = [row for at in range(0, seconds * SECOND, SECOND // 10) for row in table.until(BEGIN + at)]
    rows += table.until(table.end(BEGIN + seconds * SECOND))
    return table, rows


def standing(rows: list[Row], before: int) -> str | None:
    """The text of the last of one key's rows before a time; None: it is not there."""
    past = rows[: bisect_left([row.time for row in rows], before)]
    return None if not past or past[-1].op == "d" else past[-1].text


def judged(source: list[Row], target: list[Row]) -> list[tuple[str, str, int]]:
    """What the page says of one key: sections 3.5 and 3.6, for rows that are never late and sides that are never in doubt."""
    said: list[tuple[str, str, int]] = []
    kind: str | None = None
    for start in sorted({row.time // WINDOW_US * WINDOW_US for row in source + target}):
        end = start + WINDOW_US
        there = standing(target, end + SETTLE_US)
        now = standing(source, end)
        later = [None if r.op == "d" else r.text for r in source if end <= r.time < end + SETTLE_US + SKEW_US]
        if there == now or there in later:
            if kind is not None:
                said.append(("resolved", kind, start))
            kind = None
            continue
        old = [standing(source, start), *(r.text for r in source if start <= r.time < end)]
        found = (
            "missing_in_target"
            if there is None
            else ("undeleted_in_target" if any(r.time < end for r in source) else "unexpected_in_target")
            if now is None
            else "stale_in_target"
            if there in old
            else "value_mismatch"
        )
        if kind is None:
            kind = found
            said.append(("opened", found, start))
        assert found == kind
    return said


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_said_of_each_key_follows_from_its_rows(seed: int) -> None:
    table, rows = lived(seed)
    sides: dict[int, dict[str, list[Row]]] = {}
    for row in rows:
        sides.setdefault(row.key, {"source": [], "target": []})[row.side].append(row)
    expected: dict[int, list[tuple[str, str, int]]] = {}
    for one in table.planted:
        expected.setdefault(one.key, []).extend(one.said())
    assert {key: said for key, of in sides.items() if (said := judged(of["source"], of["target"]))} == expected
    assert {one.kind for one in table.planted} == set(KINDS)
    assert any(one.mended is None for one in table.planted)
    assert any(one.mended is not None for one in table.planted)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_row_is_older_than_one_that_was_given_out_before(seed: int) -> None:
    table, rows = lived(seed)
    assert [row.time for row in rows] == sorted(row.time for row in rows)
    assert table.given == {side: sum(row.side == side for row in rows) for side in ("source", "target")}
    assert 0 < LAG_US < SETTLE_US


def test_the_same_seed_gives_the_same_rows_whatever_they_are_asked_for_at() -> None:
    one, other = (Table(7, BEGIN, keys=300, rate=30, every_s=2) for _ in range(2))
    at_once = list(one.until(BEGIN + 60 * SECOND))
    bit_by_bit = [row for at in range(0, 61 * SECOND, SECOND) for row in other.until(BEGIN + at)]
    assert at_once == bit_by_bit


def test_a_delete_is_followed_by_a_tombstone() -> None:
    _, rows = lived(1)
    assert {(row.op, len(row.messages()), row.messages()[-1] is None) for row in rows} == {
        ("c", 1, False),
        ("u", 1, False),
        ("d", 2, True),
    }
