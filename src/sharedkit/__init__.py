"""Shared state for Python programs that run in many threads, processes or machines."""

from sharedkit.context import get_context
from sharedkit.errors import (
    ClosedError,
    CorruptSegmentError,
    ExecutorBroken,
    GoneError,
    NotLockedError,
    OutOfSharedMemory,
    OwnerDiedError,
    OwnerDiedWarning,
    SeatsExhausted,
    SegmentInUse,
    SharedkitError,
    ShutDown,
    WorkerDied,
)
from sharedkit.segments import attach
from sharedkit.shm import (
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

__all__ = [
    "Array",
    "Barrier",
    "BoundedSemaphore",
    "ClosedError",
    "Condition",
    "CorruptSegmentError",
    "Counter",
    "Counters",
    "Dict",
    "Event",
    "Executor",
    "ExecutorBroken",
    "GoneError",
    "Lock",
    "NotLockedError",
    "OutOfSharedMemory",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "Queue",
    "RLock",
    "RWLock",
    "SeatsExhausted",
    "SegmentInUse",
    "Semaphore",
    "SharedkitError",
    "ShutDown",
    "WorkerDied",
    "attach",
    "get_context",
]

__version__ = "0.1.0"
