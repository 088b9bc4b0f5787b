"""A lock for the threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import time
from types import TracebackType
from typing import Any, Literal

from sharedkit.errors import NotLockedError
from sharedkit.statistics import LockStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Structure
from sharedkit.thread.registry import DEFAULT_SEATS, State

__all__ = ["Lock", "LockState", "OnOwnerDied", "checked_answer", "differs_from"]

OnOwnerDied = Literal["warn", "raise"]


def checked_answer(on_owner_died: OnOwnerDied) -> OnOwnerDied:
    """What to do about a dead owner, if it is one of the two; ValueError. Here nobody dies alone."""
    if on_owner_died not in ("warn", "raise"):
        raise ValueError(f"on_owner_died must be 'warn' or 'raise': {on_owner_died!r}")
    return on_owner_died


def differs_from(kind: str, on_owner_died: OnOwnerDied) -> Callable[[Any], str | None]:
    """What tells how a state that is there differs from a lock of this kind."""

    def differs(found: Any) -> str | None:
        if found.kind != kind:
            return f"it is a {found.kind}, not a {kind}"
        if found.on_owner_died != on_owner_died:
            return f"on_owner_died is {found.on_owner_died!r}, not {on_owner_died!r}"
        return None

    return differs


class LockState(State):
    """`core` is the lock; `since` is written by who has just taken it, `waiters` holds who sleeps in it."""

    __slots__ = ("core", "on_owner_died", "since", "waiters")

    kind = "Lock"

    def __init__(self, name: str, on_owner_died: OnOwnerDied = "warn") -> None:
        super().__init__(name)
        self.core = threading.Lock()
        self.on_owner_died = on_owner_died
        self.since = 0.0
        self.waiters: set[int] = set()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        core = self.core
        if not blocking or timeout != -1 or not core.acquire(False):
            me = threading.get_ident()
            if blocking:
                self.waiters.add(me)
            try:
                if not core.acquire(blocking, timeout):
                    return False
            finally:
                self.waiters.discard(me)
        self.since = time()
        return True

    def release(self) -> None:
        try:
            self.core.release()
        except RuntimeError as error:
            raise NotLockedError(str(error)) from None

    def locked(self) -> bool:
        return self.core.locked()

    def picture(self) -> LockStatistics:
        locked = self.core.locked()
        return LockStatistics(
            name=self.name,
            kind=self.kind,
            owner=os.getpid() if locked else None,
            since=self.since if locked else None,
            waiting=len(self.waiters),
            owner_died=False,
            count=int(locked),
            attached=(os.getpid(),),
        )


class Lock(Structure[LockState], kind="Lock"):
    """Lock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.Lock` with the spellings of the other placements beside its own: `block=` is `blocking=`, and a
    `timeout` of None waits for ever as -1 does. `with` takes the lock; it does not close the handle. No process but
    this one can hold it, so `owner_died` is never true here.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal lock.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: OnOwnerDied = "warn",
        seats: int = DEFAULT_SEATS,
    ) -> None:
        answer = checked_answer(on_owner_died)
        super().__init__(
            registry.open_state(
                lambda name: LockState(name, answer),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                differs=differs_from("Lock", answer),
            )
        )

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, and say whether that came about before `timeout` seconds were over.

        Raises ValueError for a negative `timeout` other than -1, and for one together with `blocking=False`;
        OverflowError for one past threading.TIMEOUT_MAX.
        """
        return self._state.acquire(blocking if block is None else block, -1 if timeout is None else timeout)

    def release(self) -> None:
        """Let the lock go, whichever thread took it; NotLockedError, a RuntimeError, where nobody holds it."""
        self._state.release()

    def locked(self) -> bool:
        """Whether somebody holds the lock now."""
        return self._state.locked()

    @property
    def owner(self) -> int | None:
        """This process's id while some thread holds the lock, else None."""
        return os.getpid() if self._state.locked() else None

    @property
    def owner_died(self) -> bool:
        """False: the threads of a process do not die without it."""
        self._state.ensure_open()
        return False

    def mark_consistent(self) -> None:
        """Does nothing, as no owner has died."""
        self._state.ensure_open()

    def __enter__(self) -> bool:
        return self._state.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.release()

    def statistics(self) -> LockStatistics:
        """Whether it is held, since when, and how many threads wait for it, as one frozen picture."""
        return self._state.picture()

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        held = "locked" if self.locked() else "unlocked"
        return f"<{held} sharedkit.Lock object owner={self.owner} name={self._name!r} at {id(self):#x}>"
