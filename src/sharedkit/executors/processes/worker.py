"""The life of a worker process: it takes a task, claims it, runs it, and puts the outcome."""

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

SLICE = 1.0  # seconds between two checks that the parent is alive, if the system cannot report its end
SHORT_PARK = 300.0  # microseconds; a lone call takes 100 there and back if both ends sleep, 20 if they poll


@dataclass(frozen=True)
class WorkerContext:
    """The data that a worker is started with.

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
    """Attach the structures in a new worker. If they have vanished with the parent, the worker ends silently."""
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
        if isinstance(error, SystemExit) and error.code == UNGUARDED:  # a server's initializer imports the main program
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
        # A thread watches, because a signal that comes just before a task waits would be handled only after that wait.
        # Under gevent the watcher is a system thread, too: a task lets no greenlet run.
        original("_thread", "start_new_thread")(self._watch, (ends,))

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        """Let Ctrl-C end the task; if no task runs, Ctrl-C concerns only the parent."""
        if self._running:
            self._running = False
            raise KeyboardInterrupt

    def _watch(self, ends: int | None) -> None:
        """End this process when the executor's process ends, whatever a task does.

        A task may close descriptors that are not its own, and other files may get their numbers. So when the descriptor
        reports an end, the system is asked about the process itself; without a descriptor, the process is polled.
        """
        if ends is not None:
            poll = original("select", "poll")()
            poll.register(ends, select.POLLIN)
            poll.poll()
        while not self._has_lost_parent():
            original("time", "sleep")(SLICE)
        self._leave_orphaned()

    def _has_lost_parent(self) -> bool:
        """Ask the system whether the parent has ended, without a descriptor."""
        if self._worker_context.direct:
            return os.getppid() != self._worker_context.parent
        return has_ended(self._worker_context.parent, self._since)

    def _orphaned(self) -> bool:
        """Whether the parent of a worker that has just begun has ended; another process may have its pid by now."""
        if self._worker_context.direct:
            return os.getppid() != self._worker_context.parent
        # A fork server outlives the executor's process while it has children; the pipe tells if that process lives.
        parent = multiprocessing.parent_process()
        return parent is not None and not parent.is_alive()

    def _leave_orphaned(self) -> None:
        """Remove the names of the structures, which only a replacement of this worker would need; end the process."""
        for structure in (self._worker_context.tasks, self._worker_context.results, self._worker_context.words):
            with suppress(Exception):
                structure.unlink()
        os._exit(1)

    def initialize(self) -> None:
        """Run the user's initializer, which Ctrl-C ends as it ends a task."""
        if self._worker_context.initializer is not None:
            self._running = True
            self._worker_context.initializer(*self._worker_context.initargs)
            self._running = False

    def next(self) -> Any:
        """The message of the next task; None at the end."""
        try:
            return self._worker_context.tasks.get()
        except ShutDown:
            return None

    def serve(self, message: Any) -> bool:
        """Run the task and put its result. False if it was not run: it is cancelled, or another worker claimed it."""
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
            self._put(DROPPED)  # a slot may be free for others now
            return False
        if timed:
            self._put(~task)  # the parent starts the task's time limit now
        answer = self._run(task, body, buffers)
        if not claim(slot, mine | task_claims.RUNNING, mine | task_claims.FINISHING):
            os._exit(1)  # doomed: the parent will kill this worker, and does not wait for the result
        try:
            self._put(answer)
        except Exception as error:  # too large for the shared memory that is left
            self._put(_failure(task, error))
        return True

    def _run(self, task: int, body: memoryview, buffers: Any) -> Any:
        """The message with the outcome. For None it is only the task's number; otherwise the pickled result, with large
        data beside it."""
        try:
            fn, args, kwargs = self._calls.unpack(body, buffers)
            self._running = True
            try:
                value = fn(*args, **kwargs)
            finally:
                if os.getpid() != self._pid:
                    os._exit(0)  # a child that the call has forked must not go on as a worker
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
    """Drop inherited handlers, such as an event loop's: they would wake nothing here. SIGTERM ends a worker."""
    signal.set_wakeup_fd(-1)
    if callable(signal.getsignal(signal.SIGTERM)):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def end_of(pid: int) -> int | None:
    """A descriptor that is readable when that process has ended; None if there are no pidfds or the process is gone."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def _failure(task: int, error: BaseException) -> tuple[int, bytes, list[Any], str]:
    """The message of a task that raised: the exception, and its traceback as text."""
    pickled, text = packed_error(error)
    return task, pickled, [], text
