"""The workload `executor`: small calls through executors, one future each; every digest is checked."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from typing import Any

from sharedkit import get_context
from sharedkit.compare.crew import interrupts_held
from sharedkit.compare.numbers import counted
from sharedkit.compare.workload import Course, Lap, Mismatch, Settings, Variant, Workload

__all__ = ["ExecutorWorkload"]

Submit = Callable[[Callable[..., Any], int], Callable[[float], Any]]
"""Submits a call and returns the function that waits for its result."""


def digest(number: int) -> bytes:
    """The call: SHA-384 of a number's text."""
    return hashlib.sha384(b"%d" % number).digest()


def _lap(submit: Submit, patience: float, amount: int) -> Lap:
    start = time.perf_counter()
    ahead = [submit(digest, number) for number in range(amount)]
    results = [wait(patience) for wait in ahead]
    return Lap(time.perf_counter() - start, results)


@contextmanager
def _serial(_settings: Settings) -> Iterator[Course]:
    def course(amount: int) -> Lap:
        start = time.perf_counter()
        results = [digest(number) for number in range(amount)]
        return Lap(time.perf_counter() - start, results)

    yield course


@contextmanager
def _executor(make: Callable[[Settings], Any], settings: Settings) -> Iterator[Course]:
    """Any executor with the interface of `concurrent.futures`, warm when the laps begin."""
    with interrupts_held():
        pool = make(settings)

        def submit(fn: Callable[..., Any], number: int) -> Callable[[float], Any]:
            wait: Callable[[float], Any] = pool.submit(fn, number).result
            return wait

        _lap(submit, settings.patience, 50 * settings.workers)
    try:
        yield partial(_lap, submit, settings.patience)
    finally:
        with interrupts_held():
            pool.shutdown(cancel_futures=True)


@contextmanager
def _pool(settings: Settings) -> Iterator[Course]:
    """`multiprocessing.Pool`, whose results have `get` and are no futures."""
    with interrupts_held():
        pool = multiprocessing.get_context(settings.start_method).Pool(settings.workers)

        def submit(fn: Callable[..., Any], number: int) -> Callable[[float], Any]:
            return pool.apply_async(fn, (number,)).get

        _lap(submit, settings.patience, 50 * settings.workers)
    try:
        yield partial(_lap, submit, settings.patience)
    finally:
        with interrupts_held():
            pool.terminate()
            pool.join()


def _threads(settings: Settings) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(settings.workers)


def _processes(settings: Settings) -> Any:
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(settings.workers, multiprocessing.get_context(settings.start_method))


def _ours(placement: str, settings: Settings) -> Any:
    return get_context(placement).Executor(settings.workers, multiprocessing.get_context(settings.start_method))


@contextmanager
def _served(settings: Settings) -> Iterator[Course]:
    """The executor of sharedkit's manager placement."""
    with interrupts_held():
        kit: Any = get_context("manager")
        kit.__enter__()
    start: Any = multiprocessing.get_context(settings.start_method)
    with closing(kit), _executor(lambda settings: kit.Executor(settings.workers, start), settings) as course:
        yield course


@contextmanager
def _awaited(make: Callable[[Settings], Any], settings: Settings) -> Iterator[Course]:
    """The same calls by `loop.run_in_executor`, all of them awaited at once."""
    pools: list[Any] = []

    def kept(settings: Settings) -> Any:
        pools.append(make(settings))
        return pools[-1]

    async def lap(amount: int) -> Lap:
        loop = asyncio.get_running_loop()
        start = time.perf_counter()
        ahead = [loop.run_in_executor(pools[0], digest, number) for number in range(amount)]
        results = await asyncio.wait_for(asyncio.gather(*ahead), settings.patience)
        return Lap(time.perf_counter() - start, results)

    with _executor(kept, settings), asyncio.Runner() as runner:
        yield lambda amount: runner.run(lap(amount))


class ExecutorWorkload(Workload):
    """An amount is one call."""

    name = "executor"
    unit = "calls"
    smallest = 100
    largest = 1_000_000

    @property
    def title(self) -> str:
        """One line on what every variant does."""
        return f"sha384 of a short text, one submitted call each, {counted(self.settings.workers, 'worker')}"

    def variants(self) -> list[Variant]:
        """The standard library's variants, then sharedkit's in every placement."""

        def row(
            where: str, name: str, family: Any, start: Callable[[Settings], AbstractContextManager[Course]]
        ) -> Variant:
            return Variant(where, name, family, partial(start, self.settings))

        ours = partial(_ours, "shm")
        return [
            row("processes", "ProcessPoolExecutor", "stdlib", partial(_executor, _processes)),
            row("processes", "multiprocessing.Pool", "stdlib", _pool),
            row("threads", "ThreadPoolExecutor", "stdlib", partial(_executor, _threads)),
            row("serial", "a loop", "stdlib", _serial),
            row("threads", "sharedkit Executor", "sharedkit", partial(_executor, partial(_ours, "thread"))),
            row("processes", "sharedkit Executor", "sharedkit", partial(_executor, ours)),
            row("processes", "sharedkit Executor, server", "sharedkit", _served),
            row("asyncio", "ProcessPoolExecutor, run_in_executor", "stdlib", partial(_awaited, _processes)),
            row(
                "asyncio", "sharedkit Executor, run_in_executor", "sharedkit", partial(_awaited, partial(_ours, "shm"))
            ),
        ]

    def operations(self, amount: int) -> int:
        """The number of calls."""
        return amount

    def verify(self, amount: int, lap: Lap) -> str:
        """Check that each call has its own digest, in the order of the calls."""
        if lap.results != [digest(number) for number in range(amount)]:
            raise Mismatch(f"of {amount:,} digests some are missing or not their call's own")
        return "exact"

    def agreement(self, fingerprint: str) -> str:
        """The statement that the check proves."""
        return f"the digest of every call, in its place: {fingerprint}"
