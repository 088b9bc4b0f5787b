"""A condition for the threads of this process.

The design is threading's, a lock for each waiter to sleep on. It differs in three ways: tasks of an event loop may wait
as well, who was notified just when its time was over returns True, and who leaves with an exception (Ctrl-C, or
cancelled) hands its notification on.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sharedkit._counts import how_many_to_notify
from sharedkit._times import check_span, check_wait, span
from sharedkit.statistics import ConditionStatistics, LockStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Structure
from sharedkit.thread.lock import Lock, LockState
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.rlock import RLock, RLockState
from sharedkit.thread.waiters import Turn, Waiters, deadline_in, pending, wait

if TYPE_CHECKING:
    from sharedkit.aio import Wake

__all__ = ["Condition"]

T = TypeVar("T")


class _Core(Protocol):
    """What a condition needs of a lock."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...

    def release(self) -> None: ...


class _Foreign:
    """A lock that is not of the kit, threading's for example."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.acquire = lock.acquire
        self.release = lock.release
        for method in ("_is_owned", "_release_save", "_acquire_restore"):
            if hasattr(lock, method):
                setattr(self, method, getattr(lock, method))

    def picture(self) -> LockStatistics:
        mine = hasattr(self, "_is_owned") and self._is_owned()
        locked = mine or not self.acquire(False)
        if not locked:
            self.release()
        here = (os.getpid(),)
        return LockStatistics(
            "", type(self.lock).__name__, here[0] if locked else None, None, 0, False, int(locked), here
        )


class _Notices(Waiters):
    """Those who wait to be notified. Their lock is the user's."""

    __slots__ = ()

    def let_go(self) -> Any:
        lock = self.lock
        return lock._release_save() if hasattr(lock, "_release_save") else lock.release()

    def take_back(self, saved: Any) -> None:
        lock = self.lock
        if hasattr(lock, "_acquire_restore"):
            lock._acquire_restore(saved)
        else:
            lock.acquire()

    def let_go_as(self, owner: int) -> Any:
        lock = self.lock
        return lock._release_save_as(owner) if isinstance(lock, RLockState) else lock.release()

    def may_be_late(self) -> Collection[Any]:
        """None: who was told may have looked, and wait for the lock."""
        return ()

    async def atake_back(self, saved: Any) -> None:
        lock = self.lock
        if isinstance(lock, RLockState):
            await lock._aacquire_restore(saved)
        else:
            await lock.aacquire()


class _ConditionState(State):
    """`notices` change under the lock, which is somebody else's where it was `given`."""

    __slots__ = ("given", "lock", "notices")

    kind = "Condition"

    def __init__(self, name: str, lock: Any) -> None:
        super().__init__(name)
        self.given = lock is not None
        self.lock: Any = RLockState(name) if lock is None else lock
        self.notices = _Notices(self.lock)

    def is_owned(self) -> bool:
        """Whether this thread or task has the lock; where the lock does not know that, whether anybody has."""
        lock = self.lock
        if hasattr(lock, "_is_owned"):
            return bool(lock._is_owned())
        if lock.acquire(False):
            lock.release()
            return False
        return True

    def check_owned(self, what: str) -> None:
        if not self.is_owned():
            raise RuntimeError(f"cannot {what} on un-acquired lock")

    def wait(self, timeout: float | None) -> bool:
        self.check_owned("wait")
        return self.notices.wait(span(timeout))

    def asker(self) -> int:
        """Who holds the lock, the running thread or task; 0 where it does not, and where the lock does not say."""
        lock = self.lock
        return lock.owner if isinstance(lock, RLockState) and lock._is_owned() else 0

    async def await_as(self, asker: int, timeout: float | None) -> bool:
        """As `Waiters.wait`, with a turn for a bed. It may run in another task than the `asker`, who holds the lock."""
        from sharedkit import aio

        if isinstance(self.lock, RLockState):
            if not asker or self.lock.owner != asker:
                raise RuntimeError("cannot wait on un-acquired lock")
        else:
            self.check_owned("wait")
        self.check_awaitable()
        timeout = span(timeout)
        check_span(timeout)
        notices = self.notices
        notice = _Notice(notices, deadline_in(timeout))
        notices.line[notice] = None
        task = aio.hold()
        well = False
        try:
            saved = notices.let_go_as(asker)
            try:
                await wait(notice)
            finally:
                await aio.insist(lambda: notices.atake_back(saved))
            well = True
        finally:
            told = notices.leave(notice)
            if told and not well:
                notices.hand_on()
            aio.let_go(task)
        return told or notice.missed

    def check_awaitable(self) -> None:
        if isinstance(self.lock, _Foreign):
            name = type(self.lock.lock).__name__
            raise TypeError(f"no task can wait for a {name} that is not of this placement; make the condition over one")


class _Notice(Turn):
    """A task's wait to be notified. It is in line from the start, with the lock, and looks without it.

    What comes while its loop does not run goes to others, and the wait is over as if it had been notified: who waits
    for a condition looks again in any case.
    """

    __slots__ = ("missed",)

    def __init__(self, notices: _Notices, deadline: float | None) -> None:
        super().__init__(notices, deadline)
        self.missed = False

    def step(self, wake: Wake | None) -> Any:
        self._call = wake  # before it looks; who tells it does so before it calls
        return None if self.missed or self in self.waiters.told or self.over else pending()

    def quit(self) -> None:
        """`await_` leaves, when it has the lock."""

    def wake(self) -> bool:
        call = self._call
        return call is None or call()  # where there is none yet, a look comes

    @property
    def alive(self) -> bool:
        call = self._call
        return call is None or call.alive

    def gone(self) -> bool:
        """It was told and did not come, so it is told no more."""
        self.missed = True
        return True


def _core_of(lock: Any) -> Any:
    """What is shared by all handles on `lock`."""
    if lock is None:
        return None
    if isinstance(lock, Lock | RLock):
        lock._state.ensure_open()
        return lock._state
    return _Foreign(lock)


class Condition(Structure[_ConditionState], kind="Condition"):
    """Condition(lock=None, *, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Condition` over `lock`, a Lock or RLock of this placement or of threading, or over an RLock of its own.
    `with` takes the lock; it does not close the handle.

    Raises FileExistsError when the name is taken, ValueError when what is there is not a condition over the same lock.
    """

    __slots__ = ()

    def __init__(
        self,
        lock: Any = None,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        core = _core_of(lock)

        def differs(found: Any) -> str | None:
            theirs = found.lock if found.given else None
            if theirs is not core and getattr(theirs, "lock", theirs) is not lock:
                return "a lock of its own, not the one given" if theirs is None else "another lock"
            return None

        super().__init__(
            registry.open_state(
                lambda name: _ConditionState(name, core),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind="Condition",
                differs=differs,
            )
        )

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, with the arguments of the lock's own `acquire`."""
        acquire: Callable[..., bool] = self._state.lock.acquire
        willing = blocking if block is None else block
        if type(timeout) is not int and type(timeout) is not float:
            timeout = check_wait(bool(willing), timeout)
        if willing is True and timeout == -1:
            return acquire()  # whatever a foreign lock calls its arguments
        return acquire(willing, timeout)

    def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> Coroutine[Any, Any, bool]:
        """`acquire`, which lets the event loop go on while it waits. TypeError where the lock is one of threading."""
        state = self._state
        state.check_awaitable()
        aacquire: Callable[..., Coroutine[Any, Any, bool]] = state.lock.aacquire
        return aacquire(blocking if block is None else block, -1 if timeout is None else timeout)

    def release(self) -> None:
        """Let the lock go; a RuntimeError where it is not held."""
        self._state.lock.release()

    def locked(self) -> bool:
        """Whether somebody holds the lock now; AttributeError where that is a foreign one that cannot say."""
        held: bool = self._state.lock.locked()
        return held

    def __enter__(self) -> bool:
        got: bool = self._state.lock.acquire()
        return got

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.lock.release()

    async def __aenter__(self) -> bool:
        return await self.aacquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.lock.release()

    def _is_owned(self) -> bool:
        return self._state.is_owned()

    def _release_save(self) -> Any:
        return self._state.notices.let_go()

    def _acquire_restore(self, saved: Any) -> None:
        self._state.notices.take_back(saved)

    def wait(self, timeout: float | None = None) -> bool:
        """Let the lock go, sleep until notified or `timeout` seconds are over (None: for ever), and take it again.

        Whether a notification came. Raises RuntimeError without the lock.
        """
        return self._state.wait(timeout)

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until `predicate()` is true or `timeout` seconds are over, and answer what it answered last."""
        remaining = span(timeout)
        deadline = None if remaining is None else monotonic() + remaining
        result = predicate()
        while not result:
            self._state.wait(remaining)
            result = predicate()
            if deadline is not None and (remaining := deadline - monotonic()) <= 0:
                break
        return result

    def await_(self, timeout: float | None = None) -> Coroutine[Any, Any, bool]:
        """`wait`, which lets the event loop go on meanwhile; a coroutine.

        The task that calls this holds the lock, also where another awaits it, as `asyncio.wait_for` has it. Cancelled,
        it takes the lock again before it ends, and hands on a notification that has come. TypeError where the lock is
        one of threading, which no task can wait for.
        """
        state = self._state
        return state.await_as(state.asker(), timeout)

    def await_for(self, predicate: Callable[[], T], timeout: float | None = None) -> Coroutine[Any, Any, T]:
        """`wait_for`, which lets the event loop go on meanwhile; a coroutine."""
        from sharedkit import aio

        state = self._state
        return aio.wait_for(partial(state.await_as, state.asker()), predicate, timeout)

    def notify(self, n: int = 1) -> None:
        """Wake up to `n` of those that wait, the longest first. RuntimeError without the lock."""
        state = self._state
        state.check_owned("notify")
        state.notices.notify(how_many_to_notify(n))

    def notify_all(self) -> None:
        """Wake everybody who waits. RuntimeError without the lock."""
        state = self._state
        state.check_owned("notify")
        state.notices.notify_all()

    def notifyAll(self) -> None:
        """Deprecated spelling of `notify_all`."""
        warnings.warn("notifyAll() is deprecated, use notify_all() instead", DeprecationWarning, stacklevel=2)
        self.notify_all()

    def statistics(self) -> ConditionStatistics:
        """The lock's picture, and how many threads and tasks wait or are on their way back, as one frozen picture."""
        state = self._state
        return ConditionStatistics(
            name=state.name,
            kind=state.kind,
            lock=state.lock.picture(),
            waiting=len(state.notices.line),
            notified=len(state.notices.told),
            attached=(os.getpid(),),
        )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        state = self._state
        return f"<Condition({_shown(state.lock)}, {len(state.notices.line)}) name={state.name!r}>"


def _shown(lock: Any) -> str:
    if isinstance(lock, LockState):
        return repr(Lock._of(lock))
    return repr(RLock._of(lock) if isinstance(lock, RLockState) else lock.lock)
