"""The topology of the benchmark, as a user would write it."""

from __future__ import annotations

from typing import Final

from stream_recon.bench.data import DISORDER_US, SKEW_US, Workload
from stream_recon.limits import MICROS

NAME: Final = "bench"
IDLE_SECONDS: Final = 5
"""A service that is measured live comes to its end so much sooner; ``run --once`` lifts nothing."""

_TEXT: Final = """\
version: 1
name: {name}
source: {{name: source, topics: [{source}], {side}}}
targets:
  - {{name: target, topics: [{target}], {side}}}
window: {window}s
settle: {settle}s
clock_skew: {skew}s
out_of_orderness: {disorder}s
idle_after: {idle}s
kafka: {{bootstrap.servers: "{bootstrap}"}}
outputs: {{prefix: {prefix}}}
"""

_TYPES: Final = {
    "json": "types: {updated_at: timestamp(us)}, event_time: updated_at",
    "debezium-avro": "registry: {file: schemas.json}",
    "debezium-json": "types: {updated_at: timestamp(us), amount: 'decimal(12, 2)'}",
}


def text(work: Workload, encoding: str, topics: tuple[str, str], prefix: str, bootstrap: str) -> str:
    """The file's content."""
    return _TEXT.format(
        name=NAME,
        source=topics[0],
        target=topics[1],
        side=f"format: {encoding}, key: [id], {_TYPES[encoding]}",
        window=work.window,
        settle=work.settle,
        skew=SKEW_US // MICROS,
        disorder=DISORDER_US // MICROS,
        idle=IDLE_SECONDS,
        bootstrap=bootstrap,
        prefix=prefix,
    )
