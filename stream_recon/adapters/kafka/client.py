"""One Kafka cluster: its settings, how its clients are made, and what its errors mean for people.

librdkafka reports what is wrong with a connection (refused credentials, no broker) only beside the call that fails with a
timeout; ``Cluster`` keeps the last such report, so that an error can say why.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_recon.errors import BrokerError, ConfigError, Fenced, ReconError, Unreachable

T = TypeVar("T")
Settings = tuple[tuple[str, str], ...]

logger = logging.getLogger("stream_recon.kafka")

REQUEST_SECONDS: Final = 20.0
"""How long one request may take, retries included, before it is told as a failure."""

OFFSETS_SECONDS: Final = 10.0
"""How long a transaction waits for the coordinator of its group: longer than another broker takes to become it."""

REPEAT_SECONDS: Final = 60.0
"""A cluster that is away is told of so often."""

RUN_HEADER: Final = "stream-recon-run"
"""Tells what one ``run --once`` put out."""

_CLIENT: Final = re.compile(r"^\w+ \[[^]]*\] (\[thrd:[^]]*\]: )?")
"""What begins a log line of librdkafka: facility, client, thread."""

_CONSUMER_ONLY: Final = ("group.", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.", "fetch.", "queued.", "check.crcs")
_PRODUCER_ONLY: Final = (
    "transaction",
    "queue.buffering.",
    "linger.ms",
    "batch.",
    "compression.",
    "message.timeout.ms",
    "partitioner",
)

_SAME: Final = {
    "linger.ms": {"queue.buffering.max.ms"},
    "message.timeout.ms": {"delivery.timeout.ms"},
    "fetch.message.max.bytes": {"max.partition.fetch.bytes"},
}
"""librdkafka's other names for a setting: whoever writes one of them means the setting."""

_ALL: Final = {
    "client.id": "stream-recon",
    "topic.metadata.refresh.interval.ms": "10000",
    "reconnect.backoff.max.ms": "2000",
    "socket.keepalive.enable": "true",
    "statistics.interval.ms": "0",
}


class Cluster:
    """Where a set of topics lives, by the client settings that reach it. Equal settings are one cluster."""

    def __init__(self, settings: Settings) -> None:
        """Takes settings as a topology has them; ``bootstrap.servers`` must be among them.

        Raises:
            ConfigError: it is not.
        """
        self.settings = dict(settings)
        if not self.settings.get("bootstrap.servers"):
            raise ConfigError(
                "no Kafka cluster is named: write kafka: {bootstrap.servers: HOST:PORT} in the topology, "
                "or set KAFKA_BOOTSTRAP=HOST:PORT"
            )
        self.name = self.settings["bootstrap.servers"]
        self.id = hashlib.sha256(repr(sorted(self.settings.items())).encode()).hexdigest()[:16]
        self._trouble: tuple[float, KafkaError] | None = None
        self._lines = _Lines(self.name)
        self._admin: AdminClient | None = None

    # ---- clients -------------------------------------------------------------------------------------------------------

    def consumer(self, must: Mapping[str, Any], unless: Mapping[str, Any] | None = None) -> Consumer:
        """A consumer with the cluster's settings; ``must`` stand above them, ``unless`` below."""
        return self._made(Consumer, _PRODUCER_ONLY, must, unless or {})

    def producer(self, must: Mapping[str, Any], unless: Mapping[str, Any] | None = None) -> Producer:
        """A producer with the cluster's settings; ``must`` stand above them, ``unless`` below."""
        return self._made(Producer, _CONSUMER_ONLY, must, unless or {})

    @property
    def admin(self) -> AdminClient:
        """The cluster's one admin client."""
        if self._admin is None:
            self._admin = self._made(AdminClient, _CONSUMER_ONLY + _PRODUCER_ONLY, {}, {})
        return self._admin

    def _made(self, kind: Callable[..., T], foreign: tuple[str, ...], must: Mapping[str, Any], unless: Mapping[str, Any]) -> T:
        mine = {k: v for k, v in self.settings.items() if not k.startswith(foreign)}
        mine = {name: value for name, value in unless.items() if not _SAME.get(name, set()) & mine.keys()} | mine
        try:
            return kind({**_ALL, **mine, **must, "error_cb": self._note}, logger=self._lines)
        except KafkaException as error:
            raise ConfigError(f"kafka: {error.args[0].str()}; mend the topology's kafka settings for {self.name}") from error

    # ---- time ----------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Monotonic seconds, as all that waits for this cluster counts them."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        time.sleep(seconds)

    def bounded(self, call: Callable[[], None], seconds: float) -> None:
        """Makes a call that may last for ever: in a thread, which is left behind when time is up.

        Raises:
            KafkaException: what the call raises, or that time is up.
        """
        made: Future[None] = Future()
        Thread(target=_make, args=[call, made], daemon=True).start()
        try:
            made.result(seconds)
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer within {seconds:.0f} s")) from None
        finally:
            del made  # it holds an error that holds this frame

    # ---- errors --------------------------------------------------------------------------------------------------------

    def _note(self, error: KafkaError) -> None:
        """Keeps the newest report; what the credentials have to do with is not hidden by the disconnection that follows."""
        now = time.monotonic()
        if self._trouble is not None and error.code() in _FOLLOWING and now - self._trouble[0] < REQUEST_SECONDS:
            return
        self._trouble = now, error

    @property
    def trouble(self) -> str | None:
        """Why the cluster could not be reached lately, or None."""
        if self._trouble is None or time.monotonic() - self._trouble[0] > 3 * REQUEST_SECONDS:
            return None
        return None if self._trouble[1].code() in _FOLLOWING else self._trouble[1].str()

    def answered(self) -> None:
        """To be called when the cluster has answered: ends what was said of it being away."""
        self._lines.answered()

    def failed(self, what: str, error: KafkaException | KafkaError) -> ReconError:
        """An error of a client as one of ours. ``what``: what could not be done, with its topic or group."""
        cause = error.args[0] if isinstance(error, KafkaException) else error
        code, text = cause.code(), cause.str()
        if fenced(cause):
            return Fenced(f"{what}: another worker holds this place now ({text}); give each worker a name of its own with --name")
        if code == KafkaError.UNRELEASED_INSTANCE_ID or (code == KafkaError._FATAL and "still used" in text):
            return Unreachable(
                f"{what}: the group still has a member of this name ({text}); one that ended without leaving is forgotten when "
                "its session is over; if another worker has this name, give each one its own with --name"
            )
        if code == KafkaError._FATAL:  # as after a fencing of which only the client's log tells: a new client is needed
            return Fenced(
                f"{what}: the client has given its place up ({text}); if another worker has this name, give each one its own "
                "with --name"
            )
        if code in _FORBIDDEN:
            return BrokerError(f"{what}: {self.name} does not allow it ({text}); {_FORBIDDEN[code]}")
        why = self.trouble or self._lines.reason
        if why is not None and code in _TIMEOUTS | _FOLLOWING:
            text = why
        if "uthentication" in text or code in _CREDENTIALS:
            return BrokerError(
                f"{what}: {self.name} refused the credentials ({text}); check sasl.* and ssl.* under kafka: in the topology"
            )
        if code in _TIMEOUTS or code in _FOLLOWING:
            return Unreachable(
                f"{what}: no answer from {self.name} ({text}); check that the brokers run and that bootstrap.servers names them"
            )
        if code in _PASSING or (code == KafkaError._NOENT and "leaders" in text):
            return Unreachable(f"{what}: {self.name} is not ready ({text}); look at its brokers if that lasts")
        return BrokerError(f"{what}: {self.name}: {text}")

    def reach(self, seconds: float) -> None:
        """Waits until the cluster answers.

        Raises:
            BrokerError: it does not, with the reason as far as one is known.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.admin.list_topics(timeout=min(5.0, seconds))
            except KafkaException as error:
                self.admin.poll(0)
                if time.monotonic() > deadline or (self.trouble is not None and "uthentication" in self.trouble):
                    raise self.failed("reaching Kafka", error) from error
            else:
                return


def _make(call: Callable[[], None], made: Future[None]) -> None:
    """What was called is not kept beyond its end: an error and what holds it would hold it, too, until cycles are looked for."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        made.set_exception(error)
    else:
        made.set_result(None)
    finally:
        del call, made


class _Lines:
    """What the clients of a cluster log. Each tries to connect several times a second, and says so: one line stands for all."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.reason: str | None = None
        self._away: float | None = None
        self._refused: float | None = None

    def log(self, level: int, text: str, *arguments: object) -> None:
        """As that of a ``logging.Logger``, which librdkafka takes this for."""
        facility, told = str(arguments[0]) if arguments else "", text % arguments
        if facility not in {"FAIL", "ERROR"} or level < logging.ERROR:
            logger.log(min(level, logging.DEBUG) if facility == "FAIL" else level, "%s", told)
            return
        reason, now = _CLIENT.sub("", told), time.monotonic()
        self.reason = reason
        if "uthentication" in told or "SSL" in told:
            if self._refused is None or now - self._refused >= REPEAT_SECONDS:
                self._refused = now
                logger.warning("%s: %s", self._name, reason)
        elif self._away is None or now - self._away >= REPEAT_SECONDS:
            self._away = now
            logger.warning("%s cannot be reached (%s): tries again until it answers", self._name, reason)

    def answered(self) -> None:
        """Says so, if it was said that the cluster is away."""
        self.reason = None
        if self._away is not None:
            self._away = None
            logger.warning("%s answers again", self._name)


def send_offsets(cluster: Cluster, producer: Producer, offsets: Sequence[TopicPartition], membership: Any) -> None:
    """Adds a group's positions to the transaction. librdkafka may wait for a coordinator that has left the cluster, whatever time
    it is given, until that is back (its issues 5456 and 5511).

    Raises:
        KafkaException: with the transaction's own reason. A message that is refused while the positions are on their way makes
            librdkafka say "erroneous state", and the reason only when it is asked again. After a timeout the producer must not
            be used again.
    """

    def send() -> None:
        try:
            producer.send_offsets_to_transaction(list(offsets), membership, OFFSETS_SECONDS)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._STATE:
                raise
            producer.send_offsets_to_transaction(list(offsets), membership, OFFSETS_SECONDS)

    cluster.bounded(send, OFFSETS_SECONDS)


def run_headers(run: str | None) -> list[tuple[str, str | bytes | None]]:
    """The headers of what a run with a name puts out."""
    return [] if run is None else [(RUN_HEADER, run.encode())]


def of_a_run(message: Message) -> bool:
    """Whether a ``run --once`` put it out: its chains have the names of the service's, and are others (docs/decisions/0016)."""
    return any(name == RUN_HEADER for name, _ in headers_of(message))


def transactional(
    cluster: Cluster,
    transactional_id: str,
    seconds: float,
    must: Mapping[str, Any] | None = None,
    unless: Mapping[str, Any] | None = None,
) -> Producer:
    """A producer under this id: whoever had it is fenced, and what that one left is settled.

    Raises:
        BrokerError: no answer within ``seconds``, or not allowed.
    """
    producer = cluster.producer({"transactional.id": transactional_id, **(must or {})}, unless or {})
    try:
        producer.init_transactions(seconds)
    except KafkaException as error:
        raise cluster.failed(f"transactional id {transactional_id}", error) from error
    return producer


def fenced(error: KafkaError) -> bool:
    """Whether it says that another one has our place; of one that is fatal only the text says why."""
    return error.code() in FENCED or (error.code() == KafkaError._FATAL and "fenced" in error.str())


FENCED: Final = {
    KafkaError._FENCED,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
}
_TIMEOUTS: Final = {KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT, KafkaError._TIMED_OUT_QUEUE, KafkaError._MSG_TIMED_OUT}
_FOLLOWING: Final = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE}
_PASSING: Final = {
    KafkaError._WAIT_COORD,
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_CONTROLLER,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.STALE_MEMBER_EPOCH,
    KafkaError.FENCED_MEMBER_EPOCH,
}
"""What brokers answer while one of them starts, what it led moves to another, or a group shares its work out anew."""
_CREDENTIALS: Final = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
_FORBIDDEN: Final = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant the ACLs: Read and DescribeConfigs on the topics that it reads; on its own, "
    "PREFIX.*, Create and Write as well; stream-recon acl render prints them",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant the ACL: Read on the consumer groups PREFIX.normalise and PREFIX.reconcile",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant the ACL: Create on the cluster, or create the topics beforehand",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "grant the ACL: Write on transactional ids that begin with PREFIX",
}


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """A message's headers, in order."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
