"""Kafka as its clients see it: offsets with markers between them, transactions and their fencing, groups and their generations.

    open transaction: its records, and all behind the first of them, wait     begun 10   end 17   last stable 12
    |..... committed .....|. open .|..........|
    10                    12       14         17

What is modelled is what the protocol relies on; replication is not: an acknowledged record is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from stream_recon.ports import Commit, Place
from stream_recon.sim.world import SECOND, World

SESSION_SECONDS: Final = 10.0


@dataclass(eq=False, slots=True)
class Transaction:
    """``verdict``: None while it is open, then whether it was committed. ``places``: the partitions that it wrote to."""

    id: str
    epoch: int
    began: int
    places: dict[Place, int] = field(default_factory=dict)
    offsets: dict[tuple[str, Place], Commit] = field(default_factory=dict)
    verdict: bool | None = None
    decided: bool = False
    """The coordinator has said "commit"; the partitions may not have heard of it yet."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, or (``value`` and ``key`` None, ``marker``) what ends a transaction."""

    offset: int
    time: int
    key: bytes | None
    value: bytes | None
    transaction: Transaction | None = None
    marker: bool = False


@dataclass(slots=True)
class Log:
    """One partition."""

    begin: int = 0
    records: list[Record] = field(default_factory=list)
    open: dict[str, int] = field(default_factory=dict)
    """First offset of each open transaction, by its id."""

    @property
    def end(self) -> int:
        return self.records[-1].offset + 1 if self.records else self.begin

    @property
    def stable(self) -> int:
        """The last stable offset."""
        return min(self.open.values(), default=self.end)


@dataclass(slots=True)
class Topic:
    """A topic. ``id`` tells it from its predecessors of the same name."""

    id: str
    logs: list[Log]


@dataclass(eq=False, slots=True)
class Member:
    """One consumer in a group. ``owned``: what it has been given and has not given back."""

    id: str
    alive: bool = True
    topics: tuple[str, ...] = ()
    owned: set[Place] = field(default_factory=set)


@dataclass(slots=True)
class Group:
    """A consumer group. ``target``: who is to have which partition."""

    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    target: dict[Place, str] = field(default_factory=dict)
    committed: dict[Place, Commit] = field(default_factory=dict)


class Fencing(Exception):
    """A producer that is not the newest of its transactional id."""


class NoMember(Exception):
    """A commit of somebody who is not in the group, or not in its generation."""


class Broker:
    """All topics, groups and transactional producers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.topics: dict[str, Topic] = {}
        self.groups: dict[str, Group] = {}
        self.epochs: dict[str, int] = {}
        self.ongoing: dict[str, Transaction] = {}
        self.away_until = 0
        """The brokers do not answer until then."""
        self._made = 0
        self._members = 0

    # ---- topics --------------------------------------------------------------------------------------------------------

    def make(self, name: str, partitions: int) -> Topic:
        """A topic; made anew if it is there."""
        self._made += 1
        self.topics[name] = Topic(f"{name}-{self._made}", [Log() for _ in range(partitions)])
        self._rebalance_all()
        return self.topics[name]

    def widen(self, name: str) -> None:
        """One partition more."""
        self.topics[name].logs.append(Log())
        self._rebalance_all()

    def log(self, place: Place) -> Log | None:
        """The partition; None if there is none."""
        topic = self.topics.get(place[0])
        return topic.logs[place[1]] if topic is not None and place[1] < len(topic.logs) else None

    def append(self, place: Place, key: bytes | None, value: bytes | None, transaction: Transaction | None = None) -> Record:
        """Takes a record; its time is now."""
        log = self.log(place)
        assert log is not None
        if transaction is not None and transaction.id not in log.open:
            transaction.places[place] = log.open[transaction.id] = log.end
        record = Record(log.end, self.world.now // 1000, key, value, transaction)
        log.records.append(record)
        return record

    def read(self, place: Place, position: int, limit: int) -> tuple[list[Record], int]:
        """Committed records from a position on, and the next position."""
        log = self.log(place)
        assert log is not None
        found: list[Record] = []
        for record in log.records[position - log.begin :]:
            if record.offset >= log.stable or len(found) >= limit:
                break
            position = record.offset + 1
            if not record.marker and (record.transaction is None or record.transaction.verdict):
                found.append(record)
        return found, position

    def retain(self, place: Place, begin: int) -> None:
        """Retention takes what lies before ``begin``."""
        log = self.log(place)
        assert log is not None
        begin = min(begin, log.stable)
        log.records = [r for r in log.records if r.offset >= begin]
        log.begin = max(log.begin, begin)

    # ---- transactions --------------------------------------------------------------------------------------------------

    def init(self, id_: str) -> int:
        """A new producer: the one before is fenced, what it left is settled. Returns its epoch."""
        self.epochs[id_] = self.epochs.get(id_, -1) + 1
        old = self.ongoing.get(id_)
        if old is not None:
            self.finish(old, commit=old.decided)
        return self.epochs[id_]

    def transaction(self, id_: str, epoch: int) -> Transaction:
        """The producer's open transaction; a new one if none is.

        Raises:
            Fencing: there is a newer producer.
        """
        if self.epochs.get(id_) != epoch:
            raise Fencing
        if id_ not in self.ongoing:
            self.ongoing[id_] = Transaction(id_, epoch, self.world.now)
        return self.ongoing[id_]

    def offsets(self, transaction: Transaction, group: str, commits: Mapping[Place, Commit], member: tuple[str, int]) -> None:
        """Positions that become valid with the transaction.

        Raises:
            NoMember: whoever commits is not in the group (KIP-447).
        """
        self.check_member(group, *member)
        transaction.offsets |= {(group, place): commit for place, commit in commits.items()}

    def finish(self, transaction: Transaction, *, commit: bool) -> None:
        """The transaction's end: markers in its partitions, its positions in the group."""
        if transaction.verdict is not None:
            return
        transaction.verdict = commit
        for place in transaction.places:
            log = self.log(place)
            if log is not None and transaction.id in log.open:
                log.records.append(Record(log.end, self.world.now // 1000, None, None, transaction, marker=True))
                del log.open[transaction.id]
        if commit:
            for (group, place), position in transaction.offsets.items():
                self.group(group).committed[place] = position
        if self.ongoing.get(transaction.id) is transaction:
            del self.ongoing[transaction.id]

    def expire(self, seconds: float) -> None:
        """Aborts transactions that are open for longer, and fences who began them."""
        for transaction in list(self.ongoing.values()):
            if not transaction.decided and self.world.now - transaction.began > seconds * SECOND:
                self.world.fault("a transaction is too old", f"transaction of {transaction.id} is too old: aborted")
                self.epochs[transaction.id] += 1
                self.finish(transaction, commit=False)

    # ---- groups --------------------------------------------------------------------------------------------------------

    def name_member(self) -> str:
        """A new member's id."""
        self._members += 1
        return f"member-{self._members:06}"

    def group(self, name: str) -> Group:
        """A group; it is there once somebody asks for it."""
        return self.groups.setdefault(name, Group())

    def join(self, name: str, member: Member) -> None:
        """A member comes; partitions are shared out anew."""
        group = self.group(name)
        group.members[member.id] = member
        self._rebalance(group)

    def leave(self, name: str, id_: str) -> None:
        """A member goes, or its session is over: what it had is free."""
        group = self.group(name)
        if group.members.pop(id_, None) is not None:
            self._rebalance(group)

    def check_member(self, name: str, id_: str, generation: int) -> None:
        """Raises ``NoMember`` unless the member is of this generation."""
        group = self.group(name)
        if id_ not in group.members or generation != group.generation:
            raise NoMember

    def pending(self, name: str, places: Iterable[Place]) -> bool:
        """Whether a transaction holds positions of these partitions back."""
        wanted = {(name, place) for place in places}
        return any(wanted & t.offsets.keys() for t in self.ongoing.values())

    def _rebalance_all(self) -> None:
        for group in self.groups.values():
            self._rebalance(group)

    def _rebalance(self, group: Group) -> None:
        """Evenly, and nobody loses what it may keep (cooperative-sticky)."""
        group.generation += 1
        names = sorted({t for m in group.members.values() for t in m.topics})
        places = [(t, p) for t in names if t in self.topics for p in range(len(self.topics[t].logs))]
        members = sorted(group.members)
        before, group.target = group.target, {}
        if not members:
            return
        most = -(-len(places) // len(members))
        count = dict.fromkeys(members, 0)
        for place in places:
            holder = next((m.id for m in group.members.values() if place in m.owned), before.get(place))
            if holder in count and count[holder] < most:
                group.target[place] = holder
                count[holder] += 1
        for place in places:
            if place not in group.target:
                least = min(members, key=lambda m: (count[m], m))
                group.target[place] = least
                count[least] += 1
