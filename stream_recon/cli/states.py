"""The states of digest partitions in the state directory, and how their checkpoints come and go.

STATE/digests-N                   the database; digests-N.M beside one that a former owner still holds
STATE/digests-N.checkpoint-XXXX   a snapshot on its way to the location
STATE/digests-N.restored          a checkpoint on its way back
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.adapters.rocks import RocksStore
from stream_recon.errors import StateError, StateHeld
from stream_recon.limits import STATE_RESERVE_BYTES
from stream_recon.model.memory import USUAL, Memory
from stream_recon.ports import Kept

_SPARES: Final = ("", *(f".{n}" for n in range(1, 8)))


class RocksStates:
    """States under one directory; several workers of a machine share it. ``checkpoints`` None: there are none."""

    def __init__(self, place: Path, checkpoints: Checkpoints | None, memory: Memory = USUAL) -> None:
        self._place = place
        self._memory = memory
        self._checkpoints = checkpoints
        self._open: dict[int, RocksStore] = {}

    def open(self, home: int) -> RocksStore:
        """The state of a digest partition; where a former owner on this machine still holds it another one, made from the log.

        Raises:
            StateError: the directory cannot be used.
        """
        *places, last = (self._place / f"digests-{home}{spare}" for spare in _SPARES)
        with self._alone(home):
            for place in places:
                with suppress(StateHeld):
                    return self._opened(home, place)
            return self._opened(home, last)

    def _opened(self, home: int, place: Path) -> RocksStore:
        store = RocksStore(
            place, cache_bytes=self._memory.cache, buffer_bytes=self._memory.writes, reserve_bytes=STATE_RESERVE_BYTES
        )
        for left in ("former", "restored"):
            shutil.rmtree(_beside(place, left), ignore_errors=True)
        self._open[home] = store
        return store

    @contextmanager
    def _alone(self, home: int) -> Iterator[None]:
        """No other worker opens this state meanwhile: a database that is closed to be replaced holds no lock."""
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            with (self._place / f"digests-{home}.lock").open("w", encoding="ascii") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StateError(
                f"state: cannot use {self._place}: {error.strerror}; give a directory that can be written"
            ) from error

    # ---- checkpoints ---------------------------------------------------------------------------------------------------

    def snapshot(self, home: int) -> Path:
        """A copy of an open state: its files by other names, so quick and hardly larger.

        Raises:
            StateError, StorageFull: that failed.
        """
        store = self._open[home]
        name = f"{store.path.name}.checkpoint-"
        for left in store.path.parent.glob(f"{name}*"):  # by a worker that was killed
            shutil.rmtree(left, ignore_errors=True)
        try:
            place = Path(tempfile.mkdtemp(prefix=name, dir=store.path.parent)) / "state"
        except OSError as error:
            raise StateError(f"state: no checkpoint of {store.path}: {error.strerror}") from error
        store.snapshot(place)
        return place

    def save(self, home: int, snapshot: Path, position: int, created: int) -> int:
        """Makes a snapshot a checkpoint and removes it; returns the octets sent.

        Raises:
            CheckpointFailed: it is none.
        """
        assert self._checkpoints is not None
        try:
            return self._checkpoints.save(home, snapshot, position, created)
        finally:
            shutil.rmtree(snapshot.parent, ignore_errors=True)

    def restore(self, home: int, low: int, high: int) -> tuple[RocksStore, Kept] | None:
        """Puts the newest checkpoint from ``low`` to ``high`` that can be used in the place of an open state.

        Raises:
            CheckpointFailed: the checkpoints cannot be read.
            StateError: the state cannot be used any more.
        """
        assert self._checkpoints is not None
        store = self._open[home]
        restored = _beside(store.path, "restored")
        kept = self._checkpoints.restore(home, restored, low, high)
        if kept is None:
            return None
        with self._alone(home):
            store.close()
            store.path.rename(_beside(store.path, "former"))  # cut off here, the next worker finds no state, and restores again
            restored.rename(store.path)
            return self._opened(home, store.path), kept


def _beside(place: Path, what: str) -> Path:
    return place.with_name(f"{place.name}.{what}")
