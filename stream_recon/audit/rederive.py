"""Certificates against those that the same recordings give again (docs/gate.md): what is determined by contents must be the same.

Compared, window by window of a chain: verdict, counts (``repeated`` aside), open, unresolved, kinds of causes, the root over what
was compared, rules and configuration, and the discrepancy events without their ``time``. Not compared, as they hang on when a
message was read: positions, watermarks, ``idle_assumed``, ``repeated``, append times, and with them ``seq``, ``prev`` and
``events_root``; nor how windows without a row are folded into runs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stream_recon.audit.text import dumps

Body = Mapping[str, Any]

SAME, DIFFERS, UNDERIVABLE = "same", "differs", "not re-derivable"
_COUNTS: Final = ("source_rows", "target_rows", "keys", "equal", "different", "inconclusive", "loading", "late", "dead_letters")
_LIVE: Final = ("gap", "recreated", "lift_broken", "suspended")
"""Causes that no recording has: they come of how the topics were read."""
_HOME: Final = frozenset({"verdict", "causes", "unresolved", "dead_letters"})
"""What a dead letter shapes in its home digest partition, which hangs on the topic's id."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, the discrepancy events of its window, and up to where each partition had been read (by place)."""

    body: Body
    events: tuple[bytes, ...]
    read: Mapping[str, int]

    @property
    def first(self) -> int:
        """Number of its first window."""
        number: int = self.body["number"]
        return number

    @property
    def end(self) -> int:
        """Number after its last window."""
        end: int = self.body["number"] + self.body["windows"]
        return end

    @property
    def empty(self) -> bool:
        """Whether its windows hold no row and no judged key."""
        return not any(self.body["counts"][name] for name in ("keys", "source_rows", "target_rows"))


@dataclass(slots=True)
class Certificates:
    """The certificates of the newest generation of each chain, in order. ``began``: the first position of each partition;
    ``later``: partitions that were not there when their chain began.
    """

    chains: dict[str, list[Certificate]] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    later: set[str] = field(default_factory=set)
    _read: dict[str, dict[str, int]] = field(default_factory=dict)

    def take(self, body: Body, events: Sequence[Body]) -> None:
        """The next event of a chain."""
        chain = body["chain"]
        if body["type"] == "rebuilt":
            self.chains[chain], self._read[chain] = [], {}
        if body["type"] != "window":
            return
        read = self._read.setdefault(chain, {})
        for one in body["ranges"]:
            place = f"{one['side']} {one['topic']}/{one['partition']}"
            if self.chains.get(chain) and place not in read:
                self.later.add(place)
            read[place] = one["to"]
            self.began[place] = min(self.began.get(place, one["from"]), one["from"])
        said = tuple(dumps({name: value for name, value in event.items() if name != "time"}) for event in events)
        self.chains.setdefault(chain, []).append(Certificate(body, said, dict(read)))


@dataclass(frozen=True, slots=True)
class Compared:
    """One certificate of the audit, or (``seq`` None) one that only the recordings give. ``fields`` that differ; ``why`` it need
    not be what the recordings give.
    """

    chain: str
    seq: int | None
    window: Mapping[str, str]
    result: str
    fields: tuple[str, ...] = ()
    why: str = ""


def compare(given: Certificates, derived: Certificates, ends: Mapping[str, int], first: int, last: int) -> Iterator[Compared]:
    """Every certificate of ``given`` whose windows touch the numbers ``[first, last)``, then what only ``derived`` has there.

    ``ends``: where the recording of each partition ends (by place).
    """
    for chain in sorted(given.chains.keys() | derived.chains.keys()):
        mine, theirs = given.chains.get(chain, []), derived.chains.get(chain, [])
        for certificate in _touching(mine, first, last):
            body = certificate.body
            fields = _differing(certificate, list(_touching(theirs, certificate.first, certificate.end)))
            place = chain, body["seq"], body["window"]
            if not fields:
                yield Compared(*place, SAME)
                continue
            why = _why(certificate, fields, given, derived.began, ends)
            yield Compared(*place, UNDERIVABLE if why else DIFFERS, tuple(sorted(fields)), why)
        for certificate in _touching(theirs, first, last):
            if not certificate.empty and not list(_touching(mine, certificate.first, certificate.end)):
                yield Compared(chain, None, certificate.body["window"], DIFFERS, ("window",))


def _touching(certificates: Sequence[Certificate], first: int, last: int) -> Iterable[Certificate]:
    """Those with a window in ``[first, last)``; they stand in the order of their windows."""
    at = bisect_right(certificates, first, key=lambda c: c.end)
    while at < len(certificates) and certificates[at].first < last:
        yield certificates[at]
        at += 1


def _differing(one: Certificate, others: Sequence[Certificate]) -> set[str]:
    """Fields in which a certificate is not what the recordings give for its windows."""
    if one.empty:
        return {name for other in others for name in _unlike(one, other, run=True)}
    if len(others) != 1 or others[0].empty:
        return {"window"}
    return set(_unlike(one, others[0], run=False))


def _unlike(one: Certificate, other: Certificate, *, run: bool) -> Iterator[str]:
    a, b = one.body, other.body
    if run and not other.empty:
        yield "window"
        return
    yield from (name for name in ("verdict", "open", "unresolved", "rules", "configuration") if a[name] != b[name])
    if _kinds(a) != _kinds(b):
        yield "causes"
    if run:
        return
    yield from (name for name in _COUNTS if a["counts"][name] != b["counts"][name])
    if a["root"] != b["root"]:
        yield "root"
    if one.events != other.events:
        yield "events"


def _kinds(body: Body) -> list[tuple[str, ...]]:
    return sorted(
        tuple(str(cause.get(name)) for name in ("kind", "side", "topic", "partition", "offset")) for cause in body["causes"]
    )


def _why(one: Certificate, fields: set[str], given: Certificates, derived: Mapping[str, int], ends: Mapping[str, int]) -> str:
    """Why a certificate need not be what the recordings give; empty: it must."""
    body = one.body
    if fields & {"rules", "configuration"}:
        return "the topology is not the one that it was made with"
    kinds = {cause["kind"] for cause in body["causes"]} & set(_LIVE)
    if kinds or "suspended" in body:
        return f"it hangs on how topics were read live: {', '.join(sorted(kinds)) or 'the first window after a suspension'}"
    appeared = sorted(given.later & one.read.keys())
    if appeared:
        return f"{appeared[0]} appeared while it was read live, and began where its side stood"
    for place, start in sorted(given.began.items()):
        if start != derived.get(place, start):
            return f"{place} was read from {start}, the recording begins at {derived[place]}"
    for place, to in sorted(one.read.items()):
        if to > ends.get(place, 0):
            return f"{place} was read to {to}, the recording ends at {ends.get(place, 0)}"
    ended = body["watermarks"]["source"] is None and body["watermarks"]["target"] is None
    for place, to in sorted(one.read.items()):
        if ended and to < ends.get(place, to):
            return f"{place} ended at {to}, the recording goes on to {ends[place]}"
    named = any("topic_id" in one for one in body["ranges"])
    return "dead letters are counted in a digest partition that hangs on the topic's id" if named and fields <= _HOME else ""
