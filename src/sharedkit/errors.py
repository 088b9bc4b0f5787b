"""Every exception and warning of the kit, each a subclass of the standard library's nearest."""

from __future__ import annotations

import sys
from multiprocessing import AuthenticationError
from typing import TYPE_CHECKING, Any

from sharedkit._core.base_errors import ServerGoneError, SharedkitError

if TYPE_CHECKING:
    from sharedkit._core.executor_errors import ExecutorBroken, ExecutorGoneError, WorkerDied

__all__ = [
    "AuthkeyError",
    "ClosedError",
    "CorruptSegmentError",
    "ExecutorBroken",
    "ExecutorGoneError",
    "GoneError",
    "LayoutError",
    "NotLockedError",
    "OutOfSharedMemory",
    "OwnerDiedError",
    "OwnerDiedWarning",
    "SeatsExhausted",
    "SegmentInUse",
    "ServerGoneError",
    "ServerMismatchError",
    "SharedkitError",
    "ShutDown",
    "UntrustedSegmentError",
    "WorkerDied",
]


class AuthkeyError(SharedkitError, AuthenticationError):
    """Raised when a server has another authkey; give `get_context("manager", …, authkey=…)` the server's."""


class ClosedError(SharedkitError, ValueError):
    """Raised when a handle is used after `close()`; make or attach a new one."""


class OutOfSharedMemory(SharedkitError, MemoryError):
    """Raised when shared memory cannot be had or mapped; free some, or enlarge /dev/shm. The structure stays good."""


class CorruptSegmentError(SharedkitError, ValueError):
    """Raised when a segment is no segment or contradicts itself; remove it with `sharedkit rm --force`."""


class LayoutError(CorruptSegmentError):
    """Raised when a segment was made by a release with another layout; let those programs end, or use another name."""


class UntrustedSegmentError(SharedkitError, PermissionError):
    """Raised when others could write a segment, another user say; create it with `mode=`, or use another name."""


class GoneError(SharedkitError, FileNotFoundError):
    """Raised when a handle arrives after its segment's last user left; keep one open, or use `persist=True`."""


class NotLockedError(SharedkitError, RuntimeError, ValueError):
    """Raised when a lock is released that nobody holds; pair each `release()` with one `acquire()`."""


class SeatsExhausted(SharedkitError, OSError):
    """Raised when more processes use a segment than it has seats; create it with a larger `seats=`."""


class SegmentInUse(SharedkitError, OSError):
    """Raised when a segment is to be removed that processes have attached; end them, or remove it by force."""


class ServerMismatchError(SharedkitError, ConnectionError):
    """Raised when a server refuses this process: it is of another release, say. Use the same release on both sides."""


class OwnerDiedError(SharedkitError, RuntimeError):
    """Raised when a lock's owner died holding it and it was made to refuse then; repair, then `mark_consistent()`."""


class OwnerDiedWarning(RuntimeWarning):
    """Raised when a lock is acquired whose owner died holding it; check what the lock protects."""


if sys.version_info >= (3, 13):
    from queue import ShutDown as ShutDown
else:

    class ShutDown(Exception):
        """Raised when `put` or `get` meets a queue that was shut down; make a new queue."""


def __getattr__(name: str) -> Any:
    """Those of executors are subclasses of one whose module takes longer to import than the rest of the kit."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sharedkit._core import executor_errors

    return getattr(executor_errors, name)
