"""Puts a table's rows into its topics when their time has come, whatever the brokers do."""

from __future__ import annotations

import json
import threading
import time
from typing import Final

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tools.soak.table import PARTITIONS, Row, Table

_PACE_S: Final = 0.05
_FLUSH_S: Final = 60.0
_WITHIN_S: Final = 30.0


def now_us() -> int:
    """µs since the epoch."""
    return time.time_ns() // 1000


class Writer:
    """``late_s``: by how much a message came at most after its time. Of a failure ``failed`` holds the words."""

    def __init__(self, bootstrap: str, prefix: str, table: Table) -> None:
        """Makes the topics."""
        self.topics = {side: f"{prefix}{side}" for side in PARTITIONS}
        self.late_s = 0.0
        self.failed: str | None = None
        self._table = table
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "log_level": 0, "linger.ms": 5, "enable.idempotence": True, "acks": "all"}
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        new = [NewTopic(self.topics[side], count) for side, count in PARTITIONS.items()]
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        for made in admin.create_topics(new).values():
            made.result(_WITHIN_S)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Returns when the last row is with the brokers."""
        self._over.set()
        self._thread.join()
        last = self._table.end(now_us())
        while (now := now_us()) <= last:
            self._put(now)
            time.sleep(_PACE_S)
        self._put(last)
        left = self._producer.flush(_FLUSH_S)
        if left:
            self.failed = self.failed or f"{left} messages were not taken within {_FLUSH_S:.0f} s"

    def _write(self) -> None:
        while not self._over.wait(_PACE_S):
            self._put(now_us())

    def _put(self, now: int) -> None:
        for row in self._table.until(now):
            self._send(row)
        self._producer.poll(0)

    def _send(self, row: Row) -> None:
        def told(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                self.failed = self.failed or f"{row} was not taken: {error.str()}"
            self.late_s = max(self.late_s, (now_us() - row.time) / 1e6)

        key = json.dumps({"id": row.key}).encode()
        for value in row.messages():
            self._producer.produce(self.topics[row.side], value, key, row.partition, on_delivery=told, timestamp=row.time // 1000)
