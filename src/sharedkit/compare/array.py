"""The workload `array`: every worker adds batches of numbers to random elements of one array, as histograms do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import repeat
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharedkit.compare.crew import Clock, Program
from sharedkit.compare.entry import (
    AWAITED,
    PLACEMENTS,
    VIEWED,
    Entry,
    Placement,
    SharedStateWorkload,
    in_redis,
    local,
    managed,
)
from sharedkit.compare.numbers import counted
from sharedkit.compare.workload import Lap, Mismatch

__all__ = ["ArrayWorkload"]

BINS = 4096
BATCH = 1000
Numbers = NDArray[np.int64]


def _batch(rank: int) -> tuple[Numbers, Numbers]:
    """The indices and the values that this worker adds, the same in every variant."""
    random = np.random.default_rng(rank)
    return random.integers(0, BINS, BATCH), random.integers(1, 9, BATCH)


class _Guarded:
    """A NumPy array and the lock that guards it, for the threads of one process."""

    def __init__(self) -> None:
        self.view = np.zeros(BINS, "i8")
        self.lock = threading.Lock()


class _Block:
    """Raw shared memory and a lock, as users commonly combine them; each process opens it by name."""

    def __init__(self, memory: SharedMemory, lock: Any) -> None:
        self.memory = memory
        self.lock = lock

    @property
    def view(self) -> Numbers:
        """The block as numbers."""
        return np.ndarray(BINS, "i8", self.memory.buf)


@contextmanager
def _block(context: Any) -> Iterator[_Block]:
    memory = SharedMemory(create=True, size=8 * BINS)
    try:
        yield _Block(memory, context.Lock())
    finally:
        memory.close()
        memory.unlink()


@contextmanager
def _ctypes(context: Any) -> Iterator[Any]:
    yield context.Array("q", BINS)


def _add_at(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    indices, values = _batch(rank)
    add_at = shared.add_at
    with clock:
        for _ in repeat(None, amount):
            add_at(indices, values)


def _fetch_add(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    indices, values = (numbers.tolist() for numbers in _batch(rank))
    fetch_add = shared.fetch_add
    with clock:
        for _ in repeat(None, amount):
            for index, value in zip(indices, values, strict=True):
                fetch_add(index, value)


def _numpy_under_lock(view: Numbers, lock: Any, rank: int, amount: int, clock: Clock) -> None:
    indices, values = _batch(rank)
    with clock:
        for _ in repeat(None, amount):
            with lock:
                np.add.at(view, indices, values)


def _plain(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    _numpy_under_lock(shared.view, nullcontext(), rank, amount, clock)


def _guarded(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    _numpy_under_lock(shared.view, shared.lock, rank, amount, clock)


def _locked(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    _numpy_under_lock(shared.ndarray, shared.lock, rank, amount, clock)


def _ctypes_numpy(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    view = np.frombuffer(shared.get_obj(), "i8")
    _numpy_under_lock(view, shared.get_lock(), rank, amount, clock)


def _elements_under_lock(elements: Any, lock: Any, rank: int, amount: int, clock: Clock) -> None:
    indices, values = (numbers.tolist() for numbers in _batch(rank))
    with clock:
        for _ in repeat(None, amount):
            with lock:
                for index, value in zip(indices, values, strict=True):
                    elements[index] += value


def _ctypes_elements(shared: Any, rank: int, amount: int, clock: Clock) -> None:
    _elements_under_lock(shared.get_obj(), shared.get_lock(), rank, amount, clock)


def _proxy_elements(shared: tuple[Any, Any], rank: int, amount: int, clock: Clock) -> None:
    _elements_under_lock(*shared, rank, amount, clock)


def _read_view(shared: Any) -> Numbers:
    return np.array(shared.view)


class ArrayWorkload(SharedStateWorkload):
    """An amount is one batch from every worker."""

    name = "array"
    unit = "updates"
    largest = 1_000_000

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        workers = counted(self.settings.workers, "worker", "add")
        return f"{workers} {BATCH:,} numbers at a time to {BINS:,} shared int64"

    def entries(self) -> list[Entry]:
        """The standard library's variants, then sharedkit's in every placement."""
        crew = self.settings.workers

        def ours(placement: Placement, what: str, program: Program) -> Entry:
            made = local(lambda: placement.context.Array(BINS, "i8"))
            name = placement.name(what)
            return Entry(placement.where, name, "sharedkit", made, [program] * crew, np.array, placement)

        def theirs(where: str, name: str, made: Any, program: Program, read: Any) -> Entry:
            return Entry(where, name, "stdlib", made, [program] * crew, read)

        proxies = managed(lambda manager: (manager.Array("q", [0] * BINS), manager.Lock()))
        return [
            theirs("processes", "multiprocessing.Array, its lock", _ctypes, _ctypes_elements, np.array),
            theirs("processes", "multiprocessing.Array, np.add.at", _ctypes, _ctypes_numpy, np.array),
            theirs("processes", "SharedMemory, Lock, np.add.at", _block, _guarded, _read_view),
            theirs("processes", "Manager().Array and Lock", proxies, _proxy_elements, _read_proxy),
            theirs("threads", "ndarray, Lock, np.add.at", local(_Guarded), _guarded, _read_view),
            theirs("asyncio", "ndarray, np.add.at", local(_Guarded), _plain, _read_view),
            *(
                ours(placement, "Array.add_at", _add_at)
                for placement in (*PLACEMENTS, *in_redis(self.settings), AWAITED)
            ),
            *(ours(placement, "Array, lock, np.add.at", _locked) for placement in VIEWED),
            *(ours(placement, "Array.fetch_add", _fetch_add) for placement in PLACEMENTS),
        ]

    def operations(self, amount: int) -> int:
        """The number of elements added to."""
        return amount * BATCH * self.settings.workers

    def verify(self, amount: int, lap: Lap) -> str:
        """Check that no addition is lost."""
        expected = np.zeros(BINS, "i8")
        for rank in range(self.settings.workers):
            indices, values = _batch(rank)
            np.add.at(expected, indices, amount * values)
        added = lap.after - lap.before
        if not np.array_equal(added, expected):
            wrong = int((added != expected).sum())
            raise Mismatch(f"{wrong:,} of {BINS:,} sums are wrong, {int((expected - added).sum()):,} in all")
        return "exact"

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return "every variant came to the same sums"


def _read_proxy(shared: tuple[Any, Any]) -> Numbers:
    return np.array(shared[0][:], "i8")
