"""The service end to end on a real broker, against the cost of reading its topics at all: several workloads, one after the other.

    python benchmarks/service.py                      one round of each, on KAFKA_BOOTSTRAP or on a broker of its own
    python benchmarks/service.py --rounds 3 --write   the same three times; puts the figures into docs/performance.md and .json

Each workload is one run of ``stream-recon bench``; the raw figures hold its command line.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stream_recon.bench import figures  # noqa: E402
from stream_recon.bench.data import Workload  # noqa: E402
from stream_recon.cli.benching import Options, ending, heading, measured  # noqa: E402
from stream_recon.cli.output import print_text  # noqa: E402
from tools import documents  # noqa: E402
from tools.kafka.broker import broker  # noqa: E402

DOCUMENT = ROOT / "docs" / "performance.md"
FIGURES = ROOT / "docs" / "performance-service.json"
BEGIN = "<!-- figures: benchmarks/service.py --write -->\n"


def workloads(messages: int, rounds: int) -> dict[str, Options]:
    """What is measured, by name. Ten times the rows a second need more of them, so that there are windows enough to be folded
    into the base state; a message with its schema has 2 KB, so half of them take the same time.
    """
    many = 4 * messages
    return {
        "json": Options(Workload(messages), rounds=rounds),
        "json, 20,000 rows a second": Options(Workload(many, rate=20_000), rounds=rounds),
        "json, 20,000 rows a second, 1,000,000 keys": Options(Workload(many, keys=1_000_000, rate=20_000), rounds=rounds),
        "debezium-avro": Options(Workload(messages), "debezium-avro", rounds=rounds),
        "debezium-json": Options(Workload(messages), "debezium-json", rounds=rounds),
        "debezium-json with schema": Options(Workload(messages // 2), "debezium-json", schema=True, rounds=rounds),
    }


def section(results: dict[str, dict[str, Any]]) -> str:
    """The part of the document that holds figures."""
    first = next(iter(results.values()))
    where, versions = first["machine"], first["versions"]
    lines = [
        f"Measured on {first['date'][:10]}: {where['cpu']}, {where['cores']} cores shared with the broker and others, "
        f"Python {versions['python']},",
        f"confluent-kafka {versions['confluent-kafka']}, {len(first['rounds'])} rounds each, the middle of them:",
        "",
        "| workload | stage | messages/s | CPU s a million | of the roofline | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        for i, cells in enumerate(figures.rows(result["stages"])):
            stage, *rest = (cell.strip() for cell in cells)
            lines.append(f"| {name if i == 0 else ''} | {stage} | {' | '.join(rest)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=400_000, help="of both sides")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", action="append", help="this workload; repeat for more")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    options = parser.parse_args()
    results = {}
    with broker() as bootstrap:
        for name, workload in workloads(options.messages, options.rounds).items():
            if options.only and name not in options.only:
                continue
            results[name] = result = measured(replace(workload, bootstrap=bootstrap))
            print_text(heading(result), figures.table(result["stages"]), ending(result))
            if not result["holds"]:
                print(f"{name}: what was found is not what was planted: {result['found']}", file=sys.stderr)
                return 1
    if options.write:
        FIGURES.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        documents.put(DOCUMENT, BEGIN, section(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
