"""Renders a history as a topology and as recordings, and its expected answers as the fields of the outputs."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .history import (
    Control,
    Delete,
    Gap,
    History,
    Hole,
    Item,
    KeyChange,
    Lift,
    Message,
    Partial,
    Partition,
    Read,
    Side,
    Tombstone,
    Truncate,
    Undecodable,
    Upsert,
    messages,
)
from .oracle import Event, Expected

Format = Literal["debezium-json", "json-broker", "json-column"]  # json: event time = the broker timestamp, or column `at`
Json = dict[str, Any]
UNAVAILABLE = "__debezium_unavailable_value"


def expressible(history: History, fmt: Format) -> bool:
    """Can recordings in this format express the history? Nothing can be lost or lifted in a recording."""
    for side in history.sides:
        for partition in side.partitions:
            items = partition.items
            if any(isinstance(i, Gap | Lift) for i in items) or (
                items and any(isinstance(i, Hole) for i in (items[0], items[-1]))
            ):
                return False
    return fmt == "debezium-json" or all(_in_json(item, fmt) for _, _, item in messages(history))


def _in_json(item: Message, fmt: Format) -> bool:
    if fmt == "json-broker":  # a null payload is a delete at its broker timestamp
        return isinstance(item, Undecodable) or (isinstance(item, Upsert | Delete) and item.t == item.ts * 1000)
    return isinstance(item, Undecodable | Upsert | Tombstone)  # a null payload has no event time


def to_json(history: History, fmt: Format) -> History:
    """The nearest history that a json format can express; every offset holds what it held, or something simpler."""
    if fmt == "debezium-json":
        return history

    def simpler(item: Item) -> Item:
        if isinstance(item, Undecodable | Hole):
            return item
        assert not isinstance(item, Gap | Lift)
        key = item.new if isinstance(item, KeyChange) else getattr(item, "key", 1)
        value, large = getattr(item, "value", "a"), getattr(item, "large", "x")
        ts: int = item.ts
        t: int = getattr(item, "t", ts * 1000)
        if fmt == "json-broker":
            ts = t // 1000
            absent: Item = Delete(item.offset, ts, ts * 1000, key)
            present = Upsert(item.offset, ts, ts * 1000, key, value, large)
        else:
            absent, present = Tombstone(item.offset, ts, key), Upsert(item.offset, ts, t, key, value, large)
        return absent if isinstance(item, Delete | Tombstone | Truncate) else present

    def side_in_json(side: Side) -> Side:
        parts = (Partition(p.topic, p.number, tuple(simpler(i) for i in p.items)) for p in side.partitions)
        return Side(side.name, tuple(parts), side.history)

    return History(history.params, side_in_json(history.source), tuple(side_in_json(t) for t in history.targets))


def duration(micros: int) -> str:
    """A duration as a topology has it."""
    for unit, text in ((1_000_000, "s"), (1000, "ms")):
        if micros % unit == 0:
            return f"{micros // unit}{text}"
    raise ValueError(f"{micros} µs is no whole number of milliseconds")


def topology(history: History, fmt: Format, name: str = "oracle") -> Json:
    """The topology that goes with the history's recordings; `json.dumps` of it is YAML."""

    def side_of(side: Side) -> Json:
        topics = sorted({p.topic for p in side.partitions}) or [f"{side.name}.a"]
        out: Json = {
            "name": side.name,
            "topics": topics,
            "format": fmt.split("-")[0] if fmt != "debezium-json" else fmt,
            "key": ["id"],
        }
        if side.history == "partial":
            out["history"] = "partial"
        if fmt == "json-column":
            out |= {"event_time": "at", "types": {"at": "timestamp(us)"}}
        return out

    p = history.params
    compare: Json = {"ignore": ["at"]} if fmt == "json-column" else {"large": ["note"]} if fmt == "debezium-json" else {}
    out: Json = {"version": 1, "name": name, "source": side_of(history.source), "targets": [side_of(t) for t in history.targets]}
    for setting in ("window", "settle", "clock_skew", "out_of_orderness", "max_future"):
        out[setting] = duration(getattr(p, setting))
    if p.order != "log":
        out["order"] = p.order
    if p.forget_deleted is not None:
        out["forget_deleted"] = duration(p.forget_deleted)
    if compare:
        out["compare"] = compare
    return out | {"dead_letters": {"max_share": "100%", "over": "10m"}, "outputs": {"prefix": "oracle"}}


def recordings(
    history: History, fmt: Format, shuffle: random.Random | None = None, repeats: int = 0
) -> tuple[dict[str, list[str]], dict[tuple[str, str, int], int]]:
    """Per side the lines of its recording, and per (side, topic, partition) how many of them are repetitions."""
    assert expressible(history, fmt)
    lines: dict[str, list[tuple[int, str]]] = {side.name: [] for side in history.sides}
    repeated: dict[tuple[str, str, int], int] = {}
    for side, partition, item in messages(history):
        key, payload = message(side, partition, item, fmt)
        line = {"topic": partition.topic, "partition": partition.number, "offset": item.offset, "tstype": "create", "ts": item.ts}
        text = json.dumps(line | {"broker": 1, "headers": [], "key": key, "payload": payload})
        place = (side.name, partition.topic, partition.number)
        again = shuffle.choice([0] * 3 + [1] * repeats + [2] * (repeats > 1)) if shuffle else 0
        repeated[place] = repeated.get(place, 0) + again
        lines[side.name] += [(item.ts, text)] * (1 + again)
    out: dict[str, list[str]] = {}
    for name, stamped in lines.items():
        if shuffle:
            shuffle.shuffle(stamped)
        out[name] = [text for _, text in stamped]
    return out, repeated


def message(side: Side, partition: Partition, item: Message, fmt: Format) -> tuple[str | None, str | None]:
    """Key and payload of a message."""
    if isinstance(item, Undecodable):
        bad = ['{"id":', None][item.offset % 2]
        return (bad if item.key is None else _key(item.key)), '{"before":null,"after":{"id":1,"val'
    if fmt == "debezium-json":
        return _debezium(side, partition, item)
    assert isinstance(item, Upsert | Delete | Tombstone)
    if not isinstance(item, Upsert):
        return _key(item.key), None
    row = {"id": item.key, "value": item.value, "note": item.large} | ({"at": item.t} if fmt == "json-column" else {})
    return _key(item.key), json.dumps(row)


def _key(key: int) -> str:
    return json.dumps({"id": key})


def _debezium(side: Side, partition: Partition, item: Message) -> tuple[str | None, str | None]:
    if isinstance(item, Tombstone):
        return _key(item.key), None
    if isinstance(item, Control):
        if item.offset % 2:
            return json.dumps({"serverName": side.name}), json.dumps({"ts_ms": item.ts})
        tx = {"status": "BEGIN", "id": f"571:{item.offset}", "event_count": None, "data_collections": None, "ts_ms": item.ts}
        return json.dumps({"id": tx["id"]}), json.dumps(tx)
    assert not isinstance(item, Undecodable)
    before: Json | None = None
    after: Json | None = None
    key: str | None = None
    if isinstance(item, Truncate):
        op = "t"
    elif isinstance(item, Delete):
        op, key, before = "d", _key(item.key), {"id": item.key}
    elif isinstance(item, KeyChange):
        op, key, before = "u", _key(item.new), {"id": item.old}
        after = {"id": item.new, "value": item.value, "note": item.large}
    elif isinstance(item, Partial):
        op, key, after = "u", _key(item.key), {"id": item.key, "value": item.value, "note": UNAVAILABLE}
    else:
        op = "r" if isinstance(item, Read) else "cu"[item.offset % 2]
        key, after = _key(item.key), {"id": item.key, "value": item.value, "note": item.large}
    snapshot = "true" if op == "r" else "false"
    source = {"version": "3.0.0.Final", "connector": "postgresql", "name": side.name, "ts_ms": item.t // 1000, "ts_us": item.t}
    source |= {"snapshot": snapshot, "db": "shop", "schema": "public", "table": partition.topic}
    return key, json.dumps({"before": before, "after": after, "source": source, "op": op, "ts_ms": item.ts})


def stamp(micros: int) -> str:
    """RFC 3339 in UTC with µs."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def summary(answers: Expected, repeated: dict[tuple[str, str, int], int] | None = None) -> Json:
    """What `summary.json` has at least; partitions in any order."""
    partitions = []
    for account in answers.accounts:
        fields = asdict(account)
        fields["from"] = fields.pop("start")
        fields["repeated"] = (repeated or {}).get((account.side, account.topic, account.partition), 0)
        partitions.append(fields)
    counted = {
        "open": len(answers.open),
        "opened": answers.count("opened"),
        "resolved": answers.count("resolved"),
        "dismissed": 0,
    }
    verdict = {"verdict": answers.verdict, "exit_code": answers.exit_code, "windows": dict(answers.windows)}
    return verdict | counted | {"partitions": partitions}


def discrepancy(event: Event, source: str, name: str = "oracle") -> Json:
    """What a line of `discrepancies.jsonl` has at least, but for id and hashes."""
    places = {"source_ref": event.source_place, "target_ref": event.target_place}
    refs = {k: None if p is None else dict(zip(("topic", "partition", "offset"), p, strict=True)) for k, p in places.items()}
    out: Json = {"topology": name, "source": source, "target": event.target, "key": {"id": event.key}, "kind": event.kind}
    out |= {"status": event.status, "window": {"start": stamp(event.window_start), "end": stamp(event.window_end)}}
    return out | refs | {"first_seen": stamp(event.first_seen), "occurrences": event.occurrences}
