"""``/metrics`` for Prometheus, by prometheus-client: whatever families of samples it is given, asked for anew at each scrape.

Which metrics there are is decided elsewhere; a registry of its own keeps the client's metrics of this process out.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Final, Protocol, Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream_recon.errors import ConfigError

EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - a scraper comes from elsewhere; HOST:PORT narrows it
_PORTS: Final = range(65_536)


class Family(Protocol):
    """One metric: its name (a counter's ends with ``_total``), names of its labels, and samples by their values."""

    @property
    def name(self) -> str:
        """In full."""

    @property
    def kind(self) -> str:
        """``gauge`` or ``counter``."""

    @property
    def help(self) -> str:
        """For people."""

    @property
    def labels(self) -> Sequence[str]:
        """Their names."""

    @property
    def samples(self) -> Iterable[tuple[Sequence[str], float]]:
        """Values of the labels, and the number."""


class Endpoint:
    """A server of metrics, in threads of its own. ``port``: where, if 0 was asked for."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self.host, self.port = str(server.server_address[0]), int(server.server_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()


def serve(address: str, families: Callable[[], Iterable[Family]]) -> Endpoint:
    """Serves at ``[HOST:]PORT`` until it is closed. ``families`` is called from another thread, once a scrape.

    Raises:
        ConfigError: the address is none, or is not to be had.
    """
    host, port = _parsed(address)
    registry = CollectorRegistry()
    registry.register(_Collector(families))
    try:
        server, _ = start_http_server(port, host, registry)
    except socket.gaierror as error:
        raise ConfigError(f"--metrics {address}: there is no host {host} ({error.strerror}); write [HOST:]PORT") from error
    except OSError as error:
        raise ConfigError(
            f"--metrics {address}: port {port} cannot be had on {host} ({error.strerror}); another process may serve there: "
            "write another port, 0 for any that is free"
        ) from error
    return Endpoint(server)


class _Collector(Collector):
    def __init__(self, families: Callable[[], Iterable[Family]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families():
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
