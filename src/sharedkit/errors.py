"""Every exception and warning of sharedkit; each is a subclass of the nearest one of the standard library."""

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
    "LeaseLostError",
    "LeasesExhausted",
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
    """Raised when a server refuses the authkey, user or password; pass the server's to `get_context`."""


class ClosedError(SharedkitError, ValueError):
    """Raised when a handle is used after `close()`; make or attach a new one."""


class OutOfSharedMemory(SharedkitError, MemoryError):
    """Raised when shared memory is full or cannot be mapped; free some, or enlarge /dev/shm. Structures stay valid."""


class CorruptSegmentError(SharedkitError, ValueError):
    """Raised when a file is not a segment or a segment is inconsistent; see `sharedkit rm --force NAME`."""


class LayoutError(CorruptSegmentError):
    """Raised when a segment was made by a release with another layout; end those programs, or use another name."""


class UntrustedSegmentError(SharedkitError, PermissionError):
    """Raised when others, such as another user, could write to a segment; make it with `mode=`, or use another name."""


class GoneError(SharedkitError, FileNotFoundError):
    """Raised when a handle is unpickled after the segment's last user left; keep one open, or use `persist=True`."""


class LeaseLostError(SharedkitError, ConnectionError):
    """Raised when this process was silent for longer than its lease, so others may have what it held; attach anew."""


class LeasesExhausted(SharedkitError, OSError):
    """Raised when more items of a queue are leased at once than it keeps track of; end some leases first."""


class NotLockedError(SharedkitError, RuntimeError, ValueError):
    """Raised when a lock that is not held is released; pair each `release()` with one `acquire()`."""


class SeatsExhausted(SharedkitError, OSError):
    """Raised when more processes use a segment than it has seats; create it with a larger `seats=`."""


class SegmentInUse(SharedkitError, OSError):
    """Raised when a segment to be removed is attached by processes; end them, or remove it by force."""


class ServerMismatchError(SharedkitError, ConnectionError):
    """Raised when a server refuses this process (release, permissions, TLS); change what the text names."""


class OwnerDiedError(SharedkitError, RuntimeError):
    """Raised when a lock's last owner died holding it, if `on_owner_died="raise"`; repair, then `mark_consistent()`."""


class OwnerDiedWarning(RuntimeWarning):
    """Raised when a lock is acquired whose owner died while it held the lock; check the data that the lock protects."""


if sys.version_info >= (3, 13):
    from queue import ShutDown as ShutDown
else:

    class ShutDown(Exception):
        """Raised when `put` or `get` is called on a queue that was shut down; make a new queue."""


def __getattr__(name: str) -> Any:
    """Import the errors of executors at their first use: the module of their base class takes longer to import than the
    rest of sharedkit."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sharedkit._core import executor_errors

    return getattr(executor_errors, name)
