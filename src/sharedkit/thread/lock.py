"""Locks for the threads of this process."""

from __future__ import annotations

from typing import Literal

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _lock
from sharedkit.thread import registry

__all__ = ["Lock", "RLock"]

OnOwnerDied = Literal["warn", "raise"]


@registry.opens(_lock.KIND_LOCK)
@with_own_methods
class Lock(_lock.Lock):
    """Lock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.Lock`; also accepts the spellings of the other placements: `block=` for `blocking=`, and a `timeout` of
    None for -1. `with` takes the lock; it does not close the handle. Only this process can hold the lock, so
    `owner_died` is never true here. A waiter that has waited for 1 ms gets the next chance to take the lock.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    Lock with the same parameters.
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
        plan = _lock.blueprint(_lock.KIND_LOCK, on_owner_died)
        self._open(registry.create(plan, name, exist_ok, persist, seats))


@registry.opens(_lock.KIND_RLOCK)
@with_own_methods
class RLock(_lock.RLock):
    """RLock(*, name=None, exist_ok=False, persist=False, on_owner_died="warn", seats=192)

    `threading.RLock`: the thread that holds it (or the task, if `aacquire` took it) may take it again, and only that
    thread or task may release it. Otherwise it is like a Lock.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    RLock with the same parameters.
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
        plan = _lock.blueprint(_lock.KIND_RLOCK, on_owner_died)
        self._open(registry.create(plan, name, exist_ok, persist, seats))
