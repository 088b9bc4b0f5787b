"""What each structure promises in every placement: one abstract description each.

A method that waits has a twin to be awaited, whose name begins with `a` (`wait` has `await_`): the same arguments,
answers and exceptions, and the event loop goes on meanwhile. Threads and tasks, also of several loops, may use one
handle at once. The tasks of a loop go in the order in which they came. A task that is cancelled has taken nothing.

A class of a placement satisfies its protocol; annotate with these where any placement will do. Their
docstrings say what holds everywhere, the classes' own say what a placement adds.
"""

from sharedkit.protocols.data import (
    Array,
    Counter,
    Counters,
    CounterView,
    Dict,
    LifoQueue,
    PriorityQueue,
    Queue,
    RawValue,
    Set,
    Value,
)
from sharedkit.protocols.executors import Executor
from sharedkit.protocols.handle import Handle, Structure
from sharedkit.protocols.locks import BoundedSemaphore, Lock, Lockable, RLock, RWLock, Semaphore
from sharedkit.protocols.rendezvous import Barrier, Condition, Event

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
    "LifoQueue",
    "Lock",
    "Lockable",
    "PriorityQueue",
    "Queue",
    "RLock",
    "RWLock",
    "RawValue",
    "Semaphore",
    "Set",
    "Structure",
    "Value",
]
