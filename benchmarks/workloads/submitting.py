"""Calls that do nothing, through executors: as many as possible, and one at a time."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent import futures
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

import sharedkit as sk
from benchmarks.race import Lap
from benchmarks.workloads.base import Inexact

WORKERS = 2
PATIENCE = 60.0
FORK = multiprocessing.get_context("fork")


class Contestant(ABC):
    """One executor: `submit(number)` returns the function that waits for the result of `echo(number)`."""

    name: str
    kind: str

    def missing(self) -> str | None:
        return None

    @abstractmethod
    def open(self) -> None:
        """Start the workers."""

    @abstractmethod
    def submit(self, number: int) -> Callable[[float], Any]:
        """Submit a call."""

    @abstractmethod
    def close(self) -> None:
        """End the workers."""


class OfFutures(Contestant):
    """Anything with the interface of `concurrent.futures.Executor`."""

    def __init__(self, name: str, kind: str, make: Callable[[], Any]) -> None:
        self.name, self.kind, self._make = name, kind, make

    def open(self) -> None:
        self._executor = self._make()

    def submit(self, number: int) -> Callable[[float], Any]:
        wait: Callable[[float], Any] = self._executor.submit(noop).result
        return wait

    def close(self) -> None:
        self._executor.shutdown()


class Pool(Contestant):
    """`multiprocessing.Pool.apply_async`."""

    name, kind = "multiprocessing.Pool", "stdlib"

    def open(self) -> None:
        self._pool = FORK.Pool(WORKERS)

    def submit(self, number: int) -> Callable[[float], Any]:
        return self._pool.apply_async(noop).get

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


def noop() -> None:
    """The call."""


def contestants() -> list[Contestant]:
    """Ours and the standard library's."""
    return [
        OfFutures("sharedkit", "ours", lambda: sk.Executor(WORKERS, FORK)),
        OfFutures("ProcessPoolExecutor", "stdlib", lambda: futures.ProcessPoolExecutor(WORKERS, FORK)),
        Pool(),
        OfFutures("ThreadPoolExecutor", "stdlib", lambda: futures.ThreadPoolExecutor(WORKERS)),
    ]


class Submitting:
    """All calls of a lap are submitted, then waited for in turn."""

    most = 200_000

    def __init__(self, contestant: Contestant) -> None:
        self.name, self.kind, self._contestant = contestant.name, contestant.kind, contestant
        self.facts: dict[str, object] = {"workers": WORKERS, "checked": "each call has its result"}

    def start(self) -> None:
        self._contestant.open()

    def lap(self, operations: int, clocked: bool = False) -> Lap:
        submit = self._contestant.submit
        start = perf_counter()
        ahead = [submit(number) for number in range(operations)]
        results = [wait(PATIENCE) for wait in ahead]
        seconds = perf_counter() - start
        if results != [None] * operations:
            raise Inexact(f"{self.name}: not every call came back with its result")
        return Lap(seconds, seconds / operations)

    def stop(self) -> None:
        self._contestant.close()


class Asking(Submitting):
    """One call after the other; each is waited for. An operation's time is the median of the lap."""

    most = 20_000

    def lap(self, operations: int, clocked: bool = False) -> Lap:
        submit, times = self._contestant.submit, np.zeros(operations, np.int64)
        start = perf_counter()
        for index in range(operations):
            before = perf_counter_ns()
            result = submit(index)(PATIENCE)
            times[index] = perf_counter_ns() - before
            if result is not None:
                raise Inexact(f"{self.name}: a call that returns None gave {result!r}")
        return Lap(perf_counter() - start, float(np.median(times)) / 1e9, times if clocked else None)
