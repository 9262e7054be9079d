"""The README's commands for live topics, on a broker of their own: they run, and do what is said beside them."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.loading import load, read, recorded, until
from tools.kafka.broker import Broker
from tools.programs import free_port

ROOT = Path(__file__).resolve().parents[2]
RECORDINGS = ROOT / "tests/fixtures/dual-write"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def command(name: str) -> list[str]:
    """Words of the README's only command of that name."""
    (line,) = re.findall(rf"^stream-recon {name} .*$", README, flags=re.MULTILINE)
    return shlex.split(line, comments=True)[1:]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A directory that looks like the repository, and a broker that has the topics of its topologies."""
    where = tmp_path_factory.mktemp("readme")
    for name in ("topologies", "tests"):
        (where / name).symlink_to(ROOT / name)
    with Broker() as own:
        for name in ("orders", "payments"):
            for side in ("pg", "maria"):
                load(own.bootstrap, recorded(RECORDINGS / f"{side}-json-{name}.jsonl.gz"))
        yield where, own.bootstrap


def test_the_live_commands_run_and_the_output_topic_and_the_metrics_are_where_they_are_said_to_be(
    place: tuple[Path, str],
) -> None:
    where, bootstrap = place
    environment = {**os.environ, "KAFKA_BOOTSTRAP": bootstrap}
    words, port = command("run"), free_port()
    assert words[-2] == "--metrics"
    words[-1] = str(port)  # the README's own may be taken here
    (topic,) = re.findall(r"kcat -b \$KAFKA_BOOTSTRAP -t (\S+)", README)
    program = [sys.executable, "-m", "stream_recon"]
    log = where / "log"
    with log.open("wb") as file:
        service = subprocess.Popen([*program, *words], cwd=where, env=environment, stdout=file, stderr=file)
    try:
        until(lambda: _runs(service, log) and read(bootstrap, [topic]))
        for path, words_in_it in (("metrics", b"stream_recon_"), ("healthz", b"ok"), ("readyz", b"ok")):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
                assert words_in_it in answer.read()
        asked = subprocess.run(
            [*program, *command("status")], cwd=where, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert asked.returncode == 0, asked.stderr
        assert all(name in asked.stdout for name in ("orders", "payments", "postgres", "mariadb"))
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0, log.read_text(encoding="utf-8")
    finally:
        service.kill()
        service.wait()


def _runs(service: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert service.poll() is None, log.read_text(encoding="utf-8")
    time.sleep(0.5)
    return True
