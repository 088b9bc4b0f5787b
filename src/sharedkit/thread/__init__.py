"""Placement `thread`: the state is in this process, for its threads; the baseline of every comparison."""

from sharedkit.thread.array import Array
from sharedkit.thread.barrier import Barrier
from sharedkit.thread.condition import Condition
from sharedkit.thread.counter import Counter, Counters
from sharedkit.thread.dict import Dict
from sharedkit.thread.event import Event
from sharedkit.thread.executor import Executor
from sharedkit.thread.lock import Lock, RLock
from sharedkit.thread.queue import JoinableQueue, LifoQueue, PriorityQueue, Queue, SimpleQueue
from sharedkit.thread.registry import attach
from sharedkit.thread.rwlock import RWLock
from sharedkit.thread.semaphore import BoundedSemaphore, Semaphore
from sharedkit.thread.set import Set
from sharedkit.thread.stream import Stream
from sharedkit.thread.value import RawValue, Value

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
    "PriorityQueue",
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
