"""The parts that the executors of all placements share: the public interface, and the transport of errors."""

from __future__ import annotations

import itertools
import time
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent import futures
from operator import index
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

from sharedkit._core.timeouts import seconds

__all__ = [
    "ExecutorFace",
    "Future",
    "Options",
    "check_arguments",
    "check_context",
    "check_engine",
    "check_retiring",
    "checked_timeout",
]

P = ParamSpec("P")
T = TypeVar("T")


class Future(futures.Future[T], Generic[T]):
    """A `concurrent.futures.Future` whose `cancel` can also end a running call, if workers are processes."""

    def cancel(self, running: bool = False) -> bool:
        """Cancel the call if no worker has begun it; `running` makes no difference here."""
        return super().cancel()


MOST_WORKERS = 500
"""The most workers of an executor. Each worker has a seat in the queues, which have 1,023 seats; while a dead worker
still occupies its seat, its replacement has another one."""

Enter = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Future[Any]]


def checked_timeout(timeout: float | None) -> float | None:
    """The time limit of a task in seconds, as a float or None. Raises ValueError, TypeError, OverflowError."""
    if timeout is None:
        return None
    limit = seconds(timeout)
    if not limit > 0:
        raise ValueError(f"a task's timeout must be more than 0 seconds: {timeout}")
    return limit


def check_arguments(max_workers: int | None, initializer: object, max_tasks_per_child: object) -> None:
    """Refuse the arguments that ProcessPoolExecutor refuses, with its messages. Raises ValueError, TypeError."""
    if max_workers is not None and index(max_workers) <= 0:
        raise ValueError("max_workers must be greater than 0")
    if max_workers is not None and max_workers > MOST_WORKERS:
        raise ValueError(f"max_workers must be <= {MOST_WORKERS}")
    if initializer is not None and not callable(initializer):
        raise TypeError("initializer must be a callable")
    if max_tasks_per_child is not None:
        if not isinstance(max_tasks_per_child, int):
            raise TypeError("max_tasks_per_child must be an integer")
        if max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")


def check_context(mp_context: object) -> None:
    """Raise TypeError if `mp_context` cannot start processes: if it is the name of a method, for example."""
    if mp_context is not None and not callable(getattr(mp_context, "get_start_method", None)):
        raise TypeError(f"mp_context must be what multiprocessing.get_context(...) returns, not {mp_context!r:.80}")


def check_engine(on: object) -> None:
    """Raise TypeError for `on=` in a placement whose executors have workers of their own."""
    if on is not None:
        raise TypeError(
            "only an executor of a redis context runs its calls on another engine: "
            'get_context("redis", url=...).Executor(on=client)'
        )


def check_retiring(max_tasks_per_child: int | None, method: str) -> None:
    """Raise ValueError for "fork": each replacement of a worker would be forked from a process that has threads."""
    if max_tasks_per_child is not None and method == "fork":
        raise ValueError(
            "max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; "
            "supply a different mp_context."
        )


class ExecutorFace(futures.Executor):
    """`submit`, `map` and `options` over `_enter`, which a placement implements."""

    @abstractmethod
    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        """Have a worker run the call; the call may take `timeout` seconds from its start."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn(*args, **kwargs)`; the future gets the result or the exception."""
        return self._enter(fn, args, kwargs)

    def submit_with(
        self, fn: Callable[..., T], /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Future[T]:
        """Submit a call that may run for at most `timeout` seconds; use `options` if `fn` has a `timeout` argument."""
        return self._enter(fn, args, kwargs, checked_timeout(timeout))

    def options(self, *, timeout: float | None = None) -> Options:
        """Return `submit` and `map` for calls that may run for at most `timeout` seconds each (None: for ever).

        Raises ValueError. A slow callback of a future delays other results, and the limits of calls that begin then.
        """
        return Options(self, checked_timeout(timeout))

    # The standard library has `buffersize` from Python 3.14 on; the stubs of older versions do not know it.
    def map(  # type: ignore[override, unused-ignore]
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Have the workers run `map(fn, *iterables)` and yield the results in order.

        The iterator raises TimeoutError if a result has not come `timeout` seconds after this call. If a call raised,
        it raises that exception in place of the result. Each task has `chunksize` calls. `buffersize` tasks are
        submitted at once, and one more whenever a result is requested (None: all at once). Raises ValueError for sizes
        below 1.
        """
        return mapped(self._enter, fn, iterables, timeout, chunksize, buffersize)

    def amap(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> AsyncIterator[T]:
        """Run `map` for use with `async for`: waiting for a result does not block the event loop."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        return _aresults(*submitted(self._enter, fn, iterables, chunksize, buffersize), until, chunksize > 1)

    def kill_workers(self) -> None:
        """Shut down without waiting and kill the workers. Raises NotImplementedError if they are threads."""
        raise NotImplementedError('a thread cannot be ended; use an Executor of get_context("shm")')

    def terminate_workers(self) -> None:
        """Do as `kill_workers` does, but let the workers clean up. Raises NotImplementedError if they are threads."""
        raise NotImplementedError('a thread cannot be ended; use an Executor of get_context("shm")')

    async def ashutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down as `shutdown` does, without blocking the event loop. A cancellation does not stop the shutdown."""
        self.shutdown(wait=False, cancel_futures=cancel_futures)
        if wait:
            from sharedkit.aio import waiters

            await waiters.in_thread(self.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.ashutdown()


class Options:
    """An executor with a time limit for each call: its `submit` and `map` are those of the executor."""

    def __init__(self, executor: ExecutorFace, timeout: float | None) -> None:
        self._executor, self._timeout = executor, timeout

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit as the executor does. When the time limit is over, the future fails with TimeoutError and the worker
        is replaced."""
        return self._executor._enter(fn, args, kwargs, self._timeout)

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Map as the executor does. `timeout` limits the wait for results; the limit of `options` applies to each task,
        which has `chunksize` calls."""

        def enter(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
            return self._executor._enter(fn, args, kwargs, self._timeout)

        return mapped(enter, fn, iterables, timeout, chunksize, buffersize)


def call_each(fn: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    """Run the calls of one task, in a worker."""
    return [fn(*args) for args in chunk]


def mapped(
    enter: Enter,
    fn: Callable[..., Any],
    iterables: tuple[Iterable[Any], ...],
    timeout: float | None,
    chunksize: int,
    buffersize: int | None,
) -> Iterator[Any]:
    """The iterator that `map` returns; the first tasks are submitted when this returns."""
    until = None if timeout is None else time.monotonic() + seconds(timeout)
    return _results(*submitted(enter, fn, iterables, chunksize, buffersize), until, chunksize > 1)


Ahead = deque[Future[Any]]


def submitted(
    enter: Enter, fn: Callable[..., Any], iterables: tuple[Iterable[Any], ...], chunksize: int, buffersize: int | None
) -> tuple[Ahead, Iterator[Future[Any]]]:
    """The futures of the tasks that are submitted now, and an iterator that submits the others."""
    if chunksize < 1:
        raise ValueError(f"chunksize must be >= 1: {chunksize}")
    if buffersize is not None and not isinstance(buffersize, int):
        raise TypeError("buffersize must be an integer or None")
    if buffersize is not None and buffersize < 1:
        raise ValueError(f"buffersize must be None or > 0: {buffersize}")
    rows = zip(*iterables, strict=False)
    if chunksize == 1:
        submissions = (enter(fn, row, {}) for row in rows)
    else:
        submissions = (enter(call_each, (fn, chunk), {}) for chunk in _chunks(rows, chunksize))
    return deque(itertools.islice(submissions, buffersize)), submissions


def _chunks(rows: Iterator[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := list(itertools.islice(rows, size)):
        yield chunk


def _results(ahead: Ahead, submissions: Iterator[Future[Any]], until: float | None, chunked: bool) -> Iterator[Any]:
    """Yield the results in order. If the iterator is closed or raises, it cancels the tasks that are not over."""
    try:
        while ahead:
            ahead.extend(itertools.islice(submissions, 1))
            future = ahead.popleft()
            try:
                result = future.result(None if until is None else until - time.monotonic())
            except BaseException:
                future.cancel()
                raise
            finally:
                del future  # this frame keeps neither a future nor its error alive
            results = result if chunked else [result]
            del result
            results.reverse()
            while results:  # a result that the caller has received is not kept here
                yield results.pop()
    finally:
        for future in ahead:
            future.cancel()


async def _aresults(
    ahead: Ahead, submissions: Iterator[Future[Any]], until: float | None, chunked: bool
) -> AsyncIterator[Any]:
    """Do as `_results` does, with `await`."""
    import asyncio

    try:
        while ahead:
            future = ahead.popleft()
            left = None if until is None or future.done() else until - time.monotonic()
            async with asyncio.timeout(left):
                result = await asyncio.wrap_future(future)
            ahead.extend(itertools.islice(submissions, 1))
            for each in result if chunked else [result]:
                yield each
    finally:
        for future in ahead:
            future.cancel()
