"""``schemas``: the JSON Schemas of what is put out, to be read, or registered where others look for schemas."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Final

from stream_recon.adapters.schemas import Registry
from stream_recon.cli.output import EXIT_FINE, print_json, print_lines, print_text
from stream_recon.config import load_topologies
from stream_recon.config.scalars import did_you_mean
from stream_recon.errors import ConfigError
from stream_recon.model.plan import RegistryPlan, TopologyPlan

FILES: Final = {"discrepancies": "discrepancy.v1", "audit": "audit.v1", "topology": "topology"}
_TOPICS: Final = ("discrepancies", "audit")


def show(name: str) -> int:
    """Prints one. Raises ``ConfigError``: there is none of this name."""
    print_lines([_text(name).removesuffix("\n").encode()])
    return EXIT_FINE


def register(paths: Sequence[Path], prefix: str | None, url: str | None, *, as_json: bool) -> int:
    """Registers those of a deployment's topics, under the subjects that serializers would take. Raises ``ReconError``."""
    plans = load_topologies(paths, prefix)
    plan = _registry(plans) if url is None else RegistryPlan(url)
    if plan is None or plan.url is None:
        raise ConfigError("no topology names a registry with a url; add --registry http://HOST:8081")
    with closing(Registry(plan.url, plan.ids, dict(plan.settings))) as registry:
        subjects = {f"{plans[0].prefix}.{topic}-value": _text(topic) for topic in _TOPICS}
        ids = {subject: registry.register(subject, text) for subject, text in subjects.items()}
    if as_json:
        print_json({"ids": ids})
    else:
        print_text(*(f"{subject}: id {number}" for subject, number in ids.items()))
    return EXIT_FINE


def _registry(plans: Sequence[TopologyPlan]) -> RegistryPlan | None:
    return next((side.registry for plan in plans for side in plan.sides if side.registry is not None), None)


def _text(name: str) -> str:
    if name not in FILES:
        raise ConfigError(f"{name}: expected one of {', '.join(FILES)}{did_you_mean(name, list(FILES))}")
    return (files("stream_recon") / "schemas" / f"{FILES[name]}.schema.json").read_text(encoding="utf-8")
