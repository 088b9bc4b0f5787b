"""A lock for many readers or one writer, for the threads of this process."""

from __future__ import annotations

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _rwlock
from sharedkit.thread import registry

__all__ = ["RWLock"]


@registry.opens(_rwlock.KIND_RWLOCK)
@with_own_methods
class RWLock(_rwlock.RWLock):
    """RWLock(*, name=None, exist_ok=False, persist=False, seats=192)

    A lock that many readers or one writer can hold: `with rw.reader:`, `with rw.writer:`. Waiting writers go before
    waiting readers; but a reader that has waited for 1 ms goes before the next writer. A read lock cannot be upgraded,
    and a reader must not acquire it a second time: if a writer waits for the first read to end, the second read waits
    for that writer. `with` on the handle itself closes it.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    RWLock with the same `seats` and `persist`.
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
        self._open(registry.create(_rwlock.BLUEPRINT, name, exist_ok, persist, seats))
