"""``acl render``: the least rights of a deployment, as commands for Kafka's own tool, as Strimzi's resources, or as JSON."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from stream_recon.cli.clusters import cluster_of
from stream_recon.cli.deployment import own_topics
from stream_recon.cli.output import EXIT_FINE, print_json, print_lines
from stream_recon.config import load_topologies
from stream_recon.errors import ConfigError
from stream_recon.limits import DIGEST_PARTITIONS
from stream_recon.service.job import Names
from stream_recon.service.rights import Right, rights

FORMATS: Final = ("kafka-acls", "strimzi")
_API: Final = "kafka.strimzi.io/v1beta2"
_STRIMZI: Final = {"topic": "topic", "group": "group", "transactional-id": "transactionalId"}
_REPLICAS: Final = 3


def render(paths: Sequence[Path], prefix: str | None, principal: str, form: str, *, sign: bool, as_json: bool) -> int:
    """Prints them. Raises ``ReconError``."""
    if form not in FORMATS:
        raise ConfigError(f"--format {form}: expected {' or '.join(FORMATS)}")
    plans = load_topologies(paths, prefix)
    found = rights(plans, lambda settings: cluster_of(settings).name, sign=sign)
    if as_json:
        print_json({"clusters": {name: [asdict(right) for right in of] for name, of in found.items()}})
    elif form == "kafka-acls":
        print_lines([line.encode() for name, of in found.items() for line in _commands(name, principal, of)])
    else:
        names = Names(plans[0].prefix)
        topics = (
            [] if sign else [_topic(t.name, t.default, t.settings) for t in own_topics(names, DIGEST_PARTITIONS, exactly=False)]
        )
        users = [_user(principal, name, of) for name, of in found.items()]
        print_lines([_yaml([*users, *topics]).encode().removesuffix(b"\n")])
    return EXIT_FINE


def _commands(bootstrap: str, principal: str, of: Sequence[Right]) -> list[str]:
    said = f"# on {bootstrap}"
    return [said, *(_command(bootstrap, principal, right) for right in of)]


def _command(bootstrap: str, principal: str, right: Right) -> str:
    words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add", "--allow-principal", principal]
    for operation in right.operations:
        words += ["--operation", operation]
    words += [f"--{right.kind}", right.name]
    return shlex.join([*words, "--resource-pattern-type", "prefixed" if right.prefixed else "literal"])


# ---- Strimzi -----------------------------------------------------------------------------------------------------------


def _user(principal: str, bootstrap: str, of: Sequence[Right]) -> dict[str, Any]:
    """The operator makes the user and its certificate; ``bootstrap`` says which cluster's label is to be filled in."""
    return {
        "apiVersion": _API,
        "kind": "KafkaUser",
        "metadata": {
            "name": _name(principal.removeprefix("User:").removeprefix("CN=")),
            "labels": {"strimzi.io/cluster": "CLUSTER"},
            "annotations": {"stream-recon/bootstrap-servers": bootstrap},
        },
        "spec": {
            "authentication": {"type": "tls"},
            "authorization": {"type": "simple", "acls": [_acl(right) for right in of]},
        },
    }


def _acl(right: Right) -> dict[str, Any]:
    pattern = "prefix" if right.prefixed else "literal"
    resource = {"type": _STRIMZI[right.kind], "name": right.name, "patternType": pattern}
    return {"resource": resource, "operations": list(right.operations)}


def _topic(name: str, partitions: int, settings: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "KafkaTopic",
        "metadata": {"name": _name(name), "labels": {"strimzi.io/cluster": "CLUSTER"}},
        "spec": {"topicName": name, "partitions": partitions, "replicas": _REPLICAS, "config": dict(settings)},
    }


def _name(text: str) -> str:
    """As Kubernetes takes it."""
    return re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.")


def _yaml(documents: Sequence[Mapping[str, Any]]) -> str:
    writer, out = YAML(), io.StringIO()
    writer.default_flow_style = False
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 1_000
    writer.dump_all(documents, out)
    return out.getvalue()
