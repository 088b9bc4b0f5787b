"""Two processes pass a turn to and fro; the result of a lap is the median round trip. Each process has its own core."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from benchmarks.crew import Finish, Worker
from benchmarks.race import Lap
from benchmarks.rivals.rival import MeetingRival
from benchmarks.workloads.base import CrewWorkload, Inexact, duration
from benchmarks.workloads.locking import cells


class Asker(Worker):
    """Passes the turn on, waits for it and records the time."""

    def __init__(self, rival: MeetingRival, cell: memoryview) -> None:
        self._rival, self._cell, self._number = rival, cell, 0

    def prepare(self, operations: int, clocked: bool) -> None:
        self._operations = operations
        self._times: list[int] = []
        self._wrong = 0

    def run(self) -> None:
        ask, cell, times = self._rival.ask, self._cell, self._times
        for number in range(self._number + 1, self._number + self._operations + 1):
            start = perf_counter_ns()
            ask(number, cell)
            times.append(perf_counter_ns() - start)
            # If the structure does not say that the other process has seen this number, that process may be one ahead.
            self._wrong += cell[1] not in (number, number + 1)
        self._number += self._operations

    def finish(self) -> dict[str, Any]:
        return {"times": np.array(self._times, np.int64), "wrong": self._wrong}


class Answerer(Worker):
    """Takes the turn and passes it back."""

    def __init__(self, rival: MeetingRival, cell: memoryview) -> None:
        self._rival, self._cell, self._number = rival, cell, 0

    def prepare(self, operations: int, clocked: bool) -> None:
        self._operations = operations

    def run(self) -> None:
        answer, cell = self._rival.answer, self._cell
        for number in range(self._number + 1, self._number + self._operations + 1):
            answer(number, cell)
        self._number += self._operations


class Meeting(CrewWorkload):
    """One operation is one round trip; for a barrier, one passage of both."""

    most = 20_000
    pinned = True
    checked = "each turn comes back with its number"

    def __init__(self, rival: MeetingRival) -> None:
        super().__init__(rival, workers="1 asking, 1 answering", timed="round trip")
        self._meeting = rival

    def create(self, scratch: Path) -> None:
        self._cell = cells(8)
        self._meeting.create(scratch)

    def workers(self) -> list[Worker]:
        return [Asker(self._meeting, self._cell), Answerer(self._meeting, self._cell)]

    def check(self, operations: int, answers: list[Any]) -> None:
        if answers[0]["wrong"]:
            raise Inexact(f"{self.name}: {answers[0]['wrong']} turns came back with another number")

    def timed(self, operations: int, finishes: list[Finish], clocked: bool) -> Lap:
        times = finishes[0].answer["times"]
        cpu = sum(finish.cpu for finish in finishes) / operations
        return Lap(duration(finishes), float(np.median(times)) * 1e-9, times, cpu)

    def destroy(self) -> None:
        self._meeting.destroy()
