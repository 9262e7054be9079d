"""What one ``run --once`` put out, read back from its output topics: the same summary and files as ``replay`` gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from stream_recon.adapters.kafka.client import Cluster
from stream_recon.adapters.kafka.peek import SETTINGS, read
from stream_recon.adapters.kafka.topics import Topics
from stream_recon.cli.output import print_text, say
from stream_recon.cli.replaying import shown_partitions
from stream_recon.cli.wire import write as write_lines
from stream_recon.engine.pipeline import AUDIT, DEAD_LETTERS, DISCREPANCIES
from stream_recon.engine.summary import EXIT, FAILED, Tally
from stream_recon.errors import Undelivered
from stream_recon.ports import Place
from stream_recon.service.job import Names, Opened
from stream_recon.service.report import PartitionReport

Bodies = Mapping[str, list[bytes]]
"""Event bodies by topic's name without the prefix."""

_WORST = ("clean", "inconclusive", "discrepant")


def output_ends(cluster: Cluster, names: Names) -> dict[Place, int]:
    """Where the output topics end now: what a run puts out comes after."""
    topics = Topics(cluster)
    there = topics.describe([names.discrepancies, names.audit, names.dead_letters])
    return topics.ends((name, p) for name, info in there.items() for p in range(info.partitions))


def bodies(cluster: Cluster, names: Names, since: Mapping[Place, int], header: tuple[str, bytes]) -> Bodies:
    """All that the run with this header put out, by digest partition's order."""
    topics = Topics(cluster)
    ends = topics.ends(since)
    found: dict[str, list[bytes]] = {DISCREPANCIES: [], AUDIT: [], DEAD_LETTERS: []}
    consumer = cluster.consumer(SETTINGS)
    try:
        for message in read(cluster, consumer, {place: (start, ends[place]) for place, start in since.items()}):
            if header in (message.headers() or []):
                kind = (message.topic() or "").removeprefix(f"{names.prefix}.")
                found[kind].append(message.value() or b"")
    finally:
        consumer.close()
    return found


def summary(
    opened: Sequence[Opened],
    found: Bodies,
    partitions: Iterable[PartitionReport],
    stopped: Mapping[str, str],
) -> dict[str, Any]:
    """The run's summary: of one topology as ``replay`` has it, of several the worst and each."""
    last: dict[tuple[str, str, str, int], PartitionReport] = {}
    for line in partitions:
        key = (line.topology, line.view, line.topic, line.partition)
        if key not in last or last[key].position <= line.position:
            last[key] = line
    each = {o.layout.plan.name: _one(o, found, list(last.values()), stopped) for o in opened}
    if len(each) == 1:
        return next(iter(each.values()))
    verdict = max((s["verdict"] for s in each.values()), key=_WORST.index)
    codes = {s["exit_code"] for s in each.values()}
    return {"verdict": verdict, "exit_code": FAILED if FAILED in codes else EXIT[verdict], "topologies": each}


def _one(opened: Opened, found: Bodies, partitions: Sequence[PartitionReport], stopped: Mapping[str, str]) -> dict[str, Any]:
    name = opened.layout.plan.name
    tally = Tally()
    targets = [pair.target for pair in opened.layout.pairs]
    chains = {f"{name}/{target}/{home}": 0 for target in targets for home in range(opened.parallelism)}
    for body in found[DISCREPANCIES]:
        if orjson.loads(body)["topology"] == name:
            tally.discrepancy(body)
    for body in found[AUDIT]:
        event = orjson.loads(body)
        if event["topology"] == name:
            chains[event["chain"]] += 1
            tally.certificate(body)
    starts = {(u.side, u.topic, u.partition): start for v in opened.layout.views for u, start in v.partitions}
    read = [_accounted(p, starts) for p in partitions if p.topology == name and p.view == p.side]
    verdict = tally.verdict()
    if verdict == "clean" and any(p["gaps"] for p in read):
        verdict = "inconclusive"
    warnings = [stopped[name]] if name in stopped else []
    return {
        "topology": name,
        "verdict": verdict,
        "exit_code": FAILED if warnings else EXIT[verdict],
        "windows": tally.windows(),
        "open": tally.open,
        **tally.statuses,
        "partitions": sorted(read, key=lambda p: (p["side"], p["topic"], p["partition"])),
        "chains": chains,
        "warnings": warnings,
    }


def _accounted(p: PartitionReport, starts: Mapping[tuple[str, str, int], int]) -> dict[str, Any]:
    """Law 3: what is neither read nor unused is a gap."""
    start = starts.get((p.view, p.topic, p.partition), 0)
    gaps = p.position - start - p.rows - p.control - p.dead_letters - p.unused
    return {
        "side": p.side,
        "topic": p.topic,
        "partition": p.partition,
        "from": start,
        "to": p.position,
        "rows": p.rows,
        "control": p.control,
        "dead_letters": p.dead_letters,
        "repeated": 0,
        "unused": p.unused,
        "gaps": gaps,
        "late": p.late,
    }


def write(out: Path, found: Bodies, result: Mapping[str, Any]) -> None:
    """The same files as ``replay`` writes.

    Raises:
        Undelivered: they could not be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Undelivered(f"--out {out}: cannot be made: {error.strerror}; give a directory that can be written") from error
    for kind, lines in found.items():
        write_lines(out / f"{kind.replace('-', '_')}.jsonl", (line + b"\n" for line in lines))
    write_lines(out / "summary.json", [orjson.dumps(dict(result), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])


def show(result: Mapping[str, Any]) -> None:
    """The summary for people."""
    for one in result.get("topologies", {"": result}).values():
        windows = one["windows"]
        for warning in one["warnings"]:
            say(f"warning: {warning}")
        print_text(
            f"{one['topology']}: {one['verdict']}",
            f"windows: {windows['clean']} clean, {windows['discrepant']} discrepant, {windows['inconclusive']} inconclusive",
            "discrepancies: " + ", ".join(f"{one[name]} {name}" for name in ("open", "opened", "resolved", "dismissed")),
            shown_partitions(one["partitions"]),
        )
