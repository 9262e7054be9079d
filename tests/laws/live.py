"""What only a service meets, by hand: a rebuild, a zombie, a recreated topic, a partition announced late, a stalled side.

Each check returns what is wrong, in words; the expectations are worked out from the page and stand here as plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import orjson

from stream_recon.audit.chain import body_hash
from stream_recon.engine.reconciler import Reconciler
from stream_recon.engine.summary import accounting
from stream_recon.model.digest import Act, By, Drift, End, Flag, Record, Stall, Undecodable
from stream_recon.sim.disk import MemoryStore
from tests.laws.expect import tree
from tests.laws.records import (
    Json,
    Row,
    S,
    announced,
    block,
    entries_of,
    everyway,
    lift,
    of_type,
    opened,
    timed,
    told,
    windows,
)
from tests.oracle.render import stamp

CLEAN, UNSURE, WRONG = ("clean", ()), ("inconclusive", ("recreated",)), ("discrepant", ())


def differ(what: str, got: object, want: object) -> Iterator[str]:
    if got != want:
        yield f"{what}: expected {want}, got {got}"


def heard(*records: Record) -> list[Json]:
    return everyway(timed(records))


# ---- generations ---------------------------------------------------------------------------------------------------------


SOURCE = [Row(1, 1, "a"), Row(2, 2, "a"), Row(3, 3, "a"), Row(9, 12, "x")]
TARGET = [Row(1, 1, "a"), Row(2, 2, "b"), Row(9, 13, "x")]
FIRST: list[Record] = [opened(), block("s", 0, SOURCE), block("t", 0, TARGET)]
"""Keys 2 and 3 differ in the window that begins at 0."""
AGAIN = opened(generation=2, configuration="new")


def rebuild(room: Path) -> list[str]:
    """What is open is dismissed, the chains go on, and nothing of the old share is left; then all is told anew."""
    fresh: list[Record] = [
        block("s", 0, SOURCE, generation=2),
        block("t", 0, [*TARGET[:1], Row(2, 2, "a"), *TARGET[2:]], generation=2),
        End("hand", 2),
    ]
    events = heard(*FIRST, AGAIN, *fresh)
    bodies = [e.body for e in told(timed([*FIRST, AGAIN, *fresh]))]
    before = [e for e in events if e["time"] < stamp(3 * S)]
    found = of_type(before, "discrepancy")
    dismissed = [e for e in events if e.get("status") == "dismissed"]
    (rebuilt,) = of_type(events, "rebuilt")
    place = events.index(rebuilt)
    last = next(n for n in range(place - 1, -1, -1) if events[n]["type"] == "window")
    wrong = list(differ("what differed", [(e["key"]["id"], e["status"]) for e in found], [(3, "opened"), (2, "opened")]))
    told_of = [{**e, "status": "dismissed", "time": stamp(3 * S), "reason": "rebuilt"} for e in found]
    wrong += differ("what was dismissed", dismissed, told_of)
    wrong += differ(
        "the chain's record",
        rebuilt,
        {
            "type": "rebuilt",
            "chain": "hand/t/0",
            "seq": 1,
            "prev": body_hash(bodies[last]),
            "topology": "hand",
            "source": "s",
            "target": "t",
            "generation": {"from": 1, "to": 2},
            "rules": "r",
            "configuration": "new",
            "dismissed": 2,
            "events_root": tree(bodies[place - 2 : place]).hex(),
            "by": None,
            "reason": None,
            "time": stamp(3 * S),
        },
    )
    after = events[place + 1 :]
    wrong += differ("windows after it", windows(after), {0: WRONG, 10: CLEAN})
    wrong += differ(
        "what is open after it", [(e["key"]["id"], e["status"]) for e in of_type(after, "discrepancy")], [(3, "opened")]
    )
    wrong += differ("places in the chain", [e["seq"] for e in of_type(events, "window", "rebuilt")], [0, 1, 2, 3])
    return wrong


def zombie(room: Path) -> list[str]:
    """Whatever an older generation still says is not heard."""
    late: list[Record] = [
        block("s", 4, [Row(1, 15, "z")]),
        lift("s", 4, 900),
        lift("t", 3, 900),
        announced("t", partition=1),
        Stall("hand", "s", 1, 1, False),
        opened(),
        opened(configuration="other"),
        End("hand"),
    ]
    fresh: list[Record] = [
        block("s", 0, SOURCE, generation=2),
        block("t", 0, [Row(1, 1, "a"), Row(2, 2, "a"), Row(3, 3, "a"), Row(9, 13, "x")], generation=2),
        End("hand", 2),
    ]
    said = [e.body for e in told(timed([*FIRST, AGAIN, *fresh]))]
    mixed = [*FIRST, AGAIN, *late, fresh[0], *late, fresh[1], *late, fresh[2], *late]
    alike = [{**orjson.loads(b), "time": "", "prev": "", "events_root": ""} for b in said]
    got = [{**e, "time": "", "prev": "", "events_root": ""} for e in heard(*mixed)]
    return list(differ("what is said", got, alike))


def chains_that_end(room: Path) -> list[str]:
    """A target that a generation leaves out and a later one takes back goes on in its old chain; numbers are never reused."""
    both = opened()
    other = replace(both, pairs=(replace(both.pairs[0], target="u"),))
    records = [
        *FIRST,
        replace(other, generation=2),
        block("s", 0, SOURCE, generation=2),
        block("t", 0, TARGET, generation=2),
        replace(both, generation=3),
        block("s", 0, SOURCE, generation=3),
        block("t", 0, TARGET, generation=3),
        replace(both, generation=4, parallelism=0),
        Stall("hand", "s", 1, 1, False, 4),
        announced("s", partition=1, generation=4),
        End("hand", 4),
        replace(both, generation=5),
        block("s", 0, SOURCE, generation=5),
        block("t", 0, TARGET, generation=5),
    ]
    events = of_type(heard(*records), "window", "rebuilt")
    seen = [(e["chain"], e["seq"], e["type"], e["rules"]) for e in events]
    t, u = "hand/t/0", "hand/u/0"
    return list(
        differ(
            "chains",
            seen,
            [
                (t, 0, "window", "r"),
                (t, 1, "rebuilt", None),
                (u, 0, "window", "r"),
                (u, 1, "rebuilt", None),
                (t, 2, "window", "r"),
                (t, 3, "rebuilt", None),
                (t, 4, "window", "r"),
            ],
        )
    )


# ---- recreated topics ----------------------------------------------------------------------------------------------------


OLD: list[Record] = [
    opened(),
    block("s", 0, [Row(1, 1, "a"), Row(2, 2, "a"), Row(9, 12, "x")]),
    block("t", 0, [Row(1, 1, "a"), Row(2, 2, "a"), Row(9, 12, "x"), Row(9, 40, "x")]),
]
"""The source's watermark stands at 12, next position 3."""


def recreated(room: Path) -> list[str]:
    """The old partition ends as it stands; what was lost with it is unknown from there to the first row of the new one."""
    events = heard(
        *OLD,
        announced("s", topic_id="new", watermark=3),
        block("s", 3, [Row(1, 90, "z")]),
        block("s", 0, [Row(2, 0, "z"), Row(2, 95, "z")], end=9),
        lift("s", 3, 900),
        announced("s", watermark=900),
        block("s", 0, [Row(1, 25, "b"), Row(9, 33, "x"), Row(9, 51, "x")], topic_id="new"),
        announced("s", topic_id="new", watermark=900),
        block("t", 4, [Row(1, 45, "b"), Row(2, 55, "a"), Row(1, 66, "b")]),
        lift("s", 3, 70, topic_id="new"),
        lift("t", 7, 70),
    )
    key_unknown = ("inconclusive", ())
    want = {0: CLEAN, 10: UNSURE, 20: ("discrepant", ("recreated",)), 30: CLEAN, 40: CLEAN, 50: key_unknown, 60: CLEAN}
    wrong = list(differ("windows", windows(events), want))
    last = of_type(events, "window")[-1]
    old, new = ({"side": "s", "topic": "s", "partition": 0} | more for more in ({}, {"topic_id": "new"}))
    wrong += differ("ranges", last["ranges"][:2], [{**old, "from": 3, "to": 3}, {**new, "from": 3, "to": 3}])
    causes = [c for e in of_type(events, "window") for c in e["causes"]]
    wrong += differ("causes", causes, [{"kind": "recreated", **old, "offset": 3}] * 2)
    return wrong


def recreated_accounts(room: Path) -> list[str]:
    """Every position of the old partition stays accounted for; what a zombie sends later counts nowhere."""
    reconciler = Reconciler(0, MemoryStore())
    records = [*OLD, announced("s", topic_id="new"), block("s", 3, [Row(1, 90, "z")]), block("s", 0, SOURCE, topic_id="new")]
    for entry in entries_of(timed(records)):
        list(reconciler.fold(entry))
    old, new, _ = sorted(accounting(reconciler.shares["hand"].known.values()), key=lambda a: (a["side"], a.get("topic_id", "")))
    wrong: list[str] = []
    for name, account, rows in (("old", old, 3), ("new", new, 4)):
        wrong += differ(f"{name} partition", (account["from"], account["to"], account["rows"]), (0, rows, rows))
    return wrong


def recreated_again(room: Path) -> list[str]:
    """Before any row of the second topic came a third: one stretch in doubt, with two causes, up to the first row of the last."""
    events = heard(
        *OLD,
        announced("s", topic_id="b", watermark=12),
        announced("s", topic_id="c", watermark=12),
        block("s", 0, [Row(9, 24, "x"), Row(9, 50, "x")], topic_id="b"),
        block("s", 0, [Row(9, 33, "x"), Row(9, 55, "x")], topic_id="c"),
        block("t", 4, [Row(9, 55, "x")]),
        End("hand"),
    )
    twice = ("inconclusive", ("recreated", "recreated"))
    return list(differ("windows", windows(events), {0: CLEAN, 10: twice, 20: twice, 30: twice, 40: CLEAN, 50: CLEAN}))


def recreated_behind(room: Path) -> list[str]:
    """A side that waits for another partition: the new topic's rows may lie before the old one's, but they came after them."""
    events = heard(
        opened(source=[("", 0), ("", 1)]),
        block("s", 0, [Row(1, 21, "a"), Row(2, 22, "a"), Row(9, 25, "x")]),
        block("s", 0, [Row(8, 3, "x")], partition=1),
        announced("s", topic_id="new", watermark=3),
        block("s", 0, [Row(1, 11, "b"), Row(9, 60, "x")], topic_id="new"),
        lift("s", 1, 60, partition=1),
        block("t", 0, [Row(8, 3, "x"), Row(1, 12, "b"), Row(1, 26, "b"), Row(2, 27, "a"), Row(9, 60, "x")]),
    )
    got = {10 * e["number"]: (e["verdict"], e["counts"]["equal"], e["counts"]["inconclusive"]) for e in of_type(events, "window")}
    return list(
        differ(
            "verdict, equal, inconclusive",
            got,
            {0: ("clean", 1, 0), 10: ("clean", 1, 0), 20: ("inconclusive", 1, 2)},
        )
    )


def not_filled_across(room: Path) -> list[str]:
    """A large column that did not come is not taken from before a topic was recreated, not even at the instant where it ended."""
    was, part = Row(1, 1, "a", large="l"), Row(1, 12, "b", large="?")
    records: list[Record] = [
        opened(large=1),
        block("s", 0, [was, Row(9, 12, "x", large="l")], large=1),
        block("t", 0, [was, Row(1, 12, "b", large="l"), Row(9, 12, "x", large="l")], large=1),
        announced("s", topic_id="new", watermark=12),
        block("s", 0, [part, Row(9, 40, "x", large="l")], topic_id="new", large=1),
        block("t", 3, [Row(9, 40, "x", large="l")], large=1),
    ]
    counts = {e["number"]: e["counts"] for e in of_type(heard(*records), "window")}
    got = {n: (counts[n]["equal"], counts[n]["different"], counts[n]["inconclusive"]) for n in (0, 1)}
    return list(differ("equal, different, inconclusive", got, {0: (1, 0, 0), 1: (0, 0, 2)}))


# ---- announced partitions ------------------------------------------------------------------------------------------------


def floor(room: Path) -> list[str]:
    """Rows of a partition that was announced with an old watermark take part where its side stood, in no closed window."""
    before: list[Record] = [
        opened(),
        block("s", 0, [Row(1, 1, "a"), Row(1, 31, "a")]),
        block("t", 0, [Row(1, 1, "a"), Row(1, 31, "a")]),
    ]
    after: list[Record] = [
        announced("s", partition=1, watermark=5),
        block("s", 0, [Row(2, 7, "b"), Row(3, 20, "c", flags=Flag.LATE), Row(4, 40, "d")], partition=1, watermark=35),
        block("s", 2, [Row(1, 90, "a")]),
        block("t", 2, [Row(2, 32, "b"), Row(3, 33, "c"), Row(4, 40, "d"), Row(1, 90, "a")]),
        lift("s", 3, 60, partition=1),
    ]
    events = heard(*before, *after)
    counts = {10 * e["number"]: e["counts"] for e in of_type(events, "window")}
    wrong = list(differ("windows", windows(events), dict.fromkeys((0, 10, 20, 30, 40), CLEAN)))
    got = {w: (counts[w]["source_rows"], counts[w]["target_rows"], counts[w]["late"]) for w in (0, 30, 40)}
    wrong += differ("rows", got, {0: (1, 1, 0), 30: (3, 3, 2), 40: (1, 1, 0)})
    return wrong


def floor_of_letters(room: Path) -> list[str]:
    """What could not be read of an announced partition makes windows inconclusive that are still open, and is counted there."""
    letter = Undecodable(0, 2 * S, 8 * S)
    events = heard(
        opened(),
        block("s", 0, [Row(1, 1, "a"), Row(1, 31, "a")]),
        block("t", 0, [Row(1, 1, "a"), Row(1, 31, "a")]),
        announced("s", partition=1, watermark=5),
        block("s", 0, [], end=1, partition=1, watermark=8, undecodable=(letter,)),
        End("hand"),
    )
    got = {10 * e["number"]: (e["verdict"], e["counts"]["dead_letters"]) for e in of_type(events, "window")}
    return list(differ("verdict, dead letters", {w: got[w] for w in (0, 30)}, {0: ("clean", 0), 30: ("inconclusive", 1)}))


# ---- stalled sides -------------------------------------------------------------------------------------------------------


def stalled(room: Path) -> list[str]:
    """Said once when it begins and once when it is over, and no window closes or changes by it."""

    def stall(since: float | None, waiting: int, *, resumed: bool = False, feed: str = "t") -> Stall:
        return Stall("hand", feed, None if since is None else int(since * S), waiting, resumed)

    told_of = [
        (stall(13, 0, resumed=True), None),
        (stall(13, 5), ("stalled", "t", 13, 5)),
        (stall(13, 8), None),
        (stall(None, 1, feed="s"), ("stalled", "s", None, 1)),
        (stall(None, 2, feed="s"), None),
        (stall(14, 9), ("stalled", "t", 14, 9)),
        (stall(None, 3, resumed=True), ("resumed", "t", 14, 3)),
        (stall(14, 0, resumed=True), None),
        (stall(14, 2), ("stalled", "t", 14, 2)),
    ]
    events = heard(*FIRST, *(record for record, _ in told_of), End("hand"))
    want: list[Json] = [
        {
            "type": said[0],
            "chain": "hand/t/0",
            "topology": "hand",
            "side": said[1],
            "since": None if said[2] is None else stamp(said[2] * S),
            "waiting": said[3],
            "time": stamp((len(FIRST) + n) * S),
        }
        for n, (_, said) in enumerate(told_of)
        if said is not None
    ]
    found = [{k: v for k, v in e.items() if k not in {"seq", "prev"}} for e in of_type(events, "stalled", "resumed")]
    wrong = list(differ("said", found, want))
    plain = heard(*FIRST, End("hand"))
    wrong += differ("windows", windows(events), windows(plain))
    return wrong


# ---- schema drift --------------------------------------------------------------------------------------------------------


def drifted(room: Path) -> list[str]:
    """Each column that appears is said once for a side, and no window closes or changes by it."""
    told_of = [
        (Drift("hand", "t", ("colour", "size")), ("t", ["colour", "size"])),
        (Drift("hand", "t", ("size",)), None),
        (Drift("hand", "s", ("size",)), ("s", ["size"])),
        (Drift("hand", "t", ("age", "colour", "size")), ("t", ["age"])),
        (Drift("hand", "t", ("age", "colour", "size")), None),
    ]
    events = heard(*FIRST, *(record for record, _ in told_of), End("hand"))
    want: list[Json] = [
        {
            "type": "schema_drift",
            "chain": "hand/t/0",
            "topology": "hand",
            "side": said[0],
            "columns": said[1],
            "time": stamp((len(FIRST) + n) * S),
        }
        for n, (_, said) in enumerate(told_of)
        if said is not None
    ]
    found = [{k: v for k, v in e.items() if k not in {"seq", "prev"}} for e in of_type(events, "schema_drift")]
    wrong = list(differ("said", found, want))
    wrong += differ("windows", windows(events), windows(heard(*FIRST, End("hand"))))
    return wrong


# ---- who did what ----------------------------------------------------------------------------------------------------------


def acted(room: Path) -> list[str]:
    """Each start and stop is said, and no window closes or changes by it; a rebuild says who began it, and why."""
    somebody, other = By("ops", "recon-0", "User:recon", "0.1.0"), By("1000", "recon-1", None, "0.2.0")
    records = (
        Act("hand", "started", ("normalise", "reconcile"), somebody),
        Act("hand", "stopped", ("reconcile",), other),
        Act("hand", "stopped", ("reconcile",), other),
    )
    events = heard(*FIRST, *records, replace(opened(generation=2), by=other, reason="CHG-7"), End("hand", 2))
    want: list[Json] = [
        {
            "type": record.act,
            "chain": "hand/t/0",
            "topology": "hand",
            "stages": list(record.stages),
            "by": asdict(record.by),
            "time": stamp((len(FIRST) + n) * S),
        }
        for n, record in enumerate(records)
    ]
    found = [{k: v for k, v in e.items() if k not in {"seq", "prev"}} for e in of_type(events, "started", "stopped")]
    wrong = list(differ("said", found, want))
    wrong += differ("rebuilt", [(e["by"], e["reason"]) for e in of_type(events, "rebuilt")], [(asdict(other), "CHG-7")])
    wrong += differ("windows", windows(heard(*FIRST, *records, End("hand"))), windows(heard(*FIRST, End("hand"))))
    return wrong


Check = Callable[[Path], list[str]]
LIVE: dict[str, Check] = {
    "a rebuild": rebuild,
    "a zombie of an older generation": zombie,
    "chains that end and begin again": chains_that_end,
    "a recreated topic": recreated,
    "a recreated topic's accounts": recreated_accounts,
    "a topic recreated twice": recreated_again,
    "a topic recreated behind its time": recreated_behind,
    "a large column behind a recreated topic": not_filled_across,
    "a partition announced below its side": floor,
    "dead letters below a floor": floor_of_letters,
    "a stalled side": stalled,
    "a column that appears": drifted,
    "a start and a stop": acted,
}
