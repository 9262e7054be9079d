"""Holds what the engine said against what the oracle expects: every event, window, count, cause and proof, exactly.

``disagreements`` is the whole comparison: it returns what differs, in words, and is empty if nothing does. Hashes, ids and trees
are computed here anew, from the documents, not with the engine's own functions.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from itertools import pairwise
from typing import Any, TypeVar

import orjson

from tests.laws.drive import Answers
from tests.laws.following import complaints
from tests.oracle.fold import Folder, State
from tests.oracle.history import History
from tests.oracle.oracle import Counts, Expected, Pair, _PairJudge, expected, folders
from tests.oracle.render import stamp
from tests.oracle.timeline import Place, Reading, Value

T = TypeVar("T")
Json = dict[str, Any]
NAME = "oracle"
"""Of the topology that ``render.topology`` makes."""
_COUNTED = ("source_rows", "target_rows", "keys", "equal", "different", "inconclusive", "late")
_ACCOUNT = ("side", "topic", "partition", "from", "to", "rows", "control", "dead_letters", "unused", "gaps", "late")


# ---- hashes, ids and trees, from the page -------------------------------------------------------------------------------


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def framed(tag: str, text: bytes) -> bytes:
    return b"%b%d:%b" % (tag.encode(), len(text), text)


def key_id_of(key: int) -> bytes:
    """The first 16 octets of the hash of the key's text."""
    return sha(framed("n", b"%d" % key))[:16]


def row_hash_of(key: int, value: tuple[str, str]) -> bytes:
    """The hash of the row (id, note, value), where ``note`` is large."""
    large = framed("h", sha(framed("s", value[1].encode())).hex().encode())
    return sha(framed("n", b"%d" % key) + large + framed("s", value[0].encode()))


def filled_hash_of(key: int, value: tuple[str, str]) -> bytes:
    """What is shown of a row whose large column was filled: the hash over its rest and its large column's hash."""
    rest = sha(framed("n", b"%d" % key) + b"?" + framed("s", value[0].encode()))
    return sha(rest + sha(framed("s", value[1].encode())))


def discrepancy_id_of(target: str, key: int, first_seen: int) -> str:
    parts = (NAME.encode(), target.encode(), key_id_of(key), b"%d" % first_seen)
    return sha(b"".join(b"%d:%b" % (len(p), p) for p in parts))[:16].hex()


def tree(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, by its own recursion."""
    if not leaves:
        return sha(b"")
    if len(leaves) == 1:
        return sha(b"\0" + leaves[0])
    half = 1
    while 2 * half < len(leaves):
        half *= 2
    return sha(b"\1" + tree(leaves[:half]) + tree(leaves[half:]))


# ---- the comparison -----------------------------------------------------------------------------------------------------


def disagreements(history: History, answers: Answers, truth: Expected | None = None, *, homes: int = 1) -> list[str]:
    """Everything in which the answers differ from what the page says; ``truth`` only spares computing it again."""
    truth = truth or expected(history)
    said = Said(answers, history.params.window, homes)
    return [
        *_differ("events", said.events(), _wanted_events(truth)),
        *_differ("hashes", said.hashes(), _wanted_hashes(history, truth)),
        *_differ("window verdicts", dict(answers.summary.windows), {str(v): n for v, n in truth.windows.items()}),
        *_differ(
            "run", said.run(), (truth.verdict, truth.exit_code, len(truth.open), truth.count("opened"), truth.count("resolved"))
        ),
        *_differ("accounting", said.accounts(), {_account(a): 1 for a in truth.accounts}),
        *_differ("open set", said.open(), {(target, key): str(kind) for (target, key), kind in truth.open.items()}),
        *(d for pair in truth.pairs for d in _windows(pair, said)),
        *_proofs(history, answers, said),
    ]


def _differ(what: str, got: object, want: object) -> Iterator[str]:
    if got == want:
        return
    if isinstance(got, dict) and isinstance(want, dict):
        keys = [k for k in {**want, **got} if got.get(k) != want.get(k)]
        for key in keys[:4]:
            yield f"{what} {key}: expected {want.get(key)}, got {got.get(key)}"
        return
    yield f"{what}: expected {want}, got {got}"


class Said:
    """The answers, sorted for comparison."""

    def __init__(self, answers: Answers, window: int, homes: int) -> None:
        self.answers = answers
        self.window = window
        self.homes = homes
        self.bodies: list[tuple[Json, bytes]] = [(orjson.loads(b), b) for b in answers.bodies]

    def events(self) -> dict[tuple[Any, ...], int]:
        """Each event once, by all that the oracle says of it but the hashes."""
        return dict(Counter(_event(e) for e in self.answers.discrepancies))

    def hashes(self) -> dict[tuple[Any, ...], int]:
        """Each event's key, status, window and hashes."""
        named = ("source_hash", "target_hash")
        found = (
            (e["target"], e["key"]["id"], e["status"], e["window"]["end"], *(e[n] for n in named))
            for e in self.answers.discrepancies
        )
        return dict(Counter(found))

    def run(self) -> tuple[str, int, int, int, int]:
        s = self.answers.summary
        return (s.verdict, s.exit_code, s.open, s.events["opened"], s.events["resolved"])

    def accounts(self) -> dict[tuple[Any, ...], int]:
        listed = (tuple(p[n] for n in _ACCOUNT) for p in self.answers.summary.partitions if p["to"] > p["from"])
        return dict(Counter(listed))

    def open(self) -> dict[tuple[str, int], str]:
        """What the discrepancy topic says is open once it is compacted."""
        last = {e["id"]: e for e in self.answers.discrepancies}
        return {(e["target"], e["key"]["id"]): e["kind"] for e in last.values() if e["status"] != "resolved"}

    def certificates(self, target: str) -> list[Json]:
        return [c for c in self.answers.certificates if c["target"] == target]

    def covering(self, target: str, number: int) -> list[Json]:
        """The certificates, one a chain, in which a window lies."""
        return [c for c in self.certificates(target) if c["number"] <= number < c["number"] + c["windows"]]

    def open_after(self, target: str, number: int) -> int:
        """What is open when a window is closed, over all chains."""
        last: dict[str, int] = {}
        for c in self.certificates(target):
            if c["number"] <= number:
                last[c["chain"]] = c["open"]
        return sum(last.values())


def _event(e: Json) -> tuple[Any, ...]:
    refs = (None if e[n] is None else (e[n]["topic"], e[n]["partition"], e[n]["offset"]) for n in ("source_ref", "target_ref"))
    window = e["window"]["start"], e["window"]["end"]
    took = e.get("open_for_us")
    return (e["id"], e["target"], e["key"]["id"], e["status"], e["kind"], *window, e["first_seen"], e["occurrences"], took, *refs)


def _wanted_events(truth: Expected) -> dict[tuple[Any, ...], int]:
    out: Counter[tuple[Any, ...]] = Counter()
    for pair in truth.pairs:
        for e in pair.events:
            id_ = discrepancy_id_of(pair.target, e.key, e.first_seen)
            times = stamp(e.window_start), stamp(e.window_end), stamp(e.first_seen)
            took = e.window_end - e.first_seen if e.status == "resolved" else None
            places = e.source_place, e.target_place
            out[(id_, pair.target, e.key, e.status, e.kind, *times, e.occurrences, took, *places)] += 1
    return dict(out)


def _wanted_hashes(history: History, truth: Expected) -> dict[tuple[Any, ...], int]:
    source, *targets = folders(history)
    by_name = {t.timeline.name: t for t in targets}
    out: Counter[tuple[Any, ...]] = Counter()
    for pair in truth.pairs:
        for e in pair.events:
            left = _shown_hash(source, e.key, e.source_value, e.source_place)
            right = _shown_hash(by_name[pair.target], e.key, e.target_value, e.target_place)
            hexed = (None if h is None else h.hex() for h in (left, right))
            out[(pair.target, e.key, e.status, stamp(e.window_end), *hexed)] += 1
    return dict(out)


def _shown_hash(side: Folder, key: int, value: Value, place: Place | None) -> bytes | None:
    if value is None:
        return None
    filled = any(e.kind == "partial" and e.place == place for e in side.timeline.entries[key])
    return filled_hash_of(key, value) if filled else row_hash_of(key, value)


def _account(a: Any) -> tuple[Any, ...]:
    return (a.side, a.topic, a.partition, a.start, a.to, a.rows, a.control, a.dead_letters, a.unused, a.gaps, a.late)


def _windows(pair: Pair, said: Said) -> Iterator[str]:
    """Counts, verdict, causes and open discrepancies of every window, joined over the digest partitions."""
    where, window = pair.target, said.window
    dead = {(c.side, c.topic, c.partition, c.offset) for w in pair.windows for c in w.causes if c.kind == "undecodable"}
    counted = sum(c["counts"]["dead_letters"] for c in said.certificates(where))
    yield from _differ(f"{where}: dead letters in certificates", counted, len(dead))
    held = {w.start // window for w in pair.windows}
    for c in said.certificates(where):
        empty = not any(c["counts"][n] for n in _COUNTED)
        if c["windows"] > 1 and not empty:
            yield f"{where}: a run of windows that holds rows, from {c['window']['start']}"
        for number in range(c["number"], c["number"] + c["windows"]):
            if number not in held and (not empty or c["causes"] or c["verdict"] != "clean"):
                says = f"{c['verdict']}, {c['counts']}"
                yield f"{where}: window {stamp(number * window)} holds nothing, its certificate says {says}"
    for w in pair.windows:
        number = w.start // window
        at, covering = f"{where} {stamp(w.start)}", said.covering(where, number)
        sums = Counts(*(sum(c["counts"][n] for c in covering) for n in _COUNTED))
        yield from _differ(f"counts {at}", astuple(sums), astuple(w.counts))
        yield from _differ(f"verdict {at}", _joined(c["verdict"] for c in covering), w.verdict)
        causes = {(c["kind"], c["side"], c["topic"], c["partition"], c["offset"]) for x in covering for c in x["causes"]}
        yield from _differ(f"causes {at}", causes, {(c.kind, c.side, c.topic, c.partition, c.offset) for c in w.causes})
        yield from _differ(f"open {at}", said.open_after(where, number), w.open)


def _joined(verdicts: Iterator[str]) -> str | None:
    rank = ["clean", "inconclusive", "discrepant"]
    return max(verdicts, key=rank.index, default=None)


# ---- proofs -------------------------------------------------------------------------------------------------------------


def _proofs(history: History, answers: Answers, said: Said) -> Iterator[str]:
    chains: dict[str, list[Json]] = {}
    for c in answers.certificates:
        chains.setdefault(c["chain"], []).append(c)
    yield from complaints(body for _, body in said.bodies)
    for name, chain in chains.items():
        yield from _differ(f"{name}: seq", [c["seq"] for c in chain], list(range(len(chain))))
        yield from _tiles(name, chain, said.window)
        yield from _positions(name, chain, answers)
        yield from _event_roots(name, chain, said)
    yield from _roots(history, chains, said.homes)


def _tiles(name: str, chain: list[Json], window: int) -> Iterator[str]:
    for c in chain:
        start, end = c["number"] * window, (c["number"] + c["windows"]) * window
        yield from _differ(f"{name} {c['seq']}: window", c["window"], {"start": stamp(start), "end": stamp(end)})
    for before, after in pairwise(chain):
        yield from _differ(f"{name}: windows before {after['seq']} end", before["number"] + before["windows"], after["number"])


def _positions(name: str, chain: list[Json], answers: Answers) -> Iterator[str]:
    """Ranges tile positions: each goes on where the certificate before it ended; what was read before the last one is in one."""
    ends = {(p["side"], p["topic"], p["partition"]): (p["from"], p["to"]) for p in answers.summary.partitions}
    at: dict[tuple[str, str, int], int] = {}
    for c in chain:
        for r in c["ranges"]:
            place = r["side"], r["topic"], r["partition"]
            yield from _differ(f"{name} {c['seq']}: {place} from", r["from"], at.get(place, ends[place][0]))
            if not r["from"] <= r["to"] <= ends[place][1]:
                yield f"{name} {c['seq']}: {place} reads {r['from']} to {r['to']} of {ends[place]}"
            at[place] = r["to"]


def _event_roots(name: str, chain: list[Json], said: Said) -> Iterator[str]:
    leaves: dict[str, list[bytes]] = {}
    for event, body in said.bodies:
        if event["type"] == "discrepancy" and event["chain"] == name:
            leaves.setdefault(event["window"]["end"], []).append(body)
    for c in chain:
        yield from _differ(f"{name} {c['seq']}: events_root", c["events_root"], tree(leaves.pop(c["window"]["end"], [])).hex())
    yield from (f"{name}: events of {end} are in no certificate" for end in leaves)


def _roots(history: History, chains: dict[str, list[Json]], homes: int) -> Iterator[str]:
    """Each tree again from the states that the oracle judged, 256 entries a leaf."""
    source, *targets = folders(history)
    for target in targets:
        judge = _PairJudge(history.params, source, target, Reading())
        for name, chain in chains.items():
            _, of, home = name.rsplit("/", 2)
            if of != target.timeline.name:
                continue
            for c in chain:
                start = c["number"] * history.params.window
                judged = {key_id_of(k): (k, j) for k, j in judge.judged.get(start, {}).items()} if c["windows"] == 1 else {}
                entries = [
                    id_ + _entry(source, key, j.source) + _entry(target, key, j.target)
                    for id_, (key, j) in sorted(judged.items())
                    if int.from_bytes(id_[:8], "big") % homes == int(home)
                ]
                leaves = [b"".join(entries[i : i + 256]) for i in range(0, len(entries), 256)]
                yield from _differ(f"{name} {c['seq']}: root", c["root"], tree(leaves).hex())


def _entry(side: Folder, key: int, state: State) -> bytes:
    """State (0 absent, 1 present, 2 unknown) and hash of what stood there."""
    if not state.known:
        return b"\2" + bytes(32)
    shown = _shown_hash(side, key, state.value, state.place)
    return b"\0" + bytes(32) if shown is None else b"\1" + shown
