"""``dead-letters`` on what ``replay`` wrote."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from stream_recon.cli.letters import _fetched
from stream_recon.cli.main import run
from stream_recon.ports import Place, TopicInfo


def letter(offset: int, reason: str, **more: Any) -> dict[str, Any]:
    return {"topology": "orders", "side": "pg", "topic": "t", "partition": 0, "offset": offset, "reason": reason, **more}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    letters = [
        letter(1, "column a: expected text, got a number", **{"class": "column"}, key={"id": 7}),
        letter(2, "not JSON", **{"class": "encoding"}),
        letter(3, "not JSON", **{"class": "encoding"}),
    ]
    (tmp_path / "dead_letters.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in letters), encoding="utf-8")
    return tmp_path


def test_the_table_says_where_and_why_and_counts_the_reasons(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dead-letters", str(place)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "t/0 @ 1" in out
    assert "id=7" in out
    assert "│ 2 │ not JSON" in out
    assert "3 dead letters" in out


def test_json_gives_the_chosen_ones_as_they_were_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dead-letters", str(place), "--class", "encoding", "--limit", "1", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["offset"] == 3


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--class", "colum"], "write one of schema, key, column"),
        (["--again"], "reads live topics"),
    ],
)
def test_what_cannot_work_is_refused(place: Path, words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["dead-letters", str(place), *words]) == 3
    assert text in capsys.readouterr().err


def test_a_file_of_something_else_is_refused_by_its_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (place / "dead_letters.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": 1}\n')
    assert run(["dead-letters", str(place)]) == 3
    assert "dead_letters.jsonl:4: no dead letter" in capsys.readouterr().err


class Left:
    """A cluster that has topic ``t`` with one partition, whose messages retention took; it does not know any other."""

    def __init__(self, _: object = None) -> None:
        pass

    def describe(self, names: Iterable[str]) -> dict[str, TopicInfo]:
        return {name: TopicInfo("id", 1, 1) for name in names if name == "t"}

    def begins(self, places: Iterable[Place]) -> dict[Place, int]:
        return {{("t", 0): ("t", 0)}[place]: 9 for place in places}

    def ends(self, places: Iterable[Place], *, committed: bool) -> dict[Place, int]:
        return self.begins(places)

    def consumer(self, _: object) -> "Left":
        return self

    def close(self) -> None:
        pass


def test_messages_whose_topic_or_partition_is_gone_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_recon.adapters.kafka.topics.Topics", Left)
    assert _fetched(Left(), None, [("t", 0, 3), ("t", 1, 3), ("dropped", 0, 3)]) == {}
