"""Settings of the Kafka client under ``kafka:``, by librdkafka's names: checked, filled from the environment, made text.

    kafka:
      bootstrap.servers: broker:9093
      sasl.password: ${KAFKA_PASSWORD}     # $${ stands for a literal ${

What the program itself decides is refused, since its promises (no silent jump, nothing written twice) rest on it. Which other
names there are, and which values they take, only the client knows, and refuses when it is made. No sentence here shows a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stream_recon.config.source import Document, FieldPath

Settings = tuple[tuple[str, str], ...]

NAME_PATTERN = r"^[a-z0-9._]+$"

_OFFSETS = "an offset is committed when the digest log has its rows, and by nothing else"
_ONCE = "what is written must be on every replica in sync, in order and once"
_GROUPS = "the program names its consumer groups and their members"
_CODE = "a topology loads no code"
_CALLBACK = "a callback is code, and no setting"

OWNED = {
    "acks": _ONCE,
    "allow.auto.create.topics": "a topic that does not exist is an error, never an empty topic",
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": _OFFSETS,
    "auto.offset.reset": "a position that is gone is a gap to tell of, never a silent jump, and start: says where to begin",
    "delivery.report.only.error": "the program counts every delivery",
    "enable.auto.commit": _OFFSETS,
    "enable.auto.offset.store": _OFFSETS,
    "enable.gapless.guarantee": _ONCE,
    "enable.idempotence": _ONCE,
    "enable.partition.eof": "the program asks for the end of a partition itself",
    "enabled_events": _CALLBACK,
    "group.id": _GROUPS,
    "group.instance.id": _GROUPS,
    "isolation.level": "only what is committed is read",
    "logger": _CALLBACK,
    "offset.store.method": _OFFSETS,
    "partition.assignment.strategy": "the program decides how partitions are handed from worker to worker",
    "partitioner": "all events of one id stand in one partition",
    "plugin.library.paths": _CODE,
    "request.required.acks": _ONCE,
    "sasl.kerberos.kinit.cmd": "a topology runs no command: set sasl.kerberos.keytab and sasl.kerberos.principal, or renew "
    "tickets outside and set sasl.kerberos.min.time.before.relogin: 0",
    "ssl.engine.location": _CODE,
    "topic.blacklist": "topics: says what is read",
    "transactional.id": "the program names its transactions, so that a worker that was given up cannot write",
}
"""Settings that the program decides, each with the reason."""

INSTEAD = {
    "metadata.broker.list": "bootstrap.servers",
    "sasl.jaas.config": "sasl.username and sasl.password",
    "ssl.truststore.location": "ssl.ca.location, a PEM file",
}
"""Names that mean something elsewhere, and what to write here."""

_ALIASES = {
    "compression.type": "compression.codec",
    "delivery.timeout.ms": "message.timeout.ms",
    "linger.ms": "queue.buffering.max.ms",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "retries": "message.send.max.retries",
    "sasl.mechanism": "sasl.mechanisms",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
}
"""librdkafka's second names: of a setting that is there by both, the client would take one without a word."""

_CHOICES = {"group.protocol": ("classic", "consumer")}

_SECRET_WORDS = frozenset({"password", "passphrase", "secret"})
_FILES = {
    "ssl.key.pem": "ssl.key.location",
    "sasl.oauthbearer.assertion.private.key.pem": "sasl.oauthbearer.assertion.private.key.file",
}
"""Secrets that can be read from a file, and the setting that names it."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")


def read_settings(document: Document, path: FieldPath, written: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings at ``path``, sorted by name; notes a problem for each that cannot be taken, and leaves it out."""
    settings: dict[str, str] = {}
    first: dict[str, str] = {}
    for name, value in written.items():
        at = (*path, name)
        twin = first.setdefault(_canonical(name), name)
        try:
            _check_name(name, twin)
            settings[name] = _text(name, value, document.numbers.get(at), environment)
        except ValueError as error:
            document.problem(at, str(error))
    return tuple(sorted(settings.items()))


def overlaid(base: Settings, own: Settings) -> Settings:
    """``base`` with the settings of ``own`` in place of the same ones, by whichever of its names they are written."""
    replaced = {_canonical(name) for name, _ in own}
    return tuple(sorted([*((n, v) for n, v in base if _canonical(n) not in replaced), *own]))


def _canonical(name: str) -> str:
    return _ALIASES.get(name, name)


def _check_name(name: str, twin: str) -> None:
    """Raises ``ValueError`` for what is no name, not ours to take, or a second name of ``twin``, which is there as well."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValueError("is no name of a client setting; write it as librdkafka does, such as bootstrap.servers")
    if name in INSTEAD:
        raise ValueError(f"is not read here; write {INSTEAD[name]}")
    short = name if name.startswith("topic.metadata.") else name.removeprefix("topic.")
    reason = OWNED.get(name) or OWNED.get(short)
    if short.endswith("_cb") or short.startswith("on_"):
        reason = _CALLBACK
    if short.startswith("go."):
        reason = "it belongs to the client for Go"
    if reason is not None:
        raise ValueError(f"is not for a topology to set: {reason}; remove it")
    if short != name:
        raise ValueError(f"is a second name of {short}; write that")
    if twin != name:
        raise ValueError(f"is a second name of {twin}, which is set too; keep one of them")


def _text(name: str, value: object, number: str | None, environment: Mapping[str, str]) -> str:
    """The value as the client takes it. ``number``: how the value stands in the file, if YAML takes it for a number."""
    if not isinstance(value, str | int | float):
        raise ValueError("expected one value, not a list or a mapping; write the whole name on one line, name: value")
    literal = value if isinstance(value, str) else ""
    if _is_secret(name, literal) and (not literal or _REFERENCE.sub(_nothing, literal)):
        file = f", or name a file by {_FILES[name]}" if name in _FILES else ""
        raise ValueError(f"a secret must not stand in a topology; write ${{NAME}} and set NAME in the environment{file}")
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif number is not None:
        if not _NUMBER.fullmatch(number):
            raise ValueError("is no plain number; write digits such as 500 or 0.5, or put text in quotes")
        text = number
    else:
        text = _filled(literal, environment)
    if name in _CHOICES and text not in _CHOICES[name]:
        raise ValueError(f"is none of what it may be; write {' or '.join(_CHOICES[name])}")
    return text


def _is_secret(name: str, literal: str) -> bool:
    return not _SECRET_WORDS.isdisjoint(re.split(r"[._]", name)) or name in _FILES or "PRIVATE KEY-----" in literal


def _nothing(match: re.Match[str]) -> str:
    """What is left of a reference in a secret: nothing of ``${NAME}``, all of what is literal."""
    return "" if match[1] else match[0]


def _filled(written: str, environment: Mapping[str, str]) -> str:
    """``written`` with each ``${NAME}`` replaced, once: what a variable holds is not looked into."""
    names: list[str] = []

    def value(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if match[1] is None:
            raise ValueError("holds ${ that begins no name; write ${NAME} (letters, digits and '_'), or $${ for a literal ${")
        if match[1] not in environment:
            raise ValueError(f"the environment variable {match[1]} is not set; set it, or write $${{ for a literal ${{")
        names.append(match[1])
        return environment[match[1]]

    text = _REFERENCE.sub(value, written)
    if not text.strip():
        of = f"the environment variable {' and '.join(names)} holds nothing; set it" if names else "is empty; write a value"
        raise ValueError(f"{of}, or remove the line")
    if "\0" in text or not _is_utf8(text):
        raise ValueError("holds a zero byte or something that is not UTF-8; write plain text")
    return text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
