"""Rows written when they are due, in real time, and when each of them was."""

from __future__ import annotations

import time
from threading import Event, Thread
from typing import Final

import numpy as np

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.bench.data import Ints, Rows
from stream_recon.bench.payloads import Chunk, messages
from stream_recon.bench.produce import Form, Writer
from stream_recon.errors import BrokerError, ReconError
from stream_recon.limits import MICROS

NEVER: Final = int(np.iinfo(np.int64).max)
_LINGER_MS: Final = 5
_TICK_SECONDS: Final = 0.005
_NAP_SECONDS: Final = 0.5


class Paced(Thread):
    """One side. ``sent``: µs since the epoch at which each row was given to the client, ``NEVER``: not yet. ``octets``: of the
    values so far.
    """

    def __init__(self, cluster: Cluster, topic: str, rows: Rows, form: Form, partitions: int) -> None:
        super().__init__(name=f"writes {topic}", daemon=True)
        self.sent: Ints = np.full(len(rows), NEVER)
        self.octets = 0
        self._rows = rows
        self._form = form
        self._partitions = partitions
        self._writer = Writer(cluster, topic, {"linger.ms": _LINGER_MS})
        self._over = Event()
        self._failed: ReconError | None = None

    def run(self) -> None:
        """The thread."""
        try:
            done = 0
            for chunk in messages(self._rows, self._form.encoding, self._partitions, schema=self._form.schema):
                done = self._write(chunk, done)
            self._writer.close()
        except BrokerError as error:
            self._failed = error

    def _write(self, chunk: Chunk, start: int) -> int:
        due = self._rows.written[start : start + len(chunk.key)]
        done = 0
        while done < len(due) and not self._over.is_set():
            now = micros()
            until = int(np.searchsorted(due, now, "right"))
            if until > done:
                self.sent[start + done : start + until] = now
                part = chunk.part(done, until)
                self._writer.write(part)
                self.octets += sum(map(len, part.value))
                done = until
            else:
                time.sleep(min(max((int(due[done]) - now) / MICROS, _TICK_SECONDS), _NAP_SECONDS))
        return start + len(due)

    def check(self) -> None:
        """Raises what ended it too soon (``BrokerError``)."""
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """Writes no more, and returns when it has ended."""
        self._over.set()
        self.join()


def micros() -> int:
    """Now, µs since the epoch."""
    return time.time_ns() // 1000
