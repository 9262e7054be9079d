"""``table`` of a side: only where a topic holds several, part of what a row hash depends on, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_recon.config import load_topology
from stream_recon.config.identity import configuration_hash, rules_id
from stream_recon.config.resolve import resolve_feeds
from stream_recon.errors import ConfigError
from stream_recon.model.plan import Format, TopologyPlan

TEXT = """version: 1
name: orders
source:
  name: a
  topics: [maxwell]
  format: {form}
  key: [id]
{more}
targets:
  - {{name: b, topics: [orders], format: json, key: [id]}}
"""


def load(tmp_path: Path, form: str, more: str = "") -> TopologyPlan:
    path = tmp_path / "orders.yaml"
    path.write_text(TEXT.format(form=form, more=more), encoding="utf-8")
    return load_topology(path)


def rules(plan: TopologyPlan) -> str:
    (pair,) = resolve_feeds(plan, frozenset({"id", "a"}), {"b": frozenset({"id", "a"})})
    return rules_id(pair)


@pytest.mark.parametrize("form", ["canal-json", "maxwell-json"])
def test_it_reaches_the_feed_of_its_side(tmp_path: Path, form: str) -> None:
    plan = load(tmp_path, form, "  table: shop.orders")
    assert (plan.source.format, plan.source.table, plan.targets[0].table) == (Format(form), "shop.orders", None)
    (pair,) = resolve_feeds(plan, frozenset({"id"}), {"b": frozenset({"id"})})
    assert [feed.table for feed in pair] == ["shop.orders", None]


@pytest.mark.parametrize("form", ["debezium-json", "json"])
def test_it_is_refused_where_it_has_no_effect(tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, form, "  table: orders")
    text = f"source.table: has no effect in format {form}, which has a topic for each table; remove it"
    assert str(refused.value) == f"{tmp_path}/orders.yaml:8: {text}"


@pytest.mark.parametrize("form", ["canal-json", "maxwell-json"])
def test_an_event_time_is_refused_as_the_format_has_one(tmp_path: Path, form: str) -> None:
    with pytest.raises(ConfigError, match=f"event_time: has no effect in format {form}"):
        load(tmp_path, form, "  event_time: at")


def test_another_table_is_another_rule_and_another_answer(tmp_path: Path) -> None:
    plans = [load(tmp_path, "maxwell-json", more) for more in ("", "  table: orders", "  table: shop.orders")]
    assert len({rules(plan) for plan in plans}) == 3
    assert len({configuration_hash(plan) for plan in plans}) == 3
