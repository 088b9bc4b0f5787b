"""The promises that each structure keeps in every placement, as one protocol for each structure.

Each method that waits has an awaitable twin whose name begins with `a` (the twin of `wait` is `await_`). It has the
same arguments, results and exceptions, and does not block the event loop. Threads and tasks, also of several event
loops, may use one handle at the same time. Tasks of one loop are served in the order of their arrival. A cancelled task
has taken nothing.

Each placement's class satisfies the protocol of the same name; use the protocol in annotations of code for any
placement. These docstrings say what holds in every placement; those of the classes say what one placement adds.
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
from sharedkit.protocols.streams import Block, Stream, StreamReader

__all__ = [
    "Array",
    "Barrier",
    "Block",
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
    "Stream",
    "StreamReader",
    "Structure",
    "Value",
]
