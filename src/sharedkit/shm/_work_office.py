"""The parent's side of an executor: hands tasks out, collects what comes of them, and settles deaths."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent import futures
from contextlib import suppress
from multiprocessing.context import BaseContext
from typing import Any

from sharedkit._future import OVER, Future
from sharedkit._remote import remote_cause
from sharedkit.errors import ExecutorBroken, WorkerDied
from sharedkit.shm import _work_ledger as ledger
from sharedkit.shm._work_messages import Outcome, Packer, read
from sharedkit.shm._work_process import SHORT_PARK, Station
from sharedkit.shm._work_staff import Staff
from sharedkit.shm.array import Array
from sharedkit.shm.queue import Queue

__all__ = ["Office"]

BYTES_AHEAD = 64 << 20  # of pickled calls in shared memory at once; each idle worker gets its call in any case
DEFAULT_SEATS = 192
OFFICES: weakref.WeakSet[Office] = weakref.WeakSet()


class Office:
    """Knows no executor, so that one which is forgotten can be collected, and shuts this down then."""

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
        self._tasks: Queue[Any] = Queue(seats=seats)
        self._results: Queue[Any] = Queue(seats=seats)
        self._results._segment().short_park = SHORT_PARK
        self._claims = Array(ledger.SLOTS + ledger.NEWCOMERS, "i8", seats=seats)
        self._words: memoryview[int] = self._claims.ndarray.data  # its items are read and set faster than NumPy's
        self._lock = threading.RLock()
        self.settling = threading.RLock()  # never held while `_lock` is waited for
        self._free = list(range(ledger.SLOTS))
        self._serial = 0
        self._packer = Packer()
        self._put_task = self._tasks.put
        self._puts = 0  # into the task queue, ever
        self._flying: dict[int, Future[Any]] = {}  # tasks with a slot
        self._bytes = 0  # of their messages
        self._waiting: deque[Future[Any]] = deque()
        self._foreign = False  # in a child that was forked, which has the object but none of the threads
        self._begun = self._closing = self._ending = self._gone = self._closed = False
        self._broken: str | None = None
        self._failed: dict[int, str] = {}  # workers whose initializer raised
        self._staff = Staff(context, self._station, self._report, self._arrived, self._expire, self._give_up, prefix)
        self._collector = threading.Thread(target=self._collect, name=f"{prefix}-collector", daemon=True)
        if self._method == "fork":  # children inherit what is open, so there is no need of names that could stay
            for structure in (self._tasks, self._results, self._claims):
                structure.unlink()
        OFFICES.add(self)

    def _station(self, number: int) -> Station:
        direct = self._method != "forkserver"
        return Station(number, self._tasks, self._results, self._claims, self._pid, direct, *self._start)

    # --- handing out ---------------------------------------------------------------------------------

    def submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None
    ) -> Future[Any]:
        """The future of a call. RuntimeError after the end, ExecutorBroken; what pickling raises is in the future."""
        if self._foreign:  # whose lock may have been held when it was forked
            raise RuntimeError(f"the executor belongs to process {self._pid}; make one here")
        error = None
        try:
            body, buffers = message = self._packer.pack(fn, args, kwargs)
        except Exception as why:
            error = why
            body, buffers = message = b"", []
        size = len(body)
        if buffers:
            size += sum(each.raw().nbytes for each in buffers)
        future: Future[Any] = Future(self, message, size, timeout)
        with self._lock:
            if self._closing:
                self._refuse()
            if error is None:
                if self._free and not self._waiting and self._room():
                    self._hand_out(future)
                else:
                    self._waiting.append(future)
                if self._staff.size < self.workers and not self._ending:
                    self._hire()
                return future
        future._message = None
        future.set_exception(error)
        return future

    def _refuse(self) -> None:
        if self._broken is not None:
            raise ExecutorBroken(self._broken)
        raise RuntimeError("cannot schedule new futures after shutdown")

    def _room(self) -> bool:
        return bool(self._free) and (self._bytes < BYTES_AHEAD or len(self._flying) < self.workers)

    def _hire(self) -> None:
        """Under the lock: all at once by fork, before there are threads; else as many as there are tasks."""
        first = not self._begun
        if not first and self._staff.deaths and self._method == "fork":
            return  # the staff replaces its dead
        wanted = self.workers if self._method == "fork" else len(self._flying) + len(self._waiting)
        self._staff.start(min(wanted, self.workers))
        if first:
            self._begun = True
            self._collector.start()

    def _hand_out(self, future: Future[Any]) -> None:
        """Under the lock: give the task a slot and put it into the queue."""
        slot = self._free.pop()
        self._serial = serial = self._serial + 1
        task = serial << ledger.SLOT_BITS | slot
        self._words[slot] = serial << ledger.SERIAL_SHIFT
        future._task = task
        body, buffers = future._message
        head = task << 1 | (future._timeout is not None)
        future._message = (head, body, buffers) if buffers else head.to_bytes(8, "little") + body
        self._flying[task] = future
        self._bytes += future._size
        try:
            self._put(future)
        except Exception as error:  # no shared memory left for it
            self._settle(task)
            future.set_exception(error)

    def _put(self, future: Future[Any]) -> None:
        self._put_task(future._message)
        future._place = self._puts
        self._puts += 1

    def _settle(self, task: int) -> Future[Any] | None:
        """Under the lock: take a task that is over off the books."""
        future = self._flying.pop(task, None)
        if future is not None:
            self._bytes -= future._size
            self._free.append(ledger.slot_of(task))
            future._message = None
        return future

    def _refill(self) -> None:
        """Under the lock."""
        while self._waiting and self._room():
            self._hand_out(self._waiting.popleft())

    # --- collecting ----------------------------------------------------------------------------------

    def _collect(self) -> None:
        """The collecting thread. What the dead have put comes before the report of their death."""
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
                        getattr(self, "_told_" + message[0])(*message[1:])
                    message = outcome = None  # nothing is kept while there is nothing to do
                self._deliver(outcomes)
                outcomes.clear()
                if self._closing:
                    self._end_when_done()
        except BaseException as error:
            self._break(f"the collecting thread failed: {error!r}")
            raise
        finally:
            self._close()

    def _deliver(self, outcomes: list[Outcome]) -> None:
        """Settle all of them, keep the workers busy, then tell who waits: their callbacks may take their time."""
        told = []
        with self._lock:
            settled = [self._settle(task) for task, _, _ in outcomes]
            if self._waiting:
                self._refill()
        with self.settling:
            for future, (_, value, error) in zip(settled, outcomes, strict=True):
                if future is None or future._state in OVER:  # somebody else has set it
                    continue
                future.finish(value, error)
                told.append(future)
        for future in told:
            future.call_back()

    def _began(self, task: int) -> None:
        future = self._flying.get(task)
        if future is not None and future._timeout is not None:
            self._staff.remind(task, time.monotonic() + future._timeout)

    def _told_wake(self) -> None:
        """Somebody wants the collecting thread to look around."""

    def _told_broken(self, number: int, trace: str) -> None:
        """Its end is awaited, so that it can say what it has to say elsewhere."""
        self._failed[number] = trace

    def _told_gave_up(self, why: str) -> None:
        self._break(why)

    def _told_dead(self, number: int, pid: int, exitcode: int | None) -> None:
        """Settle a death: the task that the worker ran has failed; those it may have had in hand are put again."""
        if number == 0:
            self._gone = True
            return
        victims = []
        with self._lock:
            for task, future in list(self._flying.items()):
                word = self._words[ledger.slot_of(task)]
                if ledger.worker_of(word) == number:
                    self._settle(task)
                    victims.append(future)
            # Of all that was ever put, what is not in the queue has been taken.
            taken = self._puts - self._tasks.qsize()
            for task, future in list(self._flying.items()):
                if future._place < taken and self._words[ledger.slot_of(task)] == ledger.base_of(task):
                    self._put(future)
        if number in self._failed:
            self._break(f"the initializer of worker {number} raised", self._failed.pop(number))
        for future in victims:
            if not future.cancelled():
                future.set_exception(future._verdict or WorkerDied(pid, exitcode))

    # --- taking back ---------------------------------------------------------------------------------

    def is_running(self, task: int) -> bool:
        """Whether a worker has claimed it."""
        with self._lock:
            if task not in self._flying:
                return False
            return ledger.worker_of(self._words[ledger.slot_of(task)]) != 0

    def withdraw(self, future: Future[Any], running: bool) -> bool:
        """For `Future.cancel`."""
        with self._lock:
            if future._task == 0:
                try:
                    self._waiting.remove(future)
                except ValueError:
                    return False
                future._message = None
                self._nudge()
                return True
            if future._task not in self._flying:
                return False
            base = ledger.base_of(future._task)
            if self._claims.compare_exchange(ledger.slot_of(future._task), base, base | ledger.DOOMED):
                self._settle(future._task)
                self._nudge()
                return True
            return running and self._doom(future._task)

    def _doom(self, task: int) -> bool:
        """Under the lock: kill the worker that runs the task, unless it is done with it."""
        slot = ledger.slot_of(task)
        word = self._words[slot]
        if word & 3 != ledger.RUNNING or not self._claims.compare_exchange(slot, word, word | ledger.DOOMED):
            return False
        self._staff.kill(ledger.worker_of(word))
        return True

    def _expire(self, task: int) -> None:
        """A task's time is over."""
        with self._lock:
            future = self._flying.get(task)
            if future is not None:
                future._verdict = TimeoutError(
                    f"the call took longer than {future._timeout:g} s, so its worker was ended"
                )
                if not self._doom(task):
                    future._verdict = None

    # --- the end -------------------------------------------------------------------------------------

    def shutdown(self, wait: bool = True, cancel_futures: bool = False) -> None:
        """Take no more tasks; workers end when all there are is done. Again does nothing more."""
        if self._foreign:
            return
        with self._lock:
            self._closing = True
            begun, self._ending = self._begun, self._ending or not self._begun
        if cancel_futures:
            for future in [*self._waiting, *list(self._flying.values())]:
                future.cancel()
        if not begun:
            self._close()
            return
        self._nudge()
        if wait and threading.current_thread() is not self._collector:
            self._collector.join()

    def _nudge(self) -> None:
        with suppress(ValueError):  # closed: it is over
            self._results.put(("wake",))

    def _end_when_done(self) -> None:
        with self._lock:
            if not self._ending and not self._flying and not self._waiting:
                self._ending = True
                self._staff.end()
                self._tasks.shutdown()

    def _break(self, why: str, trace: str | None = None) -> None:
        """Fail all there is, end the workers, and take no more."""
        with self._lock:
            self._broken = why
            self._closing = self._ending = True
            doomed = [*self._flying.values(), *self._waiting]
            for task in list(self._flying):
                self._settle(task)
            self._waiting.clear()
            self._staff.end()
            self._staff.kill_all()
        for future in doomed:
            error = ExecutorBroken(why)
            error.__cause__ = None if trace is None else remote_cause(trace)
            future._message = None
            with suppress(futures.InvalidStateError):
                future.set_exception(error)

    def _close(self) -> None:
        """Nobody is left: give everything back."""
        self._staff.join()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._staff.close()
                self._words.release()
                for structure in (self._tasks, self._results, self._claims):
                    structure.close()

    # --- from the staff's thread ---------------------------------------------------------------------

    def _report(self, number: int, pid: int, exitcode: int | None) -> None:
        self._results.put(("dead", number, pid, exitcode))

    def _give_up(self, why: str) -> None:
        self._results.put(("gave_up", why))

    def _arrived(self, number: int) -> bool:
        return ledger.has_arrived(self._words, number)

    def counts(self) -> tuple[tuple[int, ...], int, int, int]:
        """Process ids, pending and running tasks, and deaths."""
        with self._lock:
            running = 0
            if not self._closed:
                running = sum(self.is_running(task) for task in list(self._flying))
            return self._staff.pids(), len(self._flying) + len(self._waiting) - running, running, self._staff.deaths


def _at_exit() -> None:
    """Before the interpreter joins its threads: what was submitted is still done, as in concurrent.futures."""
    for office in list(OFFICES):
        office.shutdown()


def _after_fork() -> None:
    """In a child: the executors of the parent are not its own."""
    for office in list(OFFICES):
        office._foreign = True


os.register_at_fork(after_in_child=_after_fork)
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
