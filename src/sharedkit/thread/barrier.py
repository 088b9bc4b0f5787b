"""A barrier: a place where threads of this process wait for each other."""

from __future__ import annotations

from collections.abc import Callable

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _barrier
from sharedkit.thread import registry

__all__ = ["Barrier"]


@registry.opens(_barrier.KIND_BARRIER)
@with_own_methods
class Barrier(_barrier.Barrier):
    """Barrier(parties, action=None, timeout=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Barrier`: `wait` returns when `parties` threads are in it; before that, one of them calls `action`.
    `timeout` is the default of `wait`. `with` closes the handle. A handle from `attach` calls the action of the handle
    that made the barrier.

    Raises ValueError for `parties` below 1, FileExistsError when `name` is taken and not `exist_ok`, ValueError when
    the existing structure differs in more than its action.
    """

    __slots__ = ()

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        plan = _barrier.blueprint(parties, timeout)
        self._open(registry.create(registry.with_partner(plan, action), name, exist_ok, persist, seats))
