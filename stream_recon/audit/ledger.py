"""Receipts of each upstream partition, stage by stage, and whether they balance (docs/ledger.md).

normalised   positions [start, to): each is a row message, a control record, a dead letter, unused, or lost in a gap
delivered    as many dead letters as were counted
certified    in each chain positions go on from start without a hole, and never beyond what was normalised
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("rows", "control", "dead_letters", "unused", "gaps")

Body = Mapping[str, Any]
Place = tuple[str, str, int]
"""Side, topic, partition."""


@dataclass(frozen=True, slots=True)
class Account:
    """One upstream partition. ``counts`` by kind; ``letters``: dead letters that were delivered; ``certified``: the positions
    ``[from, to)`` that each chain has certified.
    """

    place: Place
    start: int
    to: int
    counts: Mapping[str, int]
    letters: int
    certified: Mapping[str, tuple[int, int]]

    @property
    def least(self) -> int | None:
        """Up to where every chain that spoke has certified; None: none spoke."""
        return min((to for _, to in self.certified.values()), default=None)

    @property
    def wrong(self) -> list[str]:
        """What does not balance, each a sentence."""
        return list(self._wrong())

    def _wrong(self) -> Iterator[str]:
        total, span = sum(self.counts[kind] for kind in KINDS), self.to - self.start
        if min([span, *self.counts.values()]) < 0 or total != span:
            yield f"{span} positions were normalised, {total} are accounted for"
        if self.letters != self.counts["dead_letters"]:
            yield f"{self.counts['dead_letters']} dead letters were counted, {self.letters} were delivered"
        for chain, (start, to) in sorted(self.certified.items()):
            if start != self.start:
                yield f"{chain} certifies from {start} on, it was read from {self.start} on"
            if to > self.to:
                yield f"{chain} certifies up to {to}, it was normalised up to {self.to}"


@dataclass(slots=True)
class Certified:
    """Positions that certificates name, by partition, topic id and chain: of the newest generation, and since the chain began."""

    reached: dict[tuple[Place, str], dict[str, tuple[int, int]]] = field(default_factory=dict)
    _newest: dict[Place, str] = field(default_factory=dict)

    def take(self, body: Body) -> None:
        """The next audit event of its chain."""
        chain = body["chain"]
        if body["type"] == "rebuilt" or body["seq"] == 0:
            for chains in self.reached.values():
                chains.pop(chain, None)
        for one in body["ranges"] if body["type"] == "window" else ():
            place, id_ = (one["side"], one["topic"], one["partition"]), one.get("topic_id", "")
            if (place, id_) not in self.reached:
                self._newest[place] = id_
            chains = self.reached.setdefault((place, id_), {})
            start, _ = chains.get(chain, (one["from"], None))
            chains[chain] = start, one["to"]

    def of(self, side: str, topic: str, partition: int, topic_id: str | None = None) -> Mapping[str, tuple[int, int]]:
        """What each chain has certified of a partition; without an id, of the newest topic of that name."""
        place = side, topic, partition
        return self.reached.get((place, self._newest.get(place, "") if topic_id is None else topic_id), {})

    @property
    def places(self) -> set[Place]:
        """Those that were named."""
        return {place for place, _ in self.reached}


def accounts(partitions: Iterable[Body], letters: Mapping[Place, int], certified: Certified) -> list[Account]:
    """One for each of ``partitions`` (as in ``summary.json``), and for each that only letters or certificates name."""
    found = {(p["side"], p["topic"], p["partition"]): p for p in partitions}
    out = []
    for place in sorted(found.keys() | letters.keys() | certified.places):
        p = found.get(place, dict.fromkeys(("from", "to", *KINDS), 0))
        counts = {kind: p[kind] for kind in KINDS}
        out.append(Account(place, p["from"], p["to"], counts, letters.get(place, 0), certified.of(*place)))
    return out
