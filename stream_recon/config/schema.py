"""The JSON Schema of a topology, for editors: ``python -m stream_recon.config.schema FILE`` writes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from stream_recon.config.topology import Topology


def topology_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of a topology file. A field that is not written has its default; null is none of its values."""
    schema = Topology.model_json_schema()
    for definition in [schema, *schema["$defs"].values()]:
        for field in definition.get("properties", {}).values():
            _drop_null(field)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _drop_null(field: dict[str, Any]) -> None:
    """A default of None means "not written", so it is neither a value nor a default to show."""
    if "default" in field and field["default"] is None:
        del field["default"]
    choices = [c for c in field.get("anyOf", []) if c != {"type": "null"}]
    if len(choices) == 1 and len(field["anyOf"]) == 2:
        del field["anyOf"]
        field.update(choices[0])


def schema_text() -> str:
    """The file's text."""
    return json.dumps(topology_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema_text(), encoding="utf-8")
