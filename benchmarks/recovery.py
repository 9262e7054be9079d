"""How long reconcile needs after ``kill -9`` until it folds new entries again, with the state of many keys: on the same disk, and
on a new one from a checkpoint.

    python benchmarks/recovery.py --keys 10000000

A child process folds a digest log that touches every key on both sides, with its state in RocksDB as the service keeps it, and
kills itself behind the last entry. Measured in wall seconds is what the next process does: it opens the state and folds what was
lost again, from the position that survived to the end of the log. The log is a file; making it is not measured.

The checkpoint was made ``--behind`` seconds of event time before the end (300, the default of ``checkpoints.every``), at 20,000
rows a second on each side: that much is folded again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from reconcile import Side, opened

from stream_recon.adapters.checkpoints import Checkpoints
from stream_recon.adapters.rocks import RocksStore
from stream_recon.engine.reconciler import Reconciler
from stream_recon.limits import MICROS
from stream_recon.model.digest import encode
from stream_recon.model.memory import USUAL
from stream_recon.ports import Entry

BLOCK = 4_000
RATE = 20_000
_LENGTH = struct.Struct("<I")


class _Side(Side):
    def __init__(self, name: str, keys: int) -> None:
        self.name, self.offset = name, 0
        self.ids = np.frombuffer(np.random.default_rng(7).bytes(16 * keys), "V16")


def make(log: Path, keys: int) -> None:
    """Every key once on both sides, 20,000 a second of event time."""
    sides = _Side("source", keys), _Side("target", keys)
    begin = 1_750_000_000 * MICROS
    with log.open("wb") as out:
        for first in range(0, keys, BLOCK):
            key = np.arange(first, min(first + BLOCK, keys))
            when = begin + key * MICROS // RATE
            for side in sides:
                message = side.block(key, key, when)
                out.write(_LENGTH.pack(len(message)) + message)


def entries(log: Path, position: int) -> Iterator[Entry]:
    """Entries of the log; that at 0 opens the share. Those before ``position`` are passed over."""
    if not position:
        yield Entry(0, 0, None, encode(opened(10 * MICROS, 30 * MICROS, MICROS, 0)))
    with log.open("rb") as read:
        offset = 1
        while head := read.read(_LENGTH.size):
            size = _LENGTH.unpack(head)[0]
            if offset < position:
                read.seek(size, os.SEEK_CUR)
            else:
                yield Entry(offset, 0, None, read.read(size))
            offset += 1


def shelf(place: Path) -> Checkpoints:
    return Checkpoints(str(place), "bench", "log", 3)


def fold(log: Path, state: Path, kept: Path | None = None, at: int = 0) -> dict[str, object]:
    """Opens the state, folds the rest of the log. ``kept``: makes a checkpoint there before the entry ``at``."""
    began = time.monotonic()
    store = RocksStore(state, cache_bytes=USUAL.cache, buffer_bytes=USUAL.writes)
    reconciler = Reconciler(0, store)
    open_seconds, position = time.monotonic() - began, reconciler.position
    for entry in entries(log, position):
        if kept is not None and entry.offset == at:
            snapshot = state.with_name("snapshot")
            store.snapshot(snapshot)
            shelf(kept).save(0, snapshot, at, 0)
        for _ in reconciler.fold(entry):
            pass
        reconciler.commit()
    took = time.monotonic() - began
    if kept is None:  # else the process is killed, with what is not on disk yet
        store.close()
    return {"open_s": round(open_seconds, 2), "folded_again": reconciler.position - position, "ready_s": round(took, 2)}


def restored(log: Path, kept: Path, state: Path) -> dict[str, object]:
    """The same on a disk without a state."""
    began = time.monotonic()
    assert shelf(kept).restore(0, state, 0, 1 << 60) is not None
    took = time.monotonic() - began
    found = fold(log, state)
    return {"restore_s": round(took, 2), "folded_again": found["folded_again"], "ready_s": round(time.monotonic() - began, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000_000)
    parser.add_argument("--dir", default=None, help="where log and state go")
    parser.add_argument(
        "--behind", type=int, default=300, help="seconds of event time before the end: where the checkpoint was made"
    )
    parser.add_argument("--die", nargs=4, metavar=("LOG", "STATE", "KEPT", "AT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.die:
        log, state, kept = (Path(place) for place in args.die[:3])
        fold(log, state, kept, int(args.die[3]))
        os.kill(os.getpid(), signal.SIGKILL)
    with tempfile.TemporaryDirectory(dir=args.dir) as directory:
        log, state, kept, new = (Path(directory) / name for name in ("log", "state", "kept", "new"))
        make(log, args.keys)
        count = sum(1 for _ in entries(log, 0))
        at = max(1, count - 2 * args.behind * RATE // BLOCK)
        died = subprocess.run([sys.executable, __file__, "--die", str(log), str(state), str(kept), str(at)], check=False)
        assert died.returncode == -signal.SIGKILL
        size = sum(p.stat().st_size for p in state.rglob("*") if p.is_file())
        found = {"keys": args.keys, "state_mb": size // 1024**2, "log_entries": count}
        print(json.dumps(found | {"same_disk": fold(log, state), "from_checkpoint": restored(log, kept, new)}))


if __name__ == "__main__":
    main()
