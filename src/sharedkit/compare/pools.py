"""Courses over independent jobs: in sequence, in the executors of `concurrent.futures`, and from asyncio."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from sharedkit.compare.corpus import Job
from sharedkit.compare.crew import interrupts_held
from sharedkit.compare.workload import Course, Lap, Settings

__all__ = ["asyncio_course", "process_course", "serial_course", "thread_course"]

Work = Callable[[Job], Any]
"""Runs one job and returns its digests."""


@contextmanager
def serial_course(work: Work, jobs: Sequence[Job]) -> Iterator[Course]:
    """Every job in this thread."""

    def course(_amount: int) -> Lap:
        start = time.perf_counter()
        results = [work(job) for job in jobs]
        return Lap(time.perf_counter() - start, results)

    yield course


@contextmanager
def thread_course(work: Work, jobs: Sequence[Job], settings: Settings) -> Iterator[Course]:
    """Jobs through a ThreadPoolExecutor."""
    with _warm_threads(settings) as pool:
        yield _mapped(pool, work, jobs, settings)


@contextmanager
def process_course(work: Work, jobs: Sequence[Job], settings: Settings) -> Iterator[Course]:
    """Jobs through a ProcessPoolExecutor: each job is pickled to a worker, its digests are pickled back."""
    context = multiprocessing.get_context(settings.start_method)
    everybody = context.Barrier(settings.workers)
    pool = ProcessPoolExecutor(settings.workers, context, _remember, (everybody,))
    try:
        with interrupts_held():
            _warm(pool, _meet, settings)
        yield _mapped(pool, work, jobs, settings)
    finally:
        with interrupts_held():
            pool.shutdown(cancel_futures=True)


@contextmanager
def asyncio_course(work: Work, jobs: Sequence[Job], settings: Settings) -> Iterator[Course]:
    """Jobs through `asyncio.to_thread`, all awaited at once, on one event loop for all laps."""

    async def lap() -> Lap:
        start = time.perf_counter()
        results = await asyncio.gather(*(asyncio.to_thread(work, job) for job in jobs))
        return Lap(time.perf_counter() - start, results)

    with _warm_threads(settings) as pool, asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(pool)
        yield lambda _amount: runner.run(lap())


def _mapped(pool: Executor, work: Work, jobs: Sequence[Job], settings: Settings) -> Course:
    def course(_amount: int) -> Lap:
        start = time.perf_counter()
        results = list(pool.map(work, jobs, timeout=settings.patience))
        return Lap(time.perf_counter() - start, results)

    return course


@contextmanager
def _warm_threads(settings: Settings) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(settings.workers)
    try:
        _warm(pool, threading.Barrier(settings.workers).wait, settings)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _warm(pool: Executor, meet: Callable[[], Any], settings: Settings) -> None:
    """Make every worker of the pool meet all others, so that none is started while the clock runs."""
    met = [pool.submit(meet) for _ in range(settings.workers)]
    for one in met:
        one.result(settings.patience)


_everybody: Any = None


def _remember(barrier: Any) -> None:
    """Keep the barrier that this worker process was started with."""
    global _everybody
    _everybody = barrier


def _meet() -> None:
    _everybody.wait()
