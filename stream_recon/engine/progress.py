"""What normalise remembers of an upstream partition, what it sets aside, and where it says what is said once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import orjson

from stream_recon.model.digest import Counts
from stream_recon.model.messages import DeadLetter, Upstream
from stream_recon.normalise.clock import NEVER, ClockState


@dataclass(frozen=True, slots=True)
class Progress:
    """All that normalise remembers of one upstream partition: next position, time, counts since the start position.

    ``filled``: the end of a compacted topic when it was opened; what stands before it fills its side (DESIGN 3.1). Else 0.
    """

    position: int
    clock: ClockState = field(default_factory=ClockState)
    counts: Counts = field(default_factory=Counts)
    filled: int = 0

    def dump(self) -> bytes:
        """For the metadata of a committed position, which Kafka bounds: a short list. Times that are not there are null; the
        floor, which few have, stands behind the others.
        """
        clock, counts = self.clock, self.counts
        times = [known(t) for t in (clock.raw, clock.lift, clock.loaded, clock.latest)]
        times += [clock.floor] if clock.floor != NEVER else []
        gone = None if clock.gone is None else clock.gone.hex()
        return orjson.dumps([self.position, clock.leading, gone, times, astuple(counts), self.filled])

    @staticmethod
    def load(metadata: bytes) -> Progress:
        """Inverse of ``dump``."""
        return Progress.of(orjson.loads(metadata))

    @staticmethod
    def of(values: Sequence[Any]) -> Progress:
        """From what ``dump`` wrote, as JSON values."""
        position, leading, gone, times, counts, filled = values
        raw, lift, loaded, latest, *floor = (NEVER if t is None else t for t in times)
        state = ClockState(raw, lift, leading, loaded, latest, None if gone is None else bytes.fromhex(gone), *floor)
        return Progress(position, state, Counts(*counts), filled)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A dead letter with its coordinates, for the dead-letter topic. ``masked``: its payload, if that is allowed."""

    upstream: Upstream
    offset: int
    timestamp: int
    letter: DeadLetter
    masked: Any = None


def home_partition(upstream: Upstream, parallelism: int) -> int:
    """The digest partition that carries the control counts of an upstream partition."""
    text = f"{upstream.side}\0{upstream.topic}\0{upstream.topic_id}\0{upstream.partition}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % parallelism


def known(time: int) -> int | None:
    """A time (µs) as it is written down: None if there is none."""
    return None if time == NEVER else time
