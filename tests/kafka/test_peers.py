"""What other engines are measured with, tried with ours on a small job: it starts, finishes, is right and is taken away again."""

import pytest
from confluent_kafka.admin import AdminClient

from benchmarks.peers import job
from benchmarks.peers.catalogue import OURS, Tools, chosen
from benchmarks.peers.fetching import PeerError
from benchmarks.peers.measuring import Bench

PATIENCE_S = 180.0


def test_ours_finishes_and_is_right(bootstrap: str, prefix: str) -> None:
    (ours,) = chosen(f"^{OURS}$")
    bench = Bench(bootstrap, Tools(), PATIENCE_S)
    filled = bench.fill(prefix, job.whole(8000))
    before = set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=30).topics)
    outcome = bench.timed(ours, filled)
    assert outcome.said == {"planted": 8, "found": 8, "invented": 0, "repeated": 0}
    assert outcome.messages == len(filled.job.source) + len(filled.job.target)
    assert 0 < outcome.cpu_s < outcome.wall_s * 64
    assert outcome.peak_mb > 100
    assert outcome.state_mb > 0
    assert set(AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=30).topics) <= before | {
        "__consumer_offsets",
        "__transaction_state",
    }


def test_an_engine_that_ends_by_itself_is_an_error(bootstrap: str, prefix: str) -> None:
    (faust,) = chosen("^faust$")
    bench = Bench(bootstrap, Tools(paths={"faust": "/bin/false"}), PATIENCE_S)
    with pytest.raises(PeerError, match="faust ended by itself with exit code 1"):
        bench.timed(faust, bench.fill(prefix, job.whole(400)))
