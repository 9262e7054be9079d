"""The topology of the benchmark, as a user would write it."""

from __future__ import annotations

from typing import Final

from stream_recon.bench.data import SETTLE_US, SKEW_US, WINDOW_US
from stream_recon.limits import MICROS

NAME: Final = "bench"

_TEXT: Final = """\
version: 1
name: {name}
source: {{name: source, topics: [{source}], {side}}}
targets:
  - {{name: target, topics: [{target}], {side}}}
window: {window}s
settle: {settle}s
clock_skew: {skew}s
out_of_orderness: 5s
kafka: {{bootstrap.servers: "{bootstrap}"}}
outputs: {{prefix: {prefix}}}
"""

_TYPES: Final = {
    "json": "types: {updated_at: timestamp(us)}, event_time: updated_at",
    "debezium-avro": "registry: {file: schemas.json}",
    "debezium-json": "types: {updated_at: timestamp(us), amount: 'decimal(12, 2)'}",
}


def text(encoding: str, topics: tuple[str, str], prefix: str, bootstrap: str) -> str:
    """The file's content."""
    return _TEXT.format(
        name=NAME,
        source=topics[0],
        target=topics[1],
        side=f"format: {encoding}, key: [id], {_TYPES[encoding]}",
        window=WINDOW_US // MICROS,
        settle=SETTLE_US // MICROS,
        skew=SKEW_US // MICROS,
        bootstrap=bootstrap,
        prefix=prefix,
    )
