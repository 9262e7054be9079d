"""Messages on their way to the log, and how far each partition is once all before it is safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stream_recon.ports import Writer
from stream_recon.service.positions import Kept
from stream_recon.service.spots import Spot

Reached = tuple[Spot, str, Kept]
"""A partition, a view, and how far that is."""


@dataclass(slots=True)
class _Sent:
    """Messages that belong together: ``reached`` holds once none of them is ``left``."""

    left: int
    bytes: int
    reached: Sequence[Reached]


class Sending:
    """Sends, and says what became safe, in the order in which it was sent."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._sent: deque[_Sent] = deque()

    @property
    def pending_bytes(self) -> int:
        """What is not yet acknowledged, and what waits behind it."""
        return sum(s.bytes for s in self._sent)

    def send(self, messages: Iterable[tuple[str, int | None, bytes]], reached: Sequence[Reached] = ()) -> None:
        """Hands over messages (topic, partition or None for any, value) after which partitions stand where ``reached`` says."""
        sent = _Sent(0, 0, reached)
        self._sent.append(sent)

        def done() -> None:
            sent.left -= 1

        for topic, partition, value in messages:
            sent.left += 1
            sent.bytes += len(value)
            self._writer.send(topic, partition, None, value, done)

    def settled(self) -> Iterator[Reached]:
        """What became safe since it was last asked."""
        while self._sent and not self._sent[0].left:
            yield from self._sent.popleft().reached
