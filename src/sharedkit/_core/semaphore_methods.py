"""The common part of the semaphores behind a server: the checks of arguments, and what their statistics say."""

from __future__ import annotations

from abc import abstractmethod

from sharedkit._core.counts import number_of
from sharedkit._core.handle_methods import StructureMethods
from sharedkit._core.timeouts import span
from sharedkit.statistics import SemaphoreStatistics

__all__ = ["MOST", "SemaphoreMethods", "checked_value", "checked_wait"]

MOST = (1 << 31) - 1  # as in shared memory and in multiprocessing


class SemaphoreMethods(StructureMethods):
    """The rest of a semaphore, built on `aacquire` and `statistics`."""

    @abstractmethod
    async def aacquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit as `acquire` does, without blocking the event loop."""

    @abstractmethod
    def statistics(self) -> SemaphoreStatistics:
        """Return the free permits, how many each process holds, and how many threads wait: a SemaphoreStatistics."""

    async def __aenter__(self) -> bool:
        return await self.aacquire()

    def get_value(self) -> int:
        """Return how many permits are free now."""
        return self.statistics().value

    def locked(self) -> bool:
        """Whether no permit is free now. `multiprocessing.Semaphore` has this method from Python 3.14 on."""
        return self.get_value() == 0

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        snapshot = self.statistics()
        shown = f"value={snapshot.value}" + (f"/{snapshot.bound}" if snapshot.bound is not None else "")
        return f"<sharedkit.{self.kind} at {id(self):#x} name={self._name!r}: {shown}>"


def checked_value(value: object) -> int:
    """The number of permits that a semaphore begins with. Raises TypeError, ValueError, OverflowError."""
    first = number_of("value", value)
    if first < 0:
        raise ValueError(f"semaphore initial value must be >= 0: {first}")
    if first > MOST:
        raise OverflowError(f"a semaphore counts to {MOST}: {first}")
    return first


def checked_wait(blocking: bool, timeout: float | None) -> tuple[bool, float | None]:
    """Both arguments of an `acquire`, in plain types. Raises TypeError, ValueError."""
    if timeout is not None and not blocking:
        raise ValueError("can't specify timeout for non-blocking acquire")
    return bool(blocking), span(timeout)
