"""All implementations that are compared run in the same minutes: lap by lap, in turn, never one after the other.

A benchmark group is a race. The first test of the group starts all its selected entrants, runs their laps in turn and
stores them; each test then passes its own entrant's laps to pytest-benchmark. So if the machine is busy for a while,
all entrants are affected, and a ratio of two entrants can be computed lap by lap.

pytest-benchmark's clock is `LAP_CLOCK`. A lap advances it by the measured seconds *per operation*. So the times in its
table are those of one operation (an item, an increment), and OPS are operations per second.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import pytest

FIRST_LAP = 64  # operations in the first warm-up lap
WARM_UP_LAPS = 4  # of each size
WARM_UP = 0.01  # seconds; from a warm-up lap of this length the size of a real lap is computed
CLOCKED = 20_000  # operations, at most, of the lap that times each operation by itself


@dataclass(frozen=True)
class Lap:
    """One lap: its time from the first start to the last end, and the time of one operation."""

    seconds: float
    per_operation: float  # seconds: the mean, unless the workload measures each one
    each: np.ndarray[Any, np.dtype[np.int64]] | None = None  # nanoseconds, when the lap was clocked
    cpu: float | None = None  # seconds of CPU time an operation, all workers together


class Entrant(Protocol):
    """A workload on one implementation. `lap` checks that it was exact, and raises if it was not."""

    name: str
    kind: str  # "ours", "stdlib", "rival" or "floor"
    most: int  # operations a lap, at most (memory)
    facts: dict[str, object]  # the properties of the workload, for extra_info

    def start(self) -> None: ...

    def lap(self, operations: int, clocked: bool = False) -> Lap: ...

    def stop(self) -> None: ...


class LapClock:
    """The clock that the benchmarks hand to pytest-benchmark."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


LAP_CLOCK = LapClock()


@dataclass(frozen=True)
class Pace:
    """How many laps, and how long each should take (seconds)."""

    laps: int
    seconds: float


@dataclass
class Record:
    """The record of one entrant."""

    entrant: Entrant
    operations: int = 0
    laps: list[Lap] = field(default_factory=list)
    clocked: Lap | None = None
    load: float = 0.0
    failure: Exception | None = None

    def attempt(self, action: Callable[[], None]) -> None:
        """Do `action` unless something failed before; a failure ends only this entrant."""
        if self.failure is None:
            try:
                action()
            except Exception as failure:
                self.failure = failure

    def warm_up(self, pace: Pace) -> None:
        """Run growing laps until they are long enough to tell how many operations a real lap has.

        The fastest lap of each size counts: a disturbed one would make the entrant's laps too short.
        """
        operations = FIRST_LAP
        while True:
            seconds = min(self.entrant.lap(operations).seconds for _ in range(WARM_UP_LAPS))
            if seconds >= WARM_UP or operations >= self.entrant.most:
                break
            operations = min(operations * 4, self.entrant.most)
        fitting = int(pace.seconds / seconds * operations)
        self.operations = max(FIRST_LAP, min(fitting, self.entrant.most))

    def run(self) -> None:
        """Run one measured lap."""
        self.laps.append(self.entrant.lap(self.operations))
        self.load = max(self.load, os.getloadavg()[0])

    def run_clocked(self) -> None:
        """Run the lap in which each operation is timed separately; the rate of this lap does not count."""
        self.clocked = self.entrant.lap(min(self.operations, CLOCKED), clocked=True)

    def stop(self) -> None:
        """Stop the entrant, even if it failed before."""
        failed, self.failure = self.failure, None
        self.attempt(self.entrant.stop)
        self.failure = failed or self.failure

    def extra_info(self) -> dict[str, Any]:
        """The entrant's data in the JSON file beside pytest-benchmark's own statistics."""
        seconds = [lap.per_operation for lap in self.laps]
        info: dict[str, Any] = {
            "name": self.entrant.name,
            "kind": self.entrant.kind,
            "operations_per_lap": self.operations,
            "rate_per_s": round(1 / statistics.median(seconds)),
            "laps_ns": [round(second * 1e9, 2) for second in seconds],
            "load": self.load,
            **self.entrant.facts,
        }
        cpu = [lap.cpu for lap in self.laps if lap.cpu is not None]
        if cpu:
            info["cpu_ns"] = round(statistics.median(cpu) * 1e9, 2)
        if self.clocked is not None and self.clocked.each is not None:
            p50, p99, worst = np.percentile(self.clocked.each, [50, 99, 100])
            info |= {"p50_ns": round(p50), "p99_ns": round(p99), "max_ns": round(worst)}
        return info


def run_race(entrants: Iterable[Entrant], pace: Pace) -> dict[int, Record]:
    """Run every entrant's laps in turn; return the records by the entrant's `id`."""
    records = [Record(entrant) for entrant in entrants]
    with ExitStack() as cleaning:
        for record in records:
            cleaning.callback(record.stop)
            record.attempt(record.entrant.start)
            record.attempt(lambda record=record: record.warm_up(pace))  # type: ignore[misc]
        for number in range(pace.laps):
            first = number % len(records)  # so that no entrant always runs after the same neighbour
            for record in records[first:] + records[:first]:
                record.attempt(record.run)
        for record in records:
            record.attempt(record.run_clocked)
    return {id(record.entrant): record for record in records}


def group(title: str) -> pytest.MarkDecorator:
    """Mark a test as a race: `title` names the group in tables and in the report."""
    return pytest.mark.benchmark(group=title, timer=LAP_CLOCK)


class Enterable(Protocol):
    """An implementation that may take part; `missing` is None or the reason why it cannot."""

    name: str

    def missing(self) -> str | None: ...


Contestant = TypeVar("Contestant", bound=Enterable)


def field_of(workload: Callable[[Contestant], Entrant], implementations: Iterable[Contestant]) -> pytest.MarkDecorator:
    """Parametrize a race's test: one entrant for each implementation, skipped with its reason if missing."""
    entries = []
    for implementation in implementations:
        reason = implementation.missing()
        marks = [pytest.mark.skip(reason=f"{implementation.name}: {reason}")] if reason else []
        entries.append(pytest.param(workload(implementation), id=implementation.name, marks=marks))
    return pytest.mark.parametrize("entrant", entries)
