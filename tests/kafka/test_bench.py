"""``bench`` on a real broker: whoever sizes by it gets figures of work that was done right."""

import json
import subprocess
import sys

from tools.kafka.broker import Broker

COMMAND = [sys.executable, "-m", "stream_recon", "bench", "--json", "--keys", "500", "--digest-partitions", "2"]


def measured(broker: Broker, *options: str) -> dict:  # type: ignore[type-arg]
    done = subprocess.run([*COMMAND, "--bootstrap", broker.bootstrap, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_every_stage_is_measured_and_what_was_planted_is_found(broker: Broker) -> None:
    result = measured(broker, "--messages", "20000", "--faults", "0.01", "--format", "debezium-avro")
    assert result["holds"]
    assert result["found"][0]["planted"] == 100
    stages = result["stages"]
    assert {"roofline", "normalise alone", "reconcile alone", "end to end"} <= stages.keys()
    assert all(stage["cpu_s_per_million"] > 0 for stage in stages.values())


def test_live_rows_give_latencies_and_are_caught_up_with(broker: Broker) -> None:
    result = measured(broker, "--rate", "200", "--window", "1", "--settle", "2", "--live", "5", "--catch-up", "2")
    assert result["holds"]
    assert result["latency"]["certificates"] >= 2
    assert 0 < result["latency"]["median_s"] <= result["latency"]["longest_s"]
    assert result["steady"]["messages_per_s"] > 100
    assert result["catch_up"]["messages_waited"] > 400
    assert result["catch_up"]["up_to_date_after_s"] > 0
