"""Placement `manager`: the state lives in a server process, for all clients on this machine or over TCP."""

from sharedkit.manager.array import Array
from sharedkit.manager.barrier import Barrier
from sharedkit.manager.condition import Condition
from sharedkit.manager.counter import Counter, Counters
from sharedkit.manager.dict import Dict
from sharedkit.manager.event import Event
from sharedkit.manager.executor import Executor
from sharedkit.manager.lock import Lock, RLock
from sharedkit.manager.placement import ALIASES, KINDS, Placement, at
from sharedkit.manager.queue import LifoQueue, PriorityQueue, Queue
from sharedkit.manager.rwlock import RWLock
from sharedkit.manager.semaphore import BoundedSemaphore, Semaphore
from sharedkit.manager.set import Set
from sharedkit.manager.value import RawValue, Value

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
    "LifoQueue",
    "Lock",
    "Placement",
    "PriorityQueue",
    "Queue",
    "RLock",
    "RWLock",
    "RawValue",
    "Semaphore",
    "Set",
    "SimpleQueue",
    "Value",
    "at",
]

JoinableQueue = SimpleQueue = Queue  # its interface includes those of both
ALIASES.update(JoinableQueue="Queue", SimpleQueue="Queue")
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
            LifoQueue,
            Lock,
            PriorityQueue,
            Queue,
            RLock,
            RWLock,
            RawValue,
            Semaphore,
            Set,
            Value,
        )
    }
)
