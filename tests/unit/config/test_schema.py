"""The JSON Schema in ``schemas/`` and the examples in ``topologies/``."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from stream_recon.config import load_topology
from stream_recon.config.schema import schema_text, topology_schema

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "topologies").glob("*.yaml"))


def test_the_file_is_up_to_date() -> None:
    text = (ROOT / "schemas" / "topology.schema.json").read_text(encoding="utf-8")
    assert text == schema_text(), "run: make schemas"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_examples_load_and_fit_the_schema(path: Path) -> None:
    load_topology(path)
    jsonschema.validate(_yaml(path), topology_schema())


@pytest.mark.parametrize(
    "change",
    [
        {"window": 10},
        {"windw": "10s"},
        {"settle": None},
        {"mode": "changes"},
        {"targets": []},
        {"kafka": {"bootstrap.servers": None}},
        {"kafka": {"bootstrap.servers": ["localhost:9092"]}},
        {"kafka": {"Client.Id": "recon"}},
        {"kafka": {"group.id": "recon"}},
        {"checkpoints": {"every": "5m"}},
        {"checkpoints": {"location": "s3://b", "every": 5}},
        {"checkpoints": {"location": "s3://b", "keep": 0}},
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(_yaml(EXAMPLES[0]) | change, topology_schema())


def _yaml(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return data
