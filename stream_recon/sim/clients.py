"""The parts of confluent-kafka's API that the adapters use, on the modelled broker: so the adapters run here as they are.

What a client does in threads of its own (sending, heartbeats) happens while its process runs, or is on its way when that dies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.sim.admin import SimAdmin
from stream_recon.sim.broker import Broker
from stream_recon.sim.consumers import SimConsumer
from stream_recon.sim.line import Line
from stream_recon.sim.producers import SimProducer, SimWriter
from stream_recon.sim.world import World


class SimCluster(Cluster):
    """A cluster whose clients talk to the modelled broker."""

    def __init__(self, world: World, broker: Broker) -> None:
        super().__init__((("bootstrap.servers", "model"),))
        self._line = Line(world, broker)

    def consumer(self, must: Mapping[str, Any], unless: Mapping[str, Any] | None = None) -> Any:
        """A consumer of the group that ``must`` names."""
        return SimConsumer(self._line, must["group.id"])

    def producer(self, must: Mapping[str, Any], unless: Mapping[str, Any] | None = None) -> Any:
        """A transactional producer, or an idempotent one."""
        id_ = must.get("transactional.id")
        return SimWriter(self._line) if id_ is None else SimProducer(self._line, id_)

    @property
    def admin(self) -> Any:
        """The admin client."""
        return SimAdmin(self._line)

    def now(self) -> float:
        """Virtual seconds."""
        return self._line.world.monotonic()

    def wait(self, seconds: float) -> None:
        """Virtual time passes."""
        self._line.world.sleep(seconds)

    def bounded(self, call: Callable[[], None], seconds: float) -> None:
        """No modelled call lasts for ever."""
        call()
