"""``status``: how far a deployment is, by what it leaves in Kafka, as tables or JSON.

What only workers know is not here: open discrepancies, verdicts, rows that wait, a topology that stopped itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.cli import outside, tables
from stream_recon.cli.clusters import REACH_SECONDS, cluster_of
from stream_recon.cli.output import EXIT_FINE, print_json, print_text, printable
from stream_recon.config import load_topologies
from stream_recon.engine.events import instant
from stream_recon.model.digest import Open
from stream_recon.model.plan import TopologyPlan
from stream_recon.service.job import Names
from stream_recon.service.picture import NORMALISE, RECONCILE, Picture, SidePicture
from stream_recon.service.standing import Standing

PARTITIONS_SHOWN: Final = 40
_UNKNOWN: Final = ("since_start", "waiting", "paused")
"""Of a side's JSON: what committed positions do not tell."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found. ``missing``: source topics that are not there."""

    prefix: str
    cluster: str
    open: Mapping[str, Open]
    log: outside.DigestLog
    groups: Sequence[outside.Members]
    missing: Sequence[str]
    picture: Picture


def status(topologies: Sequence[Path], *, prefix: str | None = None, as_json: bool) -> int:
    """Runs ``status`` and returns its exit code. Raises ``ReconError``."""
    plans = load_topologies(topologies, prefix)
    found = _look(plans)
    if as_json:
        print_json(_json(found))
    else:
        _show(found)
    return EXIT_FINE


def _look(plans: Sequence[TopologyPlan]) -> _Found:
    names, own = Names(plans[0].prefix), cluster_of(plans[0].kafka)
    topics: dict[str, tuple[Cluster, set[str]]] = {}
    for side in (side for plan in plans for side in plan.sides):
        cluster = cluster_of(side.kafka)
        topics.setdefault(cluster.id, (cluster, set()))[1].update(side.topics)
    for cluster in {c.id: c for c in (own, *(c for c, _ in topics.values()))}.values():
        cluster.reach(REACH_SECONDS)
    open_, log = outside.opened(own, names), outside.log(own, names)
    upstreams = {id_: outside.upstreams(cluster, names, wanted) for id_, (cluster, wanted) in topics.items()}
    standing = Standing(plans)
    for reader, report in outside.reports(plans, open_, lambda side: upstreams[cluster_of(side.kafka).id]).items():
        standing.take(reader, 0, report)
    standing.take(log.topic, 0, log.report)
    readers = max(u.group.count for u in upstreams.values())
    picture = replace(standing.picture(), workers={NORMALISE: readers, RECONCILE: log.group.count})
    return _Found(
        names.prefix,
        own.name,
        open_,
        log,
        (*(u.group for u in upstreams.values()), log.group),
        sorted(topic for u in upstreams.values() for topic in u.missing),
        picture,
    )


def _json(found: _Found) -> dict[str, Any]:
    log = found.log
    return {
        "time": instant(found.picture.at),
        "prefix": found.prefix,
        "groups": [{"group": g.group, "cluster": g.cluster, "state": g.state, "members": g.count} for g in found.groups],
        "missing_topics": list(found.missing),
        "digest_log": {
            "topic": log.topic,
            "backlog": found.picture.backlog,
            "partitions": [{"partition": p, "position": at, "end": log.ends[p]} for p, at in sorted(log.positions.items())],
        },
        "topologies": [
            {
                "topology": t.topology,
                "open": t.topology in found.open,
                "generation": found.open[t.topology].generation if t.topology in found.open else None,
                "sides": [_side(s) for s in t.sides],
            }
            for t in found.picture.topologies
        ],
        "others_open": sorted(set(found.open) - {t.topology for t in found.picture.topologies}),
    }


def _side(side: SidePicture) -> dict[str, Any]:
    known = {name: value for name, value in side.to_json().items() if name not in _UNKNOWN}
    partitions = [
        {k: v for k, v in p.items() if k not in _UNKNOWN} | {"worker": p["worker"] or None} for p in known["partitions"]
    ]
    return known | {"partitions": partitions}


def _show(found: _Found) -> None:
    picture, log = found.picture, found.log
    print_text(f"deployment {found.prefix} on {found.cluster}", _groups(found.groups), "")
    if log.ends:
        folded = "?" if picture.backlog is None else f"{picture.backlog:,}"
        print_text(f"digest log {log.topic}: {len(log.ends)} partitions, {folded} messages still to fold", "")
    for topic in found.missing:
        print_text(f"topic {printable(topic)} is not there")
    closed = [t.topology for t in picture.topologies if t.topology not in found.open]
    if closed:
        print_text(f"not open, stream-recon run opens them: {printable(', '.join(closed))}", "")
    read = replace(picture, topologies=tuple(t for t in picture.topologies if t.topology in found.open))
    if read.topologies:
        print_text(tables.sides(read, None))
        _show_partitions(read)


def _show_partitions(picture: Picture) -> None:
    lines = [(t, s, r) for t in picture.topologies for s in t.sides for r in s.readings]
    if len(lines) > PARTITIONS_SHOWN:
        print_text("", f"{len(lines)} partitions: --json lists them")
        return
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("topology", "side", "partition", "position", "end", "watermark", "read by"):
        table.add_column(name, justify="right" if name in {"position", "end"} else "left", overflow="fold")
    for topology, side, r in lines:
        place = Text(printable(f"{r.topic}/{r.partition}"))
        end = "-" if r.end is None else str(r.end)
        who = Text(printable(r.worker or "nobody"), "" if r.worker else "yellow")
        names = Text(topology.topology), Text(side.side)
        table.add_row(*names, place, str(r.position), end, tables.clock(r.watermark, picture.at), who)
    print_text("", table)


def _groups(groups: Sequence[outside.Members]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("group", "cluster", "state", "members"):
        table.add_column(name, justify="right" if name == "members" else "left", overflow="fold")
    for g in groups:
        table.add_row(Text(g.group), Text(g.cluster), g.state, str(g.count))
    return table
