"""Items that a process puts and a task of an event loop waits for: the time until the task runs."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from time import monotonic_ns, perf_counter
from typing import Any

import numpy as np

import sharedkit as sk
from benchmarks.race import Lap
from benchmarks.workloads.base import Inexact

SPAWN = multiprocessing.get_context("spawn")
OURS, BY_THREAD = "sharedkit", "run_in_executor(queue.get)"


def _answer(asked: Any, answers: Any, pause: float) -> None:
    """In the other process: put the time, `pause` seconds after each request."""
    while asked.get() is not None:
        if pause:
            time.sleep(pause)
        answers.put(monotonic_ns())


class Waking:
    """One item after the other, each awaited; `pause` seconds are enough for all processes to sleep. An operation's
    time is the median of a lap, from just before the put until the task goes on."""

    most = 2_000

    def __init__(self, name: str, kind: str, pause: float) -> None:
        self.name, self.kind, self._pause = name, kind, pause
        self.facts: dict[str, object] = {"pause": pause, "checked": "items come one at a time, in order"}

    def start(self) -> None:
        self._asked: Any = sk.Queue()
        self._answers: Any = sk.Queue()
        self._partner = SPAWN.Process(target=_answer, args=(self._asked, self._answers, self._pause))
        self._partner.start()
        self._runner = asyncio.Runner()

    def lap(self, operations: int, clocked: bool = False) -> Lap:
        return self._runner.run(self._lap(operations, clocked))

    async def _lap(self, operations: int, clocked: bool) -> Lap:
        times, loop = np.zeros(operations, np.int64), asyncio.get_running_loop()
        before, start = 0, perf_counter()
        for index in range(operations):
            self._asked.put(index)
            if self.name == OURS:
                put = await self._answers.aget()
            else:
                put = await loop.run_in_executor(None, self._answers.get)
            times[index] = monotonic_ns() - put
            if put <= before:
                raise Inexact(f"{self.name}: an item came twice, or late")
            before = put
        return Lap(perf_counter() - start, float(np.median(times)) / 1e9, times if clocked else None)

    def stop(self) -> None:
        self._asked.put(None)
        self._partner.join(10)
        self._runner.close()
        for queue in (self._asked, self._answers):
            queue.close()


def contestants(pause: float) -> list[Waking]:
    """Ours, and asyncio's way to call a function that blocks."""
    return [Waking(OURS, "ours", pause), Waking(BY_THREAD, "stdlib", pause)]
