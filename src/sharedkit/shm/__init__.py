"""Placement `shm`: the state lives in shared memory, for the threads and processes of one machine."""

from typing import TYPE_CHECKING, Any

from sharedkit.segments import attach
from sharedkit.shm.array import Array
from sharedkit.shm.barrier import Barrier
from sharedkit.shm.condition import Condition
from sharedkit.shm.counter import Counter, Counters
from sharedkit.shm.dict import Dict
from sharedkit.shm.event import Event
from sharedkit.shm.queue import Queue
from sharedkit.shm.rwlock import RWLock
from sharedkit.shm.semaphore import BoundedSemaphore, Semaphore
from sharedkit.shm.sync import Lock, RLock

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
    "Lock",
    "Queue",
    "RLock",
    "RWLock",
    "Semaphore",
    "attach",
]


def __getattr__(name: str) -> Any:
    """The executor stands on modules that take longer to import than all else here."""
    if name != "Executor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from sharedkit.shm.executor import Executor
    except RuntimeError as why:  # what it stands on registers itself for the interpreter's end, which has begun
        raise RuntimeError("cannot make an executor after interpreter shutdown") from why
    return Executor
