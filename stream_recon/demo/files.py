"""What the demo leaves behind with ``--out``: the topology, both recordings, and the results as ``replay`` would write them.

topology.yaml   postgres.jsonl   mariadb.jsonl      what to replay by hand
discrepancies.jsonl   audit.jsonl   dead_letters.jsonl   summary.json
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from stream_recon.cli.wire import write
from stream_recon.demo.envelope import MARIADB, POSTGRES, Message
from stream_recon.errors import Undelivered

TOPOLOGY = f"""\
# The dual write of `stream-recon demo`: a service writes each order to PostgreSQL, then to MariaDB. From this directory:
#   stream-recon replay topology.yaml --side postgres=postgres.jsonl --side mariadb=mariadb.jsonl --out replayed
version: 1
name: orders

source:
  name: {POSTGRES.side}
  topics: [{POSTGRES.topic}]
  format: debezium-json            # event time, key and operation come from the envelope
  key: [id]
  types:                           # without a schema the wire form says only text or number
    customer: uuid
    amount: decimal(12, 2)
    placed_at: timestamp

targets:
  - name: {MARIADB.side}
    topics: [{MARIADB.topic}]
    format: debezium-json
    key: [id]
    types:
      customer: uuid
      amount: decimal(12, 2)
      paid: boolean                # tinyint(1): 0 and 1
      placed_at: timestamp(us)

window: 10s
settle: 30s                        # the target once stands still for 22 s: that is lag, not a difference
clock_skew: 1s                     # MariaDB cuts its commit times to whole seconds
out_of_orderness: 2s
parallelism: 2
"""


def on_kafka(prefix: str, idle_after: str) -> str:
    """The topology for topics that begin with ``prefix``, as the deployment's own do."""
    text = TOPOLOGY
    for topic in (POSTGRES.topic, MARIADB.topic):
        text = text.replace(f"[{topic}]", f"[{prefix}.{topic}]")
    return f"""{text}
idle_after: {idle_after}                    # how long both sides are quiet at the end, before the last windows close
outputs: {{prefix: {prefix}}}
"""


def prepare(place: Path, topology: str = TOPOLOGY) -> Path:
    """Makes the directory and writes the topology; returns its path.

    Raises:
        Undelivered: the directory cannot be written.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Undelivered(
            f"--out {place}: cannot be made: {error.strerror}; give a directory that this user can write to"
        ) from error
    path = place / "topology.yaml"
    write(path, [topology.encode()])
    return path


def record(place: Path, messages: Sequence[Message]) -> dict[str, Path]:
    """Writes the recordings of both sides, in the shape of ``kcat -J``; returns the files by side."""
    files = {side: place / f"{side}.jsonl" for side in (POSTGRES.side, MARIADB.side)}
    for side, path in files.items():
        write(path, (_line(m) for m in messages if m.side == side))
    return files


def _line(message: Message) -> bytes:
    payload = None if message.value is None else message.value.decode()
    line = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "tstype": "create",
        "ts": message.timestamp,
        "key": message.key.decode(),
        "payload": payload,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
