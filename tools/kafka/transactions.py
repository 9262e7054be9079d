"""Which transactions are open, as brokers know them: of those, too, that wrote nothing yet.

ListTransactions, version 0, which librdkafka has not.
"""

from __future__ import annotations

import io
import socket
import struct
from collections.abc import Iterator
from typing import Final

from confluent_kafka.admin import AdminClient

_WITHIN_S: Final = 30.0
_LIST_TRANSACTIONS: Final = 66
_NOT_OVER: Final = ("Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence")


def transactions_open(bootstrap: str, prefix: str) -> list[str]:
    """Ids that begin so and whose transactions are not over.

    Raises:
        OSError: a broker is not there, or not ready.
        KafkaException: none is.
    """
    brokers = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=_WITHIN_S).brokers.values()
    return [name for broker in brokers for name in _transactions(str(broker.host), int(broker.port)) if name.startswith(prefix)]


def _transactions(host: str, port: int) -> Iterator[str]:
    states = b"".join(bytes([len(state) + 1]) + state.encode() for state in _NOT_OVER)
    request = struct.pack(">hhih", _LIST_TRANSACTIONS, 0, 1, -1) + b"\0" + bytes([len(_NOT_OVER) + 1]) + states + b"\1\0"
    with socket.create_connection((host, port), timeout=_WITHIN_S) as connection, connection.makefile("rb") as stream:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = io.BytesIO(stream.read(int.from_bytes(stream.read(4))))
    answer.read(4 + 1 + 4)  # correlation, tags, throttle time
    if answer.read(2) != b"\0\0":  # it is about to go, or still loads them
        raise OSError(f"{host}:{port} does not list transactions")
    assert _length(answer) == 0, "a state that it does not know"
    for _ in range(_length(answer)):
        yield answer.read(_length(answer)).decode()
        answer.read(8)  # producer id
        answer.read(_length(answer))  # state
        assert answer.read(1) == b"\0"


def _length(stream: io.BytesIO) -> int:
    """Of a compact array or text: seven bits a byte, the lowest first, of one more than it is."""
    value, shift = 0, 0
    while (byte := stream.read(1)[0]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value | byte << shift) - 1
