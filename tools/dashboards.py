"""Grafana dashboards, as code: ``python -m tools.dashboards`` writes the JSON files in ``monitoring/grafana``.

A dashboard is rows of panels, a panel is a question with one or several queries.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Final

HOME: Final = Path(__file__).resolve().parents[1] / "monitoring" / "grafana"
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
WIDTH: Final = 24
HEIGHT: Final = 8
TOPOLOGY: Final = 'topology=~"$topology"'


@dataclass(frozen=True, slots=True)
class Panel:
    """``queries``: (expression, legend). ``unit`` as Grafana names it."""

    title: str
    help: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"


def rate(metric: str, by: str, labels: str = "") -> str:
    """Of a counter, a second."""
    return f"sum by ({by}) (rate(stream_recon_{metric}{{{TOPOLOGY}{labels}}}[$__rate_interval]))"


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    """Of a histogram by topology and target."""
    inner = f"sum by (le, topology, target) (rate(stream_recon_{metric}_bucket{{{TOPOLOGY}}}[$__rate_interval]))"
    return tuple((f"histogram_quantile({q}, {inner})", f"{{{{topology}}}}/{{{{target}}}} p{int(100 * q)}") for q in (0.5, 0.99))


SIDE, PAIR = "{{topology}} {{side}}", "{{topology}}/{{target}}"

DASHBOARDS: Final[dict[str, tuple[str, tuple[Panel, ...]]]] = {
    "overview": (
        "stream_recon: overview",
        (
            Panel(
                "Open discrepancies",
                "What differs now, by kind.",
                ((f"sum by (topology, target, kind) (stream_recon_open_discrepancies{{{TOPOLOGY}}})", f"{PAIR} {{{{kind}}}}"),),
            ),
            Panel(
                "Oldest open discrepancy",
                "How long the oldest difference has stood.",
                ((f"time() - min by (topology, target) (stream_recon_oldest_open_timestamp_seconds{{{TOPOLOGY}}})", PAIR),),
                "s",
            ),
            Panel(
                "Certified until",
                "How far behind now the last closed window is: settle and a window are in it.",
                ((f"time() - min by (topology, target) (stream_recon_closed_until_timestamp_seconds{{{TOPOLOGY}}})", PAIR),),
                "s",
            ),
            Panel(
                "Certificates",
                "Closed windows by verdict.",
                ((rate("windows_total", "topology, verdict"), "{{topology}} {{verdict}}"),),
            ),
            Panel("Rows read", "By side.", ((rate("rows_total", "topology, side"), SIDE),), "rowsps"),
            Panel(
                "Not well",
                "Stalled sides, suspended pairs, stopped topologies: all should be 0.",
                (
                    (f"max by (topology, side) (stream_recon_side_stalled{{{TOPOLOGY}}})", f"{SIDE} stalled"),
                    (f"sum by (topology, target) (stream_recon_suspended_digest_partitions{{{TOPOLOGY}}})", f"{PAIR} suspended"),
                    (f"max by (topology) (stream_recon_topology_stopped{{{TOPOLOGY}}})", "{{topology}} stopped"),
                ),
            ),
        ),
    ),
    "lag": (
        "stream_recon: lag",
        (
            Panel(
                "Event-time lag",
                "How far behind now a side's slowest partition is.",
                ((f"max by (topology, side) (stream_recon_event_time_lag_seconds{{{TOPOLOGY}}})", SIDE),),
                "s",
            ),
            Panel(
                "Messages behind",
                "Positions still to read.",
                ((f"sum by (topology, side) (stream_recon_messages_behind{{{TOPOLOGY}}})", SIDE),),
            ),
            Panel(
                "Close delay",
                "From a window's end to its certificate; settle is in it.",
                quantiles("window_close_delay_seconds"),
                "s",
            ),
            Panel(
                "Partitions",
                "Read, paused until the other side is nearer, idle.",
                (
                    (f"sum by (topology, side) (stream_recon_partitions{{{TOPOLOGY}}})", f"{SIDE} read"),
                    (f"sum by (topology, side) (stream_recon_paused_partitions{{{TOPOLOGY}}})", f"{SIDE} paused"),
                    (f"sum by (topology, side) (stream_recon_idle_partitions{{{TOPOLOGY}}})", f"{SIDE} idle"),
                ),
            ),
            Panel(
                "Waiting rows",
                "Of either side, in windows still open.",
                ((f"sum by (topology, target) (stream_recon_waiting_rows{{{TOPOLOGY}}})", PAIR),),
            ),
            Panel(
                "Late rows",
                "Older than their partition's watermark: out_of_orderness is too small for them.",
                ((rate("late_rows_total", "topology, side"), SIDE),),
            ),
        ),
    ),
    "mismatches": (
        "stream_recon: mismatches",
        (
            Panel(
                "Share of keys that differ",
                "Of those that windows judged; the objective is 0.1% at most.",
                tuple(
                    (f"stream_recon:keys_different:ratio_rate{span}{{{TOPOLOGY}}}", f"{PAIR} {span}")
                    for span in ("5m", "1h", "6h")
                ),
                "percentunit",
            ),
            Panel(
                "Judged keys",
                "By judgement.",
                ((rate("keys_total", "topology, target, judgement"), f"{PAIR} {{{{judgement}}}}"),),
            ),
            Panel(
                "Discrepancy events",
                "By status.",
                ((rate("discrepancies_total", "topology, target, status"), f"{PAIR} {{{{status}}}}"),),
            ),
            Panel(
                "Time to detect",
                "From the start of the window with a difference to its event.",
                quantiles("time_to_detect_seconds"),
                "s",
            ),
            Panel(
                "Time to converge",
                "How long what is resolved was open, by event time.",
                quantiles("time_to_converge_seconds"),
                "s",
            ),
            Panel(
                "Causes",
                "Why certificates were inconclusive.",
                ((rate("causes_total", "topology, target, cause"), f"{PAIR} {{{{cause}}}}"),),
            ),
            Panel(
                "Dead letters", "Messages that could not be understood.", ((rate("dead_letters_total", "topology, side"), SIDE),)
            ),
            Panel(
                "Columns that are not compared",
                "They appeared after the topology was opened.",
                ((f"max by (topology, side) (stream_recon_schema_drift_columns{{{TOPOLOGY}}})", SIDE),),
            ),
        ),
    ),
    "internals": (
        "stream_recon: internals",
        (
            Panel(
                "Digest log",
                "Messages folded a second, and those still to fold.",
                (
                    ("sum(rate(stream_recon_log_entries_total[$__rate_interval]))", "folded"),
                    ("sum(stream_recon_log_backlog)", "to fold"),
                ),
            ),
            Panel(
                "Transactions",
                "How long they take.",
                tuple(
                    (
                        f"histogram_quantile({q}, sum by (le) ("
                        "rate(stream_recon_transaction_duration_seconds_bucket[$__rate_interval])))",
                        f"p{int(100 * q)}",
                    )
                    for q in (0.5, 0.99)
                ),
                "s",
            ),
            Panel(
                "Slow path",
                "Messages decoded one by one.",
                (("sum(rate(stream_recon_messages_decoded_singly_total[$__rate_interval]))", "messages"),),
            ),
            Panel(
                "Checkpoints",
                "Age of the newest by digest partition, and failures in an hour.",
                (
                    ("max by (digest_partition) (stream_recon_checkpoint_age_seconds)", "{{digest_partition}}"),
                    ("sum(increase(stream_recon_checkpoint_failures_total[1h]))", "failures"),
                ),
                "s",
            ),
            Panel(
                "Buffered",
                "Octets of rows that are not folded yet.",
                ((f"sum by (topology, target) (stream_recon_buffered_bytes{{{TOPOLOGY}}})", PAIR),),
                "bytes",
            ),
            Panel(
                "Container memory",
                "In use, and the limit.",
                (
                    ("stream_recon_cgroup_memory_bytes", "{{instance}}"),
                    ("stream_recon_cgroup_memory_limit_bytes", "{{instance}} limit"),
                ),
                "bytes",
            ),
            Panel("Workers", "By stage.", (("sum by (stage) (stream_recon_workers)", "{{stage}}"),)),
            Panel("Versions", "Processes by version.", (("count by (version) (stream_recon_build_info)", "{{version}}"),)),
        ),
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """One dashboard as Grafana imports it: two panels a row."""
    title, panels = DASHBOARDS[name]
    return {
        "uid": f"stream-recon-{name}",
        "title": title,
        "tags": ["stream_recon"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [_source(), _topologies()]},
        "links": [
            {"type": "dashboards", "tags": ["stream_recon"], "title": "stream_recon", "asDropdown": True, "keepTime": True}
        ],
        "panels": [_panel(panel, number) for number, panel in enumerate(panels)],
    }


def _source() -> dict[str, Any]:
    return {"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def _topologies() -> dict[str, Any]:
    query = {"query": "label_values(stream_recon_partitions, topology)", "refId": "topologies"}
    every = {"multi": True, "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}
    return {"name": "topology", "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "sort": 1, **every}


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    place = {"x": number % 2 * WIDTH // 2, "y": number // 2 * HEIGHT, "w": WIDTH // 2, "h": HEIGHT}
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.help,
        "type": "timeseries",
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}},
        "targets": [_target(query, ascii_uppercase[number]) for number, query in enumerate(panel.queries)],
    }


def _target(query: tuple[str, str], letter: str) -> dict[str, Any]:
    expression, legend = query
    return {"refId": letter, "datasource": SOURCE, "expr": expression, "legendFormat": legend}


def text(name: str) -> str:
    """The file."""
    return json.dumps(dashboard(name), indent=2) + "\n"


def main(names: Sequence[str] = tuple(DASHBOARDS)) -> None:
    """Writes all of them."""
    for name in names:
        (HOME / f"{name}.json").write_text(text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
