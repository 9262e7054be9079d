"""The dashboards: committed as the code gives them; each of their queries has an answer of a real Prometheus."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count

import pytest

from stream_recon.adapters.prometheus import serve
from stream_recon.service.histogram import Observed
from stream_recon.service.metrics import Family, families
from stream_recon.service.report import CLOSED, CONVERGED, DETECTED, JUDGEMENTS, TRANSACTION
from tests.unit.service.test_metrics import PICTURE
from tools.dashboards import DASHBOARDS, HOME, dashboard, text
from tools.prometheus import Prometheus

WITHIN_S = 60.0
RULES = HOME.parent / "prometheus" / "rules.yaml"
QUERIES = [
    pytest.param(target["expr"], id=f"{name}: {panel['title']} {target['refId']}")
    for name in DASHBOARDS
    for panel in dashboard(name)["panels"]
    for target in panel["targets"]
]


def working() -> Callable[[], list[Family]]:
    """The metrics of a service that judges keys from scrape to scrape, and has measured all there is."""
    scrapes = count(1)
    times = Observed((1,) * 12, 9.0)
    pair = ("orders", "maria")
    observed = {(CLOSED, *pair): times, (DETECTED, *pair): times, (CONVERGED, *pair): times, (TRANSACTION, "", ""): times}

    def scraped() -> list[Family]:
        (topology,) = PICTURE.topologies
        keys = {judgement: 10 * next(scrapes) for judgement in JUDGEMENTS}
        pairs = tuple(replace(p, keys=keys) for p in topology.pairs)
        return families(replace(PICTURE, topologies=(replace(topology, pairs=pairs),), observed=observed), "1", (5, 9))

    return scraped


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """One that has scraped the metrics of a service, several times."""
    with (
        closing(serve("127.0.0.1:0", working(), {})) as endpoint,
        Prometheus(f"127.0.0.1:{endpoint.port}", RULES) as running,
    ):
        deadline = time.monotonic() + WITHIN_S
        while not running.query("stream_recon:keys_different:ratio_rate6h"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield running


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_committed_file_is_what_the_code_gives(name: str) -> None:
    assert (HOME / f"{name}.json").read_text(encoding="utf-8") == text(name)
    assert {path.stem for path in HOME.glob("*.json")} == set(DASHBOARDS)
    panels = json.loads(text(name))["panels"]
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len({p["title"] for p in panels}) == len(panels)


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_has_an_answer(prometheus: Prometheus, query: str) -> None:
    asked = query.replace("$topology", ".*").replace("$__rate_interval", "1m")
    assert "$" not in asked
    assert prometheus.query(asked) != []
