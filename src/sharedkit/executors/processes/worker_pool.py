"""The worker processes of an executor: one thread watches them and replaces dead ones; the executor can kill them."""

from __future__ import annotations

import heapq
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, forkserver
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from sharedkit._core.background import background
from sharedkit.errors import ExecutorBroken
from sharedkit.executors.processes.main_guard import fork_server_is_unguarded, leave_if_imported
from sharedkit.executors.processes.task_claims import WORKER_MASK
from sharedkit.executors.processes.worker import WorkerContext, end_of, work
from sharedkit.executors.unguarded_main import SENTENCE, UNGUARDED

__all__ = ["WorkerPool", "WorkerPoolOwner"]

VAIN_STARTS = 8  # vain starts in a row after which only one start at a time is tried, at growing intervals
LATEST = 60.0  # seconds; the longest of these intervals
LONGEST = 3600.0  # seconds; the longest single sleep, because the system call takes no more than 24 days
FEWEST = 64  # if there are more deadlines, those of tasks that are over are removed


class WorkerPoolOwner(Protocol):
    """The object that uses the worker pool and receives the reports of deaths."""

    def worker_context(self, number: int) -> WorkerContext:
        """The data that the worker of that number is started with."""

    def report(self, number: int, pid: int, exitcode: int | None) -> None:
        """A worker has ended, after it put all its messages. Number 0: all have ended, and the watching thread too."""

    def give_up(self, why: str) -> None:
        """No worker is left, and none can be started."""

    def fail(self, why: str) -> None:
        """The watching thread has ended with an error."""

    def has_arrived(self, number: int) -> bool:
        """Whether that worker was ever ready to take tasks."""

    def is_wanted(self, task: int) -> bool:
        """Whether the task is not over yet."""

    def expire(self, task: int) -> None:
        """The task's time is over."""


class WorkerPool:
    """Processes by their numbers, which are reused after four million starts."""

    def __init__(self, context: BaseContext, owner: WorkerPoolOwner, prefix: str) -> None:
        self._context: Any = context
        self._method = context.get_start_method()
        self._owner, self._prefix = owner, prefix
        self._lock = threading.RLock()
        self._processes: dict[int, BaseProcess] = {}
        self._ends: dict[int, int] = {}  # for each worker, a descriptor that is readable when the process has ended
        self._wanted = 0
        self._started = 0
        self._vain = 0  # how many workers in a row ended before they could take a task
        self._vain_since = 0  # the number of the first of them; no worker started since then could take a task
        self._again: float | None = None  # when to try another start
        self._deadlines: list[tuple[float, int]] = []
        self._most_deadlines = FEWEST
        self._ending = False
        self._unguarded = False  # the main program starts workers when imported; no further worker is started
        self._wake, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._wake, False)
        self._thread: threading.Thread | None = None

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._processes)

    @property
    def deaths(self) -> int:
        """How many workers have ended so far."""
        return self._started - len(self._processes)

    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        with self._lock:
            return tuple(process.pid for process in self._processes.values() if process.pid is not None)

    def start(self, wanted: int) -> None:
        """Have `wanted` workers. The watching thread starts after them, so that the first ones are forked before it
        exists."""
        try:
            with self._lock:
                self._wanted = max(wanted, self._wanted)
                self._fill()
        finally:  # workers that have started are watched, even if starting another one failed
            if self._thread is None:
                self._thread = background(self._watch, name=f"{self._prefix}-worker_pool")
                self._thread.start()
            else:
                self._wake_up()

    def _fill(self) -> None:
        """Start missing workers, under the lock."""
        while len(self._processes) < self._wanted and self._vain < VAIN_STARTS and not self._unguarded:
            self._start_one()

    def _start_one(self) -> None:
        """Start one worker, under the lock."""
        number = self._started % WORKER_MASK + 1
        while number in self._processes:
            number = number % WORKER_MASK + 1
        worker_context = self._owner.worker_context(number)
        process = self._context.Process(target=work, args=(worker_context,), name=f"{self._prefix}-{number}")
        with self._guarded(), _no_interrupt(self._method):
            process.start()
            self._started += 1
            self._processes[number] = process
            # A forked worker's sentinel stays open in its children; the sentinel from a fork server closes with it.
            ends = end_of(process.pid)
            self._ends[number] = process.sentinel if ends is None else ends

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Refuse to start a worker from one that imports the main program. Raises ExecutorBroken if the fork server
        did."""
        if self._method == "fork":
            yield
            return
        leave_if_imported(self._prefix)
        try:
            yield
        except (EOFError, ConnectionError):
            if self._method == "forkserver" and fork_server_is_unguarded():
                raise ExecutorBroken(SENTENCE) from None  # the lost connection to the fork server is not the cause
            raise

    def kill(self, number: int) -> None:
        """Send SIGKILL to that worker, if it still runs."""
        with self._lock:
            process = self._processes.get(number)
            if process is not None:
                process.kill()

    def remind(self, task: int, when: float) -> None:
        """At the monotonic time `when`, report to the owner that the time of the task is over."""
        with self._lock:
            if len(self._deadlines) >= self._most_deadlines:
                self._deadlines = [each for each in self._deadlines if self._owner.is_wanted(each[1])]
                heapq.heapify(self._deadlines)
                self._most_deadlines = max(FEWEST, 2 * len(self._deadlines))
            heapq.heappush(self._deadlines, (when, task))
        self._wake_up()

    def end(self, by: Callable[[BaseProcess], None] | None = None) -> None:
        """Stop replacing workers; the watching thread ends after the last worker. `by` is called with each worker.

        A worker that a signal has stopped is continued, so that it can end.
        """
        self._ending = True
        with self._lock:
            for process in self._processes.values():
                if by is not None:
                    by(process)
                if process.pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGCONT)
        self._wake_up()

    def join(self) -> None:
        """Wait for the watching thread."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def close(self) -> None:
        """Close the descriptors, after the thread has ended."""
        os.close(self._wake)
        os.close(self._waker)

    def _wake_up(self) -> None:
        with suppress(OSError):  # the pipe is full: the thread is awake; it is closed: the thread has ended
            os.write(self._waker, b"!")

    def _watch(self) -> None:
        try:
            while self._look():
                pass
            self._owner.report(0, 0, None)
        except BaseException as error:
            self._owner.fail(f"the thread that watches the workers failed: {error!r}")
            raise

    def _look(self) -> bool:
        """Sleep until there is work, and do it; False if there will never be any."""
        with self._lock:
            watched = {ends: number for number, ends in self._ends.items()}
            if self._ending and not watched:
                return False
            first = self._deadlines[0][0] if self._deadlines else None
            if self._again is not None:
                first = self._again if first is None else min(first, self._again)
        patience = None if first is None else min(max(0.0, first - time.monotonic()), LONGEST)
        ready: list[Any] = connection.wait([*watched, self._wake], patience)
        if self._wake in ready:
            with suppress(BlockingIOError):
                os.read(self._wake, 4096)
        for ends in ready:
            if ends != self._wake:
                self._recover(watched[ends])
        self._look_at_clock()
        return True

    def _look_at_clock(self) -> None:
        due = []
        with self._lock:
            now = time.monotonic()
            while self._deadlines and self._deadlines[0][0] <= now:
                due.append(heapq.heappop(self._deadlines)[1])
            if self._again is not None and self._again <= now:
                self._try_again()
        for task in due:
            self._owner.expire(task)

    def _recover(self, number: int) -> None:
        """Handle a worker's end. One step under the lock, because a thread could otherwise start an extra worker
        between the death and the replacement."""
        why = ""
        with self._lock:
            pid, exitcode = self._strike_off(number)
            self._count_vain(number)
            hopeless = exitcode == UNGUARDED and self._vain > 0
            if hopeless:
                self._unguarded, why = True, SENTENCE
            elif self._vain >= VAIN_STARTS:
                why = f"{self._vain} workers in a row ended before they could take a task"
                why += f", the last with exit code {exitcode}"
                self._put_off()
            elif not self._ending:
                try:
                    self._fill()
                except Exception as error:
                    why = f"a worker cannot be started: {error!r}"
            alone = not self._processes
        self._owner.report(number, pid, exitcode)
        if why and not self._ending:
            if alone or hopeless:
                self._owner.give_up(why)
            elif self._vain <= VAIN_STARTS:  # once only
                logging.getLogger("concurrent.futures").error("%s: %d are left", why, len(self._processes))

    def _put_off(self) -> None:
        self._again = time.monotonic() + min(2.0 ** (self._vain - VAIN_STARTS), LATEST)

    def _try_again(self) -> None:
        """Try one start, under the lock; the earlier starts may have succeeded by now."""
        self._again = None
        if self._ending or len(self._processes) >= self._wanted:
            return
        if self._has_arrived_since():
            self._vain = 0
        with suppress(Exception):  # if it fails, the next death tries again
            if self._vain:
                self._put_off()
                self._start_one()
            else:
                self._fill()

    def _strike_off(self, number: int) -> tuple[int, int | None]:
        process, ends = self._processes.pop(number), self._ends.pop(number)
        process.join()
        pid, exitcode = process.pid, process.exitcode
        if ends != process.sentinel:
            os.close(ends)
        with suppress(ValueError):  # other code, which waits for any child, has got the exit code
            process.close()
        assert pid is not None
        return pid, exitcode

    def _count_vain(self, number: int) -> None:
        if self._vain == 0:
            self._vain_since = number
        arrived = self._owner.has_arrived(number) or self._has_arrived_since()
        self._vain = 0 if arrived else self._vain + 1

    def _has_arrived_since(self) -> bool:
        """Whether a worker started after the first vain start became ready: this shows that starts succeed again."""
        return any(each > self._vain_since and self._owner.has_arrived(each) for each in self._processes)


@contextmanager
def _no_interrupt(method: str) -> Iterator[None]:
    """Block Ctrl-C from a process's start until its entry in the table; the new worker also starts with it blocked."""
    if method == "forkserver":
        forkserver.ensure_running()  # a fork server started later would pass the blocked signal to all its children
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
