"""What the demo leaves behind with ``--out``: the topology, both recordings, and the results as ``replay`` would write them.

topology.yaml   postgres.jsonl   mariadb.jsonl      what to replay by hand
discrepancies.jsonl   audit.jsonl   dead_letters.jsonl   summary.json
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from pathlib import Path

import orjson

from stream_recon.demo.envelope import MARIADB, POSTGRES, Message
from stream_recon.engine.pipeline import AUDIT, DEAD_LETTERS, DISCREPANCIES
from stream_recon.engine.replay import bodies
from stream_recon.engine.summary import Summary
from stream_recon.errors import Undelivered
from stream_recon.ports import Log

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


def prepare(place: Path) -> Path:
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
    _write(path, [TOPOLOGY.encode()])
    return path


def record(place: Path, messages: Sequence[Message]) -> dict[str, Path]:
    """Writes the recordings of both sides, in the shape of ``kcat -J``; returns the files by side."""
    files = {side: place / f"{side}.jsonl" for side in (POSTGRES.side, MARIADB.side)}
    for side, path in files.items():
        _write(path, (_line(m) for m in messages if m.side == side))
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


def results(place: Path, log: Log, summary: Summary) -> None:
    """Writes what was found, in the files and forms of ``replay``."""
    for name, topic in (("discrepancies", DISCREPANCIES), ("audit", AUDIT), ("dead_letters", DEAD_LETTERS)):
        _write(place / f"{name}.jsonl", (body + b"\n" for body in bodies(log, topic)))
    _write(place / "summary.json", [orjson.dumps(summary.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])


def _write(path: Path, lines: Iterable[bytes]) -> None:
    try:
        with path.open("wb") as file:
            file.writelines(lines)
    except OSError as error:
        what = "no space left" if error.errno == errno.ENOSPC else error.strerror
        raise Undelivered(
            f"{path}: could not be written: {what}; free some space or give another --out, then run it again"
        ) from error
