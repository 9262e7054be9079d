"""Audit bodies and the discrepancy events that belong to them, put together as a signer reads them from two topics.

The topics come each at its own pace; what is of one chain comes in order. A body is whole when the events of its root are there.
What was read and is not signed yet is told by position, so that whoever goes on reads it again, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stream_recon.audit.follow import NOTHING, Chain, Events, belongs
from stream_recon.audit.merkle import Tree
from stream_recon.audit.text import json_object
from stream_recon.errors import ProofError

Place = tuple[str, int]
"""Topic and partition."""
Floors = Mapping[tuple[Place, str], int]
"""By place and chain: before it all of that chain is signed already."""

_WITH_EVENTS: Final = ("window", "rebuilt")


@dataclass(frozen=True, slots=True)
class Step:
    """An audit body and the discrepancy events that belong to it, exact octets."""

    chain: str
    body: bytes
    events: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Message:
    place: Place
    offset: int
    octets: bytes
    said: dict[str, Any]


@dataclass(slots=True)
class _Line:
    """What waits of one chain. ``tree``: over the first ``count`` events, which belong to the first body."""

    bodies: deque[_Message] = field(default_factory=deque)
    events: deque[_Message] = field(default_factory=deque)
    tree: Tree = field(default_factory=Tree)
    count: int = 0


class Joined:
    """Bodies and events that were read and are not signed yet."""

    def __init__(self, chains: dict[str, Chain], floors: Floors) -> None:
        """``chains``: how far each is signed, followed on as steps are taken; ``floors``: what is signed beyond the positions at
        which reading began.
        """
        self._chains = chains
        self._floors = dict(floors)
        self._lines: dict[str, _Line] = {}
        self._changed: set[str] = set()

    def body(self, place: Place, offset: int, octets: bytes) -> None:
        """Takes an audit body in. Raises ``ProofError``: it is none."""
        self._take(place, offset, octets, events=False)

    def event(self, place: Place, offset: int, octets: bytes) -> None:
        """Takes a discrepancy event in. Raises ``ProofError``: it is none."""
        self._take(place, offset, octets, events=True)

    def _take(self, place: Place, offset: int, octets: bytes, *, events: bool) -> None:
        where = f"{place[0]}/{place[1]} at {offset}"
        try:
            said = json_object(octets)
        except ProofError as error:
            raise ProofError(f"{where}: {error}") from error
        chain = said.get("chain")
        if not isinstance(chain, str):
            raise ProofError(f"{where}: expected an event that names its chain, got {octets[:80]!r}")
        if offset < self._floors.get((place, chain), 0):
            return
        line = self._lines.setdefault(chain, _Line())
        (line.events if events else line.bodies).append(_Message(place, offset, octets, said))
        self._changed.add(chain)

    def whole(self) -> Iterator[Step]:
        """Takes out the bodies that are whole by now, those of each chain in order.

        Raises:
            ProofError: one does not go on where its chain is, or its events are not those of its root.
        """
        for name in sorted(self._changed):
            line = self._lines[name]
            while line.bodies and self._is_whole(line):
                yield self._step(name, line)
            self._changed.discard(name)

    def _is_whole(self, line: _Line) -> bool:
        """Whether no further event could change what is to be said of the first body."""
        body = line.bodies[0].said
        wanted = body.get("events_root", NOTHING) if body.get("type") in _WITH_EVENTS else NOTHING
        if wanted == NOTHING or (body["type"] == "window" and "window" not in body):
            return True
        while line.tree.root.hex() != wanted:
            if line.count == len(line.events):
                return False
            event = line.events[line.count]
            if not belongs(event.said, body):
                return True
            line.tree.add(event.octets)
            line.count += 1
        return True

    def _step(self, name: str, line: _Line) -> Step:
        body = line.bodies.popleft()
        events = [line.events.popleft() for _ in range(line.count)]
        line.tree, line.count = Tree(), 0
        chain = self._chains.setdefault(name, Chain())
        for wrong in chain.follow(body.octets, body.said, Events(event.octets for event in events)):
            raise ProofError(f"{body.place[0]}/{body.place[1]} at {body.offset}: {name}, seq {body.said.get('seq')}: {wrong}")
        for message in (body, *events):
            self._floors[message.place, name] = message.offset + 1
        return Step(name, body.octets, tuple(event.octets for event in events))

    def waiting(self) -> frozenset[tuple[str, int]]:
        """Bodies of which events are missing: chain and offset. Complete after ``whole``."""
        return frozenset((name, line.bodies[0].offset) for name, line in self._lines.items() if line.bodies)

    def standing(self, read: Mapping[Place, int]) -> tuple[dict[Place, int], dict[tuple[Place, str], int]]:
        """Where to go on, if places are read so far: the first of each that is not signed, and the floors beyond it."""
        places = dict(read)
        for line in self._lines.values():
            for first in (line.bodies, line.events):
                for message in list(first)[:1]:
                    places[message.place] = min(places[message.place], message.offset)
        return places, {where: after for where, after in self._floors.items() if after > places.get(where[0], after)}
