"""How the broker differs from Kafka's defaults: one node, and quick to act (``docker-compose.yml`` says the same); or three."""

from __future__ import annotations

from collections.abc import Mapping

QUICK: Mapping[str, str] = {
    # One broker holds everything.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A topic that nobody made is a mistake that should show.
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    # Groups form at once and notice soon who left: both protocols.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.assignment.interval.ms": "0",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # After a kill the broker is let in again when its old session is over.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # Retention and compaction act while a test watches.
    "log.initial.task.delay.ms": "500",
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "500",
    "log.cleaner.backoff.ms": "500",
    "log.cleaner.dedupe.buffer.size": "8388608",  # the default is half of our heap
}
"""What differs from Kafka's defaults, apart from addresses."""

SPREAD: Mapping[str, str] = {
    **QUICK,
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
"""The same for three brokers that hold everything three times: any one of them may be lost."""

USERS: Mapping[str, str] = {"admin": "admin-secret", "guest": "guest-secret"}
"""Users of the SASL listener with their passwords: admin may do everything, anyone else what an ACL allows: at first nothing."""


def secured(users: Mapping[str, str] = USERS) -> dict[str, str]:
    """Settings of the SASL/PLAIN listener of ``Broker(sasl=True)``; who comes by the plain listener stays a super user."""
    logins = " ".join(f'user_{name}="{password}"' for name, password in users.items())
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": f"{module} required {logins};",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin",
        "allow.everyone.if.no.acl.found": "false",
    }
