"""Reads what a deployment puts out, committed only, all the time; and all of it once more at the end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from confluent_kafka import Consumer, IsolationLevel, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tools.soak.table import WINDOW_US

Place = tuple[str, int]
_WITHIN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """One message at its place."""

    topic: str
    partition: int
    offset: int
    value: bytes

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.value)
        return body


class Reader:
    """``seen``: what came, each partition in order. ``closed_us``: by chain, up to where its windows are closed."""

    def __init__(self, bootstrap: str, topics: Sequence[str]) -> None:
        self.seen: list[Said] = []
        self.closed_us: dict[str, int] = {}
        self._bootstrap, self._topics = bootstrap, topics
        self._until: dict[Place, int] = {}
        self._reached: dict[Place, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="reader", daemon=True)

    def start(self) -> None:
        """The topics are there."""
        self._thread.start()

    def lag_s(self, chains: int) -> float | None:
        """How far the end of what is closed everywhere is behind now; None: not every chain has closed something."""
        closed = list(self.closed_us.values())
        return time.time() - min(closed) / 1e6 if len(closed) == chains else None

    def finish(self) -> list[Said]:
        """All that was seen, once it has come to the ends that there are now."""
        self._until = ends(self._bootstrap, self._topics, committed=True)
        self._over.set()
        self._thread.join(_WITHIN_S)
        assert all(self._reached.get(place, 0) >= end for place, end in self._until.items()), (
            f"what is committed was read to {self._reached}, and ends at {self._until}"
        )
        return _sorted(self.seen)

    def _follow(self) -> None:
        reader = _consumer(self._bootstrap, self._topics)
        while not self._over.is_set() or any(self._reached.get(place, 0) < end for place, end in self._until.items()):
            for one in _taken(reader, self._reached):
                self.seen.append(one)
                if one.topic.endswith(".audit") and (body := one.body)["type"] == "window":
                    end = (body["number"] + body["windows"]) * WINDOW_US
                    self.closed_us[body["chain"]] = max(end, self.closed_us.get(body["chain"], 0))
        reader.close()


def read(bootstrap: str, topics: Sequence[str]) -> list[Said]:
    """All that is committed in these topics now, by another reader."""
    wanted = ends(bootstrap, topics, committed=True)
    reached: dict[Place, int] = {}
    reader, found = _consumer(bootstrap, topics), []
    deadline = time.monotonic() + _WITHIN_S
    while any(reached.get(place, 0) < end for place, end in wanted.items()):
        assert time.monotonic() < deadline, f"could not be read to {wanted}"
        found += _taken(reader, reached)
    reader.close()
    return _sorted(found)


def ends(bootstrap: str, topics: Sequence[str], *, committed: bool) -> dict[Place, int]:
    """End of each partition: the last one, or the one that readers of what is committed may reach."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    asked = {TopicPartition(*place): OffsetSpec.latest() for place in _places(admin, topics)}
    found = admin.list_offsets(asked, isolation_level=level)
    return {(place.topic, place.partition): future.result(_WITHIN_S).offset for place, future in found.items()}


def _places(admin: AdminClient | Consumer, topics: Sequence[str]) -> list[Place]:
    known = admin.list_topics(timeout=_WITHIN_S).topics
    return [(topic, partition) for topic in topics for partition in sorted(known[topic].partitions)]


def _consumer(bootstrap: str, topics: Sequence[str]) -> Consumer:
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid4().hex}",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    reader.assign([TopicPartition(*place, 0) for place in _places(reader, topics)])
    return reader


def _taken(reader: Consumer, reached: dict[Place, int]) -> list[Said]:
    """What came within a moment. What a broker that is away says is no message; anything else is not expected."""
    found = []
    for message in reader.consume(1000, 0.2):
        place, offset, error = (message.topic() or "", message.partition() or 0), message.offset() or 0, message.error()
        if error is None:
            reached[place] = offset + 1
            found.append(Said(*place, offset, message.value() or b""))
        elif error.code() == KafkaError._PARTITION_EOF:
            reached[place] = offset
        else:
            assert error.code() in {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}, error
    return found


def _sorted(found: Sequence[Said]) -> list[Said]:
    return sorted(found, key=lambda o: (o.topic, o.partition, o.offset))
