"""``formats``: every format that a topology may name, one line each, for people and as JSON."""

import json

import pytest

from stream_recon.cli.main import run
from stream_recon.model.plan import Format

NAMES = ["canal-json", "debezium-avro", "debezium-json", "json", "maxwell-json"]


def test_every_format_has_one_line_in_the_order_of_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["formats"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(NAMES)]] == NAMES
    assert lines[0].split()[:2] == ["format", "messages"]
    assert "op, or __op and __deleted" in lines[3]
    assert "`types`" in lines[-1]


def test_json_says_what_decides(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["formats", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)["formats"]
    assert [one["format"] for one in found] == NAMES == sorted(form.value for form in Format)
    for one in found:
        assert set(one) == {"format", "messages", "operation", "event_time", "key", "types"}
        assert all(one.values())
    assert found[0]["types"] == "mysqlType"
    assert found[4]["event_time"] == "ts"


def test_it_stands_in_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "List the message formats" in capsys.readouterr().out
