"""Ports for the broker, and whether it is our broker that answers there."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import struct
from itertools import islice
from pathlib import Path

HOST = "127.0.0.1"


def choose_ports(remembered: Path, count: int = 3) -> list[int]:
    """Free ports, those of the last time if they still are.

    From below the range that systems give to outgoing connections: a client that dials a killed broker over and over would at
    some point be given the very port it dials, and the broker could not return to it.
    """
    with contextlib.suppress(FileNotFoundError, ValueError):
        ports: list[int] = json.loads(remembered.read_text(encoding="ascii"))
        if len(ports) == count and all(map(_is_free, ports)):
            return ports
    ports = list(islice(filter(_is_free, random.sample(range(20_000, 32_000), 12_000)), count))
    remembered.write_text(json.dumps(ports), encoding="ascii")
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the broker does: old connections do not matter
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(port: int, cluster: str) -> bool:
    """Whether the broker of this cluster serves on the port: DescribeCluster names the cluster and counts brokers that serve."""
    request = struct.pack(">hhih", 60, 0, 1, -1) + b"\0" + b"\0\0"  # api, version, correlation, no client id; tags; body
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection, connection.makefile("rb") as stream:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = stream.read(int.from_bytes(stream.read(4)))
    except OSError:
        return False
    _, _, rest = answer.partition(cluster.encode())  # controller id: 4 bytes; brokers: their number + 1, ...
    return len(rest) > 4 and rest[4] > 1
