"""What must hold when a run has come to its end, whatever happened in it (DESIGN sections 3.7 and 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_recon.engine.reconciler import Reconciler
from stream_recon.model.plan import TopologyPlan
from stream_recon.ports import Entry, Place
from stream_recon.service.job import Names
from stream_recon.sim.broker import Broker
from stream_recon.sim.disk import Disk, DiskStore
from stream_recon.sim.rows import Input
from stream_recon.sim.world import World

Body = dict[str, Any]


@dataclass(slots=True)
class Ending:
    """A run that is over. ``homes``: digest partitions that the topology uses. ``lost``: partitions of which messages were lost
    before they were read.
    """

    broker: Broker
    names: Names
    plan: TopologyPlan
    homes: int
    input: Input
    lost: set[Place] = field(default_factory=set)


def broken(ending: Ending) -> Iterator[str]:
    """Every law that does not hold, in words."""
    if ending.broker.ongoing:
        yield f"transactions are open: {sorted(ending.broker.ongoing)}"
    yield from uncommitted(ending)
    said = _said(ending)
    folded, shares = _folded(ending)
    yield from _once(said, folded)
    bodies = [orjson.loads(body) for chain in sorted(said) for body in said[chain]]
    yield from _accounts(ending, shares)
    if ending.lost:
        yield from _gaps_are_told(shares, bodies)
    elif ending.input.honest:
        yield from _truth(ending, bodies)
        yield from _no_false_alarm(ending, bodies)


def uncommitted(ending: Ending) -> Iterator[str]:
    """Every position is committed to the end of its partition."""
    group = ending.broker.group(ending.names.reconcile)
    for home in range(ending.homes):
        end = ending.broker.topics[ending.names.digests].logs[home].end
        commit = group.committed.get((ending.names.digests, home))
        if commit is None or commit.position != end or commit.metadata:
            yield f"digest partition {home} ends at {end}, committed is {commit}"


def _said(ending: Ending) -> dict[str, list[bytes]]:
    """What a reader of committed messages sees of the outputs, by topic and chain."""
    out: dict[str, list[bytes]] = {}
    for topic in (ending.names.discrepancies, ending.names.audit):
        for number, log in enumerate(ending.broker.topics[topic].logs):
            for record in ending.broker.read((topic, number), log.begin, 1 << 40)[0]:
                body = record.value or b""
                out.setdefault(f"{topic} {orjson.loads(body)['chain']}", []).append(body)
    return out


def _folded(ending: Ending) -> tuple[dict[str, list[bytes]], list[Any]]:
    """What one undisturbed reader says of the digest log, and what it knows in the end."""
    world = World(0)
    out: dict[str, list[bytes]] = {}
    shares = []
    for home in range(ending.homes):
        reader = Reconciler(home, DiskStore(world, Disk()))
        log = ending.broker.topics[ending.names.digests].logs[home]
        for record in ending.broker.read((ending.names.digests, home), log.begin, 1 << 40)[0]:
            for event in reader.fold(Entry(record.offset, record.time, record.key, record.value or b"")):
                topic, chain = ending.names.output(event.topic), orjson.loads(event.body)["chain"]
                out.setdefault(f"{topic} {chain}", []).append(event.body)
        shares += [(home, share) for share in reader.shares.values()]
    return out, shares


def _once(said: Mapping[str, list[bytes]], folded: Mapping[str, list[bytes]]) -> Iterator[str]:
    """Exactly once: the outputs are, octet for octet, what one undisturbed reader says of the same log."""
    for chain in sorted(said.keys() | folded.keys()):
        got, want = said.get(chain, []), folded.get(chain, [])
        if got == want:
            continue
        twice = [body for body, n in Counter(got).items() if n > 1]
        missing, more = len(set(want) - set(got)), len(set(got) - set(want))
        yield f"{chain}: {len(got)} events, expected {len(want)}: {len(twice)} twice, {missing} missing, {more} that are none"


def _accounts(ending: Ending, shares: list[Any]) -> Iterator[str]:
    """Every message is accounted for once, and nothing was skipped unseen."""
    for home, share in shares:
        for upstream, known in share.known.items():
            place = upstream.topic, upstream.partition
            log = ending.broker.log(place)
            if known.retired or log is None:
                continue
            if known.next != log.end:
                yield f"digest partition {home}: {place} is read to {known.next} of {log.end}"
            if known.gaps and place not in ending.lost:
                yield f"digest partition {home}: {place} has a gap of {known.gaps}, though nothing was lost"
            counts = known.counts
            total = counts.rows + counts.control + counts.dead_letters + counts.unused
            if counts.rows and place not in ending.lost and total != known.next - known.start:
                yield f"digest partition {home}: {place}: {counts} of {known.next - known.start} positions, {known.gaps} lost"


def _gaps_are_told(shares: list[Any], bodies: list[Body]) -> Iterator[str]:
    """What was lost makes windows inconclusive, with its cause."""
    told = {(c["side"], c["topic"], c["partition"]) for b in bodies if b["type"] == "window" for c in b["causes"]}
    for home, share in shares:
        for known in share.known.values():
            if known.gaps and not known.retired and (known.side, known.topic, known.partition) not in told:
                yield f"digest partition {home}: a gap of {known.gaps} in {known.topic}/{known.partition} is in no certificate"


def _truth(ending: Ending, bodies: list[Body]) -> Iterator[str]:
    """Law 1: what is open in the end is what differs."""
    for target in ending.plan.targets:
        newest = {b["id"]: b for b in bodies if b["type"] == "discrepancy" and b["target"] == target.name}
        found = {b["key"]["id"]: b["kind"] for b in newest.values() if b["status"] in {"opened", "updated"}}
        want = ending.input.open(ending.plan.source.name, target.name)
        for key in sorted(found.keys() | want.keys()):
            got, wanted = found.get(key), want.get(key)
            if got != wanted and not (wanted == "other" and got in {"stale_in_target", "value_mismatch"}):
                yield f"{target.name}: key {key} is open as {got}, expected {wanted}"


def _no_false_alarm(ending: Ending, bodies: list[Body]) -> Iterator[str]:
    """Law 2: nothing is opened but what was planted, unless a lift was wrong or a row late, which here none is. A pair that may
    keep little may be suspended.
    """
    fine = {"gap", "suspended"} if any(b["type"] == "suspended" for b in bodies) else {"gap"}
    for body in bodies:
        if body["type"] == "window":
            if body["counts"]["late"] or any(c["kind"] not in fine for c in body["causes"]):
                yield f"{body['chain']}: window {body['window']}: late {body['counts']['late']}, causes {body['causes']}"
        elif body["type"] == "discrepancy" and body["key"]["id"] not in ending.input.planted[body["target"]]:
            yield f"{body['target']}: key {body['key']['id']} was opened and nothing is wrong with it"
