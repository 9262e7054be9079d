"""Who runs when: processes of their own, of which one runs at a time, chosen by the seed whenever one asks for something.

A process may be killed or stopped (``SIGSTOP``) wherever it passes a ``gate``, which stands before and behind every request: what
it was about to do is then not done, or is done and it never hears of it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Final

SECOND: Final = 1_000_000
BEGAN: Final = 1_795_266_000 * SECOND
"""Broker time (µs) when a world begins."""


def _closed() -> threading.Lock:
    """A lock as a baton: who waits for it acquires it, who hands over releases it."""
    baton = threading.Lock()
    baton.acquire()
    return baton


class Killed(BaseException):
    """``kill -9``: nothing of the process may act any more."""


class Process:
    """One process. ``machine``: whose disk it has. ``failed``: how it ended, if not by a kill."""

    def __init__(self, name: str, machine: str, work: Callable[[], None]) -> None:
        self.name = name
        self.machine = machine
        self.dead = False
        self.ended = False
        self.failed: BaseException | None = None
        self.frozen_until = 0
        self.wake = 0
        self.doomed: int | None = None
        """Gates that it still passes before it is killed."""
        self.on_death: list[Callable[[], None]] = []
        self.on_freeze: list[Callable[[float], None]] = []
        self._work = work
        self._go = _closed()
        self._thread: threading.Thread | None = None

    def resume(self, back: threading.Lock) -> None:
        """Lets it run until it waits for something."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, args=(back,), name=self.name, daemon=True)
            self._thread.start()
        else:
            self._go.release()
        back.acquire()

    def pause(self, back: threading.Lock) -> None:
        """Hands over; returns when it is its turn again."""
        back.release()
        self._go.acquire()

    def _main(self, back: threading.Lock) -> None:
        try:
            self._work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever ended it is looked at by whoever started it
            self.failed = error
        self.ended = True
        back.release()


class World:
    """Virtual time, the seed's choices, and all processes. ``log`` tells what happened, for whoever reads a failing seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = BEGAN
        self.processes: list[Process] = []
        self.log: list[str] = []
        self.faults: Counter[str] = Counter()
        """What went wrong, by kind, and how often."""
        self.calm = False
        """No more faults: what was broken is mended and the rest must come to its end."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._events_made = 0
        self._back = _closed()
        self._running: Process | None = None

    # ---- for processes -------------------------------------------------------------------------------------------------

    def monotonic(self) -> float:
        """Seconds, as a process sees them."""
        return (self.now - BEGAN) / SECOND + 1000

    def gate(self, what: str) -> None:
        """A place where the process may be killed, stopped, or another's turn may come.

        Raises:
            Killed: it was.
        """
        me = self._running
        if me is None:
            return
        if not me.dead and me.doomed is not None:
            me.doomed -= 1
            if me.doomed < 0:
                self.kill(me, what)
        if me.dead:
            raise Killed
        if me.frozen_until > self.now or self.random.random() < 0.25:
            self._switch(me)

    def sleep(self, seconds: float) -> None:
        """The process waits."""
        me = self._running
        if me is None:
            return
        me.wake = self.now + round(seconds * SECOND)
        self._switch(me)

    def _switch(self, me: Process) -> None:
        me.pause(self._back)
        if me.dead:
            raise Killed

    @property
    def running(self) -> Process | None:
        """Whose turn it is."""
        return self._running

    # ---- for whoever drives --------------------------------------------------------------------------------------------

    def start(self, name: str, machine: str, work: Callable[[], None]) -> Process:
        """A process that runs from now on."""
        process = Process(name, machine, work)
        process.wake = self.now
        self.processes.append(process)
        self.say(f"{name} starts on {machine}")
        return process

    def kill(self, process: Process, where: str = "") -> None:
        """``kill -9``. What it had sent may still be on its way."""
        if process.dead or process.ended:
            return
        process.dead = True
        self.fault("a worker is killed", f"{process.name} is killed {where}".rstrip())
        for act in process.on_death:
            act()

    def freeze(self, process: Process, seconds: float) -> None:
        """``SIGSTOP``, and ``SIGCONT`` later."""
        process.frozen_until = self.now + round(seconds * SECOND)
        self.fault("a worker stands still", f"{process.name} stands still for {seconds:.1f} s")
        for act in process.on_freeze:
            act(seconds)

    def at(self, time: int, act: Callable[[], None]) -> None:
        """Something that happens at a time (µs)."""
        self._events_made += 1
        heappush(self._events, (time, self._events_made, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """The same, from now on."""
        self.at(self.now + round(seconds * SECOND), act)

    def say(self, text: str) -> None:
        """Notes what happened."""
        self.log.append(f"{(self.now - BEGAN) / SECOND:9.3f} {text}")

    def fault(self, kind: str, text: str | None = None) -> None:
        """Counts what went wrong, and notes it: more exactly than its kind, if ``text`` does."""
        self.faults[kind] += 1
        self.say(text or kind)

    def turn(self) -> None:
        """One process runs until it waits; or time passes to when something is due."""
        while self._events and self._events[0][0] <= self.now:
            heappop(self._events)[2]()
        self.processes = [p for p in self.processes if not p.ended]
        ready = [p for p in self.processes if p.dead or (p.wake <= self.now and p.frozen_until <= self.now)]
        if not ready:
            due = [*(max(p.wake, p.frozen_until) for p in self.processes), *(time for time, _, _ in self._events[:1])]
            self.now = max(self.now, min(due, default=self.now + SECOND))
            return
        process = ready[self.random.randrange(len(ready))]
        self._running = process
        process.resume(self._back)
        self._running = None
        self.now += self.random.randrange(50, 1_500)

    def end(self) -> None:
        """Every process is gone."""
        for process in self.processes:
            process.dead = True
        while self.processes:
            self.turn()
