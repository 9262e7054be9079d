"""Searches for inputs on which the decoders differ, guided by the coverage of the Python code, until time is up.

    python tests/fuzz/run.py debezium-avro --seconds 600 [--corpus DIR]

Needs atheris (https://github.com/google/atheris), which is no dependency of the project: install it into another environment
and name that one's packages, for example

    python3.11 -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    PYTHONPATH=/tmp/fuzz/lib/python3.11/site-packages .venv/bin/python tests/fuzz/run.py debezium-avro --seconds 600

An input that fails is written to ``crash-...`` in the working directory; name it behind the format to run it alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
NAMES = ("debezium-avro", "debezium-json", "json")


def main() -> None:
    """Reads the command line and fuzzes."""
    parser = argparse.ArgumentParser(description="Fuzz one format: the reference decoder against the vectorised one.")
    parser.add_argument("format", choices=NAMES)
    parser.add_argument("inputs", nargs="*", type=Path, help="run these inputs alone")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="directory that keeps inputs from run to run")
    options = parser.parse_args()
    if options.inputs:
        _run_alone(options.format, options.inputs)
        return
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        sys.exit("atheris is not installed: expected it on PYTHONPATH; the first lines of this file say how")
    with atheris.instrument_imports(include=["stream_recon.normalise"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[options.format]()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = Path(scratch) if options.corpus is None else options.corpus
        corpus.mkdir(exist_ok=True)
        for number, data in enumerate(target.corpus):
            (corpus / f"seed-{number:03d}").write_bytes(data)
        atheris.Setup([sys.argv[0], str(corpus), f"-max_total_time={options.seconds}", "-max_len=8192", "-timeout=20"], target)
        atheris.Fuzz()


def _run_alone(name: str, inputs: list[Path]) -> None:
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]()
    for path in inputs:
        target(path.read_bytes())
        print(f"{path}: the decoders agree")


if __name__ == "__main__":
    main()
