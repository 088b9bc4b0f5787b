"""The workload `counter`: every worker adds 1, again and again, to one counter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import Any

from sharedkit.compare.crew import Clock, Program
from sharedkit.compare.entry import AWAITED, PLACEMENTS, Entry, Placement, SharedStateWorkload, in_redis, local, managed
from sharedkit.compare.numbers import counted
from sharedkit.compare.workload import Lap, Mismatch

__all__ = ["CounterWorkload"]


class _Box:
    """The usual code within one process: a lock and an attribute."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value = 0


@contextmanager
def _value(context: Any) -> Iterator[Any]:
    yield context.Value("q", 0)


def _add(counter: Any, _rank: int, amount: int, clock: Clock) -> None:
    add = counter.add
    with clock:
        for _ in repeat(None, amount):
            add(1)


def _add_to_value(value: Any, _rank: int, amount: int, clock: Clock) -> None:
    lock = value.get_lock()
    with clock:
        for _ in repeat(None, amount):
            with lock:
                value.value += 1


def _add_plain(box: _Box, _rank: int, amount: int, clock: Clock) -> None:
    with clock:
        for _ in repeat(None, amount):
            box.value += 1


def _add_under_lock(box: _Box, _rank: int, amount: int, clock: Clock) -> None:
    lock = box.lock
    with clock:
        for _ in repeat(None, amount):
            with lock:
                box.value += 1


def _add_over_proxy(shared: tuple[Any, Any], _rank: int, amount: int, clock: Clock) -> None:
    value, lock = shared
    with clock:
        for _ in repeat(None, amount):
            with lock:
                value.value += 1


def _read_value(holder: Any) -> int:
    return int(holder.value)


def _read_proxy(shared: tuple[Any, Any]) -> int:
    return int(shared[0].value)


class CounterWorkload(SharedStateWorkload):
    """An amount is one increment by every worker."""

    name = "counter"
    unit = "increments"
    smallest = 100
    largest = 100_000_000

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        return f"{counted(self.settings.workers, 'worker', 'add')} 1 to one counter"

    def entries(self) -> list[Entry]:
        """The standard library's variants, then sharedkit's in every placement."""
        crew = self.settings.workers

        def ours(placement: Placement, what: str, striped: bool = False) -> Entry:
            make = local(lambda: placement.context.Counter(striped=striped))
            return Entry(
                placement.where, placement.name(what), "sharedkit", make, [_add] * crew, _read_value, placement
            )

        def theirs(where: str, name: str, make: Any, program: Program, read: Any = _read_value) -> Entry:
            return Entry(where, name, "stdlib", make, [program] * crew, read)

        managed_value = managed(lambda manager: (manager.Value("q", 0), manager.Lock()))
        return [
            theirs("processes", "multiprocessing.Value, its lock", _value, _add_to_value),
            theirs("processes", "Manager().Value and Lock", managed_value, _add_over_proxy, _read_proxy),
            theirs("threads", "int under threading.Lock", local(_Box), _add_under_lock),
            theirs("asyncio", "int", local(_Box), _add_plain),
            *(ours(placement, "Counter") for placement in (*PLACEMENTS, *in_redis(self.settings), AWAITED)),
            *(ours(placement, "Counter, striped", striped=True) for placement in PLACEMENTS),
        ]

    def operations(self, amount: int) -> int:
        """The number of increments."""
        return amount * self.settings.workers

    def verify(self, amount: int, lap: Lap) -> str:
        """Check that no increment is lost."""
        counted, expected = lap.after - lap.before, self.operations(amount)
        if counted != expected:
            raise Mismatch(f"counted {counted:,} of {expected:,} increments")
        return "exact"

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return "every variant counted every increment"
