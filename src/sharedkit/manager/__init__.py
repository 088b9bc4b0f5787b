"""Placement `manager`: the state lives in a server process, for all who can reach it, on this machine or over TCP."""

from sharedkit.manager.array import Array
from sharedkit.manager.barrier import Barrier
from sharedkit.manager.condition import Condition
from sharedkit.manager.counter import Counter, Counters
from sharedkit.manager.dict import Dict
from sharedkit.manager.event import Event
from sharedkit.manager.executor import Executor
from sharedkit.manager.lock import Lock, RLock
from sharedkit.manager.placement import KINDS, Placement, at
from sharedkit.manager.queue import Queue
from sharedkit.manager.rwlock import RWLock
from sharedkit.manager.semaphore import BoundedSemaphore, Semaphore

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
    "Placement",
    "Queue",
    "RLock",
    "RWLock",
    "Semaphore",
    "at",
]

KINDS.update(
    {
        cls.kind: cls
        for cls in (
            Array,
            Barrier,
            BoundedSemaphore,
            Condition,
            Counter,
            Counters,
            Dict,
            Event,
            Executor,
            Lock,
            Queue,
            RLock,
            RWLock,
            Semaphore,
        )
    }
)
