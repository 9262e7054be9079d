"""CPU per row of reconcile alone: digest blocks in, certificates out, state in RocksDB; both sides counted.

    python benchmarks/reconcile.py --keys 1000000 --rows 8000000
    python benchmarks/reconcile.py --hot 0.33                        # one key has a third of all changes
    python benchmarks/reconcile.py --silent --max-buffer 64          # the target comes when the source has said everything
    python benchmarks/reconcile.py --window 600 --rows 48000000      # a window larger than what a judgement holds

Each side changes ``--rate`` random keys a second of event time; the target follows every change of the source after
1 ms to 2 s, the same for one key.
One row in 10,000 differs. Blocks are made outside the measured time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from stream_recon.adapters.rocks import RocksStore
from stream_recon.cli.worker import settle_memory
from stream_recon.engine.reconciler import Reconciler
from stream_recon.limits import MICROS
from stream_recon.model.digest import Block, Feed, Open, Pair, Range, digest_schema, encode
from stream_recon.model.memory import USUAL
from stream_recon.ports import Entry


def opened(window: int, settle: int, skew: int, max_buffer: int) -> Open:
    feeds = tuple(Feed(name, name, ((f"{name}.orders", "", 0, 0),), "log", "complete") for name in ("source", "target"))
    pair = Pair("target", "source", "target", "0" * 64, ("id",), 0)
    return Open("bench", "source", window, settle, skew, 7 * 86_400 * MICROS, 1, "0" * 64, feeds, (pair,), 1, max_buffer)


class Side:
    """Blocks of one side, in order of time."""

    def __init__(self, name: str, keys: int) -> None:
        self.name, self.offset = name, 0
        numbers = np.arange(keys, dtype="<u8").view("V8")
        self.ids = np.frombuffer(b"".join(hashlib.sha256(n.tobytes()).digest()[:16] for n in numbers), "V16")

    def block(self, key: np.ndarray, version: np.ndarray, when: np.ndarray) -> bytes:
        """One message: rows in order of time."""
        count = len(key)
        ids = self.ids[key]
        hashes = np.zeros((count, 4), "<u8")
        hashes[:, 0], hashes[:, 1] = version, key + 1
        text = pa.array([b"n7:%07d" % k for k in key.tolist()], pa.binary())
        columns = [
            pa.array(np.zeros(count, np.uint16)),
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), count, [None, pa.py_buffer(ids.tobytes())]),
            text,
            pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), count, [None, pa.py_buffer(hashes.tobytes())]),
            pa.array(when),
            pa.array(when),
            pa.array(np.arange(self.offset, self.offset + count)),
            pa.array(np.zeros(count, np.int16)),
            pa.array(np.zeros(count, np.uint16)),
        ]
        rows = pa.RecordBatch.from_arrays(columns, schema=digest_schema(0))
        start, self.offset = self.offset, self.offset + count
        mark, first = int(when[-1]) - 5 * MICROS, int(when[0])
        range_ = Range(self.name, f"{self.name}.orders", "", 0, start, self.offset, mark, mark, None, int(when[-1]), False, first)
        return encode(Block("bench", (range_,), rows))


def run(args: argparse.Namespace) -> dict[str, object]:
    rng = np.random.default_rng(1)
    sides = Side("source", args.keys), Side("target", args.keys)
    chunk = args.block
    span = chunk * MICROS // args.rate
    waiting = np.empty((3, 0), np.int64)
    cpu, position, events, closed = 0.0, 1, 0, []
    settle_memory(USUAL.free)  # as a worker does
    with tempfile.TemporaryDirectory(dir=args.dir) as directory:
        store = RocksStore(Path(directory) / "state")
        reconciler = Reconciler(0, store)
        reconciler.fold(
            Entry(0, 0, None, encode(opened(args.window * MICROS, args.settle * MICROS, MICROS, args.max_buffer << 20)))
        )
        steps = args.rows // (2 * chunk)
        for n in range(steps + 1):
            now = 1_750_000_000 * MICROS + n * span
            when = np.sort(rng.integers(now, now + span, chunk))
            key, version = rng.integers(0, args.keys, chunk), np.arange(n * chunk, (n + 1) * chunk)
            key[rng.random(chunk) < args.hot] = 0
            late = (
                np.empty((3, 0), np.int64)
                if n == steps
                else np.vstack([key, version + (rng.random(chunk) < 1e-4) * (1 << 40), when + 1000 + key % 2000 * 1000])
            )
            waiting = np.hstack([waiting, late])
            if not args.silent or n == steps:
                waiting = waiting[:, np.argsort(waiting[2], kind="stable")]
            ready = 0 if args.silent else int(np.searchsorted(waiting[2], now + span))
            blocks: Iterable[bytes] = [sides[0].block(key, version, when)] if n < steps else []
            if n == steps:  # the rest of the target, then one row far ahead on both sides closes all windows
                far = np.array([now + 1000 * MICROS])
                last = key[:1], version[:1], far
                rest = [waiting[:, at : at + chunk] for at in range(0, waiting.shape[1], chunk)]
                blocks = (sides[which].block(*some) for which, some in [(0, last), *((1, some) for some in rest), (1, last)])
            elif ready:
                blocks = [*blocks, sides[1].block(*waiting[:, :ready])]
                waiting = waiting[:, ready:]
            for block in blocks:
                start, before = time.process_time(), events
                events += sum(1 for _ in reconciler.fold(Entry(position, 0, None, block)))
                reconciler.commit()
                took = time.process_time() - start
                cpu += took
                position += 1
                if events != before:
                    closed.append(took)
        rows = sides[0].offset + sides[1].offset
        store.close()
        size = sum(p.stat().st_size for p in Path(directory).rglob("*") if p.is_file())
    return {
        "keys": args.keys,
        "rows": rows,
        "cpu_us_per_row": round(cpu / rows * 1e6, 3),
        "rows_per_cpu_second": round(rows / cpu),
        "longest_step_s": round(max(closed, default=0), 3),
        "events": events,
        "state_bytes_per_key": round(size / args.keys, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=4_000_000, help="of both sides")
    parser.add_argument("--rate", type=int, default=20_000, help="rows a second of event time, each side")
    parser.add_argument("--block", type=int, default=4_000, help="rows a block")
    parser.add_argument("--window", type=int, default=10, help="seconds")
    parser.add_argument("--settle", type=int, default=30, help="seconds")
    parser.add_argument("--hot", type=float, default=0.0, help="share of the changes that one key has")
    parser.add_argument("--silent", action="store_true", help="the target says nothing until the source has said everything")
    parser.add_argument("--max-buffer", type=int, default=0, help="MiB of rows that may wait; 0: any number")
    parser.add_argument("--dir", default=None, help="where the state goes")
    print(json.dumps(run(parser.parse_args())))


if __name__ == "__main__":
    main()
