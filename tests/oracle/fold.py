"""S(v) and T(v): the state of one key on one side among its versions with an effective time below v."""

from __future__ import annotations

from dataclasses import dataclass

from .timeline import Entry, LostRange, Place, Stretch, Timeline, Value


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a key: present or absent (`value`), or unknown for one reason or more."""

    value: Value
    why_unknown: frozenset[str]
    place: Place | None  # of the last version
    last_effective: int | None  # None: no version

    @property
    def known(self) -> bool:
        return not self.why_unknown


@dataclass(frozen=True, slots=True)
class Content:
    """A version's hash, or the fact that it is unknown."""

    known: bool
    value: Value


UNKNOWN = Content(known=False, value=None)


class Folder:
    """Folds a timeline, remembering what it folded."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self._states: dict[tuple[int, int | None], State] = {}
        self._contents: dict[tuple[int, int | None], list[tuple[Entry, Content]]] = {}

    def state(self, key: int, v: int | None) -> State:
        """S(v) or T(v); v None is the end of all time."""
        if (key, v) not in self._states:
            self._states[key, v] = self._state(key, v)
        return self._states[key, v]

    def rows(self, key: int, low: int, high: int) -> list[tuple[Entry, Content]]:
        """Any row with low <= effective time < high, passed-over ones too, with contents as known at `high`."""
        self.state(key, high)
        return [(e, c) for e, c in self._contents[key, high] if e.effective >= low and e.kind != "mark"]

    def _state(self, key: int, v: int | None) -> State:
        current: Entry | None = None
        content = UNKNOWN
        contents: list[tuple[Entry, Content]] = []
        for entry in self.timeline.entries.get(key, []):
            if v is not None and entry.effective >= v:
                continue
            own = self._content(entry, current, content)
            contents.append((entry, own))
            if not (current is not None and self._passes_over(current, entry)):
                current, content = entry, own
        self._contents[key, v] = contents
        why = self._why_unknown(key, v, current, content)
        versions = [e for e, _ in contents if e.kind != "mark"]
        place = None if current is None or current.kind == "mark" else current.place
        last = current.effective if current is not None and versions else None
        return State(None if why else content.value, frozenset(why), place, last)

    def _passes_over(self, current: Entry, entry: Entry) -> bool:
        return self.timeline.in_log_order and current.beside(entry.topic, entry.partition) and current.offset > entry.offset

    def _content(self, entry: Entry, current: Entry | None, content: Content) -> Content:
        """The content of a version, a large column filled from the version before it where that is known [15]."""
        if entry.kind == "mark":
            return UNKNOWN
        if entry.kind != "partial":
            return Content(known=True, value=entry.value)
        assert entry.value is not None
        if (current is not None and self._passes_over(current, entry)) or self._overtaken(entry):
            return UNKNOWN
        if current is None or not content.known or content.value is None or self._hidden_before(entry, current):
            return UNKNOWN
        return Content(known=True, value=(entry.value[0], content.value[1]))

    def _overtaken(self, entry: Entry) -> bool:
        """In log order: is an earlier row of the key in its partition still to come in time? What it left is not known yet."""
        others = self.timeline.entries.get(entry.key, [])
        return self.timeline.in_log_order and any(
            o.kind != "mark" and entry.beside(o.topic, o.partition) and o.offset < entry.offset and o.effective > entry.effective
            for o in others
        )

    def _hidden_before(self, entry: Entry, current: Entry) -> bool:
        """Was the key unknown, by a gap or a tombstone, when this version came?"""
        for gap in self.timeline.gaps:
            before = gap.offset < entry.offset if entry.beside(gap.topic, gap.partition) else _below(gap.w, entry.effective)
            if before and _lost_behind(gap, current):
                return True
        for stretch in self.timeline.stretches.get(entry.key, []):
            after = not entry.beside(stretch.topic, stretch.partition) or stretch.offset < entry.offset
            if after and stretch.w < entry.effective <= stretch.effective and not self._beyond(current, stretch):
                return True
        return False

    def _why_unknown(self, key: int, v: int | None, current: Entry | None, content: Content) -> set[str]:
        side, why = self.timeline, set[str]()
        if current is None:
            if side.loaded_at is not None and v is not None and v <= side.loaded_at:
                why.add("loading")
            if side.partial_history:
                why.add("history")
        elif not content.known:
            why.add("undecodable" if current.kind == "mark" else "large")
        if any((v is None or _below(g.w, v)) and (current is None or _lost_behind(g, current)) for g in side.gaps):
            why.add("gap")
        for stretch in side.stretches.get(key, []):
            inside = v is not None and stretch.w < v <= stretch.effective
            if inside and not (current is not None and self._beyond(current, stretch)):
                why.add("tombstone")
        return why

    def _beyond(self, current: Entry, stretch: Stretch) -> bool:
        """In log order a version behind the tombstone in its own partition ends what the tombstone leaves open."""
        ours = current.beside(stretch.topic, stretch.partition)
        return self.timeline.in_log_order and ours and current.offset > stretch.offset


def _below(w: int | None, v: int) -> bool:
    return w is None or w < v


def _lost_behind(gap: LostRange, current: Entry) -> bool:
    return current.beside(gap.topic, gap.partition) and current.offset < gap.offset
