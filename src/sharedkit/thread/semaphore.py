"""Permits for the threads of this process: unbounded as a signal, bounded as a resource."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from operator import index
from time import monotonic
from types import TracebackType
from typing import Any

from sharedkit._counts import how_many
from sharedkit._differences import unlike
from sharedkit._times import check_span, span
from sharedkit.statistics import SemaphoreStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Structure
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.waiters import NOT_YET, Turn, Waiters, deadline_in, wait

__all__ = ["BoundedSemaphore", "Semaphore"]

MOST = (1 << 31) - 1  # as in shared memory and in multiprocessing


class SemaphoreState(State):
    """`free` permits under the lock of those who wait for `one`."""

    __slots__ = ("first", "free", "mutex", "one")

    kind = "Semaphore"

    def __init__(self, name: str, value: int) -> None:
        super().__init__(name)
        self.mutex = threading.Lock()
        self.one = Waiters(self.mutex)
        self.first = value
        self.free = value

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        timeout = span(timeout)
        with self.mutex:
            if not self.free and not (blocking and self._await_one(timeout)):
                return False
            self.free -= 1
            return True

    async def aacquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        got: bool = await wait(Permit(self, span(timeout) if blocking else 0.0))
        return got

    def _await_one(self, timeout: float | None) -> bool:
        """Return when there is a permit, or False when there is none in time. The mutex is held."""
        deadline = None if timeout is None else monotonic() + timeout
        while not self.free:
            remaining = None if deadline is None else deadline - monotonic()
            if remaining is not None and remaining <= 0:
                return False
            self.one.wait(remaining)
        return True

    def release(self, n: int = 1) -> None:
        if n < 1:
            raise ValueError("n must be one or more")
        with self.mutex:
            self.check_release(n)
            self.free += n
            if self.one.line:
                self.one.notify(n)

    def check_release(self, n: int) -> None:
        if self.free + n > MOST:
            raise OverflowError(f"a semaphore counts to {MOST}: {self.free} + {n}")

    def shown(self) -> str:
        return f"value={self.free}"

    @property
    def bound(self) -> int | None:
        return None

    def holders(self) -> Mapping[int, int]:
        return {}


class BoundedSemaphoreState(SemaphoreState):
    """`free` is never above `first`."""

    __slots__ = ()

    kind = "BoundedSemaphore"

    def check_release(self, n: int) -> None:
        if self.free + n > self.first:
            raise ValueError("Semaphore released too many times")

    def shown(self) -> str:
        return f"value={self.free}/{self.first}"

    @property
    def bound(self) -> int | None:
        return self.first

    def holders(self) -> Mapping[int, int]:
        held = self.first - self.free
        return {os.getpid(): held} if held else {}


class Permit(Turn):
    """A task's wait for one."""

    __slots__ = ("semaphore", "timeout")

    def __init__(self, semaphore: SemaphoreState, timeout: float | None) -> None:
        super().__init__(semaphore.one, deadline_in(timeout), semaphore)
        self.semaphore = semaphore
        self.timeout = timeout

    def look(self, told: bool) -> Any:
        if self.semaphore.free:
            self.semaphore.free -= 1
            return True
        check_span(self.timeout)
        return False if self.over else NOT_YET


class Semaphore(Structure[SemaphoreState], kind="Semaphore"):
    """Semaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Semaphore`: `acquire` takes one of `value` permits and waits where there is none, `release` adds some,
    also more than were taken. `block=` is `blocking=`. `with` takes a permit; it does not close the handle.

    Raises ValueError for a negative `value`, FileExistsError when the name is taken, ValueError when what is there is
    not a semaphore that began with the same value.
    """

    __slots__ = ()

    _make: type[SemaphoreState] = SemaphoreState

    def __init__(
        self,
        value: int = 1,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        first = index(value)
        if first < 0:
            raise ValueError(f"semaphore initial value must be >= 0: {first}")
        if first > MOST:
            raise OverflowError(f"a semaphore counts to {MOST}: {first}")
        make = self._make

        def differs(found: Any) -> str | None:
            return unlike("value", found.first, first)

        super().__init__(
            registry.open_state(
                lambda name: make(name, first),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind=make.kind,
                differs=differs,
            )
        )

    def acquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """Take one permit, waiting up to `timeout` seconds, for ever where it is None; whether that came about.

        Raises ValueError for a timeout together with `blocking=False`.
        """
        return self._state.acquire(blocking if block is None else block, timeout)

    async def aacquire(self, blocking: bool = True, timeout: float | None = None, *, block: bool | None = None) -> bool:
        """`acquire`, which lets the event loop go on while it waits.

        Tasks of a loop take in the order in which they came; one that is cancelled has taken none.
        """
        return await self._state.aacquire(blocking if block is None else block, timeout)

    def release(self, n: int = 1) -> None:
        """Add `n` permits and wake as many threads. ValueError for less than one, or more than were taken of a bounded
        one; OverflowError past 2**31 - 1.
        """
        self._state.release(how_many(n))

    def get_value(self) -> int:
        """How many permits are free now."""
        return self._state.free

    def locked(self) -> bool:
        """Whether no permit is free now, as `multiprocessing.Semaphore` calls it from Python 3.14 on."""
        return self.get_value() == 0

    def __enter__(self) -> bool:
        return self._state.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.release()

    async def __aenter__(self) -> bool:
        return await self._state.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.release()

    def statistics(self) -> SemaphoreStatistics:
        """How many permits are free, and how many threads and event loops wait for one, as one frozen picture."""
        state = self._state
        with state.mutex:
            return SemaphoreStatistics(
                name=state.name,
                kind=state.kind,
                value=state.free,
                bound=state.bound,
                waiting=len(state.one),
                holders=state.holders(),
                attached=(os.getpid(),),
            )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        state = self._state
        return f"<sharedkit.{state.kind} at {id(self):#x} name={state.name!r}: {state.shown()}>"


class BoundedSemaphore(Semaphore, kind="BoundedSemaphore"):
    """BoundedSemaphore(value=1, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.BoundedSemaphore`: a Semaphore whose free permits never exceed the `value` that it began with.

    Raises as Semaphore does.
    """

    __slots__ = ()

    _make = BoundedSemaphoreState
