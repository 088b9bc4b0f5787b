"""A lock for many readers or one writer, threads of this process."""

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

    A lock that many threads hold to read or one to write: `with rw.reader:`, `with rw.writer:`. Who wants to write goes
    before who wants to read, until a reader has waited for a millisecond: that one goes before the next writer. It
    cannot be upgraded, and who reads must not begin to read again, which would wait for a writer that waits for the
    first reading to end. `with` on the handle itself closes it.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an RWLock.
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
