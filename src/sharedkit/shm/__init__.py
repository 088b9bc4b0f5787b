"""Placement `shm`: the state lives in shared memory, for the threads and processes of one machine."""

from typing import TYPE_CHECKING

from sharedkit._absent import refusing
from sharedkit.segments import attach
from sharedkit.shm.array import Array
from sharedkit.shm.barrier import Barrier
from sharedkit.shm.condition import Condition
from sharedkit.shm.counter import Counter, Counters
from sharedkit.shm.dict import Dict
from sharedkit.shm.event import Event
from sharedkit.shm.executor import Executor
from sharedkit.shm.queue import JoinableQueue, Queue, SimpleQueue
from sharedkit.shm.rwlock import RWLock
from sharedkit.shm.semaphore import BoundedSemaphore, Semaphore
from sharedkit.shm.set import Set
from sharedkit.shm.sync import Lock, RLock
from sharedkit.shm.value import RawValue, Value

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

if not TYPE_CHECKING:
    __getattr__ = refusing(__name__)
