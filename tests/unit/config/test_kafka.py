"""Settings of the Kafka client: which are taken, filled from the environment, refused, and never shown."""

from collections.abc import Callable

import pytest

from stream_recon.config import configuration_hash, resolve_feeds, rules_id
from stream_recon.config.kafka import INSTEAD, OWNED
from stream_recon.model.plan import TopologyPlan

Load = Callable[..., TopologyPlan]
Refused = Callable[..., list[str]]

SECRET = "write ${NAME} and set NAME in the environment"


def kafka(*lines: str) -> str:
    return "\n".join(["kafka:", *("  " + line for line in lines)])


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_PASSWORD", "hunter2 ${RECON_TEST_HOST}")
    monkeypatch.setenv("RECON_TEST_HOST", "broker")
    monkeypatch.setenv("RECON_TEST_EMPTY", "")
    monkeypatch.delenv("RECON_TEST_UNSET", raising=False)


def test_without_settings_there_are_none(load: Load) -> None:
    plan = load()
    assert (plan.kafka, plan.source.kafka, plan.targets[0].kafka) == ((), (), ())


def test_a_side_has_the_settings_of_the_top_with_its_own_in_their_place(load: Load) -> None:
    plan = load(
        kafka("client.id: recon", "bootstrap.servers: here:9092", "security.protocol: ssl"),
        target=kafka("bootstrap.servers: there:9092", "check.crcs: true"),
    )
    assert plan.kafka == (("bootstrap.servers", "here:9092"), ("client.id", "recon"), ("security.protocol", "ssl"))
    assert plan.source.kafka == plan.kafka
    assert plan.targets[0].kafka == (
        ("bootstrap.servers", "there:9092"),
        ("check.crcs", "true"),
        ("client.id", "recon"),
        ("security.protocol", "ssl"),
    )


def test_a_side_s_setting_takes_the_place_of_the_same_one_by_its_other_name(load: Load) -> None:
    """The client knows some settings by two names and would go by whichever comes last."""
    plan = load(kafka("sasl.mechanisms: PLAIN"), target=kafka("sasl.mechanism: SCRAM-SHA-256"))
    assert plan.targets[0].kafka == (("sasl.mechanism", "SCRAM-SHA-256"),)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("plain", "plain"),
        ("'10'", "10"),
        ("10", "10"),
        ("0", "0"),
        ("-1", "-1"),
        ("1.50", "1.50"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("true", "true"),
        ("False", "false"),
        ("yes", "yes"),
        ("a $ b $c {d}", "a $ b $c {d}"),
        ("${RECON_TEST_HOST}:9092,${RECON_TEST_HOST}2${RECON_TEST_EMPTY}", "broker:9092,broker2"),
        ("$${RECON_TEST_HOST}", "${RECON_TEST_HOST}"),
        ("$${RECON_TEST_UNSET} and ${RECON_TEST_HOST}", "${RECON_TEST_UNSET} and broker"),
        ("%{sasl.kerberos.keytab}", "%{sasl.kerberos.keytab}"),
    ],
)
def test_a_value_is_passed_on_as_it_is_written(load: Load, written: str, text: str) -> None:
    quoted = f'"{written}"' if "{" in written else written
    assert load(kafka(f"client.id: {quoted}")).kafka == (("client.id", text),)


def test_what_a_variable_holds_is_not_looked_into(load: Load) -> None:
    assert load(kafka("sasl.password: ${RECON_TEST_PASSWORD}")).kafka == (("sasl.password", "hunter2 ${RECON_TEST_HOST}"),)


ONE_VALUE = "expected one value, not a list or a mapping; write the whole name on one line, name: value"
PLAIN_NUMBER = "is no plain number; write digits such as 500 or 0.5, or put text in quotes"
NO_NAME = "holds ${ that begins no name; write ${NAME} (letters, digits and '_'), or $${ for a literal ${"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "has no value; write one, or remove the line for the default"),
        ("null", "has no value; write one, or remove the line for the default"),
        ("[a]", ONE_VALUE),
        ("{id: a}", ONE_VALUE),
        (".inf", PLAIN_NUMBER),
        (".nan", PLAIN_NUMBER),
        ("1e3", PLAIN_NUMBER),
        ("007", PLAIN_NUMBER),
        ("+5", PLAIN_NUMBER),
        ("0x1F", PLAIN_NUMBER),
        ("''", "is empty; write a value, or remove the line"),
        ("' '", "is empty; write a value, or remove the line"),
        ("${RECON_TEST_EMPTY}", "the environment variable RECON_TEST_EMPTY holds nothing; set it, or remove the line"),
        (
            "${RECON_TEST_UNSET}",
            "the environment variable RECON_TEST_UNSET is not set; set it, or write $${ for a literal ${",
        ),
        ('"${}"', NO_NAME),
        ('"${RECON_TEST_HOST"', NO_NAME),
        ('"${RECON_TEST_HOST:-localhost}"', NO_NAME),
        (r'"a\0b"', "holds a zero byte or something that is not UTF-8; write plain text"),
    ],
)
def test_a_value_that_cannot_be_taken_is_refused_at_its_line(refused: Refused, value: str, why: str) -> None:
    assert refused(kafka("client.rack: a", f"client.id: {value}")) == [f"orders.yaml:17: kafka.client.id: {why}"]


def test_a_side_s_own_settings_are_checked_as_well(refused: Refused) -> None:
    assert refused(source=kafka("client.id: ${RECON_TEST_UNSET}"), target=kafka("acks: 1")) == [
        "orders.yaml:9: source.kafka.client.id: the environment variable RECON_TEST_UNSET is not set; set it, or write $${ for a "
        "literal ${",
        "orders.yaml:16: targets[0].kafka.acks: is not for a topology to set: what is written must be on every replica in sync, "
        "in order and once; remove it",
    ]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sasl.password", ""),
        ("ssl.key.password", ""),
        ("ssl.keystore.password", ""),
        ("sasl.oauthbearer.client.secret", ""),
        ("sasl.oauthbearer.client.credentials.client.secret", ""),
        ("sasl.oauthbearer.assertion.private.key.passphrase", ""),
        ("ssl.key.pem", ", or name a file by ssl.key.location"),
        (
            "sasl.oauthbearer.assertion.private.key.pem",
            ", or name a file by sasl.oauthbearer.assertion.private.key.file",
        ),
    ],
)
@pytest.mark.parametrize(
    "value", ["hunter2", "12345", "$hunter2", "hunter2${RECON_TEST_HOST}", '"$${hunter2}"', '"$${"', "true", "''"]
)
def test_no_secret_stands_in_a_topology(refused: Refused, name: str, file: str, value: str) -> None:
    assert refused(kafka(f"{name}: {value}")) == [
        f"orders.yaml:16: kafka.{name}: a secret must not stand in a topology; {SECRET}{file}"
    ]


def test_a_private_key_is_a_secret_wherever_it_stands(refused: Refused) -> None:
    (message,) = refused(kafka('ssl.certificate.pem: "-----BEGIN PRIVATE KEY-----MIIE"'))
    assert message == f"orders.yaml:16: kafka.ssl.certificate.pem: a secret must not stand in a topology; {SECRET}"


def test_names_that_only_sound_secret_may_be_written(load: Load) -> None:
    lines = ("sasl.username: recon", "ssl.key.location: key.pem", "sasl.oauthbearer.token.endpoint.url: https://id.example/token")
    assert len(load(kafka(*lines)).kafka) == 3


@pytest.mark.parametrize(
    "text",
    [
        "kafka: sasl.password=hunter2",
        "kafka: [sasl.password=hunter2]",
        "kafka: {sasl: {password: hunter2}}",
        "kafka: {sasl.password: [hunter2]}",
        "kafka: {sasl.password: hunter2}",
        "kafka: {client.id: {sasl.password: hunter2}}",
        'kafka: {client.id: "${hunter2 }"}',
        "kafka: {group.protocol: hunter2}",
        "outputs: [{sasl.password: hunter2}]",
        "outputs: {prefix: {kafka: {sasl.password: hunter2}}}",
    ],
)
def test_a_refused_setting_is_never_shown(refused: Refused, text: str) -> None:
    assert not any("hunter2" in message for message in refused(text))


def test_no_setting_is_in_the_repr_of_a_plan(load: Load) -> None:
    plan = load(kafka("sasl.password: ${RECON_TEST_PASSWORD}"), source=kafka("ssl.key.password: ${RECON_TEST_PASSWORD}"))
    assert ("ssl.key.password", "hunter2 ${RECON_TEST_HOST}") in plan.source.kafka
    for shown in (repr(plan), str(plan), repr(plan.source), repr(plan.targets)):
        assert "hunter2" not in shown
        assert "password" not in shown


def test_no_setting_changes_an_identity(load: Load) -> None:
    """Another password is no other configuration: answers stay comparable, and nothing of it can be guessed from a hash."""
    plain = load()
    with_settings = load(
        kafka("sasl.password: ${RECON_TEST_PASSWORD}"),
        source=kafka("bootstrap.servers: there"),
        target=kafka("fetch.min.bytes: 1"),
    )
    assert with_settings.source.kafka != with_settings.targets[0].kafka != plain.source.kafka
    assert configuration_hash(with_settings) == configuration_hash(plain)
    ids = [rules_id(*resolve_feeds(p, frozenset({"id", "a"}), {"maria": frozenset({"id", "a"})})) for p in (plain, with_settings)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    "name",
    [
        "group.id",
        "group.instance.id",
        "enable.auto.commit",
        "auto.commit.enable",
        "enable.auto.offset.store",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "enable.partition.eof",
        "isolation.level",
        "partition.assignment.strategy",
        "transactional.id",
        "enable.idempotence",
        "enable.gapless.guarantee",
        "acks",
        "request.required.acks",
        "plugin.library.paths",
        "logger",
        "error_cb",
        "oauth_cb",
        "ssl.certificate.verify_cb",
        "on_commit",
        "go.delivery.reports",
    ],
)
def test_what_the_program_decides_is_refused_with_a_reason(refused: Refused, name: str) -> None:
    for written in (name, f"topic.{name}"):  # the client takes topic.acks for acks
        (message,) = refused(kafka(f"{written}: 1"))
        assert message.startswith(f"orders.yaml:16: kafka.{written}: is not for a topology to set: ")
        assert message.endswith("; remove it")


def test_every_owned_setting_says_why(refused: Refused) -> None:
    messages = refused(kafka(*(f"{name}: 1" for name in OWNED)))
    assert len(messages) == len(OWNED)
    assert all(len(reason) > 15 for reason in OWNED.values())
    assert not OWNED.keys() & INSTEAD.keys()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("metadata.broker.list", "is not read here; write bootstrap.servers"),
        ("sasl.jaas.config", "is not read here; write sasl.username and sasl.password"),
        ("ssl.truststore.location", "is not read here; write ssl.ca.location, a PEM file"),
        ("Client.Id", "is no name of a client setting; write it as librdkafka does, such as bootstrap.servers"),
        ("bootstrap-servers", "is no name of a client setting; write it as librdkafka does, such as bootstrap.servers"),
        ("<<", "is no name of a client setting; write it as librdkafka does, such as bootstrap.servers"),
        ("topic.message.timeout.ms", "is a second name of message.timeout.ms; write that"),
    ],
)
def test_a_name_that_is_not_the_client_s_is_refused_with_the_one_that_is(refused: Refused, name: str, why: str) -> None:
    assert refused(kafka(f"{name}: a")) == [f"orders.yaml:16: kafka.{name}: {why}"]


def test_a_setting_by_both_its_names_is_refused(refused: Refused) -> None:
    assert refused(kafka("linger.ms: 5", "queue.buffering.max.ms: 6")) == [
        "orders.yaml:17: kafka.queue.buffering.max.ms: is a second name of linger.ms, which is set too; keep one of them"
    ]


def test_what_is_left_to_the_user_is_taken(load: Load) -> None:
    lines = (
        "client.id: recon",
        "transaction.timeout.ms: 60000",
        "topic.metadata.refresh.interval.ms: 5000",
        "max.poll.interval.ms: 300000",
        "debug: broker,cgrp",
    )
    assert len(load(kafka(*lines)).kafka) == len(lines)


def test_the_group_protocol_is_one_of_two(load: Load, refused: Refused) -> None:
    for protocol in ("classic", "consumer"):
        assert load(kafka(f"group.protocol: {protocol}")).kafka == (("group.protocol", protocol),)
    assert refused(kafka("group.protocol: ${RECON_TEST_HOST}")) == [
        "orders.yaml:16: kafka.group.protocol: is none of what it may be; write classic or consumer"
    ]


@pytest.mark.parametrize("text", ["kafka: 5", "kafka: text", "kafka: [a]"])
def test_settings_are_a_mapping(refused: Refused, text: str) -> None:
    assert refused(text) == ["orders.yaml:15: kafka: expected a mapping; write kafka: {bootstrap.servers: localhost:9092}"]
