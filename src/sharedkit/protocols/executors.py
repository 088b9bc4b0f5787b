"""Calls made by workers: threads or processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from sharedkit.executors.base import Future, Options

__all__ = ["Executor"]

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Protocol):
    """A `concurrent.futures.Executor`, whose futures work with `wait`, `as_completed` and asyncio.

    `with` waits for all calls. A future's `cancel(running=True)` ends a call that runs, where a worker can be ended.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        thread_name_prefix: str = "",
    ) -> None: ...

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` called by a worker; the future has what it returns or raises."""

    def submit_with(
        self, fn: Callable[..., T], /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Future[T]:
        """`submit` of a call that may run for `timeout` seconds; its future has TimeoutError then."""

    def options(self, *, timeout: float | None = None) -> Options:
        """`submit` and `map` of calls that may run for `timeout` seconds each."""

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """`map(fn, *iterables)` by the workers, results in order; `chunksize` calls a task, `buffersize` ahead."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; wait until all are done, or cancel those that nobody has begun."""

    def kill_workers(self) -> None:
        """Shut down without waiting and kill the workers, with the calls that they run: WorkerDied. The others are
        cancelled. NotImplementedError where workers are threads."""

    def terminate_workers(self) -> None:
        """The same by SIGTERM, which a call can handle."""

    def amap(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> AsyncIterator[T]:
        """`map` for `async for`."""

    async def ashutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Shuts down and waits."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Shuts down and waits."""
