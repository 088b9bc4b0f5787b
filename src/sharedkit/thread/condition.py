"""A condition for the threads of this process."""

from __future__ import annotations

from typing import Any

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _condition
from sharedkit.thread import registry
from sharedkit.thread.lock import RLock

__all__ = ["Condition"]


@registry.opens(_condition.KIND_CONDITION)
@with_own_methods
class Condition(_condition.Condition):
    """Condition(lock=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Condition` over `lock`, a Lock or RLock of this placement or of threading, or over an RLock of its own.
    `with` takes the lock; it does not close the handle. It differs from threading's in three ways: tasks of an event
    loop may wait as well; a waiter that is notified just when its time is over returns True; and if a waiter leaves
    with an exception (Ctrl-C, or cancelled), another waiter gets its notification. At most 65,536 threads and tasks
    wait at once.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    condition over the same lock with the same `seats` and `persist`.
    """

    __slots__ = ()

    _own_lock_class = RLock

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._open(registry.create(_condition.blueprint(lock), name, exist_ok, persist, seats), lock)
