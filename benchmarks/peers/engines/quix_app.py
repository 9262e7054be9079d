"""The job in Quix Streams: both topics in one stream, tumbling windows of event time in RocksDB with a changelog.

    python quix_app.py at-least-once|exactly-once

Windows close by partition: by key, its default, a key that rests would never close.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from typing import Any

from envelope import decode
from quixstreams import Application

app = Application(
    broker_address=os.environ["BOOTSTRAP"],
    consumer_group=os.environ["RUN"],
    state_dir=os.environ["STATE"],
    auto_offset_reset="earliest",
    processing_guarantee=sys.argv[1],  # type: ignore[arg-type]  # one of two literals
    loglevel="WARNING",
    consumer_extra_config={"queued.min.messages": 100_000},
)


def rows(name: str, side: int) -> Any:
    topic = app.topic(os.environ[name], key_deserializer="bytes", value_deserializer="bytes")
    decoded = app.dataframe(topic).apply(decode).set_timestamp(lambda row, *_: row[1] // 1000)
    return decoded.apply(lambda row: {"side": side, "key": row[0], "hash": row[2]})


def begin(row: Any) -> list[Any]:
    return fold([None, None, row["key"]], row)


def fold(held: list[Any], row: Any) -> list[Any]:
    held[row["side"]] = row["hash"]
    return held


windows = (
    rows("SOURCE", 0)
    .concat(rows("TARGET", 1))
    .tumbling_window(timedelta(seconds=10), grace_ms=timedelta(seconds=5))
    .reduce(fold, begin)
    .final(closing_strategy="partition")
)
differing = windows.filter(lambda window: window["value"][0] != window["value"][1])
differing.apply(lambda window: {"w": window["start"], "k": window["value"][2]}).to_topic(
    app.topic(os.environ["OUTPUT"], key_serializer="bytes", value_serializer="json")
)
app.run()
