"""What the audit events of chains say of a range of windows, chain by chain; after a rebuild only the newest generation counts.

Events are taken one after the other, each chain in its order. What is kept does not grow with their number, but with that of the
windows in the range that are not clean, and that of dead letters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stream_recon.audit.chain import Head, body_hash
from stream_recon.audit.stretches import Stretch, length, within
from stream_recon.audit.text import micros
from stream_recon.errors import ProofError

CLEAN: Final = "clean"
DISCREPANT: Final = "discrepant"
INCONCLUSIVE: Final = "inconclusive"


@dataclass(slots=True)
class Generation:
    """What a chain certified since it was rebuilt last. ``began``, ``spoke``: append times (µs) of its first and last event."""

    began: int | None = None
    spoke: int | None = None
    first: int | None = None
    until: int | None = None
    window: int | None = None
    rules: set[tuple[str, str]] = field(default_factory=set)
    covered: list[Stretch] = field(default_factory=list)
    bad: dict[str, list[Stretch]] = field(default_factory=lambda: {DISCREPANT: [], INCONCLUSIVE: []})
    why: Counter[str] = field(default_factory=Counter)
    broken: list[Stretch] = field(default_factory=list)
    open: int = 0
    unresolved: int = 0
    letters: set[tuple[Any, ...]] = field(default_factory=set)
    assumed: int = 0
    ended: bool = False


_BESIDE: Final = frozenset({"suspended", "started", "stopped"})
"""What changes nothing of what is certified: windows that are passed over are, as inconclusive."""


@dataclass(slots=True)
class Chain:
    """A chain as far as it was taken. ``number``: of its generation, as far as it says; ``rests``: it has no part in that one."""

    topology: str
    target: str
    torn: bool
    head: Head = field(default_factory=Head)
    now: Generation = field(default_factory=Generation)
    number: int | None = None
    rests: bool = False
    rebuilt: int | None = None
    restarted: bool = False


class Certified:
    """Takes the events of any number of topologies; ``[start, end)`` is the range that is asked for (µs)."""

    def __init__(self, start: int, end: int) -> None:
        assert start < end
        self.start, self.end = start, end
        self.chains: dict[str, Chain] = {}
        self.stalled: dict[tuple[str, str], str | None] = {}
        self.drifted: dict[tuple[str, str], set[str]] = {}

    @property
    def topologies(self) -> list[str]:
        """Those that were heard of."""
        return sorted({chain.topology for chain in self.chains.values()})

    def take(self, octets: bytes, body: Mapping[str, Any]) -> None:
        """The next event of its chain. A chain that begins anew (its deployment was reset) replaces what it was.

        Raises:
            ProofError: it is no audit event, or does not go on where its chain is.
        """
        try:
            self._take(octets, body)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProofError(f"it cannot be read as an audit event ({type(error).__name__}: {error})") from error

    def _take(self, octets: bytes, body: Mapping[str, Any]) -> None:
        name, seq, prev, spoke = body["chain"], body["seq"], body["prev"], micros(body["time"])
        topology, target, _ = name.rsplit("/", 2)
        chain = self.chains.get(name)
        if chain is None or (seq, prev) == (0, None):
            again = chain is not None
            chain = self.chains[name] = Chain(topology, target, torn=seq != 0, head=Head(seq, prev), restarted=again)
        if (seq, prev) != (chain.head.seq, chain.head.prev):
            raise ProofError(f"{name}: seq {chain.head.seq} must come here, seq {seq} came: events are missing or were changed")
        chain.head = Head(seq + 1, body_hash(octets))
        if chain.now.began is None:
            chain.now.began = spoke
        chain.now.spoke = spoke
        kind = body["type"]
        if kind == "window":
            self._window(chain.now, body)
        elif kind == "rebuilt":
            chain.now = Generation()
            chain.torn, chain.rebuilt = False, spoke
            chain.number, chain.rests = body["generation"]["to"], body["rules"] is None
        elif kind == "stalled":
            self.stalled[topology, body["side"]] = body["since"]
        elif kind == "resumed":
            self.stalled.pop((topology, body["side"]), None)
        elif kind == "schema_drift":
            self.drifted.setdefault((topology, target), set()).update(f"{body['side']}.{c}" for c in body["columns"])
        elif kind not in _BESIDE:
            raise ProofError(f"{name}, seq {seq}: this version knows no events of type {kind!r}")

    def _window(self, now: Generation, body: Mapping[str, Any]) -> None:
        start, end = micros(body["window"]["start"]), micros(body["window"]["end"])
        number, windows, counts = body["number"], body["windows"], body["counts"]
        window = (end - start) // windows if windows > 0 else 0
        if window <= 0 or (start, end) != (number * window, (number + windows) * window) or now.window not in (None, window):
            raise ProofError(f"{body['chain']}, seq {body['seq']}: its window is none of those of its chain")
        now.window = window
        now.first = start if now.first is None else now.first
        now.until = end
        now.rules.add((body["rules"], body["configuration"]))
        now.ended |= body["watermarks"]["source"] is None and body["watermarks"]["target"] is None
        if "lift_broken" in body and body["lift_broken"]["from"] is not None:
            now.broken.append((micros(body["lift_broken"]["from"]), micros(body["lift_broken"]["to"])))
        _cover(now.covered, (start, end))
        first, last = aligned(self.start, self.end, window)
        if start < last:
            now.open = body["open"]
            now.letters |= {_place(cause) for cause in body["causes"] if cause["kind"] == "undecodable"}
            now.unresolved = max(body["unresolved"], len(now.letters))
        inside = within([(start, end)], first, last)
        if not inside:
            return
        now.assumed += length(inside) // window if body["idle_assumed"] else 0
        verdict = body["verdict"]
        if verdict == CLEAN and not (counts["different"] or counts["inconclusive"] or body["causes"]):
            return
        bad = DISCREPANT if verdict == DISCREPANT or counts["different"] else INCONCLUSIVE
        now.bad[bad] += inside
        if bad == INCONCLUSIVE:
            now.why.update({cause["kind"] for cause in body["causes"]})
            loading = counts["loading"]
            now.why.update(["loading"] if loading else [])
            now.why.update(["unknown keys"] if counts["inconclusive"] > loading else [])


def aligned(start: int, end: int, window: int) -> Stretch:
    """The whole windows that touch ``[start, end)``."""
    return start // window * window, -(-end // window) * window


def _place(cause: Mapping[str, Any]) -> tuple[Any, ...]:
    """Of a dead letter: a chain may end with the window that has it as a cause, and count it as unresolved in none."""
    return cause["side"], cause["topic"], cause.get("topic_id"), cause["partition"], cause["offset"]


def _cover(covered: list[Stretch], stretch: Stretch) -> None:
    """Adds what a certificate covers; mostly it goes on where the one before ended."""
    if covered and covered[-1][1] == stretch[0]:
        covered[-1] = covered[-1][0], stretch[1]
    else:
        covered.append(stretch)
