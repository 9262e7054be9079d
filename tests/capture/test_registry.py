"""A real registry: its schemas by every API that is read, and the service on topics in Avro that name them."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from stream_recon.adapters.schemas import schema_source
from stream_recon.cli.main import run as typed
from stream_recon.model.plan import Ids, RegistryPlan
from tests.cli.harness import COMMAND, ROOT
from tests.kafka.loading import Message, load, recorded
from tools.connect.apicurio import Apicurio
from tools.kafka.broker import Broker

FIXTURES = ROOT / "tests" / "fixtures" / "dual-write"
SCHEMAS = json.loads((FIXTURES / "avro-schemas-by-id.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Known:
    """A registry that holds the fixtures' schemas. ``ids``: what it calls those of the file."""

    url: str
    ids: dict[int, int]


@pytest.fixture(scope="module")
def registry() -> Iterator[Known]:
    with Apicurio() as running:
        ids = {int(name): _register(running.url, f"schema-{name}", entry["schema"]) for name, entry in SCHEMAS.items()}
        yield Known(running.url, ids)


def _register(url: str, subject: str, schema: str) -> int:
    body = json.dumps({"schema": schema}).encode()
    request = urllib.request.Request(f"{url}/subjects/{subject}/versions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        number: int = json.load(answer)["id"]
    return number


def octets(number: int) -> bytes:
    return b"\0" + number.to_bytes(4, "big")


def test_every_schema_is_what_was_registered(registry: Known) -> None:
    core = registry.url.replace("/apis/ccompat/v7", "/apis/registry/v3")
    for url, ids in ((registry.url, Ids.CONFLUENT), (registry.url, Ids.APICURIO), (core, Ids.APICURIO)):
        with closing(schema_source(RegistryPlan(url, ids=ids))) as source:
            for name, number in registry.ids.items():
                found = source.schema(octets(number))
                assert found is not None, (url, name)
                assert json.loads(found.text) == json.loads(SCHEMAS[str(name)]["schema"])
            assert source.schema(octets(999_999)) is None


def test_the_schemas_of_what_is_put_out_are_registered_once(
    registry: Known, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = topology(tmp_path, "orders", {"url": registry.url})
    ids: list[dict[str, int]] = []
    for more in ([], ["--registry", registry.url]):
        assert typed(["schemas", "register", str(path), "--json", *more]) == 0
        ids.append(json.loads(capsys.readouterr().out)["ids"])
    assert ids[0] == ids[1]
    assert ids[0].keys() == {"recon.discrepancies-value", "recon.audit-value"}
    for topic, name in (("discrepancies", "discrepancy.v1"), ("audit", "audit.v1")):
        with closing(schema_source(RegistryPlan(registry.url))) as source:
            found = source.schema(octets(ids[0][f"recon.{topic}-value"]))
        assert found is not None
        assert found.kind == "JSON"
        assert typed(["schemas", "show", topic]) == 0
        published = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_bytes())
        assert json.loads(found.text) == json.loads(capsys.readouterr().out) == published


def topology(place: Path, table: str, registry: dict[str, Any]) -> Path:
    """The one of the JSON recordings, in Avro."""
    text = (ROOT / "topologies" / f"{table}.yaml").read_text(encoding="utf-8")
    text = text.replace("debezium-json", "debezium-avro").replace("_json.", "_avro.")
    path = place / f"{table}.yaml"
    path.write_text(f"{text}\nregistry: {json.dumps(registry)}\n", encoding="utf-8")
    return path


def as_registered(registry: Known, message: Message) -> Message:
    def renamed(data: bytes | None) -> bytes | None:
        return None if data is None else octets(registry.ids[int.from_bytes(data[1:5], "big")]) + data[5:]

    return replace(message, key=renamed(message.key), value=renamed(message.value))


def run(*words: str, bootstrap: str = "") -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap}
    done = subprocess.run([*COMMAND, *words], env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 1, 2}, done.stderr
    return done.returncode


def opened(out: Path) -> list[tuple[Any, str, str]]:
    lines = (out / "discrepancies.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted((e["id"], e["kind"], e["status"]) for e in map(json.loads, lines))


def test_live_topics_in_avro_give_what_their_recordings_give(registry: Known, tmp_path: Path) -> None:
    recordings = {side: FIXTURES / f"{side}-avro-orders.jsonl.gz" for side in ("pg", "maria")}
    sides = ["--side", f"postgres={recordings['pg']}", "--side", f"mariadb={recordings['maria']}"]
    from_file = topology(tmp_path, "orders", {"file": str(FIXTURES / "avro-schemas-by-id.json")})
    expected = run("replay", str(from_file), *sides, "--out", str(tmp_path / "replayed"))
    with Broker() as own:
        for path in recordings.values():
            load(own.bootstrap, [as_registered(registry, message) for message in recorded(path)])
        live = topology(tmp_path, "orders", {"url": registry.url})
        found = run("run", str(live), "--once", "--out", str(tmp_path / "live"), bootstrap=own.bootstrap)
    assert found == expected == 1
    assert opened(tmp_path / "live") == opened(tmp_path / "replayed") != []
