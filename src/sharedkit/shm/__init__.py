"""Placement `shm`: the state lives in shared memory, for the threads and processes of one machine."""

from typing import TYPE_CHECKING, Any

from sharedkit._core.coroutines import coroutine_function
from sharedkit._core.unsupported import absent
from sharedkit.segments import attach
from sharedkit.shm._array import Array
from sharedkit.shm._barrier import Barrier
from sharedkit.shm._condition import Condition
from sharedkit.shm._dict import Dict
from sharedkit.shm._event import Event
from sharedkit.shm._lock import Lock, RLock
from sharedkit.shm._queue import Queue
from sharedkit.shm._rwlock import RWLock, Side
from sharedkit.shm._semaphore import BoundedSemaphore, Semaphore
from sharedkit.shm._stream import Stream
from sharedkit.shm.counter import Counter, Counters
from sharedkit.shm.set import Set
from sharedkit.shm.value import RawValue, Value

if TYPE_CHECKING:
    from sharedkit.shm.executor import Executor

__all__ = [
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Counter",
    "Counters",
    "Dict",
    "Event",
    "Executor",
    "JoinableQueue",
    "Lock",
    "Queue",
    "RLock",
    "RWLock",
    "RawValue",
    "Semaphore",
    "Set",
    "SimpleQueue",
    "Stream",
    "Value",
    "attach",
]


JoinableQueue = SimpleQueue = Queue  # its interface includes those of both

for _function in (
    *(Queue.aput_many, Queue.aget_many, Queue.ajoin, RLock.aacquire, RWLock.aacquire_read, RWLock.aacquire_write),
    *(Side.aacquire, Condition.aacquire, Condition.await_, Condition.await_for, Event.await_, Barrier.await_),
):
    coroutine_function(_function)


def __getattr__(name: str) -> Any:
    """Import the executor at its first use: its modules take longer to import than everything else here."""
    if name != "Executor":
        raise absent(__name__, name)
    try:
        from sharedkit.shm.executor import Executor
    except RuntimeError as why:  # a module that it imports registers an exit function, but the exit has begun
        raise RuntimeError("cannot make an executor after interpreter shutdown") from why
    return Executor
