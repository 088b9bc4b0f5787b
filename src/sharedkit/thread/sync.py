"""Synchronization for the threads of this process."""

from __future__ import annotations

import threading
from types import TracebackType

__all__ = ["Lock"]


class Lock:
    """Lock()

    `threading.Lock` with the spellings of the other placements beside its own: `block=` is `blocking=`, and a
    `timeout` of None waits for ever as -1 does.
    """

    __slots__ = ("__weakref__", "_lock", "locked", "release")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The lock's own methods, so that these two cost what they cost in `threading`.
        self.release = self._lock.release
        self.locked = self._lock.locked

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, and say whether that came about before `timeout` seconds were over.

        Raises ValueError for a negative `timeout` other than -1, and for one together with `blocking=False`.
        """
        return self._lock.acquire(blocking if block is None else block, -1 if timeout is None else timeout)

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} {type(self).__module__}.{type(self).__name__}>"
