"""The job in Faust: two agents put hashes into one table in RocksDB, with a changelog, and close windows; at least once.

    python faust_app.py worker

Faust's own windows expire by the largest time of either side. So the application keeps the largest time of each side and
partition, and the row that moves the lesser of both over a window's end closes it. These times are in memory, lost at a restart.
"""

from __future__ import annotations

import json
import os
from typing import Any

import faust
from envelope import decode

WINDOW, OUT_OF_ORDER = 10_000_000, 5_000_000

app = faust.App(
    os.environ["RUN"],
    broker=f"kafka://{os.environ['BOOTSTRAP']}",
    store="rocksdb://",
    datadir=os.environ["STATE"],
    web_enabled=False,
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    broker_check_crcs=False,
    stream_wait_empty=False,
    producer_linger=0.02,
    processing_guarantee="at_least_once",
)
source, target, output = (
    app.topic(os.environ[name], key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    for name in ("SOURCE", "TARGET", "OUTPUT")
)
pairs: Any = faust.Schema(
    key_type=str,
    value_type=list,  # type: ignore[arg-type]  # its serializer takes one
    key_serializer="raw",
    value_serializer="json",
)
table = app.Table("hashes", partitions=4, schema=pairs)
largest: dict[tuple[int, int], int] = {}
"""Times, by side and partition."""
touched: dict[int, dict[int, set[int]]] = {}
"""Keys of the windows that are not closed, by partition and window."""


async def fold(side: int, event: Any) -> None:
    key, time, hashed = decode(event.value)
    partition, window = event.message.partition, time // WINDOW
    name = f"{window}:{key}"
    both = table.get(name) or [None, None]
    both[side] = hashed
    table[name] = both
    windows = touched.setdefault(partition, {})
    windows.setdefault(window, set()).add(key)
    if time > largest.get((side, partition), 0):
        largest[side, partition] = time
        await close(partition, min(largest.get((0, partition), 0), largest.get((1, partition), 0)) - OUT_OF_ORDER)


async def close(partition: int, watermark: int) -> None:
    windows = touched[partition]
    for window in [w for w in windows if (w + 1) * WINDOW <= watermark]:
        for key in windows.pop(window):
            both = table.pop(f"{window}:{key}")
            if both[0] != both[1]:
                await output.send(value=json.dumps({"w": window * WINDOW // 1000, "k": key}).encode())


@app.agent(source)
async def sources(stream: Any) -> None:
    async for event in stream.events():
        await fold(0, event)


@app.agent(target)
async def targets(stream: Any) -> None:
    async for event in stream.events():
        await fold(1, event)


if __name__ == "__main__":
    app.main()
