"""What a chain of audit events promises, held against its bodies and against the discrepancy events that belong to them.

    seq, prev        dense from 0; each body names the hash of the one before
    windows          each begins where the one before ended, until the chain is rebuilt
    ranges           positions of a partition go on where the certificate before ended
    counts, verdict  equal + different + inconclusive = keys; the verdict is the one that counts and causes demand
    events_root      RFC 6962 root over the discrepancy events of the window, in order
    open             what was opened and neither resolved nor dismissed, by those events

A body that breaks a promise is told, and the chain followed on from it: one break is not told twice.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stream_recon.audit.chain import Head, body_hash
from stream_recon.audit.merkle import Tree, root
from stream_recon.audit.text import json_object
from stream_recon.errors import ProofError

Event = Mapping[str, Any]

NOTHING: Final = root([]).hex()
"""The root of no events."""
_JUDGED: Final = ("equal", "different", "inconclusive")
_CLOSED: Final = ("resolved", "dismissed")


class Events:
    """The discrepancy events in the order of the bodies that they belong to: each body takes its own. ``last``: what the last one
    took.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._next: deque[tuple[bytes, Event]] = deque()
        self.last: list[tuple[bytes, Event]] = []

    def take(self, body: Event) -> bool:
        """Takes what comes next and belongs to ``body``; whether it has its ``events_root``.

        Raises:
            ProofError: one of them is no event.
        """
        wanted, tree, count = body["events_root"], Tree(), 0
        whole: bool = wanted == NOTHING
        while not whole and (found := self._at(count)) is not None and belongs(found[1], body):
            count += 1
            tree.add(found[0])
            whole = tree.root.hex() == wanted
        self.last = [self._next.popleft() for _ in range(count)]
        return whole

    def left(self) -> int:
        """How many no body has taken, to the end of the lines."""
        count = len(self._next) + sum(1 for _ in self._lines)
        self._next.clear()
        return count

    def _at(self, place: int) -> tuple[bytes, Event] | None:
        while len(self._next) <= place:
            line = next(self._lines, None)
            if line is None:
                return None
            self._next.append((line, json_object(line)))
        return self._next[place]


def belongs(event: Event, body: Event) -> bool:
    """Whether a discrepancy event may be one of a body with an ``events_root``."""
    if event.get("chain") != body["chain"]:
        return False
    if body["type"] == "rebuilt":
        return event.get("status") == "dismissed"
    return event.get("status") != "dismissed" and event.get("window") == body["window"]


@dataclass(slots=True)
class Chain:
    """How far a chain was followed. ``windows`` by verdict; ``until``: number and start of the window that must come next."""

    head: Head = field(default_factory=Head)
    windows: Counter[str] = field(default_factory=Counter)
    first: str | None = None
    until: tuple[int, str] | None = None
    open: int | None = 0
    positions: dict[str, int] = field(default_factory=dict)

    def follow(self, octets: bytes, body: Event, events: Events) -> Iterator[str]:
        """Takes the next body; yields what is wrong with it, each a sentence that says what it means."""
        events.last = []
        seq, prev = body.get("seq"), body.get("prev")
        if type(seq) is not int or not isinstance(body.get("type"), str):
            yield "it is no audit event: it has no seq or no type"
            return
        broken = self._broken(seq, prev)
        if broken is not None:
            yield broken
            self.until, self.open = None, None
            self.positions.clear()
        self.head = Head(seq + 1, body_hash(octets))
        try:
            if body["type"] == "window":
                yield from self._window(body, events)
            elif body["type"] == "rebuilt":
                yield from self._rebuilt(body, events)
        except (KeyError, TypeError, ValueError, AttributeError, ProofError) as error:
            yield f"it cannot be read as what its type says ({type(error).__name__}: {error})"

    def _broken(self, seq: int, prev: object) -> str | None:
        expected = self.head.seq
        if seq < expected:
            return f"seq {expected} must come here: a body is repeated, or bodies changed places"
        if seq > expected:
            return f"seq {expected} must come here: {seq - expected} before this one missing"
        if prev != self.head.prev:
            return "it does not name the body before it: that one was changed, or this one belongs to another history"
        return None

    def _window(self, body: Event, events: Events) -> Iterator[str]:
        number, start, end, counts = body["number"], body["window"]["start"], body["window"]["end"], body["counts"]
        if self.until is not None and (number, start) != self.until:
            yield f"its windows begin at {start}, those before ended at {self.until[1]}: time is left out or certified twice"
        self.until = number + body["windows"], end
        self.first = self.first or start
        verdict = _verdict(counts, body["causes"])
        if body["verdict"] != verdict or counts["keys"] != sum(counts[name] for name in _JUDGED):
            yield f"its verdict {body['verdict']} is not what its counts and causes say ({verdict})"
        self.windows[str(body["verdict"])] += body["windows"]
        yield from self._ranges(body["ranges"])
        yield from self._events(body, events)
        if self.open is not None and self.open != body["open"]:
            yield f"it counts {body['open']} discrepancies as open, the events up to it leave {self.open}"
        self.open = body["open"]

    def _rebuilt(self, body: Event, events: Events) -> Iterator[str]:
        if self.open is not None and self.open != body["dismissed"]:
            yield f"it dismisses {body['dismissed']} discrepancies, and {self.open} are open"
        yield from self._events(body, events)
        self.until, self.open = None, 0
        self.positions.clear()

    def _events(self, body: Event, events: Events) -> Iterator[str]:
        if not events.take(body):
            yield f"its events_root is not that of the {len(events.last)} discrepancy events found: some were changed or removed"
            self.open = None
        elif self.open is not None:
            statuses = Counter(event["status"] for _, event in events.last)
            self.open += statuses["opened"] - sum(statuses[name] for name in _CLOSED)

    def _ranges(self, ranges: Iterable[Event]) -> Iterator[str]:
        for one in ranges:
            place = f"{one['side']} {one['topic']}/{one['partition']} {one.get('topic_id', '')}".rstrip()
            before = self.positions.get(place)
            if not one["from"] <= one["to"] or before not in (None, one["from"]):
                read = f"{place} from {one['from']} to {one['to']}, after {before}"
                yield f"it has read {read}: positions are left out or read twice"
            self.positions[place] = one["to"]


def by_chain(lines: Iterable[bytes]) -> dict[str, Events]:
    """Discrepancy events as they were emitted, the chains among each other.

    Raises:
        ProofError: one of them is no event.
    """
    parted: dict[str, list[bytes]] = {}
    for line in lines:
        chain = json_object(line).get("chain")
        if not isinstance(chain, str):
            raise ProofError(f"expected a discrepancy event, got {line[:80]!r}")
        parted.setdefault(chain, []).append(line)
    return {chain: Events(events) for chain, events in parted.items()}


def _verdict(counts: Mapping[str, int], causes: object) -> str:
    if counts["different"]:
        return "discrepant"
    return "inconclusive" if counts["inconclusive"] or causes else "clean"
