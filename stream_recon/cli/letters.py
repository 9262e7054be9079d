"""``dead-letters``: messages that could not be understood, as ``replay`` left them or as the deployment's topic holds them.

``--again`` reads each message from its place in its topic once more, by the topology as it is now: what decodes is taken in by
``rebuild``, which reads everything again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa
from rich.table import Table

from stream_recon.cli.output import EXIT_FINE, EXIT_INCONCLUSIVE, print_lines, print_text, say, shown_text
from stream_recon.config import load_topologies
from stream_recon.errors import ConfigError, InputError
from stream_recon.model.messages import Messages, Upstream
from stream_recon.model.plan import Ids, TopologyPlan
from stream_recon.model.schemas import led
from stream_recon.ports import Place

Body = dict[str, Any]

CLASSES: Final = ("schema", "key", "column", "envelope", "time", "encoding", "message")
_GONE: Final = "no longer in the topic"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which ones. Empty ``kinds`` choose all."""

    kinds: tuple[str, ...] = ()
    limit: int = 1_000
    again: bool = False


def show(where: Sequence[Path], choice: Choice, prefix: str | None, *, as_json: bool) -> int:
    """Prints the chosen ones; with ``again`` the exit code is 2 if one still does not decode.

    Raises:
        ReconError: they cannot be read.
    """
    for kind in choice.kinds:
        if kind not in CLASSES:
            raise ConfigError(f"--class {kind}: write one of {', '.join(CLASSES)}")
    recorded = where[0].is_dir() or where[0].suffix == ".jsonl"
    if recorded and (len(where) > 1 or choice.again):
        raise ConfigError("give one result directory, without --again: that reads live topics, so it wants topologies")
    plans = [] if recorded else load_topologies(where, prefix)
    found = from_file(where[0]) if recorded else _from_topic(plans)
    found = [body for body in found if not choice.kinds or body.get("class") in choice.kinds]
    shown = found[-choice.limit :]
    if choice.again:
        shown = _again(plans, shown)
    if as_json:
        print_lines([orjson.dumps(body) for body in shown])
    else:
        _print(shown, len(found))
    if not choice.again:
        return EXIT_FINE
    good = sum(body["now"] == "decodes" for body in shown)
    if not as_json and good:
        say(f"{good} of {len(shown)} decode now: stream-recon rebuild reads everything again, and takes them in")
    return EXIT_FINE if good == len(shown) else EXIT_INCONCLUSIVE


def from_file(where: Path) -> list[Body]:
    """The dead letters that a run left. Raises ``InputError``."""
    path = where / "dead_letters.jsonl" if where.is_dir() else where
    try:
        return [_parsed(line, f"{path}:{number}") for number, line in enumerate(path.read_bytes().splitlines(), 1)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; name the directory that replay wrote") from error


def _parsed(line: bytes, place: str) -> Body:
    try:
        body: Any = orjson.loads(line)
        if isinstance(body, dict) and {"topic", "partition", "offset", "reason"} <= body.keys():
            return body
    except orjson.JSONDecodeError:
        pass
    raise InputError(f"{place}: no dead letter; name the directory that replay wrote")


def _from_topic(plans: Sequence[TopologyPlan]) -> list[Body]:
    """Those of these topologies, each once: they are written at least once."""
    from stream_recon.adapters.kafka.peek import SETTINGS, read
    from stream_recon.adapters.kafka.topics import Topics
    from stream_recon.cli.clusters import cluster_of
    from stream_recon.service.job import Names

    cluster, topic = cluster_of(plans[0].kafka), Names(plans[0].prefix).dead_letters
    topics = Topics(cluster)
    info = topics.describe([topic]).get(topic)
    places = [] if info is None else [(topic, p) for p in range(info.partitions)]
    begin, end = topics.begins(places), topics.ends(places, committed=True)
    consumer = cluster.consumer(SETTINGS)
    try:
        messages = read(cluster, consumer, {p: (begin[p], end[p]) for p in places})
    finally:
        consumer.close()
    names = {plan.name for plan in plans}
    found: dict[tuple[Any, ...], Body] = {}
    for message in messages:
        body = _parsed(message.value() or b"", f"{topic}/{message.partition()} at {message.offset()}")
        if body.get("topology") in names:
            found[tuple(body.get(name) for name in ("topology", "view", "side", "topic", "partition", "offset"))] = body
    return list(found.values())


# ---- again -------------------------------------------------------------------------------------------------------------


def _again(plans: Sequence[TopologyPlan], letters: Sequence[Body]) -> list[Body]:
    """The letters with what becomes of each message ``now``."""
    from stream_recon.cli.deployment import Deployment
    from stream_recon.service.job import Names

    deployment = Deployment(plans, Names(plans[0].prefix))
    deployment.reach()
    told: dict[int, str] = {}
    for plan in deployment.plans:
        mine = {n: body for n, body in enumerate(letters) if body.get("topology") == plan.name}
        if mine:
            told |= _of_topology(deployment, plan, mine)
    return [body | {"now": told[n]} for n, body in enumerate(letters)]


def _of_topology(deployment: Any, plan: TopologyPlan, letters: Mapping[int, Body]) -> dict[int, str]:
    from stream_recon.cli.clusters import cluster_of
    from stream_recon.cli.schemas import ids_in_headers
    from stream_recon.cli.wire import decoder

    layout = deployment.found(plan).layout
    told: dict[int, str] = {}
    for view in layout.views:
        mine = {n: body for n, body in letters.items() if body.get("view", body["side"]) == view.id}
        ids = ids_in_headers(view.side)
        messages = _fetched(cluster_of(view.side.kafka), ids, {(b["topic"], b["partition"], b["offset"]) for b in mine.values()})
        reads = decoder(view.feed)
        for n, body in mine.items():
            place = body["topic"], body["partition"], body["offset"]
            decoded = None if place not in messages else reads.decode(messages[place])
            told[n] = _GONE if decoded is None else decoded.dead[0].reason if decoded.dead else "decodes"
    return {n: told.get(n, _GONE) for n in letters}


def _fetched(cluster: Any, ids: Ids | None, wanted: Iterable[tuple[str, int, int]]) -> dict[tuple[str, int, int], Messages]:
    """Single messages, by place; those that retention took, or that went with their topic, are not in the answer."""
    from stream_recon.adapters.kafka.client import headers_of
    from stream_recon.adapters.kafka.peek import SETTINGS, read
    from stream_recon.adapters.kafka.topics import Topics

    found: dict[tuple[str, int, int], Messages] = {}
    places: dict[Place, list[int]] = {}
    for topic, partition, offset in wanted:
        places.setdefault((topic, partition), []).append(offset)
    topics = Topics(cluster)
    there = topics.describe(topic for topic, _ in places)
    places = {(t, p): offsets for (t, p), offsets in places.items() if t in there and p < there[t].partitions}
    begin, end = topics.begins(places), topics.ends(places, committed=True)
    consumer = cluster.consumer(SETTINGS)
    try:
        for place, offsets in places.items():
            for offset in sorted(o for o in offsets if begin[place] <= o < end[place]):
                for message in read(cluster, consumer, {place: (offset, offset + 1)}):
                    time = np.array([message.timestamp()[1]], np.int64)
                    parts = {"key": message.key(), "value": message.value()}
                    if ids is not None:
                        parts = {part: led(one, part, headers_of(message), ids) for part, one in parts.items()}
                    key, value = (pa.array([parts[part]], pa.binary()) for part in ("key", "value"))
                    found[(*place, offset)] = Messages(Upstream("", *place), np.array([offset]), time, key, value)
    finally:
        consumer.close()
    return found


# ---- for people --------------------------------------------------------------------------------------------------------


def _print(letters: Sequence[Body], count: int) -> None:
    if letters:
        print_text(_table(letters), _classes(letters))
    of = f" of {count}" if len(letters) < count else ""
    print_text(f"{len(letters)}{of} dead letter{'' if count == 1 else 's'}")


def _table(letters: Sequence[Body]) -> Table:
    table = Table(title="dead letters", title_justify="left")
    names = ["side", "at", "time", "key", "class", "reason", *(["now"] if "now" in letters[0] else [])]
    for name in names:
        table.add_column(name, overflow="fold")
    for body in letters:
        key = ", ".join(f"{shown_text(n)}={shown_text(v)}" for n, v in body.get("key", {}).items())
        at = f"{body['topic']}/{body['partition']} @ {body['offset']}"
        cells = [str(body.get("side", "")), at, str(body.get("timestamp", "")), key, str(body.get("class", "")), body["reason"]]
        table.add_row(*map(shown_text, cells), *([shown_text(body["now"])] if "now" in body else []))
    return table


def _classes(letters: Sequence[Body]) -> Table:
    """How many there are of each reason: what one fix may mend."""
    table = Table(title="by reason", title_justify="left")
    table.add_column("letters", justify="right")
    table.add_column("reason", overflow="fold")
    for reason, count in Counter(body["reason"] for body in letters).most_common():
        table.add_row(f"{count:,}", shown_text(reason))
    return table
