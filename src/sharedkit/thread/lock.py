"""A lock for the threads of this process."""

from __future__ import annotations

from sharedkit.errors import NotLockedError
from sharedkit.thread.mutex import Mutex, MutexState

__all__ = ["Lock", "LockState"]


class LockState(MutexState):
    """Any thread may release it."""

    __slots__ = ()

    kind = "Lock"

    def release(self) -> None:
        try:
            self.core.release()
        except RuntimeError as error:
            raise NotLockedError(str(error)) from None
        if self.tasks.line:
            self.let_tasks_look()


class Lock(Mutex[LockState], kind="Lock"):
    """Lock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.Lock` with the spellings of the other placements beside its own: `block=` is `blocking=`, and a
    `timeout` of None waits for ever as -1 does. `with` takes the lock; it does not close the handle. No process but
    this one can hold it, so `owner_died` is never true here.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal lock.
    """

    __slots__ = ()

    _make = LockState

    def release(self) -> None:
        """Let the lock go, whichever thread took it; NotLockedError, a RuntimeError, where nobody holds it."""
        self._state.release()
