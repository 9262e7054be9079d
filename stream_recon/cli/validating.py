"""``validate``: topology files, each told good or what to mend in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stream_recon.cli.output import EXIT_FAILED, EXIT_FINE, print_json, print_text, say, shown_duration
from stream_recon.config import configuration_hash, load_topology
from stream_recon.errors import ConfigError
from stream_recon.model.plan import TopologyPlan


def validate(paths: Sequence[Path], *, as_json: bool) -> int:
    """Checks every file, also after a bad one; exit code 3 if any is bad."""
    rows: list[dict[str, Any]] = []
    first: dict[tuple[str, str], Path] = {}
    for path in paths:
        try:
            plan = load_topology(path)
            _check_twin(path, plan, first)
            rows.append(_row(path, plan))
            if not as_json:
                print_text(_line(path, plan))
        except ConfigError as error:
            rows.append({"file": str(path), "valid": False, "errors": str(error).splitlines()})
            say(str(error))
    valid = all(row["valid"] for row in rows)
    if as_json:
        print_json({"valid": valid, "topologies": rows})
    return EXIT_FINE if valid else EXIT_FAILED


def _check_twin(path: Path, plan: TopologyPlan, first: dict[tuple[str, str], Path]) -> None:
    """Topologies of one deployment share its topics, so their names must differ."""
    twin = first.setdefault((plan.prefix, plan.name), path)
    if twin is not path:
        raise ConfigError(f"{path}: name: {plan.name!r} is the name of {twin} too; write a name of its own for each topology")


def _row(path: Path, plan: TopologyPlan) -> dict[str, Any]:
    sides = [{"name": s.name, "topics": list(s.topics), "format": s.format.value, "key": list(s.key)} for s in plan.sides]
    return {"file": str(path), "valid": True, "name": plan.name, "configuration": configuration_hash(plan), "sides": sides}


def _line(path: Path, plan: TopologyPlan) -> str:
    targets = ", ".join(t.name for t in plan.targets)
    times = ", ".join(f"{name} {shown_duration(getattr(plan, name))}" for name in ("window", "settle", "clock_skew"))
    return f"{path}: good: {plan.name}: {plan.source.name} -> {targets}; {times}"
