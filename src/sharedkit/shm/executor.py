"""An executor whose workers are processes; its calls and results pass through sharedkit's queues.

    submit ──► tasks (Queue) ──► worker: claims, runs ──► results (Queue) ──► collecting thread ──► Future
                                    │                          ▲
                 claims (Array) ◄───┘            worker_pool thread ─┘ (deaths)

All workers share one queue of tasks, so no task waits behind a long one while another worker is idle; a worker takes
one task at a time. A call is pickled where it is submitted; NumPy data of calls and results travels beside the pickle.
Up to 4,096 tasks have a slot, with a word in `claims` that says which worker runs the task (`task_claims.py`); the
other tasks wait in the parent (`pending_tasks.py`).

Deaths. A worker that dies has left each task in one of these states:
- in the queue: another worker takes it;
- taken, its word still open: the task never started. The parent puts the tasks that were taken and are open into the
  queue again; if a living worker has such a task as well, only one of the two can claim the word. A task fails after
  five such deaths; a death while the task was the next to be taken counts, too (it may be too large for the memory);
- running, by the word: its future, and no other, fails with WorkerDied;
- finished: the result is already in the queue of results, before the report of the death, because the thread that waits
  for the workers' ends puts the report into the same queue. If a word is `finishing` and no result has come, the task
  has failed, too.
A worker is killed, for a timeout or `cancel(running=True)`, only after its task's word was changed from running to
doomed: then it cannot begin another task.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import weakref
from collections.abc import Callable
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

from sharedkit.executors.base import ExecutorFace, check_arguments, check_context, check_engine, check_retiring
from sharedkit.executors.future import Future
from sharedkit.executors.processes.executor_manager import ExecutorManager
from sharedkit.statistics import ExecutorStatistics

__all__ = ["Executor", "executor_of"]

_PART = re.compile(r"(executor-\d+-[0-9a-f]{8})\.(tasks|results|claims)")

P = ParamSpec("P")
T = TypeVar("T")


class Executor(ExecutorFace):
    """A `concurrent.futures.Executor` of worker processes, with the arguments of `ProcessPoolExecutor`.

    If a worker dies, the call that it ran fails (WorkerDied) and the worker is replaced. Calls and results are pickled;
    data of NumPy arrays is copied through shared memory beside the pickle, and must not change before the call is done.
    A call that cannot be pickled fails only its own future. `options(timeout=…)` limits the time of a call, and a
    future's `cancel(running=True)` ends one; both end the worker. Workers end with the process that made the executor,
    in whatever way it ends.

    `mp_context` is as in ProcessPoolExecutor. With "fork", the first `submit` starts all workers, and replacements are
    forked later from a process with threads, which "forkserver" avoids. Raises ValueError, TypeError for invalid
    arguments.
    """

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
        check_engine(on)
        if max_workers is None:
            max_workers = len(os.sched_getaffinity(0))
        check_arguments(max_workers, initializer, max_tasks_per_child)
        check_context(mp_context)
        context: Any = mp_context
        if context is None:
            context = multiprocessing.get_context("spawn" if max_tasks_per_child is not None else None)
        check_retiring(max_tasks_per_child, context.get_start_method(allow_none=False))
        prefix = thread_name_prefix or "sharedkit-worker"
        self._executor_manager = ExecutorManager(
            max_workers, context, initializer, initargs, max_tasks_per_child, prefix
        )
        self._forgotten = weakref.finalize(self, self._executor_manager.shutdown, False)
        self._forgotten.atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a worker call `fn(*args, **kwargs)`; the future gets the result or the exception."""
        return self._executor_manager.submit(fn, args, kwargs, None)

    def _enter(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Future[Any]:
        return self._executor_manager.submit(fn, args, kwargs, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more calls. With `wait`, wait until all are done and the workers have ended; `cancel_futures`
        cancels the calls not yet begun."""
        self._executor_manager.shutdown(wait, cancel_futures)

    def kill_workers(self) -> None:
        """Shut down without waiting and kill the workers.

        The calls that they run fail with WorkerDied; the other calls are cancelled. Calling this again sends the signal
        again to the remaining workers.
        """
        self._executor_manager.end_workers(BaseProcess.kill)

    def terminate_workers(self) -> None:
        """Do as `kill_workers` does, but with SIGTERM, which a call can handle; the executor waits as usual for a
        worker that does not end."""
        self._executor_manager.end_workers(BaseProcess.terminate)

    def statistics(self) -> ExecutorStatistics:
        """Return workers and tasks at this moment: an ExecutorStatistics."""
        workers, pending, running, deaths = self._executor_manager.counts()
        return ExecutorStatistics("Executor", self._executor_manager.workers, workers, pending, running, deaths)


def executor_of(name: str) -> str | None:
    """Return the executor's name for a listing, if the segment of this name belongs to one, otherwise None."""
    part = _PART.fullmatch(name)
    return None if part is None else part[1]
