"""``dead-letters`` on a live deployment: what could not be understood, and whether it can be now."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.cli.harness import COMMAND, ROOT
from tests.kafka.loading import Message, load

UPPER = "00000000-0000-4000-8000-00000000000A"


def message(topic: str, offset: int, customer: str) -> Message:
    row = {"id": offset, "customer": customer}
    schema = {
        "type": "struct",
        "fields": [{"field": "id", "type": "int64"}, {"field": "customer", "type": "string", "name": "io.debezium.data.Uuid"}],
    }
    fields = [{"field": "before", **schema}, {"field": "after", **schema}, {"field": "op", "type": "string"}]
    payload = {"before": None, "after": row, "op": "c", "source": {"ts_us": 10**15 + offset}}
    value = {"schema": {"type": "struct", "fields": fields}, "payload": payload}
    return Message(topic, 0, offset, 10**12 + offset, json.dumps({"id": offset}).encode(), json.dumps(value).encode())


def topology(path: Path, prefix: str, types: dict[str, str]) -> Path:
    def side(name: str) -> dict[str, Any]:
        return {"name": name, "topics": [f"{prefix}{name}"], "format": "debezium-json", "key": ["id"], "types": types}

    whole = {"version": 1, "name": "letters", "source": side("a"), "targets": [side("b")], "outputs": {"prefix": f"{prefix}out"}}
    whole["dead_letters"] = {"max_share": "100%"}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def said(bootstrap: str, *words: str) -> tuple[int, list[dict[str, Any]]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap}
    done = subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1, 2}, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_a_letter_is_listed_once_and_read_again_after_a_fix(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    rows = [message(f"{prefix}{side}", at, UPPER.lower()) for side in "ab" for at in range(3)]
    load(bootstrap, [*rows, message(f"{prefix}a", 3, UPPER)])
    broken = topology(tmp_path / "broken.yaml", prefix, {})
    fixed = topology(tmp_path / "fixed.yaml", prefix, {"customer": "uuid"})
    for _ in range(2):  # the second run writes the same letter anew
        said(bootstrap, "run", "--once", str(broken), "--json")
    code, letters = said(bootstrap, "dead-letters", str(broken), "--json")
    assert code == 0
    assert [(one["side"], one["topic"], one["offset"], one["class"]) for one in letters] == [("a", f"{prefix}a", 3, "column")]
    code, letters = said(bootstrap, "dead-letters", str(broken), "--again", "--json")
    assert (code, letters[0]["now"]) == (2, letters[0]["reason"])
    code, letters = said(bootstrap, "dead-letters", str(fixed), "--again", "--json")
    assert (code, letters[0]["now"]) == (0, "decodes")
