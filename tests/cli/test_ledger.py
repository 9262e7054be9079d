"""``ledger`` over what replay left: it balances, and does not once a receipt is missing."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.harness import World, line, rows, topology


def ledger(world: World) -> tuple[int, Any]:
    result = world.run("ledger", str(world.out), "--json")
    return result.code, json.loads(result.stdout) if result.code != 3 else result.stderr


def test_what_replay_left_balances_until_a_receipt_is_missing(world: World) -> None:
    source = [*rows("st", *({"id": n, "v": n} for n in range(6)), step_ms=10_000), line("st", 8, "{")]
    world.replay(topology(), s=source, t=rows("tt", *({"id": n, "v": n % 4} for n in range(6)), step_ms=10_000))
    code, found = ledger(world)
    (s, t) = found["topologies"]["x"]["partitions"]
    assert (code, found["balances"], s["wrong"] + t["wrong"]) == (0, True, [])
    assert (s["to"], s["rows"], s["dead_letters"], s["letters_delivered"], s["unused"]) == (9, 6, 1, 1, 2)
    assert {place["from"] for place in s["certified"].values()} == {0}
    shown = world.run("ledger", str(world.out))
    assert (shown.code, shown.stdout.splitlines()[-1]) == (0, "it balances")

    summary, letters, events = (world.out / name for name in ("summary.json", "dead_letters.jsonl", "discrepancies.jsonl"))
    before = {path: path.read_bytes() for path in (summary, letters, events)}
    good = json.loads(before[summary])

    def changed(**parts: Any) -> bytes:
        return json.dumps(good | parts).encode()

    first, second = good["partitions"]
    chain = next(name for name, count in good["chains"].items() if count)
    for path, content, code, said in [
        (summary, changed(partitions=[first | {"rows": 5}, second]), 1, "9 positions were normalised, 8 are accounted for"),
        (summary, changed(partitions=[first | {"rows": 5, "gaps": 1}, second]), 2, "positions were lost"),
        (summary, changed(partitions=[first | {"to": 3, "unused": -4}, second]), 1, "it was normalised up to 3"),
        (summary, changed(partitions=[second]), 1, "0 dead letters were counted, 1 were delivered"),
        (summary, changed(opened=7), 1, "discrepancies opened were delivered, 7 were said"),
        (summary, changed(chains=good["chains"] | {chain: 99}), 1, f"of {chain} were delivered, 99 were said"),
        (letters, b"", 1, "1 dead letters were counted, 0 were delivered"),
        (letters, before[letters] * 2, 0, "it balances"),
        (events, b"", 3, "some were changed or removed"),
    ]:
        path.write_bytes(content)
        result = world.run("ledger", str(world.out))
        assert (result.code, said in result.stdout + result.stderr) == (code, True), (said, result.stdout, result.stderr)
        path.write_bytes(before[path])
    assert ledger(world) == (0, found)


def test_it_wants_what_a_run_left(world: World) -> None:
    assert ledger(world)[0] == 3
    world.out.mkdir()
    assert "when it was done" in ledger(world)[1]
    for more in ([str(world.out)], ["--prefix", "y"]):
        result = world.run("ledger", str(world.out), *more)
        assert (result.code, "give one directory" in result.stderr) == (3, True)
