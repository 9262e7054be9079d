"""``demo`` on a real broker: the service finds what was planted, its recordings say the same again, and nothing stays behind."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from stream_recon.cli.wire import replay
from stream_recon.config import load_topology
from tests.kafka.living import COMMAND, ROOT, wait_for

WITHIN_S = 120.0


def started(bootstrap: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "KAFKA_BOOTSTRAP": bootstrap},
        start_new_session=True,
    )


def left(bootstrap: str) -> list[str]:
    """Topics and groups of any demo."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    groups = [group.group_id for group in admin.list_consumer_groups().result().valid]
    return [name for name in [*admin.list_topics(timeout=10).topics, *groups] if name.startswith("stream-recon-demo-")]


def events(path: Path) -> list[dict[str, Any]]:
    """Discrepancy events without the time at which they were said, which is that of the broker."""
    bodies = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    told = [{name: value for name, value in b.items() if name != "time"} for b in bodies]
    return sorted(told, key=lambda b: (b["id"], b["window"]["end"], b["status"]))


def test_the_service_finds_what_was_planted_and_goes_without_a_trace(bootstrap: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    demo = started(bootstrap, "--json", "--out", str(out))
    text, said = demo.communicate(timeout=WITHIN_S)
    assert (demo.returncode, said) == (0, "")
    told = json.loads(text)
    assert (told["place"], told["out"]) == (f"Kafka at {bootstrap}", str(out))
    assert (told["planted"], told["found"], told["wrong"]) == (13, 13, [])
    assert told["certificates"]["broken"] == []
    assert told["messages"] == sum(p["to"] - p["from"] for p in told["summary"]["partitions"]) == 9_813
    assert told["summary"]["windows"] == {"clean": 47, "inconclusive": 0, "discrepant": 14}
    assert left(bootstrap) == []
    names = {"topology.yaml", "postgres.jsonl", "mariadb.jsonl", "discrepancies.jsonl", "audit.jsonl", "dead_letters.jsonl"}
    assert {p.name for p in out.iterdir()} == names | {"summary.json"}

    recordings = {side: [out / f"{side}.jsonl"] for side in ("postgres", "mariadb")}
    plan = load_topology(out / "topology.yaml")
    replay(plan, recordings, tmp_path / "again", state=None, digest_partitions=8, progress=lambda *_: None)
    assert events(tmp_path / "again" / "discrepancies.jsonl") == events(out / "discrepancies.jsonl")


def test_ctrl_c_takes_everything_away(bootstrap: str) -> None:
    demo = started(bootstrap)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "  opened  " in line:
            break
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    _, said = demo.communicate(timeout=WITHIN_S)
    assert demo.returncode == 130
    assert said == "stopping: the workers end, and its topics are deleted\ninterrupted\n"
    wait_for(lambda: not left(bootstrap), "topics and groups are gone")
