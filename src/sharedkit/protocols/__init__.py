"""What each structure promises in every placement: one abstract description each.

A class of a placement satisfies its protocol; annotate with these where any placement will do. Their
docstrings say what holds everywhere, the classes' own say what a placement adds.
"""

from sharedkit.protocols.data import Array, Counter, Counters, CounterView, Dict, Queue
from sharedkit.protocols.executors import Executor
from sharedkit.protocols.handle import Handle, Structure
from sharedkit.protocols.locks import BoundedSemaphore, Lock, Lockable, RLock, RWLock, Semaphore
from sharedkit.protocols.meetings import Barrier, Condition, Event

__all__ = [
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Counter",
    "CounterView",
    "Counters",
    "Dict",
    "Event",
    "Executor",
    "Handle",
    "Lock",
    "Lockable",
    "Queue",
    "RLock",
    "RWLock",
    "Semaphore",
    "Structure",
]
