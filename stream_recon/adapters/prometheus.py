"""``/metrics`` for Prometheus, by prometheus-client: whatever families of samples it is given, asked for anew at each scrape.
Beside it what orchestrators ask: whether all is well.

Which metrics there are is decided elsewhere; a registry of its own keeps the client's metrics of this process out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from math import inf
from typing import Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from stream_recon.adapters.answering import Answering, Reply
from stream_recon.errors import ConfigError

EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - a scraper comes from elsewhere; HOST:PORT narrows it
_PORTS: Final = range(65_536)
_TEXT: Final = "text/plain; charset=utf-8"

Check = Callable[[], str | None]
"""Why something is not well; None: it is."""


class Family(Protocol):
    """One metric: its name (a counter's ends with ``_total``), names of its labels, and samples by their values."""

    @property
    def name(self) -> str:
        """In full."""

    @property
    def kind(self) -> str:
        """``gauge``, ``counter`` or ``histogram``."""

    @property
    def help(self) -> str:
        """For people."""

    @property
    def labels(self) -> Sequence[str]:
        """Their names."""

    @property
    def samples(self) -> Iterable[tuple[Sequence[str], float]]:
        """Values of the labels, and the number."""

    @property
    def buckets(self) -> Iterable[tuple[Sequence[str], Sequence[tuple[float, int]], float]]:
        """Of a histogram: values of the labels, how many were at most each bound, and their sum."""


def serve(address: str, families: Callable[[], Iterable[Family]], checks: Mapping[str, Check]) -> Answering:
    """Serves at ``[HOST:]PORT`` until it is closed. ``families`` and ``checks``, by path, are called from other threads.

    Raises:
        ConfigError: the address is none, or is not to be had.
    """
    host, port = _parsed(address)
    registry = CollectorRegistry()
    registry.register(_Collector(families))

    def handle(method: str, path: str, _: bytes) -> Reply | None:
        if method != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"expected GET\n"
        path = path.partition("?")[0]
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)
        if path not in checks:
            return None
        why = checks[path]()
        return (HTTPStatus.OK, _TEXT, b"ok\n") if why is None else (HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, f"{why}\n".encode())

    return Answering("--metrics", f"{host}:{port}", handle)


class _Collector(Collector):
    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families():
            if family.kind == "histogram":
                durations = HistogramMetricFamily(family.name, family.help, labels=family.labels)
                for values, counts, total in family.buckets:
                    durations.add_metric(
                        values, [("+Inf" if bound == inf else str(bound), count) for bound, count in counts], total
                    )
                yield durations
                continue
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = kind(family.name, family.help, labels=family.labels)
            for values, number in family.samples:
                metric.add_metric(values, number)
            yield metric


def _parsed(address: str) -> tuple[str, int]:
    """``9464``, ``:9464``, ``host:9464``, ``[::1]:9464``."""
    host, _, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        port = ""
    if not (port.isascii() and port.isdecimal() and int(port) in _PORTS):
        raise ConfigError(f"--metrics {address}: expected [HOST:]PORT, such as 9464 or 127.0.0.1:9464")
    return host or EVERYWHERE, int(port)
