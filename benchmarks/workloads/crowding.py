"""Ten thousand tasks of one loop each wait for an item: the cost to begin, and the time until all have their items."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from benchmarks.crew import PATIENCE, Finish, Worker
from benchmarks.race import Lap
from benchmarks.rivals.rival import Rival
from benchmarks.workloads.base import CrewWorkload, Inexact, duration
from sharedkit import Queue

MANY = 10_000


class OfKit(Rival):
    """`aget`; a thread of the same process puts."""

    name, kind = "sharedkit", "ours"


class OfLoop(Rival):
    """`asyncio.Queue`: the cost of waiting if only code in the loop may put."""

    name, kind = "asyncio.Queue", "floor"


class Crowd(Worker):
    """Begins all waits, then lets all get their items; its loop is kept from lap to lap."""

    def __init__(self, crowds: Crowds) -> None:
        self._crowds = crowds

    def open(self) -> None:
        self._runner = asyncio.Runner()

    def prepare(self, operations: int, clocked: bool) -> None:
        """A lap always has `MANY` waits."""

    def run(self) -> None:
        self._answer = self._runner.run(asyncio.wait_for(self._lap(), PATIENCE))

    def finish(self) -> dict[str, Any]:
        return self._answer

    def close(self) -> None:
        self._runner.close()

    async def _lap(self) -> dict[str, Any]:
        shared = self._crowds.queue
        queue: Any = asyncio.Queue() if shared is None else shared
        begin = perf_counter()
        tasks = [asyncio.create_task(queue.get() if shared is None else queue.aget()) for _ in range(MANY)]
        await asyncio.sleep(0)  # each task has run until it waits
        begun = perf_counter()
        if shared is None:
            for number in range(MANY):
                queue.put_nowait(number)
        else:
            await asyncio.to_thread(queue.put_many, range(MANY))
        items = await asyncio.gather(*tasks)
        served = perf_counter()
        return {"begin": begun - begin, "serve": served - begun, "exact": items == list(range(MANY))}


class Crowds(CrewWorkload):
    """An operation is one of `MANY` waits: its share of the time of `part`."""

    most = MANY
    checked = "each task has one item, in the order in which they came"

    def __init__(self, rival: Rival, part: Literal["begin", "serve"]) -> None:
        super().__init__(rival, waits=MANY, workers="1 loop; ours is put to by a thread")
        self._part = part

    def create(self, scratch: Path) -> None:
        self.queue: Any = None if isinstance(self.rival, OfLoop) else Queue()

    def workers(self) -> Sequence[Worker]:
        return [Crowd(self)]

    def check(self, operations: int, answers: list[Any]) -> None:
        if not answers[0]["exact"]:
            raise Inexact(f"{self.name}: an item was lost, repeated or went to who came later")

    def timed(self, operations: int, finishes: list[Finish], clocked: bool) -> Lap:
        return Lap(duration(finishes), finishes[0].answer[self._part] / MANY, None, finishes[0].cpu / MANY)

    def destroy(self) -> None:
        if self.queue is not None:
            self.queue.close()
