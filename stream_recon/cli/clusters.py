"""Which Kafka clusters a command talks to: one ``Cluster`` for equal settings, ``KAFKA_BOOTSTRAP`` where none is named."""

from __future__ import annotations

import os
from functools import cache
from typing import Final

from stream_recon.adapters.kafka.client import Cluster, Settings

BOOTSTRAP: Final = "KAFKA_BOOTSTRAP"
REACH_SECONDS: Final = 15.0
"""How long a command tries to reach a cluster before it gives up."""


def complete(settings: Settings) -> Settings:
    """Settings with the cluster of the environment where they name none."""
    named = dict(settings)
    if "bootstrap.servers" not in named and os.environ.get(BOOTSTRAP):
        named["bootstrap.servers"] = os.environ[BOOTSTRAP]
    return tuple(sorted(named.items()))


def cluster_of(settings: Settings) -> Cluster:
    """The cluster of a plan's or a side's settings.

    Raises:
        ConfigError: none is named.
    """
    return _cluster(complete(settings))


@cache
def _cluster(settings: Settings) -> Cluster:
    return Cluster(settings)
