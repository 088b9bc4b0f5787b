"""The parent's side of an executor: it hands tasks out, collects their outcomes, and handles the deaths of workers."""

from __future__ import annotations

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from multiprocessing import util
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from sharedkit._core.background import background
from sharedkit._core.weak_sets import members
from sharedkit.errors import ExecutorBroken, ShutDown, WorkerDied
from sharedkit.executors.future import Future
from sharedkit.executors.processes import task_claims
from sharedkit.executors.processes.messages import Outcome, Packer, read
from sharedkit.executors.processes.pending_tasks import PendingTasks
from sharedkit.executors.processes.worker import SHORT_PARK, WorkerContext
from sharedkit.executors.processes.worker_pool import WorkerPool
from sharedkit.executors.remote_errors import remote_cause
from sharedkit.shm._array import Array
from sharedkit.shm._queue import Queue

__all__ = ["ExecutorManager"]

DEFAULT_SEATS = 192
EXECUTOR_MANAGERS: weakref.WeakSet[ExecutorManager] = weakref.WeakSet()


class ExecutorManager:
    """The parent's side of one executor. It holds no reference to the Executor object, so an Executor that is no longer
    used can be collected; its finalizer then shuts this manager down."""

    def __init__(
        self,
        workers: int,
        context: BaseContext,
        initializer: Callable[..., object] | None,
        initargs: tuple[Any, ...],
        limit: int | None,
        prefix: str,
    ) -> None:
        self.workers = workers
        self._start = (initializer, initargs, limit)
        self._pid = os.getpid()
        self._method = context.get_start_method()
        seats = max(DEFAULT_SEATS, 2 * workers + 8)
        name = f"executor-{self._pid}-{secrets.token_hex(4)}"  # for `sharedkit ls`, see executor_of
        self._tasks: Queue[Any] = Queue(name=f"{name}.tasks", seats=seats)
        self._results: Queue[Any] = Queue(name=f"{name}.results", seats=seats)
        self._results._segment().short_park = SHORT_PARK
        self._claims = Array(task_claims.SLOTS + task_claims.NEWCOMERS, "i8", name=f"{name}.claims", seats=seats)
        self._words: memoryview[int] = self._claims.ndarray.data  # a memoryview reads and sets items faster than NumPy
        self._lock = threading.RLock()
        self.settling = threading.RLock()  # a thread that holds this lock never waits for `_lock`
        self._packer = Packer()
        self._pending_tasks = PendingTasks(workers, self._claims, self._words, self._tasks)
        self._foreign = False  # true in a forked child, which has this object but none of its threads
        self._begun = self._closing = self._ending = self._gone = self._closed = False
        self._over = threading.Event()
        self._broken: str | None = None
        self._broken_trace: str | None = None  # of the initializer that raised, if that is the reason
        self._failed: dict[int, str] = {}  # workers whose initializer raised
        self._worker_pool = WorkerPool(context, self, prefix)
        self._collector = background(self._collect, name=f"{prefix}-collector")
        EXECUTOR_MANAGERS.add(self)
        _exit.expect()

    # --- handing out ---------------------------------------------------------------------------------

    def submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
    ) -> Future[Any]:
        """Submit a call and return its future. Raises RuntimeError after shutdown, and ExecutorBroken; if the call
        cannot be pickled, the error is set on the future."""
        if self._foreign:
            self._refuse()
        error = None
        size = 0
        try:
            body, buffers = message = self._packer.pack(fn, args, kwargs)
            size = len(body)
            if buffers:
                size += sum(each.raw().nbytes for each in buffers)
        except Exception as why:
            error = why
            message = b"", []
        future: Future[Any] = Future(self, message, size, timeout)
        backlog = self._pending_tasks
        with self._lock:
            if self._closing or (_exit.came and not self._begun):
                self._refuse()
            if error is None:
                backlog.enter(future)
                if self._worker_pool.size < self.workers and not self._ending:
                    try:
                        self._start_worker()
                    except BaseException:  # the caller gets no future for this call
                        backlog.withdraw(future)
                        raise
        if error is not None:
            future._message = None
            future.settle(None, error)
        elif backlog.unsendable:
            self._fail_unsendable()
        return future

    def _refuse(self) -> None:
        if self._foreign:
            raise RuntimeError(f"the executor belongs to process {self._pid}; make one here")
        if self._broken is not None:
            raise self._breakage(self._broken)
        after = "shutdown" if self._closing else "interpreter shutdown"
        raise RuntimeError(f"cannot schedule new futures after {after}")

    def _start_worker(self) -> None:
        """Start workers; the caller holds the lock. With "fork", start all at once, before the executor has threads;
        otherwise start as many as there are pending tasks."""
        first = not self._begun
        if not first and self._worker_pool.deaths and self._method == "fork":
            return  # the worker pool replaces dead workers
        wanted = self.workers if self._method == "fork" else len(self._pending_tasks)
        try:
            self._worker_pool.start(min(wanted, self.workers))
        finally:  # shutdown must wait for all workers that have begun, even if starting another one failed
            if first:
                self._begun = True
                self._collector.start()

    def _fail_unsendable(self) -> None:
        with suppress(IndexError):
            while True:
                future, error = self._pending_tasks.unsendable.pop()
                future.settle(None, error)

    # --- collecting ----------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Run the collecting thread. A worker's messages are read before the report of its death."""
        try:
            while not self._gone:
                outcomes: list[Outcome] = []
                for message in self._results.get_many():
                    outcome = read(message)
                    if outcome is not None:
                        outcomes.append(outcome)
                    elif type(message) is int:
                        self._began(~message)
                    else:
                        self._deliver(outcomes)
                        outcomes = []
                        getattr(self, "_on_" + message[0])(*message[1:])
                    message = outcome = None  # no reference is kept during the wait
                self._deliver(outcomes)
                outcomes.clear()
                if self._closing:
                    self._end_when_done()
        except ShutDown:  # raised after `fail`
            pass
        except BaseException as error:
            self._break(f"the collecting thread failed: {error!r}")
            raise
        finally:
            try:
                self._close()
            finally:
                self._over.set()

    def _deliver(self, outcomes: list[Outcome]) -> None:
        """Settle all outcomes, hand out more tasks, then run the callbacks, which may take long."""
        told = []
        backlog = self._pending_tasks
        with self._lock:
            settled = [backlog.settle(task) for task, _, _ in outcomes]
            if backlog.waiting:
                backlog.refill()
        with self.settling:
            for future, (_, value, error) in zip(settled, outcomes, strict=True):
                if future is not None and future.finish(value, error):
                    told.append(future)
        for future in told:
            future.call_back()
        if backlog.unsendable:
            self._fail_unsendable()

    def _began(self, task: int) -> None:
        future = self._pending_tasks.handed_out.get(task)
        if future is not None and future._timeout is not None:
            self._worker_pool.remind(task, time.monotonic() + future._timeout)

    def _on_wake(self) -> None:
        """Do nothing: the message only makes the collecting thread check its state."""

    def _on_broken(self, number: int, trace: str) -> None:
        """Remember the traceback. The executor breaks and kills its workers only after this worker has ended, so this
        worker can finish its output first."""
        self._failed[number] = trace

    def _on_gave_up(self, why: str) -> None:
        self._break(why)

    def _on_dead(self, number: int, pid: int, exitcode: int | None) -> None:
        """Fail the calls of a dead worker: with the error that `_end_running` has set if this process killed the worker
        on purpose, otherwise with WorkerDied."""
        if number == 0:
            self._gone = True
            return
        with self._lock:
            # an exit code of 0 or None is not a violent death
            victims, given_up = self._pending_tasks.recover(number, exitcode not in (0, None))
        if number in self._failed:
            self._break(f"the initializer of worker {number} raised", self._failed.pop(number))
        for future in victims:
            if isinstance(future._verdict, futures.CancelledError):
                future.take_back()
            else:
                future.settle(None, future._verdict or WorkerDied(pid, exitcode))
        for future in given_up:
            future.settle(None, WorkerDied(pid, exitcode))

    # --- taking back ---------------------------------------------------------------------------------

    def is_running(self, task: int) -> bool:
        """Whether a worker has claimed the task."""
        if self._foreign:
            return False
        with self._lock:
            return self._pending_tasks.is_running(task)

    def withdraw(self, future: Future[Any], running: bool) -> bool:
        """Take a task back for `Future.cancel`."""
        if self._foreign:
            return False
        with self._lock:
            if self._pending_tasks.withdraw(future):
                self._wake_collector()
                return True
            return running and future._task != 0 and self._end_running(future, futures.CancelledError())

    def _end_running(self, future: Future[Any], verdict: BaseException) -> bool:
        """Kill the worker that runs the call, unless the worker is done with the call. The caller holds the lock. The
        verdict is set before the death can be noticed."""
        number = self._pending_tasks.doom(future._task) if future._task in self._pending_tasks.handed_out else 0
        if number:
            future._verdict = verdict
            self._worker_pool.kill(number)
        return number != 0

    def expire(self, task: int) -> None:
        """End a task whose time limit is over; the worker pool calls this."""
        with self._lock:
            future = self._pending_tasks.handed_out.get(task)
            if future is not None:
                took = f"the call took longer than {future._timeout:g} s, so its worker was ended"
                self._end_running(future, TimeoutError(took))

    # --- the end -------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        """Accept no more tasks; the workers end when all tasks are done. Calling this again does nothing more."""
        if self._foreign:
            return
        with self._lock:
            self._closing = True
            begun, self._ending = self._begun, self._ending or not self._begun
            pending = self._pending_tasks
            cancelled = [*pending.waiting, *pending.handed_out.values()] if cancel_futures else []
        for future in cancelled:
            future.cancel()
        if not begun:
            self._close()
            return
        self._wake_collector()
        if wait and threading.current_thread() is not self._collector:
            # Before Python 3.13 a Thread.join that Ctrl-C interrupts marks a running thread as ended, and the next join
            # returns at once. So wait for the event first.
            self._over.wait()
            self._collector.join()

    def end_workers(self, by: Callable[[BaseProcess], None]) -> None:
        """Cancel the calls that no worker has begun, and apply `by` to each worker; wait for nothing."""
        self.shutdown(wait=False, cancel_futures=True)
        with self._lock:  # a worker pool that is closed has no pipe any more that would wake its thread
            if not (self._foreign or self._closed):
                self._worker_pool.end(by)

    def _wake_collector(self) -> None:
        with suppress(ValueError, ShutDown):  # the queue is closed: the executor is over
            self._results.put(("wake",))

    def _end_when_done(self) -> None:
        with self._lock:
            if not self._ending and not len(self._pending_tasks):
                self._ending = True
                self._worker_pool.end()
                self._tasks.shutdown()

    def _break(self, why: str, trace: str | None = None) -> None:
        """Fail all pending calls, end the workers, and take no more calls."""
        with self._lock:
            self._broken_trace, self._broken = trace, why
            self._closing = self._ending = True
            doomed = self._pending_tasks.clear()
            self._worker_pool.end(BaseProcess.kill)
            self._tasks.shutdown()
        for future in doomed:
            future._message = None
            future.settle(None, self._breakage(why))

    def _breakage(self, why: str) -> ExecutorBroken:
        error = ExecutorBroken(why)
        error.__cause__ = None if self._broken_trace is None else remote_cause(self._broken_trace)
        return error

    def _close(self) -> None:
        """Close everything when no worker is left."""
        self._worker_pool.join()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._worker_pool.close()
                self._words.release()
                for structure in (self._tasks, self._results, self._claims):
                    structure.close()

    # --- from the worker pool's thread ---------------------------------------------------------------------

    def worker_context(self, number: int) -> WorkerContext:
        """The data that the worker of that number is started with."""
        direct = self._method != "forkserver"
        return WorkerContext(number, self._tasks, self._results, self._claims, self._pid, direct, *self._start)

    def report(self, number: int, pid: int, exitcode: int | None) -> None:
        """Report the end of a worker. Number 0: all workers have ended, and no thread watches them any more."""
        self._results.put(("dead", number, pid, exitcode))

    def give_up(self, why: str) -> None:
        """Report that workers cannot be started."""
        self._results.put(("gave_up", why))

    def fail(self, why: str) -> None:
        """Break the executor: no thread watches the workers any more, so no later death would be reported."""
        self._break(why)
        self._results.shutdown()

    def has_arrived(self, number: int) -> bool:
        """Whether that worker has ever been ready to take tasks."""
        return task_claims.has_arrived(self._words, number)

    def is_wanted(self, task: int) -> bool:
        """Whether the task is not over yet."""
        return task in self._pending_tasks.handed_out

    def counts(self) -> tuple[tuple[int, ...], int, int, int]:
        """Process ids, pending and running tasks, and deaths."""
        if self._foreign:
            self._refuse()
        with self._lock:
            running = 0
            if not self._closed:
                running = sum(map(self._pending_tasks.is_running, self._pending_tasks.handed_out))
            return self._worker_pool.pids(), len(self._pending_tasks) - running, running, self._worker_pool.deaths


class _Exit:
    """Ends executors before the interpreter joins its threads; submitted calls still run, as in concurrent.futures."""

    def __init__(self) -> None:
        self.came = False
        self._child = 0

    def expect(self) -> None:
        """Register with multiprocessing too: when a process of multiprocessing exits, it joins its child processes
        before it joins its threads, and would wait for the workers for ever."""
        if self._child != os.getpid():
            self._child = os.getpid()
            util.Finalize(None, self.come, exitpriority=100)

    def come(self) -> None:
        self.came = True
        for executor_manager in members(EXECUTOR_MANAGERS):
            executor_manager.shutdown()


_exit = _Exit()


def _after_fork() -> None:
    """Detach the executors in a child: they belong to the parent, whose threads may have held the locks."""
    _exit.came = False
    for executor_manager in members(EXECUTOR_MANAGERS):
        executor_manager._foreign = True
        executor_manager._lock, executor_manager.settling = threading.RLock(), threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
threading._register_atexit(_exit.come)  # type: ignore[attr-defined]
