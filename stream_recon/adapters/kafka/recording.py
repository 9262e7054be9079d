"""Topics as lines of ``kcat -J`` (DESIGN 7, "Recordings"), from the first position that they hold to their present ends."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any, Final

import orjson
from confluent_kafka import Message

from stream_recon.adapters.kafka.client import Cluster, headers_of
from stream_recon.adapters.kafka.peek import Forward
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.errors import BrokerError

_AT_ONCE: Final = 10_000
"""Positions of a partition that are read in one go."""

Progress = Callable[[str, int, int], None]


def lines(cluster: Cluster, topics: Sequence[str], progress: Progress) -> Iterator[bytes]:
    """One line for each message that is committed, partition by partition in order, octets as they are.

    Raises:
        BrokerError: a topic is not there, or cannot be read.
    """
    admin = Topics(cluster)
    there = admin.describe(topics)
    for topic in topics:
        if topic not in there:
            raise BrokerError(f"{cluster.name} has no topic {topic}")
    places = [(topic, p) for topic in topics for p in range(there[topic].partitions)]
    total = sum(admin.ends(places, committed=True).values()) - sum(admin.begins(places).values())
    done = 0
    with closing(Forward(cluster, _AT_ONCE)) as reader:
        for topic in topics:
            for message in reader.new(topic):
                yield _line(message)
                done += 1
                if done % _AT_ONCE == 0:
                    progress("record", min(done, total), total)


def _line(message: Message) -> bytes:
    line: dict[str, Any] = {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "ts": message.timestamp()[1],
    }
    if headers := headers_of(message):
        line["headers"] = [{"key": name, **_octets("value", value)} for name, value in headers]
    line |= _octets("key", message.key()) | _octets("payload", message.value())
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _octets(name: str, octets: bytes | str | None) -> dict[str, str | None]:
    """As text, or what is no text in base64."""
    if octets is None or isinstance(octets, str):
        return {name: octets}
    try:
        return {name: octets.decode()}
    except UnicodeDecodeError:
        return {f"{name}_b64": base64.b64encode(octets).decode()}
