"""What goes wrong, one after the other, from a seed; each returns when it is over; the service has to recover by itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tools.kafka.cluster import Brokers
from tools.kafka.proxy import Proxy
from tools.soak.running import Run

STOPPED_S: Final = (9.0, 16.0)
"""How long workers stand still: longer than their session, so that others take what they held."""
AWAY_S: Final = (3.0, 15.0)
"""How long a broker or the network is away."""
CUTS: Final = 4
DELAY_S: Final = 0.2


class Faults:
    """``steady`` reaches the brokers through ``network`` and is never killed; of ``victim`` anything may be killed."""

    def __init__(self, seed: int, brokers: Brokers, network: Proxy, steady: Run, victim: Run) -> None:
        self._dice = random.Random(f"faults {seed}")
        self._brokers, self._network, self._steady, self._victim = brokers, network, steady, victim
        self.all: dict[str, Callable[[], str]] = {
            "workers killed": self._kill_workers,
            "workers stand still": self._stop_workers,
            "broker killed": self._kill_broker,
            "broker restarted": self._restart_broker,
            "connections cut": self._cut,
            "network silent": self._hole,
            "network slow": self._slow,
            "all of a run killed": self._kill_run,
            "run and its state lost": self._lose_run,
        }
        self._left: list[str] = []

    def pause(self, shortest: float, longest: float) -> float:
        """Seconds until the next one."""
        return self._dice.uniform(shortest, longest)

    def next(self) -> str:
        """Which one: each comes as often as the others, in an order that changes."""
        if not self._left:
            self._left = self._dice.sample(sorted(self.all), len(self.all))
        return self._left.pop()

    def _lasts(self, between: tuple[float, float]) -> float:
        seconds = self._dice.uniform(*between)
        time.sleep(seconds)
        return seconds

    # ---- processes -----------------------------------------------------------------------------------------------------

    def _some(self, run: Run) -> list[tuple[int, str]]:
        """A worker of one stage, or one of each."""
        stages = self._dice.choice([["normalise"], ["reconcile"], ["normalise", "reconcile"]])
        return [(self._dice.choice(pids), stage) for stage in stages if (pids := run.workers(stage))]

    def _kill_workers(self) -> str:
        chosen = self._some(self._victim)
        _signal(chosen, signal.SIGKILL)
        return _names(self._victim, chosen)

    def _stop_workers(self) -> str:
        run = self._dice.choice([self._steady, self._victim])
        chosen = self._some(run)
        _signal(chosen, signal.SIGSTOP)
        try:
            seconds = self._lasts(STOPPED_S)
        finally:
            _signal(chosen, signal.SIGCONT)
        return f"{_names(run, chosen)} for {seconds:.0f} s"

    def _kill_run(self) -> str:
        self._victim.kill()
        self._victim.start()
        return self._victim.name

    def _lose_run(self) -> str:
        self._victim.kill()
        shutil.rmtree(self._victim.state)
        self._victim.start()
        return self._victim.name

    # ---- brokers and the network ---------------------------------------------------------------------------------------

    def _kill_broker(self) -> str:
        return self._without_broker(kill=True)

    def _restart_broker(self) -> str:
        return self._without_broker(kill=False)

    def _without_broker(self, *, kill: bool) -> str:
        number = self._dice.randrange(len(self._brokers.nodes))
        node = self._brokers.nodes[number]
        (node.kill if kill else node.stop)()
        seconds = self._lasts(AWAY_S)
        node.start()
        self._brokers.await_in_sync()
        return f"{number + 1} for {seconds:.0f} s"

    def _cut(self) -> str:
        counts = []
        for _ in range(CUTS):
            counts.append(self._network.cut())
            self._lasts((0.2, 3.0))
        return f"{counts} of {self._steady.name}"

    def _hole(self) -> str:
        with self._network.hole():
            seconds = self._lasts(AWAY_S)
        return f"{self._steady.name} for {seconds:.0f} s"

    def _slow(self) -> str:
        with self._network.delayed(DELAY_S):
            seconds = self._lasts(AWAY_S)
        return f"{self._steady.name}, {DELAY_S:.1f} s each way, for {seconds:.0f} s"


def _signal(processes: list[tuple[int, str]], number: signal.Signals) -> None:
    for pid, _ in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _names(run: Run, processes: list[tuple[int, str]]) -> str:
    return " and ".join(f"{run.name}/{stage}" for _, stage in processes)
