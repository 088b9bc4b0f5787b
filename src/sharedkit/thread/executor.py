"""An executor whose workers are threads: `ThreadPoolExecutor` with sharedkit's interface."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent import futures
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from sharedkit.executors.base import ExecutorFace, Future, check_engine
from sharedkit.statistics import ExecutorStatistics

__all__ = ["Executor"]

P = ParamSpec("P")
T = TypeVar("T")


class _Gauge:
    """Counts the calls that run now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running = 0

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` and count the call while it runs."""
        with self._lock:
            self.running += 1
        try:
            return fn(*args, **kwargs)
        finally:
            with self._lock:
                self.running -= 1


class _Tasks(SimpleQueue[Any]):
    """The pool's queue; it replaces each task's plain future by one of sharedkit.

    The obvious way, assigning to the future's `__class__`, stops all threads of a Python 3.13 without a GIL. If a
    daemon thread did so while the program ends, the program would wait for ever.
    """

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if item is not None:  # None marks the pool's end
            item.future.replaced_by = item.future = Future()
        super().put(item, block, timeout)


class Executor(futures.ThreadPoolExecutor, ExecutorFace):
    """A `concurrent.futures.ThreadPoolExecutor` (asyncio requires one as a loop's default) with sharedkit's interface.

    `mp_context` and `max_tasks_per_child` are for placements whose workers are processes; they are ignored here. The
    time of a call cannot be limited: submitting with `options(timeout=…)` raises NotImplementedError.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: object = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        thread_name_prefix: str = "",
        on: Any = None,
    ) -> None:
        check_engine(on)
        super().__init__(max_workers, thread_name_prefix, initializer, initargs)
        self._gauge = _Gauge()
        self._work_queue = _Tasks()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread call `fn(*args, **kwargs)`; the future gets the result or the exception."""
        plain: Any = super().submit(self._gauge.call, fn, *args, **kwargs)
        future: Future[T] = plain.replaced_by
        return future

    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        if timeout is not None:
            raise NotImplementedError('a call in a thread has no time limit; use an Executor of get_context("shm")')
        return self.submit(fn, *args, **kwargs)

    def statistics(self) -> ExecutorStatistics:
        """Return workers and tasks at this moment; each worker thread is listed with the pid of this process."""
        pending = max(0, self._work_queue.qsize() - self._shutdown)  # after shutdown, an end mark is in the queue, too
        running = self._gauge.running
        return ExecutorStatistics(
            "Executor", self._max_workers, (os.getpid(),) * len(self._threads), pending, running, 0
        )
