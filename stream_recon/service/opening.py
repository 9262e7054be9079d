"""A topology on live topics: what its share of the digest log is opened with, and how a later worker takes that up again.

What was found once (columns, start positions) stands in the open record, so that every worker, at any time, works by the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stream_recon.config.identity import configuration_hash, rules_id
from stream_recon.config.resolve import resolve_feeds, unused_settings
from stream_recon.engine.pipeline import Layout
from stream_recon.engine.progress import Progress
from stream_recon.errors import ConfigError
from stream_recon.model.digest import Open
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import History, SidePlan, TopologyPlan
from stream_recon.ports import Commit, Place
from stream_recon.service.job import Opened
from stream_recon.service.positions import Kept, Saved

Columns = Mapping[str, frozenset[str] | None]
"""Upstream columns as seen, by side; None: nothing was seen."""


def live(plan: TopologyPlan) -> TopologyPlan:
    """The plan as the service runs it: a side that is not read from its first message has a partial history (DESIGN 3.8)."""

    def side(of: SidePlan) -> SidePlan:
        return of if of.start == "earliest" else replace(of, history=History.PARTIAL)

    return replace(plan, source=side(plan.source), targets=tuple(side(t) for t in plan.targets))


def layout(plan: TopologyPlan, columns: Columns, starts: Mapping[Upstream, int]) -> Layout:
    """The topology on what was found. ``starts``: start position of every upstream partition, by side name.

    Raises:
        ConfigError: the columns do not fit the topology.
    """
    feeds = resolve_feeds(plan, columns[plan.source.name], {t.name: columns[t.name] for t in plan.targets})
    rules = [rules_id(pair) for pair in feeds]
    return Layout.make(plan, feeds, rules, configuration_hash(plan), starts, columns)


def warnings(plan: TopologyPlan, columns: Columns) -> tuple[str, ...]:
    """What looks unintended: settings that name a column which no message has."""
    return unused_settings(plan, columns[plan.source.name], {t.name: columns[t.name] for t in plan.targets})


def taken_up(plan: TopologyPlan, opened: Open) -> Opened:
    """The share as it was opened, if the topology is still the same.

    Raises:
        ConfigError: it was opened with other settings.
    """
    columns = {f.side: frozenset(f.columns) or None for f in opened.feeds}
    starts = {
        Upstream(f.side, topic, partition, topic_id): start
        for f in opened.feeds
        for topic, topic_id, partition, start in f.partitions
    }
    topics = {f.side: {topic for topic, *_ in f.partitions} for f in opened.feeds}
    found = layout(plan, columns, starts) if {s.name for s in plan.sides} == set(columns) else None
    if (
        found is None
        or not found.opened(opened.parallelism, opened.generation).same(opened)
        or any(set(s.topics) != topics[s.name] for s in plan.sides)
        or (plan.parallelism or opened.parallelism) != opened.parallelism
    ):
        raise ConfigError(
            f"topology {plan.name}: its share of the digest log was opened with other settings (two deployments with one "
            f"outputs.prefix, {plan.prefix}, or a changed topology): restore them, give another outputs.prefix, or run "
            "stream-recon rebuild, which reads everything again under the new ones"
        )
    return Opened(found, opened.parallelism, opened.generation)


def positions(opened: Opened, side: SidePlan, there: Mapping[Place, Commit], filled: Mapping[Place, int]) -> dict[Place, Commit]:
    """What is to be committed for a side when its topology is opened: each partition at its start, beside what other topologies
    that read it had committed (``there``). ``filled``: ends of compacted partitions as they are now.

    Raises:
        StateError: too many topologies read one topic.
    """
    views = [v for v in opened.layout.views if v.side.name == side.name]
    commits: dict[Place, Commit] = {}
    for upstream, _ in views[0].partitions:
        place = (upstream.topic, upstream.partition)
        saved = Saved.load(there[place]) if place in there else Saved(upstream.topic_id)
        kept = dict(saved.views) if saved.topic_id == upstream.topic_id else {}
        for view in views:
            start = next(at for u, at in view.partitions if (u.topic, u.partition) == place)
            kept[f"{opened.layout.plan.name}/{view.id}"] = Kept(opened.generation, Progress(start, filled=filled.get(place, 0)))
        commits[place] = Saved(upstream.topic_id, None, kept).commit()
    return commits
