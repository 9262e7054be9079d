"""When checkpoints of the states are made, and that they hold nothing up: a snapshot between two steps, sent by a thread.

One at a time, the digest partition first that has waited longest. One that fails is told and counted, and tried again when the
digest partition's turn comes round: what is lost without it is time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from stream_recon.errors import CheckpointFailed, StateError, StorageFull
from stream_recon.ports import Kept, States, Store

logger = logging.getLogger("stream_recon.checkpoints")

CLOSE_SECONDS = 5.0
"""One that is on its way when the worker ends has so long."""


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """What a worker says of it. ``newest``: by digest partition, the time (µs) at which all of the state was in a checkpoint.
    The others since it began; ``sent`` in octets.
    """

    newest: Mapping[int, int] = field(default_factory=dict)
    made: int = 0
    failed: int = 0
    sent: int = 0


@dataclass(slots=True)
class _Turn:
    """A digest partition that is held here. ``at``: when a checkpoint is due."""

    at: float
    newest: Kept | None = None


@dataclass(frozen=True, slots=True)
class _Sending:
    """A checkpoint on its way."""

    home: int
    kept: Kept
    sent: Future[int]


class Checkpointer:
    """Checkpoints of the digest partitions of one worker. ``every``: seconds between two of one digest partition, by ``clock``.
    ``now``: the time in µs. To be called from one thread.
    """

    def __init__(self, states: States, every: float, clock: Callable[[], float], now: Callable[[], int]) -> None:
        self._states = states
        self._every = every
        self._clock = clock
        self._now = now
        self._turns: dict[int, _Turn] = {}
        self._sending: _Sending | None = None
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._made, self._failed, self._sent = 0, 0, 0

    def restore(self, home: int, low: int, high: int) -> Store | None:
        """The state from a checkpoint at ``low`` to ``high``; None: there is none, and the open state stays.

        Raises:
            StateError: the state cannot be used any more.
        """
        if low > high:
            return None
        try:
            restored = self._states.restore(home, low, high)
        except CheckpointFailed as error:
            logger.warning("%s", error)
            return None
        if restored is None:
            return None
        store, kept = restored
        self._turns[home] = _Turn(self._clock() + self._every, kept)
        logger.info("digest partition %s: restored from the checkpoint at %s", home, kept.position)
        return store

    def hold(self, home: int) -> None:
        """The digest partition is folded here from now on."""
        self._turns.setdefault(home, _Turn(self._clock() + self._every))

    def release(self, home: int) -> None:
        """It is not. What is on its way may arrive."""
        self._turns.pop(home, None)

    def due(self) -> int | None:
        """The digest partition whose turn it is."""
        self._settle()
        if self._sending is not None or not self._turns:
            return None
        home = min(self._turns, key=lambda h: self._turns[h].at)
        return home if self._turns[home].at <= self._clock() else None

    def later(self, home: int) -> None:
        """Not this time."""
        if home in self._turns:
            self._turns[home].at = self._clock() + self._every

    def take(self, home: int, position: int) -> None:
        """Its state, which is that at ``position``, becomes a checkpoint."""
        self.later(home)
        turn = self._turns[home]
        kept = Kept(position, self._now())
        if turn.newest is not None and turn.newest.position == position:  # it holds all that there is
            turn.newest = kept
            return
        try:
            snapshot = self._states.snapshot(home)
        except (StateError, StorageFull) as error:  # one that matters meets the next commit, too
            self._fail(error)
            return
        self._sending = _Sending(home, kept, self._thread.submit(self._states.save, home, snapshot, position, kept.created))

    def _settle(self) -> None:
        """Counts what arrived meanwhile."""
        sending = self._sending
        if sending is None or not sending.sent.done():
            return
        self._sending = None
        try:
            self._sent += sending.sent.result()
        except CheckpointFailed as error:
            self._fail(error)
            return
        self._made += 1
        turn = self._turns.get(sending.home)
        if turn is not None and (turn.newest is None or turn.newest.position < sending.kept.position):  # it may have moved since
            turn.newest = sending.kept

    def _fail(self, error: Exception) -> None:
        self._failed += 1
        logger.warning("%s", error)

    def report(self) -> Checkpointed:
        """How it stands."""
        self._settle()
        newest = {home: turn.newest.created for home, turn in self._turns.items() if turn.newest is not None}
        return Checkpointed(newest, self._made, self._failed, self._sent)

    def close(self) -> None:
        """Waits a little for what is on its way."""
        if self._sending is not None:
            wait([self._sending.sent], CLOSE_SECONDS)
        self._settle()
        self._thread.shutdown(wait=False)
