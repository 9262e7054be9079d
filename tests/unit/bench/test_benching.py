"""The command around it: what is refused before a broker is asked, and the command line that measures the same."""

import pytest

from stream_recon.bench.data import Workload
from stream_recon.cli.benching import Options, bench
from stream_recon.errors import ConfigError


def test_the_command_says_what_is_not_usual() -> None:
    options = Options(Workload(1_000_000, rate=20_000), "debezium-json", schema=True, rounds=3)
    assert options.command == (
        "stream-recon bench --messages 1000000 --rate 20000 --format debezium-json --workers 1 --rounds 3 --schema"
    )


def test_the_command_of_a_live_run_names_no_messages() -> None:
    options = Options(Workload(rate=500, window=1, settle=3), live=60, catch_up=30)
    assert options.command == (
        "stream-recon bench --rate 500 --window 1 --settle 3 --format json --workers 1 --live 60 --catch-up 30"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(Workload(), "avro"), "--format avro: expected json or debezium-json"),
        (Options(Workload(), "json", schema=True), "--schema"),
        (Options(Workload(settle=1)), "--settle 1: the target is written up to 2 s later"),
        (Options(Workload(), catch_up=5), "--catch-up: .* add --live"),
        (Options(Workload()), "KAFKA_BOOTSTRAP"),
    ],
)
def test_what_cannot_be_measured_is_refused(monkeypatch: pytest.MonkeyPatch, options: Options, text: str) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    with pytest.raises(ConfigError, match=text):
        bench(options)
