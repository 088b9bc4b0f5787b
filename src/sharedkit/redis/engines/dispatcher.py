"""The side of the program that submits: calls go to an engine in batches, and outcomes come back in batches.

    submit ──► queued ──► sending thread: announce in Redis, then Engine.submit ──► a worker of the engine: host.py
    Future ◄── collecting thread ◄── Engine.fetch ◄─────────────────────────────────────┘

An engine runs a task again when it has lost the worker or the result. So each task asks the record in Redis before it
begins its call, and only one attempt gets it. A call that had not begun when its worker died runs elsewhere; one that
had begun fails with WorkerDied.
"""

from __future__ import annotations

import os
import pickle
import secrets
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from multiprocessing import util
from queue import Empty, SimpleQueue
from typing import Any

from sharedkit._core.background import background
from sharedkit._core.weak_sets import members
from sharedkit.errors import ExecutorBroken, ExecutorGoneError, GoneError, SharedkitError, WorkerDied
from sharedkit.executors.future import Future
from sharedkit.executors.remote_errors import raised, remote_cause
from sharedkit.redis.engines import host
from sharedkit.redis.engines.calls import BEGUN, BROKEN, CANCELLED, GONE, RAISED, RETURNED, Outcome, pack
from sharedkit.redis.engines.choice import engine_of
from sharedkit.redis.engines.engine import LARGE, Engine, Work
from sharedkit.redis.engines.record import CallRecord, Owner, owner_of
from sharedkit.redis.placement import Placement

__all__ = ["Dispatcher", "dispatcher_for"]

MOST_CALLS = 1000  # calls in one batch
MOST_BYTES = 8 << 20  # bytes of pickled calls in one batch; Dask warns of graphs beyond 10 MB
MOST_OVER = 1000  # calls that are over after which the record is told, even if no call is submitted
LOOK = 1.0  # seconds without an outcome after which the states of all tasks are examined
MOST_TRIES = 5  # times that a call which has not begun is given to the engine

NO_RECORD = "this process's lease in Redis is over, or Redis has lost the record of the calls; the call has not begun"
_dispatchers: weakref.WeakSet[Dispatcher] = weakref.WeakSet()


class Dispatcher:
    """Holds no reference to the Executor, so that one that is no longer used can be collected."""

    def __init__(self, engine: Engine, record: CallRecord, most: int | None, prefix: str) -> None:
        self.most = most
        self.settling = threading.RLock()
        self.engine, self._record = engine, record
        self._where = record.where()
        self._key = f"{prefix}-{secrets.token_hex(8)}"
        self._pid = os.getpid()
        self._ready = threading.Condition(threading.RLock())  # reentrant: a signal handler may submit, too
        self._numbers = 0
        self._workers: set[str] | None = None  # the addresses of the workers when they were last looked at
        self._unlimited = most is None
        self._compare_at = 0.0
        self._queued: dict[int, Future[Any]] = {}  # calls that the engine does not have yet, in order
        self._handed: dict[int, Future[Any]] = {}  # calls that the engine has, or is about to get
        self._tasks: dict[int, Any] = {}  # the engine's tasks for these
        self._tries: dict[int, int] = {}  # how often a call was given to the engine, if more than once
        self._over: list[int] = []  # calls that the record need not know any more
        self._came: SimpleQueue[tuple[int, Any, Outcome | None]] = SimpleQueue()  # tasks that are done, or (None) lost
        self._begun = self._closing = False
        self._ended = threading.Event()
        self._broken: tuple[str, str] | None = None  # why, and the traceback of the initializer that raised, or ""
        self._threads = [
            background(self._send, name=f"{prefix}-sender"),
            background(self._collect, name=f"{prefix}-collector"),
        ]
        _dispatchers.add(self)
        _exit.expect()

    # --- taking calls

    def submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
    ) -> Future[Any]:
        """Submit a call and return its future. Raises RuntimeError after shutdown, and ExecutorBroken; an error of
        pickling is set on the future."""
        self._refuse_if_over()
        try:
            packed = pack((fn, args, kwargs))
        except Exception as error:
            future: Future[Any] = Future(self, None, 0, timeout)
            future.settle(None, error)
            return future
        future = Future(self, packed, packed.size, timeout)
        with self._ready:
            self._refuse_if_over()
            self._numbers += 1
            future._task = self._numbers
            self._queued[future._task] = future
            if not self._begun:
                self._begun = True
                for thread in self._threads:
                    thread.start()
            self._ready.notify_all()
        return future

    def _refuse_if_over(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError(f"the executor belongs to process {self._pid}; make one here")
        if self._broken is not None:
            raise self._breakage()
        if self._closing or _exit.came:
            raise RuntimeError(f"cannot schedule new futures after {'' if self._closing else 'interpreter '}shutdown")

    # --- the sending thread

    def _send(self) -> None:
        while True:
            self._compare_with_cluster()
            with self._ready:
                self._ready.wait_for(self._has_work)
                if self._is_done():
                    break
                # In this order: a call that is over by now, because it was cancelled in the queue, is not in the batch.
                over, self._over = self._over, []
                batch = self._next_batch()
            try:
                self._hand_out(over, batch)
            except BaseException as why:  # Redis or the engine cannot be reached; these calls are with nobody
                self._fail(batch, why)
            del batch
        self._close()
        self._came.put((0, None, None))  # the collecting thread looks whether it is over

    def _has_work(self) -> bool:
        return bool(self._queued and self._room() > 0) or len(self._over) >= MOST_OVER or self._is_done()

    def _is_done(self) -> bool:
        return self._closing and not self._queued and not self._handed

    def _room(self) -> int:
        return MOST_CALLS if self._unlimited else (self.most or 0) - len(self._handed)

    def _compare_with_cluster(self) -> None:
        """Let the engine have all calls while its workers have no more threads than `max_workers`.
        Otherwise a call would wait for the outcome of another one to come back."""
        now = time.monotonic()
        if self.most is not None and self._queued and now > self._compare_at:
            with suppress(Exception):  # the cluster has gone, as the calls will tell
                self._unlimited = self.threads() <= self.most
            self._compare_at = now + LOOK

    def _next_batch(self) -> dict[int, Future[Any]]:
        batch: dict[int, Future[Any]] = {}
        size = 0
        for number, future in islice(self._queued.items(), min(MOST_CALLS, max(0, self._room()))):
            if batch and size + future._size > MOST_BYTES:
                break
            batch[number] = future
            size += future._size if future._size < LARGE else 0
        for number in batch:
            del self._queued[number]
        self._handed.update(batch)
        return batch

    def _hand_out(self, over: list[int], batch: dict[int, Future[Any]]) -> None:
        """Announce the calls, then give them to the engine, each as a task that it cannot take for another one."""
        self._record.announce(over, batch)
        if not batch:
            return
        tasks = self.engine.submit(
            {
                number: Work(f"{self._key}-{number}-{self._tries.get(number, 0)}", future._message, future._timeout)
                for number, future in batch.items()
            },
            self._where,
        )
        with self._ready:
            for number, task in tasks.items():
                if number in self._handed:
                    self._tasks[number] = task
        for number, task in tasks.items():
            self.engine.fetch(number, task, self._came.put)

    def _fail(self, batch: dict[int, Future[Any]], why: BaseException) -> None:
        if isinstance(why, GoneError):  # removed by others, as the server has not heard of this process for a lease
            why = ExecutorGoneError(NO_RECORD)
        if not isinstance(why, SharedkitError):
            gone = ExecutorGoneError(f"the call could not be given to {self.engine.name}: {why!r}")
            gone.__cause__ = why
            why = gone
        with suppress(SharedkitError):
            self._record.retract(batch)
        for number, future in batch.items():
            future.settle(None, type(why)(*why.args))
            self._finish(number)

    # --- the collecting thread

    def _collect(self) -> None:
        look_at = 0.0
        while not self._ended.is_set():
            came: list[tuple[int, Any, Outcome | None]] = []
            with suppress(Empty):
                came.append(self._came.get(timeout=LOOK))
                while True:
                    came.append(self._came.get_nowait())
            for number, task, outcome in came or self._lost():
                if outcome is not None:
                    self._settle(number, outcome)
                elif task is not None and self._tasks.get(number) is task:
                    self._has_lost(number, task)
                del task, outcome  # no reference is kept during the wait
            came.clear()
            if time.monotonic() > look_at:
                self._look_for_deaths()
                look_at = time.monotonic() + LOOK

    def _look_for_deaths(self) -> None:
        """Fail the calls that ran on workers which have left the cluster.

        The engine gives such a call to another worker, which learns from the record that it must not begin it; but
        perhaps only after the calls that it has now.
        """
        with self._ready:
            handed = dict(self._handed)
        if not handed:
            return
        with suppress(Exception):  # the cluster has gone, or Redis: other ways lead to an error
            there = self.engine.places()
            if there is None or there == self._workers:
                return
            for number, owner in self._record.owners(handed).items():
                task = self._tasks.get(number)
                if owner.address not in there and task is not None and self.engine.is_pending(task):
                    handed[number].settle(None, WorkerDied(owner.pid, None))
                    self._finish(number)
            self._workers = there

    def _lost(self) -> list[tuple[int, Any, None]]:
        """The tasks of which the engine will tell nothing more."""
        with self._ready:
            tasks = dict(self._tasks)
        return [(number, tasks[number], None) for number in self.engine.lost(tasks)]

    def _settle(self, number: int, outcome: Outcome) -> None:
        future = self._handed.get(number)
        if future is None:
            return
        value: Any = None
        error: BaseException | None = None
        if outcome.how in (RETURNED, RAISED, BROKEN):
            assert outcome.packed is not None
            try:
                value = outcome.packed.unpack()
            except BaseException as why:  # unpickling runs the user's code
                value, error = None, raised(why, outcome.text)
            else:
                if outcome.how != RETURNED:
                    value, error = None, raised(value, outcome.text)
        elif outcome.how == BEGUN:
            error = WorkerDied(owner_of(outcome.text).pid, None)
        elif outcome.how == GONE:
            error = ExecutorGoneError(NO_RECORD)
        if outcome.how == BROKEN:
            self._break(str(error), outcome.text)
        elif outcome.how == CANCELLED:
            future.take_back()
        else:
            future.settle(value, error)
        self._finish(number)

    def _has_lost(self, number: int, task: Any) -> None:
        """Handle a task that the engine has given up. A call that has not begun is given to the engine again."""
        future = self._handed.get(number)
        if future is None:
            return
        owner: Owner | None = None
        try:
            owner = self._record.owner(number)
            begun = "not begun" if owner is None else "begun"
        except SharedkitError:
            begun = "perhaps begun"
        status = self.engine.status()
        error: BaseException = ExecutorGoneError(
            f"the {self.engine.name} cluster has lost the call, which had {begun} (its task is "
            f"{self.engine.state(task)}, the client {status})"
        )
        fault_of_call = self.engine.failure(task)
        if fault_of_call is not None:
            error = fault_of_call
        elif status == "running":
            tries = self._tries.get(number, 0) + 1
            if owner is not None:
                error = WorkerDied(owner.pid, None)
            elif begun == "not begun" and tries < MOST_TRIES:
                self._again(number, future, tries)
                return
        with suppress(SharedkitError):
            self._record.retract([number])
        future.settle(None, error)
        self._finish(number)

    def _again(self, number: int, future: Future[Any], tries: int) -> None:
        with self._ready:
            self._tries[number] = tries
            self._forget(number)
            self._queued = {number: future, **self._queued}
            self._ready.notify_all()

    def _finish(self, number: int) -> None:
        """The call is over: its task and its place in the record can go."""
        with self._ready:
            future = self._handed.get(number)
            self._forget(number)
            self._tries.pop(number, None)
            self._over.append(number)
            if future is not None:
                future._message = None
            if self.most is not None or self._closing or len(self._over) >= MOST_OVER:
                self._ready.notify_all()

    def _forget(self, number: int) -> None:
        self._handed.pop(number, None)
        self.engine.forget(number, self._tasks.pop(number, None))

    def _break(self, why: str, trace: str) -> None:
        """Fail all calls, and take no more."""
        with self._ready:
            self._broken = why, trace
            self._closing = True
            doomed = {**self._queued, **self._handed}
            self._queued.clear()
            self._ready.notify_all()
        with suppress(SharedkitError):
            self._record.retract(doomed)
        for number, future in doomed.items():
            future.settle(None, self._breakage())
            self._finish(number)

    def _breakage(self) -> ExecutorBroken:
        assert self._broken is not None
        why, trace = self._broken
        error = ExecutorBroken(why)
        error.__cause__ = remote_cause(trace) if trace else None
        return error

    # --- taking back

    def is_running(self, task: int) -> bool:
        """Whether a worker has begun the call."""
        if self._pid != os.getpid() or task not in self._handed:
            return False
        with suppress(SharedkitError):
            return self._record.owner(task) is not None
        return False

    def withdraw(self, future: Future[Any], running: bool) -> bool:
        """Take a call back for `Future.cancel`."""
        number = future._task
        if self._pid != os.getpid():
            return False
        with self._ready:
            if self._queued.pop(number, None) is not None:
                self._finish(number)
                return True
            if number not in self._handed:
                return False
        try:
            if not self._record.retract([number]):
                self._finish(number)
                return True
            owner = self._record.owner(number) if running else None
        except SharedkitError:  # the futures will get the error
            return False
        return owner is not None and self.engine.end_call(self._where, number, owner)

    # --- the end

    def forget(self) -> None:
        """The Executor was collected: end as after `shutdown`. This may run in any thread at any moment."""
        if self._begun:
            self.shutdown(wait=False)
        else:
            self._closing = True  # and nothing else refers to the record

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        """Accept no more calls; end when all are done. Calling this again does nothing more."""
        if self._pid != os.getpid():
            return
        with self._ready:
            self._closing = True
            begun = self._begun
            self._ready.notify_all()
        if cancel_futures:
            self._cancel_all()
        if not begun:
            self._close()
        elif wait and threading.current_thread() not in self._threads:
            self._ended.wait()
            for thread in self._threads:
                thread.join()

    def _cancel_all(self) -> None:
        with self._ready:
            queued, handed = dict(self._queued), dict(self._handed)
            self._queued.clear()
        with suppress(SharedkitError):
            begun = self._record.retract(handed)
            queued.update((number, future) for number, future in handed.items() if number not in begun)
        for number, future in queued.items():
            future.take_back()
            self._finish(number)

    def end_children(self, kill: bool) -> None:
        """Cancel the calls that no worker has begun, and end the children of all workers; wait for no call."""
        self.shutdown(wait=False, cancel_futures=True)
        if self._pid == os.getpid():
            self.engine.end_children(self._where, kill)

    def _close(self) -> None:
        with suppress(SharedkitError):
            self._record.close()
        self._ended.set()

    def counts(self) -> tuple[tuple[int, ...], int, int, int]:
        """Process ids of the children, pending and running calls, and deaths of children."""
        self._refuse_if_foreign()
        answers = self.engine.counts(self._where)
        running = sum(count for _, count, _ in answers)
        with self._ready:
            known = len(self._queued) + len(self._handed)
        pids = tuple(pid for each, _, _ in answers for pid in each)
        return pids, max(0, known - running), min(known, running), sum(deaths for _, _, deaths in answers)

    def _refuse_if_foreign(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError(f"the executor belongs to process {self._pid}; make one here")

    def threads(self) -> int:
        """How many calls the cluster runs at once."""
        return self.engine.threads()


def dispatcher_for(
    home: Placement,
    on: Any,
    most: int | None,
    method: str,
    limit: int | None,
    prefix: str,
    initializer: Callable[..., object] | None,
    initargs: tuple[Any, ...],
) -> Dispatcher:
    """The dispatcher of a new executor, whose record is in that server. Raises what pickling the initializer raises."""
    start: host.Start = method, limit, prefix, pack((initializer, initargs))
    bound = type("CallRecord", (CallRecord,), {"home": home})
    record = bound(pickle.dumps(start, 5))
    return Dispatcher(engine_of(on, home, record), record, most, prefix)


class _Exit:
    """Ends executors before the interpreter joins its threads; submitted calls still run, as in concurrent.futures."""

    def __init__(self) -> None:
        self.came = False
        self._child = 0

    def expect(self) -> None:
        """Register with multiprocessing too, whose processes end without joining their threads."""
        if self._child != os.getpid():
            self._child = os.getpid()
            util.Finalize(None, self.come, exitpriority=100)

    def come(self) -> None:
        self.came = True
        for dispatcher in members(_dispatchers):
            dispatcher.shutdown()


_exit = _Exit()


def _after_fork() -> None:
    _exit.came = False
    for dispatcher in members(_dispatchers):
        dispatcher.settling = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
threading._register_atexit(_exit.come)  # type: ignore[attr-defined]
