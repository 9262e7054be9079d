"""What was put out, held against what was written: nothing twice, nothing missing, nothing invented, and everything looked at."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from tools.soak.reading import Said
from tools.soak.table import Planted, Side

SHOWN = 10
"""Lines of each law that is broken."""


Events = list[tuple[str, str, int]]
"""(status, kind, start of the window)."""


def broken(outputs: Sequence[Said], planted: Sequence[Planted], given: Mapping[Side, int]) -> list[str]:
    """What is wrong, in words; ``outputs`` in the order of their partitions, ``given``: rows of each side."""
    found = [o for o in outputs if o.topic.endswith(".discrepancies")]
    audit = [o for o in outputs if o.topic.endswith(".audit")]
    laws = (_differences(found, planted), _chains(audit), _looked(audit, given), _twice(found), _letters(outputs))
    return [line for law in laws for line in list(law)[:SHOWN]]


def _differences(found: Iterable[Said], planted: Iterable[Planted]) -> Iterator[str]:
    """Of each key exactly what follows from what was planted there, of each difference in this order."""
    wanted: dict[int, list[Events]] = {}
    got: dict[int, dict[str, Events]] = {}
    for one in planted:
        wanted.setdefault(one.key, []).append(one.said())
    for body in (o.body for o in found):
        events = got.setdefault(body["key"]["id"], {}).setdefault(body["id"], [])
        events.append((body["status"], body["kind"], _micros(body["window"]["start"])))
    for key in sorted(wanted.keys() | got.keys()):
        mine, theirs = sorted(wanted.get(key, [])), sorted(got.get(key, {}).values())
        if mine != theirs:
            yield f"key {key}: expected {mine}, got {theirs}"


def _chains(audit: Iterable[Said]) -> Iterator[str]:
    """Each certificate carries its number and the hash of the one before; ranges go on where they ended, windows too."""
    heads: dict[str, tuple[int, str | None]] = {}
    nexts: dict[str, int] = {}
    reached: dict[tuple[str, ...], int] = {}
    for o in audit:
        body = o.body
        chain = body["chain"]
        if (body["seq"], body["prev"]) != heads.get(chain, (0, None)):
            yield f"{chain}: expected {heads.get(chain, (0, None))}, got {(body['seq'], body['prev'])}"
        heads[chain] = body["seq"] + 1, hashlib.sha256(o.value).hexdigest()
        if body["type"] in {"started", "stopped"}:
            continue
        if body["type"] != "window":
            yield f"{chain}: {body['type']} was said of a side"
            continue
        if body["number"] < nexts.get(chain, body["number"]):
            yield f"{chain}: window {body['number']} again"
        nexts[chain] = body["number"] + body["windows"]
        for part in body["ranges"]:
            place = chain, part["side"], part["topic"], str(part["partition"])
            if part["from"] != reached.get(place, 0):
                yield f"{chain}: {place} goes on at {part['from']} and not {reached.get(place, 0)}"
            reached[place] = part["to"]


def _looked(audit: Iterable[Said], given: Mapping[Side, int]) -> Iterator[str]:
    """Every row is in one certificate, and none of them is in doubt."""
    rows: Counter[str] = Counter()
    for body in (o.body for o in audit):
        if body["type"] != "window":
            continue
        rows.update({side: body["counts"][f"{side}_rows"] for side in given})
        if body["verdict"] == "inconclusive" or body["causes"] or body["counts"]["late"]:
            yield f"{body['chain']}: window {body['window']} is {body['verdict']}: {body['causes']} {body['counts']}"
    for side, count in given.items():
        if rows[side] != count:
            yield f"{side}: {count} rows were written, certificates hold {rows[side]}"


def _twice(found: Iterable[Said]) -> Iterator[str]:
    said = Counter((body["id"], body["status"]) for body in (o.body for o in found))
    yield from (f"said {count} times: {status} {name}" for (name, status), count in said.items() if count > 1)


def _letters(outputs: Iterable[Said]) -> Iterator[str]:
    yield from (f"dead letter: {o.value.decode()}" for o in outputs if o.topic.endswith(".dead-letters"))


def _micros(instant: str) -> int:
    when = datetime.fromisoformat(instant)
    return int(when.replace(microsecond=0).timestamp()) * 1_000_000 + when.microsecond
