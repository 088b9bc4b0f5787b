"""Shared state for Python programs that run in many threads, processes or machines."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from sharedkit import _main_interpreter as _main_interpreter  # first: it refuses sub-interpreters
from sharedkit._absent import refusing as _refusing
from sharedkit._key_forms import register_key
from sharedkit.context import get_context
from sharedkit.errors import (
    AuthkeyError,
    ClosedError,
    CorruptSegmentError,
    ExecutorBroken,
    ExecutorGoneError,
    GoneError,
    LayoutError,
    NotLockedError,
    OutOfSharedMemory,
    OwnerDiedError,
    OwnerDiedWarning,
    SeatsExhausted,
    SegmentInUse,
    ServerGoneError,
    ServerMismatchError,
    SharedkitError,
    ShutDown,
    UntrustedSegmentError,
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
    JoinableQueue,
    Lock,
    Queue,
    RawValue,
    RLock,
    RWLock,
    Semaphore,
    Set,
    SimpleQueue,
    Value,
)

__all__ = [
    "Array",
    "AuthkeyError",
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
    "ExecutorGoneError",
    "GoneError",
    "JoinableQueue",
    "LayoutError",
    "Lock",
    "NotLockedError",
    "OutOfSharedMemory",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "Queue",
    "RLock",
    "RWLock",
    "RawValue",
    "SeatsExhausted",
    "SegmentInUse",
    "Semaphore",
    "ServerGoneError",
    "ServerMismatchError",
    "Set",
    "SharedkitError",
    "ShutDown",
    "SimpleQueue",
    "UntrustedSegmentError",
    "Value",
    "WorkerDied",
    "attach",
    "get_context",
    "register_key",
]

__version__ = "0.1.0"

if not _TYPE_CHECKING:
    __getattr__ = _refusing(__name__)
