"""Topologies written on the spot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_recon.config import load_topology
from stream_recon.errors import ConfigError
from stream_recon.model.plan import TopologyPlan

BASE = """\
version: 1
name: orders
source:
  name: pg
  topics: [pg.orders]
  format: {source_format}
  key: {source_key}
{source}
targets:
  - name: maria
    topics: [maria.orders]
    format: {target_format}
    key: {target_key}
{target}
{top}
"""


def _indented(text: str, columns: int) -> str:
    return "\n".join(" " * columns + line for line in text.splitlines())


Load = Callable[..., TopologyPlan]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """``load(top="window: 5s", source="columns: {a: b}", target=..., source_key="[id]", source_format="json", ...)``."""

    def run(
        top: str = "",
        source: str = "",
        target: str = "",
        *,
        source_key: str = "[id]",
        target_key: str = "[id]",
        source_format: str = "debezium-json",
        target_format: str = "debezium-json",
    ) -> TopologyPlan:
        path = tmp_path / "orders.yaml"
        text = BASE.format(
            top=top,
            source=_indented(source, 2),
            target=_indented(target, 4),
            source_key=source_key,
            target_key=target_key,
            source_format=source_format,
            target_format=target_format,
        )
        path.write_text(text, encoding="utf-8")
        return load_topology(path)

    return run


@pytest.fixture
def refused(load: Load, tmp_path: Path) -> Callable[..., list[str]]:
    """Like ``load``, for a topology that must be refused: the lines of the message, without the directory."""

    def run(*args: str, **kwargs: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(*args, **kwargs)
        return str(caught.value).replace(f"{tmp_path}/", "").splitlines()

    return run
