"""``ledger`` on live topics: where positions stand, running and stopped, and what was lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.refusing import Here, ids, live, until


def test_receipts_of_a_deployment(bootstrap: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    here = Here(capfd)
    with live(bootstrap, prefix, tmp_path) as world:
        world.make("s", "t")
        path = world.topology(parallelism=2)

        def ledger() -> tuple[int, Any]:
            found = here("ledger", path, "--json")
            assert found.code in {0, 1, 2}, found.stderr
            said = json.loads(found.stdout)
            assert said["balances"], found.stdout
            return found.code, said["topologies"]["x"]

        assert ledger() == (2, None), "it is not open"
        world.both(*ids(range(20)))
        world.write("s", b"{")
        service = world.start(path)

        def certified() -> Any:
            code, lines = ledger()
            stages = [line["stages"] for line in lines or ()]
            whole = len(stages) == 2 and all(s["certified"] == s["folded"] == s["committed"] == s["end"] for s in stages)
            return lines if code == 0 and whole else None

        lines = until(certified)
        counts = [(line["feed"], line["stages"]["end"], line["rows"], line["dead_letters"], line["gaps"]) for line in lines]
        assert counts == [("s", 21, 20, 1, 0), ("t", 20, 20, 0, 0)]
        assert service.stop().code == 0
        world.both(*ids(range(5)))
        code, (s, t) = ledger()
        assert (code, s["stages"]["end"], s["stages"]["logged"], t["stages"]["end"], t["stages"]["committed"]) == (
            0,
            26,
            21,
            25,
            20,
        )
        world.cut("t", 23)
        world.start(path)

        def lost() -> bool:
            code, lines = ledger()
            return code == 2 and [line["gaps"] for line in lines] == [0, 3]

        assert until(lost)
        assert "it balances; positions were lost" in here("ledger", path).stdout
