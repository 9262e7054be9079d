"""Whether a range of windows is clean, certified and complete, by the audit events of all its chains (docs/gate.md).

Nothing is taken for clean because it is not there. A chain that begins later than others of its pair held no row before (its
first event is its first: ``seq`` 0, or the one after ``rebuilt``); a chain that ends earlier held none after only if the input
ended. A digest partition that never spoke has no chain, and counts as read only where the input ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from stream_recon.audit.certified import CLEAN, DISCREPANT, INCONCLUSIVE, Certified, Chain, Generation, aligned
from stream_recon.audit.stretches import Stretch, joined, length, within, without

INCOMPLETE: Final = "incomplete"
_RANK: Final = (CLEAN, INCOMPLETE, INCONCLUSIVE, DISCREPANT)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of a topology beside its events.

    ``chains``: all its chains, those that never spoke too (None: not known, those that spoke are all). ``ended``: whether the
    input ended and all of it was folded (None: if a certificate says so, by watermarks that are infinite). ``generation``: the
    newest (None: what the chains say). ``since``: when its digest log began (µs; None: not known). ``reasons``: why none of its
    pairs is clean.
    """

    chains: frozenset[str] | None = None
    ended: bool | None = None
    generation: int | None = None
    since: int | None = None
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a pair is not clean, and when and in which chains. ``final``: no later event takes it back."""

    verdict: str
    text: str
    stretches: tuple[Stretch, ...] = ()
    chains: tuple[str, ...] = ()
    final: bool = False

    @classmethod
    def silent(cls, chain: str) -> Reason:
        """Of a chain that was demanded by name."""
        return cls(INCOMPLETE, "this chain must be here and says nothing", chains=(chain,))


@dataclass(frozen=True, slots=True)
class Judged:
    """One pair in the range. ``start``, ``end`` (µs): the whole windows that touch it; None: the length of a window is not known.

    ``windows``: of the pair, by verdict, joined over its chains. ``until``: up to where, from ``start`` on, all is certified.
    ``assumed``: windows of chains that were closed on a lift. ``drifted``: columns that came up and are not compared.
    """

    topology: str
    target: str
    start: int | None
    end: int | None
    chains: int
    silent: int
    windows: Mapping[str, int]
    until: int | None
    open: int
    unresolved: int
    assumed: int
    drifted: tuple[str, ...]
    reasons: tuple[Reason, ...]

    @property
    def verdict(self) -> str:
        """The worst of the reasons."""
        return max((reason.verdict for reason in self.reasons), key=_RANK.index, default=CLEAN)


def judge(certified: Certified, expected: Mapping[str, Expected]) -> list[Judged]:
    """Every pair of these topologies: those that were heard of, and those that should have been."""
    pairs: dict[tuple[str, str], dict[str, Chain | None]] = {}
    for name, chain in certified.chains.items():
        if chain.topology in expected:
            pairs.setdefault((chain.topology, chain.target), {})[name] = chain
    for topology, known in expected.items():
        for name in known.chains or ():
            pairs.setdefault((topology, name.rsplit("/", 2)[1]), {}).setdefault(name, None)
    return [_pair(certified, *pair, pairs[pair], expected[pair[0]]) for pair in sorted(pairs)]


def _pair(certified: Certified, topology: str, target: str, chains: Mapping[str, Chain | None], expected: Expected) -> Judged:
    reasons = list(expected.reasons)
    spoken = {name: chain for name, chain in sorted(chains.items()) if chain is not None}
    numbers = [c.number for c in spoken.values() if c.number is not None]
    generation = max([*numbers, *([] if expected.generation is None else [expected.generation])], default=None)
    live = {n: c for n, c in spoken.items() if not (c.rests and c.now.began is None)}
    reasons += _behind(live, generation, expected.since)
    if expected.chains is not None:
        unknown = tuple(sorted(live.keys() - expected.chains))
        if unknown:
            reasons.append(Reason(INCOMPLETE, "chains that should not be there", chains=unknown))
    reasons += _mixed(live)
    windows = {c.now.window for c in live.values()} - {None}
    speaking = {name: c.now for name, c in live.items() if c.now.first is not None}
    silent = sorted((live.keys() | (expected.chains or frozenset()) & chains.keys()) - speaking.keys())
    if len(windows) != 1:
        text = "nothing is certified" if not windows else "its chains have windows of different lengths"
        reasons.append(Reason(INCOMPLETE, text))
        return Judged(topology, target, None, None, len(live), len(silent), {}, None, 0, 0, 0, (), tuple(reasons))
    (window,) = windows
    assert window is not None
    start, end = aligned(certified.start, certified.end, window)
    torn = {name for name, chain in live.items() if chain.torn}
    ended = any(g.ended for g in speaking.values()) if expected.ended is None else expected.ended
    holes = _holes((start, end), speaking, silent, torn, ended=ended)
    bad = _bad(speaking, start, end)
    reasons += _differing(bad[DISCREPANT], speaking, window)
    reasons += _doubtful(bad[INCONCLUSIVE], speaking, window)
    reasons += _missing(certified, topology, holes, ended=ended)
    gone = joined(s for stretches in holes.values() for s in stretches)
    counts = _counts((start, end), bad, gone, window)
    until = gone[0][0] if gone else end
    open_, unresolved = sum(g.open for g in speaking.values()), sum(g.unresolved for g in speaking.values())
    assumed, drifted = sum(g.assumed for g in speaking.values()), certified.drifted.get((topology, target), set())
    found = len(speaking), len(silent), counts, until if until > start else None, open_, unresolved, assumed
    return Judged(topology, target, start, end, *found, tuple(sorted(drifted)), tuple(reasons))


def _missing(certified: Certified, topology: str, holes: Mapping[str, list[Stretch]], *, ended: bool) -> Iterator[Reason]:
    """What nobody certified: the same stretches of several chains are told once."""
    alike: dict[tuple[Stretch, ...], list[str]] = {}
    for name, found in holes.items():
        if found:
            alike.setdefault(tuple(found), []).append(name)
    for stretches, names in alike.items():
        yield Reason(INCOMPLETE, "not certified", stretches, tuple(names))
    if alike and not ended:
        for (name, side), since in sorted(certified.stalled.items()):
            if name == topology:
                told = "it never spoke" if since is None else f"since {since}"
                yield Reason(INCOMPLETE, f"side {side} is stalled, {told}: no window closes until it goes on")


def _behind(chains: Mapping[str, Chain], generation: int | None, since: int | None) -> Iterator[Reason]:
    """Chains of which it is not known that they are of the newest generation, or of the newest log."""
    rebuilt = max((c.rebuilt for c in chains.values() if c.rebuilt is not None and c.number == generation), default=None)
    late = []
    for name, chain in chains.items():
        begun = rebuilt is not None and chain.now.began is not None and chain.now.began >= rebuilt
        if chain.number != generation and generation not in (None, 1) and not begun:
            late.append(name)
    if late:
        yield Reason(INCOMPLETE, f"nothing says that these chains are of generation {generation}", chains=tuple(late))
    anew = min((c.now.began for c in chains.values() if c.restarted and c.now.began is not None), default=None)
    newest = max((time for time in (anew, since) if time is not None), default=None)
    if newest is not None:
        old = tuple(n for n, c in chains.items() if not c.restarted and (c.now.spoke is None or c.now.spoke < newest))
        if old:
            yield Reason(INCOMPLETE, "the digest log began anew, and these chains say nothing since", chains=old)


def _mixed(chains: Mapping[str, Chain]) -> Iterator[Reason]:
    rules = {rule for chain in chains.values() for rule in chain.now.rules}
    if len(rules) > 1:
        yield Reason(INCOMPLETE, "its certificates are of different rules or configurations")


def _holes(
    wanted: Stretch, speaking: Mapping[str, Generation], silent: Iterable[str], torn: Iterable[str], *, ended: bool
) -> dict[str, list[Stretch]]:
    """What of the range each chain does not cover."""
    begin = min(g.first for g in speaking.values() if g.first is not None)
    finish = max(g.until for g in speaking.values() if g.until is not None)
    out = {}
    for name, now in speaking.items():
        assert now.first is not None
        assert now.until is not None
        before = [] if name in torn else [(begin, now.first)]
        out[name] = without([wanted], [*before, *now.covered, *([(now.until, finish)] if ended else [])])
    for name in silent:
        out[name] = without([wanted], [(begin, finish)] if ended and name not in torn else [])
    return out


def _bad(speaking: Mapping[str, Generation], start: int, end: int) -> dict[str, list[Stretch]]:
    """Windows of the pair that are not clean in some chain; what differs is not counted as inconclusive, too."""
    different = joined(s for g in speaking.values() for s in g.bad[DISCREPANT])
    doubt = [s for g in speaking.values() for s in (*g.bad[INCONCLUSIVE], *g.broken)]
    return {DISCREPANT: different, INCONCLUSIVE: without(within(doubt, start, end), different)}


def _differing(stretches: list[Stretch], speaking: Mapping[str, Generation], window: int) -> Iterator[Reason]:
    if stretches:
        count, names = length(stretches) // window, tuple(n for n, g in speaking.items() if g.bad[DISCREPANT])
        yield Reason(DISCREPANT, f"{_many(count, 'window')} discrepant", tuple(stretches), names, final=True)
    opened = {name: g.open for name, g in speaking.items() if g.open}
    if opened:
        text = f"{sum(opened.values())} open at the end of the range"
        yield Reason(DISCREPANT, text, chains=tuple(opened))


def _doubtful(stretches: list[Stretch], speaking: Mapping[str, Generation], window: int) -> Iterator[Reason]:
    if stretches:
        why = Counter[str]()
        for now in speaking.values():
            why += now.why
        reach = stretches[0][0], stretches[-1][1]
        lifted = {name for name, g in speaking.items() if within(g.broken, *reach)}
        names = tuple(n for n, g in speaking.items() if g.bad[INCONCLUSIVE] or n in lifted)
        told = sorted(why) + (["closed on a lift that was proved wrong"] if lifted else [])
        text = f"{_many(length(stretches) // window, 'window')} inconclusive: {', '.join(told)}"
        yield Reason(INCONCLUSIVE, text, tuple(stretches), names)
    left = {name: g.unresolved for name, g in speaking.items() if g.unresolved}
    if left:
        text = f"{_many(sum(left.values()), 'dead letter')} unresolved: what they held was never seen"
        yield Reason(INCONCLUSIVE, text, chains=tuple(left))


def _counts(wanted: Stretch, bad: Mapping[str, list[Stretch]], gone: list[Stretch], window: int) -> dict[str, int]:
    spoilt = [*bad[DISCREPANT], *bad[INCONCLUSIVE]]
    return {
        CLEAN: length(without([wanted], [*spoilt, *gone])) // window,
        DISCREPANT: length(bad[DISCREPANT]) // window,
        INCONCLUSIVE: length(bad[INCONCLUSIVE]) // window,
        INCOMPLETE: length(without(gone, spoilt)) // window,
    }


def _many(count: int, what: str) -> str:
    return f"{count:,} {what} is" if count == 1 else f"{count:,} {what}s are"
