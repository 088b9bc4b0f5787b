"""The life of a worker process: take a task, claim it, run it, put what came of it."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from sharedkit._core.gevent_support import original
from sharedkit._core.process_start import begun, has_ended
from sharedkit.errors import GoneError, ShutDown
from sharedkit.executors.processes import task_claims
from sharedkit.executors.processes.main_guard import leave
from sharedkit.executors.processes.messages import DROPPED, Calls
from sharedkit.executors.remote_errors import packed_error
from sharedkit.executors.unguarded_main import UNGUARDED
from sharedkit.shm._array import Array
from sharedkit.shm._queue import Queue

__all__ = ["SHORT_PARK", "WorkerContext", "end_of", "work"]

SLICE = 1.0  # seconds between two looks whether the parent lives, where the system cannot tell of its end
SHORT_PARK = 300.0  # microseconds; one call at a time takes 100 there and back while both ends sleep, 20 when they look


@dataclass(frozen=True)
class WorkerContext:
    """What a worker is started with.

    `parent` is the process id of the executor's process, which is the worker's own parent if `direct`.
    """

    number: int
    tasks: Queue[Any]
    results: Queue[Any]
    words: Array
    parent: int
    direct: bool
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    limit: int | None

    def __reduce__(self) -> tuple[Any, ...]:
        structures = pickle.dumps((self.tasks, self.results, self.words))
        rest = self.initializer, self.initargs, self.limit
        return _arrive, (self.number, structures, self.parent, self.direct, *rest)


def _arrive(number: int, structures: bytes, parent: int, *rest: Any) -> WorkerContext:
    """In a worker that starts: its structures are gone if the parent is, which is nothing to complain of."""
    try:
        tasks, results, words = pickle.loads(structures)
    except GoneError:
        ends = end_of(parent)
        if ends is None or select.select([ends], [], [], 0)[0]:
            os._exit(1)
        raise
    return WorkerContext(number, tasks, results, words, parent, *rest)


def work(worker_context: WorkerContext) -> None:
    """Serve until the queue is shut down, the limit of tasks is reached, or the parent is gone."""
    worker = _Worker(worker_context)
    try:
        worker.initialize()
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code == UNGUARDED:  # a server's workers import it there
            leave()
        logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
        worker_context.results.put(("broken", worker_context.number, "".join(traceback.format_exception(error))))
        return
    task_claims.arrive(worker_context.words, worker_context.number)
    left = worker_context.limit
    while left is None or left > 0:
        message = worker.next()
        if message is None:
            return
        if worker.serve(message) and left is not None:
            left -= 1
        del message


class _Worker:
    def __init__(self, worker_context: WorkerContext) -> None:
        self._worker_context = worker_context
        self._running = False
        self._pid = os.getpid()
        self._since = begun(worker_context.parent)
        self._calls = Calls()
        self._mark = task_claims.mark_of(worker_context.number)
        worker_context.tasks._segment().short_park = SHORT_PARK
        self._claim, self._put = worker_context.words.compare_exchange, worker_context.results.put
        _forget_handlers()
        signal.signal(signal.SIGINT, self._interrupted)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        ends = end_of(worker_context.parent)
        if self._orphaned():
            self._leave_orphaned()
        # A thread, because a signal that comes just before a task waits would be heard after that wait.
        # One of the system's own under gevent, too: a task lets no greenlet run.
        original("_thread", "start_new_thread")(self._watch, (ends,))

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        """Ctrl-C ends the task; without one it is the parent's matter."""
        if self._running:
            self._running = False
            raise KeyboardInterrupt

    def _watch(self, ends: int | None) -> None:
        """End this process with the executor's, whatever a task does.

        It may close descriptors that are not its own, and others come under their numbers. So what one says is looked
        up; without it, the process itself is looked for.
        """
        if ends is not None:
            poll = original("select", "poll")()
            poll.register(ends, select.POLLIN)
            poll.poll()
        while not self._has_lost_parent():
            original("time", "sleep")(SLICE)
        self._leave_orphaned()

    def _has_lost_parent(self) -> bool:
        """Asked of the system, without a descriptor."""
        if self._worker_context.direct:
            return os.getppid() != self._worker_context.parent
        return has_ended(self._worker_context.parent, self._since)

    def _orphaned(self) -> bool:
        """The same for who has just begun: that number might be another's by now."""
        if self._worker_context.direct:
            return os.getppid() != self._worker_context.parent
        # A fork server outlives its user as long as a child of it does; the pipe tells.
        parent = multiprocessing.parent_process()
        return parent is not None and not parent.is_alive()

    def _leave_orphaned(self) -> None:
        """The names go, too, which only the parent's replacements needed."""
        for structure in (self._worker_context.tasks, self._worker_context.results, self._worker_context.words):
            with suppress(Exception):
                structure.unlink()
        os._exit(1)

    def initialize(self) -> None:
        """The user's part of the start, which Ctrl-C ends as it does a task."""
        if self._worker_context.initializer is not None:
            self._running = True
            self._worker_context.initializer(*self._worker_context.initargs)
            self._running = False

    def next(self) -> Any:
        """The next task's message; None at the end."""
        try:
            return self._worker_context.tasks.get()
        except ShutDown:
            return None

    def serve(self, message: Any) -> bool:
        """Run the task and put its result; False where it was not to be run, or not by us."""
        buffers: Any = ()
        if type(message) is bytes:
            head, body = int.from_bytes(message[:8], "little"), memoryview(message)[8:]
        else:
            head, body, buffers = message
        task, timed = head >> 1, head & 1
        slot, base = task_claims.slot_of(task), task_claims.base_of(task)
        mine = base | self._mark
        claim = self._claim
        if not claim(slot, base, mine | task_claims.RUNNING):
            self._put(DROPPED)  # there may be room for others now
            return False
        if timed:
            self._put(~task)  # its time runs from now on
        answer = self._run(task, body, buffers)
        if not claim(slot, mine | task_claims.RUNNING, mine | task_claims.FINISHING):
            os._exit(1)  # doomed: the signal is on its way, and nobody wants the result
        try:
            self._put(answer)
        except Exception as error:  # too large for what shared memory is left
            self._put(_failure(task, error))
        return True

    def _run(self, task: int, body: memoryview, buffers: Any) -> Any:
        """The message with what came of it: None as the task's number alone, else pickled, large data beside it."""
        try:
            fn, args, kwargs = self._calls.unpack(body, buffers)
            self._running = True
            try:
                value = fn(*args, **kwargs)
            finally:
                if os.getpid() != self._pid:
                    os._exit(0)  # a child that the call has forked, which is no worker
            self._running = False
            if value is None:
                return task
            kept: list[pickle.PickleBuffer] = []
            pickled = pickle.dumps(value, protocol=5, buffer_callback=kept.append)
            return (task, pickled, kept) if kept else task.to_bytes(8, "little") + pickled
        except BaseException as error:
            self._running = False
            return _failure(task, error)


def _forget_handlers() -> None:
    """A handler of the process that was forked, an event loop's say, wakes nobody here; SIGTERM ends a worker."""
    signal.set_wakeup_fd(-1)
    if callable(signal.getsignal(signal.SIGTERM)):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_of(pid: int) -> int | None:
    """What is readable when that process has ended; None where the system has no such thing, or no such process."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def _failure(task: int, error: BaseException) -> tuple[int, bytes, list[Any], str]:
    """The message of a task that raised: the exception, and its traceback as text."""
    pickled, text = packed_error(error)
    return task, pickled, [], text
