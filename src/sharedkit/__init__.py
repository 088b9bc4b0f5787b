"""Shared state for Python programs that run in many threads, processes or machines."""

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from sharedkit._core import main_interpreter as _main_interpreter  # noqa: F401, first: it refuses sub-interpreters
from sharedkit._core.key_forms import register_key
from sharedkit._core.unsupported import absent as _absent
from sharedkit.context import get_context
from sharedkit.errors import (
    AuthkeyError,
    ClosedError,
    CorruptSegmentError,
    GoneError,
    LayoutError,
    LeaseLostError,
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
    JoinableQueue,
    Lock,
    Queue,
    RawValue,
    RLock,
    RWLock,
    Semaphore,
    Set,
    SimpleQueue,
    Stream,
    Value,
)
from sharedkit.waiting import await_, wait

if _TYPE_CHECKING:
    from sharedkit import hashing as hashing
    from sharedkit import manager as manager
    from sharedkit import protocols as protocols
    from sharedkit import statistics as statistics
    from sharedkit import thread as thread
    from sharedkit.errors import ExecutorBroken, ExecutorGoneError, WorkerDied
    from sharedkit.shm import Executor

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
    "LeaseLostError",
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
    "Stream",
    "UntrustedSegmentError",
    "Value",
    "WorkerDied",
    "attach",
    "await_",
    "get_context",
    "register_key",
    "wait",
]

__version__ = "0.1.0"

_MODULES = ("hashing", "manager", "protocols", "statistics", "thread")  # public ones that nothing above imports


def __getattr__(name: str) -> _Any:
    """Import at their first use the names that belong to executors, which need modules that take long to import, and
    the public modules that most programs do not use."""
    if name in _MODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    from sharedkit import errors, shm

    if name not in ("Executor", "ExecutorBroken", "ExecutorGoneError", "WorkerDied"):
        raise _absent(__name__, name)
    globals()[name] = found = getattr(shm if name == "Executor" else errors, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
