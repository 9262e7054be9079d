"""What signing costs beside what is signed: CPU of a signed export against CPU of the service for the same rows, in one run.

    python benchmarks/signing.py                       on KAFKA_BOOTSTRAP or on a broker of its own
    python benchmarks/signing.py --rate 200            the fewer rows a second, the more certificates for as many rows

The export does for each event what `audit sign` does: follows its chain, checks what it promises, signs it, takes it into the
tree; and a checkpoint every 10,000 entries.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stream_recon.cli.exporting import export  # noqa: E402
from stream_recon.cli.keyfiles import new_key  # noqa: E402
from tools.kafka.broker import broker  # noqa: E402

COMMAND = [sys.executable, "-m", "stream_recon"]


def measure(bootstrap: str, options: argparse.Namespace, place: Path) -> dict[str, object]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KAFKA_BOOTSTRAP": bootstrap}

    def command(*words: str) -> int:
        return subprocess.run([*COMMAND, *words], cwd=place, env=environment, check=False).returncode

    workload = ["--messages", str(options.messages), "--rate", str(options.rate), "--format", "debezium-avro"]
    assert command("bench", *workload, "--keep", "--out", "figures.json") == 0
    (topology,) = place.glob("stream-recon-bench-*.yaml")
    assert command("run", "--once", topology.name, "--prefix", "signing", "--out", "results") == 1, "what was planted is open"
    root = new_key(place / "root.key", "example.com/bench")
    before = time.process_time()
    exported = export(
        place / "results", place / "bundle", root, clock=lambda: int(time.time()), seed=lambda: secrets.token_bytes(32)
    )
    signing = time.process_time() - before
    figures = json.loads((place / "figures.json").read_bytes())
    messages = figures["workload"]["messages"]
    service = figures["stages"]["end to end"]["cpu_s_per_million"] * messages / 1e6
    return {
        "messages": messages,
        "rows_a_second": 2 * options.rate,
        "events_signed": exported.entries,
        "service_cpu_s": round(service, 3),
        "signing_cpu_s": round(signing, 3),
        "percent": round(100 * signing / service, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=400_000, help="of both sides")
    parser.add_argument("--rate", type=int, default=2_000, help="rows a second of each side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, broker() as bootstrap:
        print(json.dumps(measure(bootstrap, options, Path(place)), indent=2))


if __name__ == "__main__":
    main()
