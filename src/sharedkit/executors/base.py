"""What the executors of all placements have in common: the face over one method, and how errors travel."""

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

__all__ = ["ExecutorFace", "Future", "Options", "check_arguments", "check_context", "check_retiring", "checked_timeout"]

P = ParamSpec("P")
T = TypeVar("T")


class Future(futures.Future[T], Generic[T]):
    """A `concurrent.futures.Future` that can cancel a running call, too, where a worker can be ended."""

    def cancel(self, running: bool = False) -> bool:
        """Cancel the call if no worker has begun it; `running` makes no difference here."""
        return super().cancel()


MOST_WORKERS = 500
"""Each has a seat in the queues, of 1,023, and so has who comes before a dead one's is free."""

Enter = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Future[Any]]


def checked_timeout(timeout: float | None) -> float | None:
    """A task's limit in seconds, if it can be one. ValueError, TypeError, OverflowError."""
    if timeout is None:
        return None
    limit = seconds(timeout)
    if not limit > 0:
        raise ValueError(f"a task's timeout must be more than 0 seconds: {timeout}")
    return limit


def check_arguments(max_workers: int | None, initializer: object, max_tasks_per_child: object) -> None:
    """What ProcessPoolExecutor would refuse is refused in its words. ValueError, TypeError."""
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
    """TypeError where it is not what starts processes: its name, say."""
    if mp_context is not None and not callable(getattr(mp_context, "get_start_method", None)):
        raise TypeError(f"mp_context must be what multiprocessing.get_context(...) returns, not {mp_context!r:.80}")


def check_retiring(max_tasks_per_child: int | None, method: str) -> None:
    """A forked worker would be replaced by a fork from a process with threads all the time. ValueError."""
    if max_tasks_per_child is not None and method == "fork":
        raise ValueError(
            "max_tasks_per_child is incompatible with the 'fork' multiprocessing start method; "
            "supply a different mp_context."
        )


class ExecutorFace(futures.Executor):
    """`submit`, `map` and `options` over `_enter`, which a placement has."""

    @abstractmethod
    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        """Have the call made by a worker, within `timeout` seconds from its start."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` called by a worker; the future has what it returns or raises."""
        return self._enter(fn, args, kwargs)

    def submit_with(
        self, fn: Callable[..., T], /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Future[T]:
        """`submit` of a call that may run for `timeout` seconds; `options` is for calls with a `timeout` argument."""
        return self._enter(fn, args, kwargs, checked_timeout(timeout))

    def options(self, *, timeout: float | None = None) -> Options:
        """This executor for calls that may run for `timeout` seconds each (None: for ever). ValueError.

        A callback of a future that takes its time holds up other results, and also the limits of calls that begin then.
        """
        return Options(self, checked_timeout(timeout))

    # `buffersize` is the standard library's from Python 3.14 on, which the stubs of older ones do not know.
    def map(  # type: ignore[override, unused-ignore]
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """`map(fn, *iterables)` by the workers, results in order.

        The iterator raises TimeoutError where a result is not there `timeout` seconds after this call, and what a
        call raised in its place. `chunksize` calls go as one task. `buffersize` tasks are submitted at once, and one
        more whenever a result is asked for (None: all at once). ValueError for sizes below 1.
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
        """The same for `async for`: waiting for a result does not block the event loop."""
        until = None if timeout is None else time.monotonic() + seconds(timeout)
        return _aresults(*submitted(self._enter, fn, iterables, chunksize, buffersize), until, chunksize > 1)

    def kill_workers(self) -> None:
        """Shut down without waiting, and kill the workers. NotImplementedError where they are threads."""
        raise NotImplementedError('a thread cannot be ended; get_context("shm") has processes')

    def terminate_workers(self) -> None:
        """The same, and leave the workers the time to end in order. NotImplementedError where they are threads."""
        raise NotImplementedError('a thread cannot be ended; get_context("shm") has processes')

    async def ashutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """`shutdown`, without blocking the event loop. Cancelled, it has begun all the same."""
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
    """An executor with a limit for each call: `submit` and `map` as there."""

    def __init__(self, executor: ExecutorFace, timeout: float | None) -> None:
        self._executor, self._timeout = executor, timeout

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As the executor's; the future fails with TimeoutError, and the worker is replaced, when the time is over."""
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
        """As the executor's; `timeout` is for the results, and the limit of `options` for each task of `chunksize`."""

        def enter(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
            return self._executor._enter(fn, args, kwargs, self._timeout)

        return mapped(enter, fn, iterables, timeout, chunksize, buffersize)


def call_each(fn: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    """In a worker: the calls of one task."""
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
    """The futures of the tasks that go ahead, and an iterator that submits the others."""
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
    """Closing it, or an error, cancels what is still ahead."""
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
                del future  # neither a future nor its error is kept by this frame
            results = result if chunked else [result]
            del result
            results.reverse()
            while results:  # what was handed out is not kept
                yield results.pop()
    finally:
        for future in ahead:
            future.cancel()


async def _aresults(
    ahead: Ahead, submissions: Iterator[Future[Any]], until: float | None, chunked: bool
) -> AsyncIterator[Any]:
    """The same, awaited."""
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
