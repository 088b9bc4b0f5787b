"""What a lock and a re-entrant lock of this placement have in common."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Coroutine
from time import monotonic, time
from types import TracebackType
from typing import Any, ClassVar, Literal, TypeVar

from sharedkit._differences import unlike
from sharedkit._times import check_wait
from sharedkit.statistics import LockStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Structure
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.waiters import NOT_YET, Turn, Waiters, deadline_in, wait

__all__ = ["Mutex", "MutexState", "OnOwnerDied"]

OnOwnerDied = Literal["warn", "raise"]

PATIENCE = 0.001  # seconds for which a task competes with threads on equal terms
GIVEN = 0.005  # seconds that threads leave a free lock to a task which has lost for so long


def checked_answer(on_owner_died: OnOwnerDied) -> OnOwnerDied:
    """What to do about a dead owner, if it is one of the two; ValueError. Here nobody dies alone."""
    if on_owner_died not in ("warn", "raise"):
        raise ValueError(f"on_owner_died must be 'warn' or 'raise': {on_owner_died!r}")
    return on_owner_died


class MutexState(State):
    """`core` is the lock; `since` is written by who has just taken it. `waiters` holds which threads sleep in it,
    `tasks` which tasks wait for it. `starved` is one that has looked in vain for more than `PATIENCE`: threads that
    come then go behind it, as one that takes the lock again as soon as it has let it go is always faster than a loop.
    """

    __slots__ = ("core", "on_owner_died", "since", "starved", "tasks", "waiters")

    def __init__(self, name: str, on_owner_died: OnOwnerDied = "warn") -> None:
        super().__init__(name)
        self.core = threading.Lock()
        self.on_owner_died = on_owner_died
        self.since = 0.0
        self.waiters: set[int] = set()
        self.tasks = Waiters(threading.Lock())
        self.starved: Take | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        core = self.core
        if not blocking or timeout != -1 or self.starved is not None or not core.acquire(False):
            me = threading.get_ident()
            if blocking:
                self.waiters.add(me)
            try:
                if blocking and self.starved is not None:
                    timeout = self.give_way(timeout)
                if not core.acquire(blocking, timeout):
                    return False
            finally:
                self.waiters.discard(me)
        self.since = time()
        return True

    def give_way(self, timeout: float) -> float:
        """Let the task that is starved go first, where its loop comes in time; how much of the time-out is left."""
        starved = self.starved
        hunger = None if starved is None else starved.hunger
        if starved is None or hunger is None or not (timeout == -1 or timeout > 0):
            return timeout
        began, given = monotonic(), GIVEN
        left = timeout
        while not hunger.acquire(True, given if timeout == -1 else min(given, left)):
            if not self.core.locked() or not starved.alive:
                if self.starved is starved:
                    self.starved = None  # until it has looked again nobody need wait for that loop
                break
            if timeout != -1 and (left := timeout - (monotonic() - began)) <= 0:
                break
            given = min(2 * given, 0.05)
        else:
            hunger.release()
        return timeout if timeout == -1 else max(0.0, timeout - (monotonic() - began))

    def aacquire(self, blocking: bool = True, timeout: float = -1) -> Coroutine[Any, Any, bool]:
        return self.await_turn(lambda deadline: Take(self, deadline), blocking, timeout)

    async def await_turn(self, turn: Callable[[float | None], Turn], blocking: bool, timeout: float) -> bool:
        timeout = check_wait(blocking, timeout)
        got: bool = await wait(turn(deadline_in(None if timeout == -1 else timeout) if blocking else 0.0))
        return got

    def let_tasks_look(self) -> None:
        """After the lock was let go, where tasks wait."""
        with self.tasks.lock:
            self.tasks.notify()

    def release(self) -> None:
        raise NotImplementedError

    def locked(self) -> bool:
        return self.core.locked()

    def times(self, locked: bool) -> int:
        """How often it is held by its thread."""
        return int(locked)

    def picture(self) -> LockStatistics:
        locked = self.core.locked()
        return LockStatistics(
            name=self.name,
            kind=self.kind,
            owner=os.getpid() if locked else None,
            since=self.since if locked else None,
            waiting=len(self.waiters) + len(self.tasks),
            owner_died=False,
            count=self.times(locked),
            attached=(os.getpid(),),
        )


class Take(Turn):
    """A task's wait for a lock. `hunger` is locked from when it is starved until it has the lock, or leaves."""

    __slots__ = ("began", "hunger", "mutex")

    def __init__(self, mutex: MutexState, deadline: float | None) -> None:
        super().__init__(mutex.tasks, deadline, mutex)
        self.mutex = mutex
        self.began = 0.0
        self.hunger: threading.Lock | None = None

    def look(self, told: bool) -> Any:
        if self.mutex.core.acquire(False):
            self.mutex.since = time()
            return True
        if self.over:
            return False
        if not self.began:
            self.began = monotonic()
        elif told and self.mutex.starved is None and monotonic() - self.began > PATIENCE:
            if self.hunger is None:
                self.hunger = threading.Lock()
                self.hunger.acquire()
            self.mutex.starved = self
        return NOT_YET

    def quit(self) -> None:
        hunger, self.hunger = self.hunger, None
        if hunger is not None:
            if self.mutex.starved is self:
                self.mutex.starved = None
            hunger.release()
        super().quit()


S = TypeVar("S", bound=MutexState)


class Mutex(Structure[S]):
    """The handle of either; `_make` makes its state."""

    __slots__ = ()

    _make: ClassVar[type[MutexState]]

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        on_owner_died: OnOwnerDied = "warn",
        seats: int = DEFAULT_SEATS,
    ) -> None:
        answer = checked_answer(on_owner_died)
        make: Any = self._make
        super().__init__(
            registry.open_state(
                lambda name: make(name, answer),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind=make.kind,
                differs=lambda found: unlike("on_owner_died", found.on_owner_died, answer),
            )
        )

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, an RLock once more, and say whether that came about before `timeout` seconds were over.

        Raises ValueError for a negative `timeout` other than -1, and for one together with `blocking=False`;
        OverflowError for one past threading.TIMEOUT_MAX.
        """
        if type(timeout) is not int and type(timeout) is not float:  # those the lock below judges itself
            timeout = check_wait(blocking if block is None else bool(block), timeout)
        return self._state.acquire(blocking if block is None else block, timeout)

    def aacquire(
        self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None
    ) -> Coroutine[Any, Any, bool]:
        """`acquire`, which lets the event loop go on while it waits. Tasks of a loop get the lock in the order in which
        they came; an RLock belongs to the task that calls this.
        """
        return self._state.aacquire(blocking if block is None else block, -1 if timeout is None else timeout)

    def locked(self) -> bool:
        """Whether some thread or task holds the lock now."""
        return self._state.locked()

    @property
    def owner(self) -> int | None:
        """This process's id while some thread holds the lock, else None."""
        return os.getpid() if self._state.locked() else None

    @property
    def owner_died(self) -> bool:
        """False: the threads of a process do not die without it."""
        self._state.ensure_open()
        return False

    def mark_consistent(self) -> None:
        """Does nothing, as no owner has died."""
        self._state.ensure_open()

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

    def statistics(self) -> LockStatistics:
        """How often it is held, since when, and how many threads and event loops wait for it, as one frozen picture."""
        return self._state.picture()

    def _count(self) -> str:
        """What `repr` says of how often it is held."""
        return ""

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        held = "locked" if self.locked() else "unlocked"
        what = f"sharedkit.{type(self).__name__} object owner={self.owner}{self._count()}"
        return f"<{held} {what} name={self._name!r} at {id(self):#x}>"
