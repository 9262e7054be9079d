"""The line between a client and the modelled broker, and what travels on it: requests, messages, errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError, KafkaException, Message

from stream_recon.ports import Place
from stream_recon.sim.broker import Broker
from stream_recon.sim.world import World


def fault(code: int, text: str, *, fatal: bool = False, abort: bool = False) -> KafkaException:
    """An error as the client raises it."""
    return KafkaException(KafkaError(code, text, fatal, not fatal, abort))


def message(
    place: Place,
    offset: int = -1001,
    key: bytes | None = None,
    value: bytes | None = None,
    time: int = 0,
    error: KafkaError | None = None,
    kind: int = TIMESTAMP_CREATE_TIME,
) -> Message:
    """What a client gets of a record, or instead of one."""
    more: Any = {} if error is None else {"error": error}
    return Message(topic=place[0], partition=place[1], offset=offset, key=key, value=value, timestamp=(kind, time), **more)


@dataclass(frozen=True, slots=True)
class Membership:
    """What a transaction carries of its group."""

    group: str
    member: str
    generation: int


class Line:
    """How a client reaches the broker."""

    def __init__(self, world: World, broker: Broker) -> None:
        self.world = world
        self.broker = broker

    def request(self, what: str, timeout: float = 20.0) -> None:
        """Before a request: the broker may be away."""
        self.world.gate(what)
        waited = 0.0
        while self.broker.away_until > self.world.now:
            if waited >= timeout:
                raise fault(KafkaError._TIMED_OUT, "timed out")
            self.world.sleep(0.5)
            waited += 0.5
