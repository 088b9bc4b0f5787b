"""Synchronization for the threads of this process."""

from __future__ import annotations

import threading
from types import TracebackType

from sharedkit.errors import NotLockedError

__all__ = ["Lock"]


class Lock:
    """Lock()

    `threading.Lock` with the spellings of the other placements beside its own: `block=` is `blocking=`, and a
    `timeout` of None waits for ever as -1 does.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, and say whether that came about before `timeout` seconds were over.

        Raises ValueError for a negative `timeout` other than -1, and for one together with `blocking=False`.
        """
        return self._lock.acquire(blocking if block is None else block, -1 if timeout is None else timeout)

    def release(self) -> None:
        """Let the lock go, whichever thread took it; NotLockedError, a RuntimeError, where nobody holds it."""
        try:
            self._lock.release()
        except RuntimeError as error:
            raise NotLockedError(str(error)) from None

    def locked(self) -> bool:
        """Whether somebody holds the lock now."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} {type(self).__module__}.{type(self).__name__}>"
