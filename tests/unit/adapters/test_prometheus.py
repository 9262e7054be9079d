"""``/metrics``: scraped over HTTP, read by Prometheus's own parser and linter, refused with a reason if it cannot be served."""

from __future__ import annotations

import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream_recon.adapters.prometheus import serve
from stream_recon.errors import ConfigError
from stream_recon.service.metrics import families
from tests.unit.service.test_metrics import PICTURE
from tools.prometheus import program


@dataclass(frozen=True)
class Given:
    name: str
    kind: str
    help: str
    labels: Sequence[str]
    samples: Sequence[tuple[Sequence[str], float]] = ()
    buckets: Sequence[tuple[Sequence[str], Sequence[tuple[float, int]], float]] = ()


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        text: str = answer.read().decode()
        return text


def ask(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_each_scrape_asks_anew_and_gives_what_is_given_and_nothing_else() -> None:
    asked = []

    def given() -> list[Given]:
        asked.append(1)
        name = 'a "b"\\\n'
        return [
            Given("x_rows_total", "counter", "Rows.", ("topology", "side"), [((name, "pg"), 3.0), ((name, "maria"), 0.5)]),
            Given("x_lag_seconds", "gauge", "Lag.", (), [((), -2.0)]),
            Given("x_unknown", "gauge", "Nobody knows.", ("side",), []),
        ]

    with closing(serve("127.0.0.1:0", given, {})) as endpoint:
        scrape(endpoint.port)
        found = {f.name: f for f in text_string_to_metric_families(scrape(endpoint.port))}
    assert len(asked) == 2
    assert set(found) == {"x_rows", "x_lag_seconds", "x_unknown"}
    assert (found["x_rows"].type, found["x_lag_seconds"].type) == ("counter", "gauge")
    assert [(s.name, s.labels["topology"], s.labels["side"], s.value) for s in found["x_rows"].samples] == [
        ("x_rows_total", 'a "b"\\\n', "pg", 3.0),
        ("x_rows_total", 'a "b"\\\n', "maria", 0.5),
    ]
    assert found["x_lag_seconds"].samples[0].value == -2.0
    assert found["x_unknown"].samples == []


def test_the_metrics_of_the_service_are_as_prometheus_wants_them() -> None:
    with closing(serve("127.0.0.1:0", lambda: families(PICTURE, "1.2.3"), {})) as endpoint:
        text = scrape(endpoint.port)
    names = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert names == {
        f"{family.name}{end}"
        for family in families(PICTURE, "1.2.3")
        for end in (("_bucket", "_count", "_sum") if family.kind == "histogram" else ("",))
        if family.samples or family.buckets
    }
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_port_in_use_is_refused_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=rf"--metrics {address}: .* in use.*a free port"):
            serve(address, list, {})


def test_a_closed_endpoint_gives_its_port_back() -> None:
    with closing(serve("127.0.0.1:0", list, {})) as endpoint:
        port = endpoint.port
    serve(f"127.0.0.1:{port}", list, {}).close()


def test_checks_are_answered_by_path() -> None:
    why: list[str] = []
    checks = {"/healthz": lambda: None, "/readyz": lambda: ", ".join(why) or None}
    with closing(serve("127.0.0.1:0", list, checks)) as endpoint:
        assert [ask(endpoint.port, path) for path in ("/healthz", "/readyz?verbose", "/other")] == [200, 200, 404]
        why.append("no word yet of normalise-0")
        assert [ask(endpoint.port, path) for path in ("/healthz", "/readyz")] == [200, 503]


@pytest.mark.parametrize(
    "address", ["", ":", "localhost", "localhost:", "localhost:http", "1:2:3", "127.0.0.1:65536", "::1:80", "²"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"expected \[HOST:\]PORT"):
        serve(address, list, {})


@pytest.mark.parametrize("address", ["0", ":0", "localhost:0", "[::1]:0"])
def test_where_it_serves(address: str) -> None:
    with closing(serve(address, list, {})) as endpoint:
        host = "localhost" if address[0] in ":0" else address.rpartition(":")[0]
        with urllib.request.urlopen(f"http://{host}:{endpoint.port}/metrics", timeout=10) as answer:
            assert answer.status == 200


def test_a_host_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.invalid:0: cannot be had"):
        serve("nowhere.invalid:0", list, {})
