"""What passes by itself is told from what ends a worker for good."""

import pytest
from confluent_kafka import KafkaError

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.errors import BrokerError, Fenced, Unreachable

CLUSTER = Cluster((("bootstrap.servers", "127.0.0.1:1"),))


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.NOT_COORDINATOR,
    ],
)
def test_a_group_that_shares_its_work_out_and_a_leader_that_moves_do_not_end_a_worker_for_good(code: int) -> None:
    assert isinstance(CLUSTER.failed("committing", KafkaError(code)), Unreachable)


def test_a_client_that_has_given_up_for_good_needs_a_new_worker_and_does_not_end_the_run() -> None:
    assert isinstance(CLUSTER.failed("committing", KafkaError(KafkaError._FATAL, "Commit failed: Local: Fatal error")), Fenced)


def test_what_no_attempt_can_mend_ends_it() -> None:
    told = CLUSTER.failed("committing", KafkaError(KafkaError.OFFSET_METADATA_TOO_LARGE))
    assert isinstance(told, BrokerError)
    assert not isinstance(told, Unreachable)
