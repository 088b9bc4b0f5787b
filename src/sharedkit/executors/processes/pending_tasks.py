"""The tasks of an executor that are not over: those that have a slot, and those that wait for one in the parent."""

from __future__ import annotations

import heapq
from contextlib import suppress
from queue import Empty
from typing import Any

from sharedkit.errors import ShutDown
from sharedkit.executors.future import Future
from sharedkit.executors.processes import task_claims
from sharedkit.shm._array import Array
from sharedkit.shm._queue import Queue

__all__ = ["PendingTasks"]

# limit for the bytes of pickled calls in shared memory; an idle worker gets its call even beyond the limit
BYTES_AHEAD = 64 << 20
MOST_DEATHS = 5
"""The number of deaths after which a task fails. A death counts if the worker had taken the task and not begun it, or
if the task was the next to be taken."""


class PendingTasks:
    """Accessed only under the executor manager's lock; but any thread may test whether a task is in `handed_out`."""

    def __init__(self, workers: int, claims: Array, words: memoryview[int], queue: Queue[Any]) -> None:
        self.handed_out: dict[int, Future[Any]] = {}  # by number; in the queue, or with a worker
        self.waiting: dict[Future[Any], None] = {}  # in order
        self.unsendable: list[tuple[Future[Any], Exception]] = []  # to fail after the lock is released: cannot be sent
        self._workers = workers
        self._claim = claims.compare_exchange
        self._words = words
        self._queue = queue
        self._put_message = queue.put
        self._free = list(range(task_claims.SLOTS))
        self._serial = 0
        self._puts = 0  # puts into the queue so far
        self._bytes = 0  # of messages in the queue, and of tasks with a worker
        self._cancelled_slots: list[tuple[int, int, int]] = []
        """A heap of the cancelled tasks that are still in the queue: place in the queue, slot, bytes."""

    def __len__(self) -> int:
        return len(self.handed_out) + len(self.waiting)

    def enter(self, future: Future[Any]) -> None:
        """Add a new task: to the queue, or to the tasks that wait for a slot."""
        if not self.waiting and self._has_room():
            self._hand_out(future)
        else:
            self.waiting[future] = None

    def refill(self) -> None:
        """Put waiting tasks into the queue while it has room."""
        while self.waiting and self._has_room():
            future = next(iter(self.waiting))
            del self.waiting[future]
            self._hand_out(future)

    def settle(self, task: int) -> Future[Any] | None:
        """Remove a task that is over."""
        future = self.handed_out.pop(task, None)
        if future is not None:
            self._bytes -= future._size
            self._free.append(task_claims.slot_of(task))
            future._message = None
        return future

    def withdraw(self, future: Future[Any]) -> bool:
        """Take back a task, if no worker has begun it."""
        if future in self.waiting:
            del self.waiting[future]
            future._message = None
            return True
        task = future._task
        slot, base = task_claims.slot_of(task), task_claims.base_of(task)
        if task not in self.handed_out or not self._claim(slot, base, base | task_claims.DOOMED):
            return False
        del self.handed_out[task]
        future._message = None
        heapq.heappush(self._cancelled_slots, (future._place, slot, future._size))
        return True

    def doom(self, task: int) -> int:
        """Forbid a running task to end by itself; returns the worker to kill, or 0 if the task is almost done."""
        slot = task_claims.slot_of(task)
        word = self._words[slot]
        if word & 3 != task_claims.RUNNING or not self._claim(slot, word, word | task_claims.DOOMED):
            return 0
        return task_claims.worker_of(word)

    def is_running(self, task: int) -> bool:
        """Whether a worker has begun the task."""
        return task in self.handed_out and task_claims.worker_of(self._words[task_claims.slot_of(task)]) != 0

    def recover(self, worker: int, violent: bool) -> tuple[list[Future[Any]], list[Future[Any]]]:
        """Handle a worker's death: returns the calls that it ran, and the tasks that have met too many deaths.

        Tasks that the worker may have taken and had not begun are put again. If a worker ran no call and did not exit
        normally, taking the next task may have killed it: the task may be too large for its memory, for example.
        """
        victims, given_up = [], []
        for task, future in list(self.handed_out.items()):
            if task_claims.worker_of(self._words[task_claims.slot_of(task)]) == worker:
                self.settle(task)
                victims.append(future)
        taken = self._taken()
        for task, future in list(self.handed_out.items()):
            if future._place >= taken or self._words[task_claims.slot_of(task)] != task_claims.base_of(task):
                continue
            if violent and not self._survives(future):
                given_up.append(future)
            else:
                self._put(future)
        if violent and not victims and task_claims.has_arrived(self._words, worker):
            given_up += self._suspect(taken)
        return victims, given_up

    def _suspect(self, place: int) -> list[Future[Any]]:
        """Count a death against the task at that place of the queue, because taking it may kill workers."""
        if any(cancelled[0] == place for cancelled in self._cancelled_slots):
            self._take_away(0)
        for task, future in self.handed_out.items():
            if future._place == place and not self._survives(future):
                self._take_away(task)
                return [future]
        return []

    def _survives(self, future: Future[Any]) -> bool:
        """Count one more death; False if there were too many and no worker has begun the task meanwhile."""
        future._deaths += 1
        task = future._task
        slot, base = task_claims.slot_of(task), task_claims.base_of(task)
        if future._deaths < MOST_DEATHS or not self._claim(slot, base, base | task_claims.DOOMED):
            return True
        self.settle(task)
        return False

    def _take_away(self, task: int) -> None:
        """Take the task out of the queue, because no worker can. If another task is first by now, put that back."""
        with suppress(Empty, ShutDown):
            message = self._queue.get_nowait()
            head = int.from_bytes(message[:8], "little") if type(message) is bytes else message[0]
            other = self.handed_out.get(head >> 1)
            if head >> 1 != task and other is not None:
                self._put(other)

    def clear(self) -> list[Future[Any]]:
        """Remove all tasks, and return their futures."""
        rest = [*self.handed_out.values(), *self.waiting]
        for task in list(self.handed_out):
            self.settle(task)
        self.waiting.clear()
        return rest

    def _has_room(self) -> bool:
        if self._cancelled_slots:
            taken = self._taken()
            while self._cancelled_slots and self._cancelled_slots[0][0] < taken:
                _, slot, size = heapq.heappop(self._cancelled_slots)
                self._free.append(slot)
                self._bytes -= size
        return bool(self._free) and (self._bytes < BYTES_AHEAD or len(self.handed_out) < self._workers)

    def _taken(self) -> int:
        """How many puts have been taken: all puts so far, less the messages still in the queue."""
        return self._puts - self._queue.qsize()

    def _hand_out(self, future: Future[Any]) -> None:
        """Give the task a slot and put it into the queue."""
        slot = self._free.pop()
        self._serial = serial = self._serial + 1
        task = serial << task_claims.SLOT_BITS | slot
        self._words[slot] = serial << task_claims.SERIAL_SHIFT
        future._task = task
        body, buffers = future._message
        head = task << 1 | (future._timeout is not None)
        future._message = (head, body, buffers) if buffers else head.to_bytes(8, "little") + body
        self.handed_out[task] = future
        self._bytes += future._size
        self._put(future)

    def _put(self, future: Future[Any]) -> None:
        try:
            self._put_message(future._message)
        except Exception as error:  # too little shared memory for the message; a worker may have it from an earlier put
            task = future._task
            slot, base = task_claims.slot_of(task), task_claims.base_of(task)
            if self._claim(slot, base, base | task_claims.DOOMED):
                self.settle(task)
                self.unsendable.append((future, error))
        else:
            future._place = self._puts
            self._puts += 1
