"""Starts and stops of a deployment, told to its audit by a record in the digest log: so they stand in its chains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.writer import KafkaWriter
from stream_recon.cli.who import who
from stream_recon.engine.progress import home_partition
from stream_recon.errors import Unreachable
from stream_recon.model.digest import Act, encode
from stream_recon.model.messages import Upstream
from stream_recon.service.job import Opened

WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1


def say(cluster: Cluster, digests: str, act: str, stages: Sequence[str], opened: Sequence[Opened]) -> None:
    """Writes that these stages were ``started`` or ``stopped``, for each topology into one digest partition.

    Raises:
        BrokerError: it is not allowed, or there was no answer in ``WAIT_SECONDS``.
    """
    by, left = who(cluster.settings), len(opened)

    def done() -> None:
        nonlocal left
        left -= 1

    writer = KafkaWriter(cluster)
    try:
        for share in opened:
            record = Act(share.layout.plan.name, act, tuple(stages), by, share.generation)
            home = home_partition(Upstream(share.layout.plan.source.name, "", 0), share.parallelism)
            writer.send(digests, home, None, encode(record), done)
        deadline = time.monotonic() + WAIT_SECONDS
        while left:
            writer.poll(_POLL_SECONDS)
            if time.monotonic() > deadline:
                raise Unreachable(f"{cluster.name} has not answered for {WAIT_SECONDS:g} s")
    finally:
        writer.close()
