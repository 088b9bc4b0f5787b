"""Executors: workers run the calls; a worker is a thread or a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from sharedkit.executors.base import Future, Options

__all__ = ["Executor"]

P = ParamSpec("P")
T = TypeVar("T")


class Executor(Protocol):
    """A `concurrent.futures.Executor`; its futures work with `wait`, `as_completed` and asyncio.

    `with` waits for all calls. If workers are processes, a future's `cancel(running=True)` ends a running call.
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
        on: Any = None,
    ) -> None:
        """`on` is for a redis context only: the client of a Dask cluster that runs the calls, or the module ray."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn(*args, **kwargs)`; the future gets the result or the exception."""

    def submit_with(
        self, fn: Callable[..., T], /, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> Future[T]:
        """Submit a call that may run for at most `timeout` seconds; after that its future gets a TimeoutError."""

    def options(self, *, timeout: float | None = None) -> Options:
        """Return `submit` and `map` for calls that may run for at most `timeout` seconds each."""

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Have the workers run `map(fn, *iterables)` and yield the results in order.

        Each task has `chunksize` calls; at most `buffersize` tasks are submitted before a result is requested.
        """

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls. With `wait`, wait until all are done; `cancel_futures` cancels those not yet begun."""

    def kill_workers(self) -> None:
        """Shut down without waiting and kill the workers.

        The calls that they run fail with WorkerDied; the other calls are cancelled. Raises NotImplementedError if
        workers are threads.
        """

    def terminate_workers(self) -> None:
        """Do as `kill_workers` does, but with SIGTERM, which a call can handle."""

    def amap(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> AsyncIterator[T]:
        """Run `map` for use with `async for`."""

    async def ashutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut down as `shutdown` does, without blocking the event loop."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Shut down and wait."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        """Shut down and wait."""
