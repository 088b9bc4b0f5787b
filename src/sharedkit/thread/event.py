"""An event: a flag that threads of this process wait for."""

from __future__ import annotations

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _event
from sharedkit.thread import registry

__all__ = ["Event"]


@registry.opens(_event.KIND_EVENT)
@with_own_methods
class Event(_event.Event):
    """Event(*, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Event`: a flag, initially not set. `with` closes the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    event with the same `seats` and `persist`.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._open(registry.create(_event.BLUEPRINT, name, exist_ok, persist, seats))
