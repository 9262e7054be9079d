"""The floor: a process of its own reads both topics with confluent-kafka, in batches, and hashes every value. Nothing else.

No program that looks at every message in Python can be cheaper than this; how near it comes is its percentage.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Final

from confluent_kafka import KafkaException, TopicPartition

from stream_recon.adapters.kafka.client import Cluster, Settings
from stream_recon.bench.meter import Reading, read
from stream_recon.errors import BrokerError
from stream_recon.ports import Place

BATCH: Final = 10_000
_WAIT_SECONDS: Final = 1.0
_PATIENCE: Final = 60
"""Empty polls in a row after which the broker is given up."""

_SETTINGS: Final = {
    "group.id": "stream-recon.bench",  # never joined: librdkafka wants one
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
}


def work(settings: Settings, ends: Mapping[Place, int], pipe: Connection) -> None:
    """The process: sends ``(first, last)`` readings, or the text of what failed."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches it too: it ends without a word
    try:
        pipe.send(measured(Cluster(settings), ends))
    except (BrokerError, KafkaException) as error:
        pipe.send(str(error))


def measured(cluster: Cluster, ends: Mapping[Place, int]) -> tuple[Reading, Reading]:
    """Readings before the first message was taken and after the last.

    Raises:
        BrokerError: messages do not come.
    """
    consumer = cluster.consumer(_SETTINGS)
    consumer.assign([TopicPartition(*place, 0) for place in ends])
    left, patience, first = sum(ends.values()), _PATIENCE, read()
    wanted = left
    while left:
        before = read() if left == wanted else None
        batch = consumer.consume(min(BATCH, left), _WAIT_SECONDS)
        if not batch:
            patience -= 1
            if not patience:
                raise BrokerError(f"the roofline: {left} messages did not come in {_PATIENCE * _WAIT_SECONDS:.0f} s")
            continue
        first, patience = before or first, _PATIENCE
        for message in batch:  # an error that passes would be hashed as a message: no floor is lower for not looking
            hashlib.sha256(message.value() or b"").digest()
        left -= len(batch)
    last = read()
    consumer.close()
    return first, last
