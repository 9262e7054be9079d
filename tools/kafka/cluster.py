"""Three real brokers that hold everything three times: any one of them may be killed, stopped and started again.

    with Brokers() as brokers: ...      fresh data, free ports; brokers.nodes[1].kill(), brokers.nodes[1].start()

Each of them is broker and controller. They also listen at doors: addresses that only something in between serves (``proxy``).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tools.kafka.broker import READY_WITHIN_S, Broker, BrokerError, Member, new_cluster
from tools.kafka.network import HOST, choose_ports
from tools.kafka.settings import SPREAD
from tools.programs import Running

COUNT: Final = 3
_ASK_S: Final = 5.0
_PAUSE_S: Final = 0.2


class Brokers(Running):
    """``nodes`` are the brokers. ``doors``: the port at which a client is sent to each of them, and the one to pass it on to."""

    def __init__(self, settings: Mapping[str, str | int] | None = None) -> None:
        """Takes a directory and the ports. ``settings``: of the servers, over ``SPREAD``."""
        self._home = Path(tempfile.mkdtemp(prefix="brokers-"))
        ports = choose_ports(self._home / "ports", 4 * COUNT)
        by_node = {node: ports[4 * (node - 1) : 4 * node] for node in range(1, COUNT + 1)}
        voters = {node: controller for node, (_, controller, _, _) in by_node.items()}
        cluster = new_cluster()
        self.doors = {door: further for _, _, further, door in by_node.values()}
        self.nodes = [
            Broker(
                self._home / f"{node}",
                settings={**SPREAD, **(settings or {})},
                member=Member(node, mine[:3], voters, cluster, door=mine[3]),
            )
            for node, mine in by_node.items()
        ]

    @property
    def bootstrap(self) -> str:
        """Addresses of the plain listeners."""
        return ",".join(node.bootstrap for node in self.nodes)

    @property
    def by_doors(self) -> str:
        """Addresses of the doors: whoever begins here is sent to doors only."""
        return ",".join(f"{HOST}:{door}" for door in self.doors)

    def start(self) -> None:
        """Returns when all are in sync.

        Raises:
            BrokerError: they cannot be fetched, or do not start.
        """
        with ThreadPoolExecutor(COUNT) as pool:
            list(pool.map(Broker.launch, self.nodes))
        for node in self.nodes:
            node.await_answer()
        self.await_in_sync()

    def await_in_sync(self, within_s: float = READY_WITHIN_S) -> None:
        """Until each broker knows of all of them, and of all replicas of every partition that they are in sync.

        Raises:
            BrokerError: they are not within this time.
        """
        deadline = time.monotonic() + within_s
        for node in self.nodes:
            while wrong := _out_of_sync(node.bootstrap):
                if time.monotonic() > deadline:
                    raise BrokerError(f"The brokers are not in sync within {within_s:.0f} s: {wrong}. Look at their logs.")
                time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Ends all of them and gives the directory back: without a majority none could leave in order."""
        for node in self.nodes:
            node.kill()
            node.close()
        shutil.rmtree(self._home, ignore_errors=True)


def _out_of_sync(bootstrap: str) -> str:
    """What one broker knows to be missing; nothing: all is well. A client of its own asks no other broker."""
    try:
        found = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=_ASK_S)
    except KafkaException as error:
        return f"{bootstrap}: {error.args[0].str()}"
    if len(found.brokers) < COUNT:
        return f"{bootstrap} knows of brokers {sorted(found.brokers)}"
    behind = [
        f"{topic.topic}/{partition.id}"
        for topic in found.topics.values()
        for partition in topic.partitions.values()
        if partition.leader < 0 or set(partition.isrs) != set(partition.replicas)
    ]
    return f"{bootstrap} knows of replicas that are behind: {', '.join(behind[:3])}" if behind else ""
