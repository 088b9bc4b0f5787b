"""An executor whose calls run on a Dask or Ray cluster, while Redis keeps the record of what has begun."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

from sharedkit.executors.base import MOST_WORKERS, ExecutorFace, check_arguments, check_context
from sharedkit.executors.future import Future
from sharedkit.statistics import ExecutorStatistics

if TYPE_CHECKING:
    from sharedkit.redis.placement import Placement

__all__ = ["Executor"]

P = ParamSpec("P")
T = TypeVar("T")


class Executor(ExecutorFace):
    """A `concurrent.futures.Executor` whose calls run on a Dask cluster: `Executor(on=client)`, a `distributed.Client`;
    or on the Ray cluster to which this process is connected: `Executor(on=ray)`, the module.

    Each call begins at most once: Redis keeps the record of what has begun. If the worker that runs a call dies or
    leaves the cluster, the call fails (WorkerDied), while a call that had not begun runs on another one. No call is
    taken for another one with the same arguments. Calls run in child processes of the engine's workers, one for each of
    their threads; so `options(timeout=…)` and a future's `cancel(running=True)` can end a call. Calls and results are
    pickled as Dask does; handles of this placement can be arguments. The cluster goes on when the executor ends.

    `max_workers` limits how many calls the engine has at once, if the cluster has more threads; without it, the engine
    has all of them. `initializer(*initargs)` runs in each child before its first call. `mp_context` starts the
    children, by "forkserver" (the default) or "spawn".

    Raises TypeError without a client, ValueError for an asynchronous or closed one, for a Ray without a cluster and for
    other invalid arguments, ServerGoneError, and ImportError if the engine's packages are not complete.
    """

    kind: ClassVar[str] = "Executor"
    home: ClassVar[Placement | None] = None

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        max_tasks_per_child: int | None = None,
        thread_name_prefix: str = "",
        on: Any = None,
    ) -> None:
        if self.home is None:
            raise TypeError('Executor is made by a context: get_context("redis").Executor(on=client)')
        most = max_workers if max_workers is None else min(max_workers, MOST_WORKERS)  # a cluster may have more
        check_arguments(most, initializer, max_tasks_per_child)
        check_context(mp_context)
        # The imports are here because only this class needs an engine's packages.
        from sharedkit.redis.engines.choice import check

        check(on)
        context: Any = mp_context
        method = "forkserver" if context is None else context.get_start_method(allow_none=False)
        if method not in ("forkserver", "spawn"):
            raise ValueError(f'a worker has threads, so its children start by "forkserver" or "spawn": {method!r}')
        from sharedkit.redis.engines.dispatcher import dispatcher_for

        prefix = thread_name_prefix or "sharedkit-worker"
        self._dispatcher = dispatcher_for(
            self.home, on, max_workers, method, max_tasks_per_child, prefix, initializer, initargs
        )
        self._dropped = weakref.finalize(self, self._dispatcher.forget)
        self._dropped.atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have the cluster call `fn(*args, **kwargs)`; the future gets the result or the exception."""
        return self._dispatcher.submit(fn, args, kwargs, None)

    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        return self._dispatcher.submit(fn, args, kwargs, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls. With `wait`, wait until all are done; `cancel_futures` cancels those not yet begun.

        The child processes end about a second later; the cluster goes on.
        """
        self._dispatcher.shutdown(wait, cancel_futures)

    def kill_workers(self) -> None:
        """Shut down without waiting, and kill the child processes that run calls; the engine's workers go on.

        The calls that they run fail with WorkerDied; the other calls are cancelled.
        """
        self._dispatcher.end_children(kill=True)

    def terminate_workers(self) -> None:
        """Do as `kill_workers` does, but with SIGTERM, which a call can handle."""
        self._dispatcher.end_children(kill=False)

    def statistics(self) -> ExecutorStatistics:
        """Return child processes and calls at this moment: an ExecutorStatistics.

        `max_workers` is the number of threads of the cluster, unless the executor has a limit of its own.
        """
        workers, pending, running, deaths = self._dispatcher.counts()
        most = self._dispatcher.most
        most = self._dispatcher.threads() if most is None else most
        return ExecutorStatistics("Executor", most, workers, pending, running, deaths)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("an Executor on a cluster stays in its process: make one there")
