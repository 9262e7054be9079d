"""Consumers and their membership, on the modelled broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, Message, TopicPartition

from stream_recon.ports import Commit, Place
from stream_recon.sim.broker import SESSION_SECONDS, Member, NoMember
from stream_recon.sim.line import Line, Membership, fault, message


class SimConsumer:
    """A consumer, and its membership."""

    def __init__(self, line: Line, group: str) -> None:
        self._line = line
        self._world, self._broker = line.world, line.broker
        self._group = group
        self._member: Member | None = None
        self._topics: tuple[str, ...] = ()
        self._calls: dict[str, Callable[[Any, list[TopicPartition]], None]] = {}
        self._at: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._told: dict[Place, int] = {}

    # membership

    def subscribe(self, topics: Sequence[str], **calls: Callable[[Any, list[TopicPartition]], None]) -> None:
        self._topics, self._calls = tuple(topics), calls
        self._join()
        me = self._world.running
        if me is not None:
            me.on_death.append(lambda: self._world.after(SESSION_SECONDS, self._drop))
            me.on_freeze.append(self._miss)

    def _join(self) -> None:
        self._member = Member(self._broker.name_member(), topics=self._topics)
        self._broker.join(self._group, self._member)

    def _drop(self) -> None:
        if self._member is not None:
            self._broker.leave(self._group, self._member.id)

    def _miss(self, seconds: float) -> None:
        """A process that stands still for longer than its session loses its place, and hears of it later."""
        if seconds > SESSION_SECONDS:
            self._world.after(SESSION_SECONDS, self._drop)

    def _settle(self) -> None:
        """What a poll does for the group: gives back, and takes what is free."""
        group, me = self._broker.group(self._group), self._member
        assert me is not None
        if me.id not in group.members:
            lost, me.owned = sorted(me.owned), set()
            self._world.fault("a group drops a member", f"{me.id} of {self._group} was dropped, with {lost}")
            self._join()
            if lost:
                self._calls["on_lost"](self, _parts(lost))
            return
        back = sorted(p for p in me.owned if group.target.get(p) != me.id)
        if back:
            self._calls["on_revoke"](self, _parts(back))
            me.owned -= set(back)
            return
        held = {p for m in group.members.values() if m is not me for p in m.owned}
        new = sorted(p for p, m in group.target.items() if m == me.id and p not in me.owned and p not in held)
        if new:
            me.owned |= set(new)
            self._world.say(f"{me.id} of {self._group} takes {new}")
            self._calls["on_assign"](self, _parts(new))

    def consumer_group_metadata(self) -> Membership:
        assert self._member is not None
        group = self._broker.group(self._group)
        joined = self._member.id in group.members
        return Membership(self._group, self._member.id, group.generation if joined else -1)

    def close(self) -> None:
        if self._member is None:
            return
        owned = sorted(self._member.owned)
        if owned:
            self._calls["on_revoke"](self, _parts(owned))
        self._world.gate("leave")
        self._broker.leave(self._group, self._member.id)
        self._member = None

    # reading

    def incremental_assign(self, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            self._at[part.topic, part.partition] = part.offset
            self._told.pop((part.topic, part.partition), None)

    def incremental_unassign(self, parts: Sequence[TopicPartition]) -> None:
        for part in parts:
            self._at.pop((part.topic, part.partition), None)

    def assignment(self) -> list[TopicPartition]:
        return _parts(self._at)

    def pause(self, parts: Sequence[TopicPartition]) -> None:
        self._paused |= {(p.topic, p.partition) for p in parts}

    def resume(self, parts: Sequence[TopicPartition]) -> None:
        self._paused -= {(p.topic, p.partition) for p in parts}

    def consume(self, limit: int, seconds: float) -> list[Message]:
        """Some of what there is, of any partition; else waits."""
        self._world.gate("consume")
        self._settle()
        if self._broker.away_until > self._world.now:
            self._world.sleep(seconds)
            return []
        places = sorted(set(self._at) - self._paused)
        self._world.random.shuffle(places)
        found: list[Message] = []
        for place in places:
            found += self._fetched(place, min(limit - len(found), self._world.random.choice((1, 7, 1_000))))
        if not found:
            self._world.sleep(seconds * self._world.random.choice((1, 4)))  # machines are busy, too
        return found

    def _fetched(self, place: Place, limit: int) -> list[Message]:
        log, at = self._broker.log(place), self._at[place]
        if log is None:
            return [message(place, error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))]
        if not log.begin <= at <= log.end:
            return [message(place, error=KafkaError(KafkaError._AUTO_OFFSET_RESET))]
        records, self._at[place] = self._broker.read(place, at, limit)
        out = [message(place, r.offset, r.key, r.value, r.time) for r in records]
        if self._at[place] == log.stable == log.end and self._told.get(place) != log.end:
            self._told[place] = log.end
            out.append(message(place, log.end, error=KafkaError(KafkaError._PARTITION_EOF)))
        return out

    def get_watermark_offsets(self, part: TopicPartition, cached: bool = True) -> tuple[int, int]:
        log = self._broker.log((part.topic, part.partition))
        return (-1001, -1001) if log is None else (log.begin, log.stable)

    # positions

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        self._line.request("commit")
        membership = self.consumer_group_metadata()
        try:
            self._broker.check_member(self._group, membership.member, membership.generation)
        except NoMember:
            if asynchronous:
                return []
            raise fault(KafkaError.UNKNOWN_MEMBER_ID, "unknown member") from None
        commits = {(p.topic, p.partition): Commit(p.offset, (p.metadata or "").encode()) for p in offsets}
        self._broker.group(self._group).committed |= commits
        self._world.gate("committed")
        return list(offsets)

    def committed(self, parts: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        """Positions; one that an open transaction holds back is waited for."""
        self._line.request("positions", timeout)
        places = [(p.topic, p.partition) for p in parts]
        waited = 0.0
        while self._broker.pending(self._group, places):
            if waited > timeout:
                raise fault(KafkaError._TIMED_OUT, "unstable offsets")
            self._world.sleep(0.5)
            waited += 0.5
        known = self._broker.group(self._group).committed
        out = []
        for place in places:
            commit = known.get(place)
            out.append(TopicPartition(*place, -1001) if commit is None else _position(place, commit))
        return out


def _position(place: Place, commit: Commit) -> TopicPartition:
    return TopicPartition(*place, commit.position, commit.metadata.decode())


def _parts(places: Iterable[Place]) -> list[TopicPartition]:
    return [TopicPartition(*place) for place in places]
