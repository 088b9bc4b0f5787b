"""Placement `shm`: the state lives in shared memory, for the threads and processes of one machine."""

from typing import TYPE_CHECKING, Any

from sharedkit._absent import why_absent
from sharedkit.segments import attach
from sharedkit.shm.array import Array
from sharedkit.shm.barrier import Barrier
from sharedkit.shm.condition import Condition
from sharedkit.shm.counter import Counter, Counters
from sharedkit.shm.dict import Dict
from sharedkit.shm.event import Event
from sharedkit.shm.queue import JoinableQueue, Queue, SimpleQueue
from sharedkit.shm.rwlock import RWLock
from sharedkit.shm.semaphore import BoundedSemaphore, Semaphore
from sharedkit.shm.set import Set
from sharedkit.shm.sync import Lock, RLock
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
    "Value",
    "attach",
]


def __getattr__(name: str) -> Any:
    """The executor stands on modules that take longer to import than all else here."""
    if name != "Executor":
        raise AttributeError(why_absent(__name__, name), name=name)
    try:
        from sharedkit.shm.executor import Executor
    except RuntimeError as why:  # what it stands on registers itself for the interpreter's end, which has begun
        raise RuntimeError("cannot make an executor after interpreter shutdown") from why
    return Executor
