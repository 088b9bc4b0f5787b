"""Semaphores for the threads of this process: an unbounded one for signalling, a bounded one for resources."""

from __future__ import annotations

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _semaphore
from sharedkit.thread import registry

__all__ = ["BoundedSemaphore", "Semaphore"]


@registry.opens(_semaphore.KIND_SEMAPHORE)
@with_own_methods
class Semaphore(_semaphore.Semaphore):
    """Semaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Semaphore`: `acquire` takes one of `value` permits and waits if none is free; `release` adds permits,
    even more than were taken. `acquire` also accepts `block=` for `blocking=`. `with` takes a permit; it does not close
    the handle.

    Raises ValueError for a negative `value`, FileExistsError when `name` is taken and not `exist_ok`, ValueError when
    the existing structure is not a semaphore with the same parameters.
    """

    __slots__ = ()

    def __init__(
        self,
        value: int = 1,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._open(registry.create(_semaphore.blueprint(value), name, exist_ok, persist, seats))


@registry.opens(_semaphore.KIND_BOUNDED)
@with_own_methods
class BoundedSemaphore(_semaphore.BoundedSemaphore):
    """BoundedSemaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.BoundedSemaphore`: a Semaphore whose number of free permits never exceeds its initial `value`.

    Raises as Semaphore does.
    """

    __slots__ = ()

    def __init__(
        self,
        value: int = 1,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._open(registry.create(_semaphore.blueprint_of_bounded(value), name, exist_ok, persist, seats))
