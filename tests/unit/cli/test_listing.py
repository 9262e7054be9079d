"""``discrepancies``: the newest status of each id, filters, order."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli.listing import Choice, chosen, newest, show
from stream_recon.errors import ConfigError, InputError


def body(name: str, status: str = "opened", **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "target": "b",
        "key": {"id": 1},
        "kind": "value_mismatch",
        "status": status,
        "window": {"start": "2026-11-21T04:00:00.000000Z", "end": "2026-11-21T04:00:10.000000Z"},
        "source_ref": None,
        "target_ref": None,
        "first_seen": "2026-11-21T04:00:10.000000Z",
        "occurrences": 1,
    } | more


@pytest.fixture
def path(tmp_path: Path) -> Path:
    events = [
        body("a", key={"id": 10}),
        body("b", kind="missing_in_target", key={"id": 9}, occurrences=4),
        body("c", key={"handle": "x=y"}, first_seen="2026-11-21T03:00:00.000000Z"),
        body("a", "updated", key={"id": 10}, occurrences=2),
        body("b", "resolved", kind="missing_in_target", key={"id": 9}, occurrences=4),
        body("d", "dismissed", key={"id": 9, "seq": 2}),
    ]
    (tmp_path / "discrepancies.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events), encoding="utf-8")
    return tmp_path / "discrepancies.jsonl"


def ids(path: Path, **choice: Any) -> str:
    return "".join(b["id"] for b, _ in chosen(newest(path), Choice(**choice)))


def test_the_newest_of_each_id_counts(path: Path) -> None:
    assert [(b["id"], b["status"]) for b, _ in newest(path)] == [
        ("a", "updated"),
        ("b", "resolved"),
        ("c", "opened"),
        ("d", "dismissed"),
    ]


def test_choices(path: Path) -> None:
    assert ids(path) == "ca"
    assert ids(path, closed=True) == "cabd"
    assert ids(path, statuses=("resolved", "dismissed")) == "bd"
    assert ids(path, kinds=("missing_in_target",), closed=True) == "b"
    assert ids(path, keys=("9",), closed=True) == "bd"
    assert ids(path, keys=("id=9", "seq=2"), closed=True) == "d"
    assert ids(path, keys=("seq=9",), closed=True) == ""
    assert ids(path, keys=("x=y",)) == ids(path, keys=("handle=x=y",)) == "c"


def test_order(path: Path) -> None:
    assert ids(path, closed=True, sort="key") == "bdac"
    assert ids(path, closed=True, sort="occurrences") == "cdab"
    assert ids(path, closed=True, sort="first_seen", reverse=True) == "dbac"
    assert ids(path, closed=True, sort="window") == "abcd"


def test_json_gives_the_bodies_as_written(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert show(path.parent, Choice(limit=1), as_json=True) == 0
    assert capfd.readouterr().out == path.read_text(encoding="utf-8").splitlines()[2] + "\n"


def test_for_people(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    show(path, Choice(limit=1), as_json=False)
    out = capfd.readouterr().out
    assert "handle=x=y" in out
    assert out.endswith("1 of 2 discrepancies\n")
    show(path, Choice(keys=("none",)), as_json=False)
    assert capfd.readouterr().out == "0 discrepancies\n"


def test_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--kind stale: write one of missing_in_target, "):
        show(path, Choice(kinds=("stale",)), as_json=False)
    with pytest.raises(InputError, match=r"nowhere: cannot be read: No such file"):
        show(tmp_path / "nowhere", Choice(), as_json=False)
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"discrepancies\.jsonl:1: no discrepancy event"):
        show(path, Choice(), as_json=False)
