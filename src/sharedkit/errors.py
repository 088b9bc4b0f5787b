"""Every exception and warning of the kit, each a subclass of the standard library's nearest."""

from __future__ import annotations

import queue

__all__ = [
    "ClosedError",
    "CorruptSegmentError",
    "GoneError",
    "OutOfSharedMemory",
    "OwnerDiedWarning",
    "SeatsExhausted",
    "SegmentInUse",
    "ShutDown",
    "SharedkitError",
]


class SharedkitError(Exception):
    """Base class of the kit's own exceptions, for `except` clauses that want them all."""


class ClosedError(SharedkitError, ValueError):
    """Raised when a handle is used after `close()`; make or attach a new one."""


class OutOfSharedMemory(SharedkitError, MemoryError):
    """Raised when shared memory cannot be reserved; free some, or enlarge /dev/shm. The structure stays usable."""


class CorruptSegmentError(SharedkitError, ValueError):
    """Raised when a segment is not ours or its contents contradict themselves; remove it with `sharedkit rm`."""


class GoneError(SharedkitError, FileNotFoundError):
    """Raised when a handle is unpickled after its segment's last user left; keep a handle, or use `persist=True`."""


class SeatsExhausted(SharedkitError, OSError):
    """Raised when more processes attach than a segment has seats; create it with a larger `seats=`."""


class SegmentInUse(SharedkitError, OSError):
    """Raised when a segment is to be removed that processes have attached; end them, or remove it by force."""


class OwnerDiedWarning(RuntimeWarning):
    """Raised when a lock is acquired whose owner died holding it; check what the lock protects."""


if hasattr(queue, "ShutDown"):
    ShutDown = queue.ShutDown
else:

    class ShutDown(Exception):  # noqa: N818 - the standard library's name, from Python 3.13
        """Raised when `put` or `get` meets a queue that was shut down; make a new queue."""
