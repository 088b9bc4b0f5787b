"""The common part of all workloads: a scratch folder in memory, a crew, and the timing of a lap."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crew import Crew, Finish, Worker
from benchmarks.race import Lap
from benchmarks.rivals.rival import Rival


class Inexact(AssertionError):
    """Raised when a lap lost, repeated, reordered or damaged something; the message says what."""


class CrewWorkload(ABC):
    """An entrant whose laps are run by a crew."""

    most = 500_000
    pinned = False  # whether each worker has a core of its own
    checked: str  # the fact that `check` proves for every lap

    def __init__(self, rival: Rival, **facts: object) -> None:
        self.rival, self.name, self.kind = rival, rival.name, rival.kind
        self.facts: dict[str, object] = {"version": rival.version(), "checked": self.checked, **facts}

    @abstractmethod
    def create(self, scratch: Path) -> None:
        """Make the shared structure."""

    @abstractmethod
    def workers(self) -> Sequence[Worker]:
        """The crew."""

    @abstractmethod
    def check(self, operations: int, answers: list[Any]) -> None:
        """Raise Inexact unless the last lap was exact."""

    @abstractmethod
    def destroy(self) -> None:
        """Remove the shared structure."""

    def start(self) -> None:
        self._crew: Crew | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix="bench-", dir="/dev/shm"))
        self.create(self._scratch)
        self._crew = Crew(self.workers(), self.pinned)

    def lap(self, operations: int, clocked: bool = False) -> Lap:
        assert self._crew is not None
        finishes = self._crew.lap(operations, clocked)
        self.check(operations, [finish.answer for finish in finishes])
        return self.timed(operations, finishes, clocked)

    def timed(self, operations: int, finishes: list[Finish], clocked: bool) -> Lap:
        """The lap's duration, and the times of single operations if they were wanted."""
        seconds = duration(finishes)
        each = np.concatenate([finish.answer["times"] for finish in finishes]) if clocked else None
        return Lap(seconds, seconds / operations, each, sum(finish.cpu for finish in finishes) / operations)

    def stop(self) -> None:
        try:
            if self._crew is not None:
                self._crew.close()
            self.destroy()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)


def duration(finishes: Sequence[Finish]) -> float:
    """Seconds from the first start to the last end."""
    return max(finish.end for finish in finishes) - min(finish.start for finish in finishes)
