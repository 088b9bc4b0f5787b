"""Who waits for a structure of this placement: threads that sleep and tasks of event loops in one line, oldest first.

`Waiters` is a condition as threading's, in which a waiter may be a `Turn`, the wait of a task. It differs in two more
ways: a waiter that leaves with an exception (Ctrl-C, or cancelled) hands on the notification that it has swallowed, and
one whose loop has ended swallows none.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Hashable
from itertools import chain
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from sharedkit._heed import heed

if TYPE_CHECKING:
    from sharedkit.aio import Wake

__all__ = ["NOT_YET", "Everybody", "Turn", "Waiters", "deadline_in", "pending", "wait"]

NOT_YET: Final = object()
"""What `Turn.look` answers where there is nothing to answer yet."""


class _Waiter(Protocol):
    def wake(self) -> bool:
        """Have it look again; False where it will not, or nobody knows when."""

    @property
    def alive(self) -> bool:
        """Whether it comes when it is woken."""

    def gone(self) -> bool:
        """Asked of one that was told and does not come: whether it need not be told again, now or ever."""


class Bed:
    """Where a thread sleeps."""

    __slots__ = ("_lock",)

    alive = True

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def sleep(self, timeout: float | None) -> None:
        if timeout is None:
            self._lock.acquire()
        elif timeout > 0:
            self._lock.acquire(True, timeout)

    def wake(self) -> bool:
        self._lock.release()
        return True

    def gone(self) -> bool:
        return False


class Waiters:
    """Those who wait for one thing, everything under `lock`: `line` has who sleeps, `told` who was woken and has not
    looked yet, `unheeded` the tasks among those when it was looked after last."""

    __slots__ = ("line", "lock", "told", "unheeded")

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.line: OrderedDict[_Waiter, None] = OrderedDict()
        self.told: set[_Waiter] = set()
        self.unheeded: Collection[_Waiter] = ()

    def __len__(self) -> int:
        return len(self.line) + len(self.told)

    def anybody(self) -> bool:
        """Whether somebody waits who will come when told, which who was left behind by a loop that ended will not."""
        if self.line or self.told:
            return any(each.alive for each in chain(self.line, self.told))
        return False

    # What `wait` does with the lock; a condition's lock may be held more than once.

    def let_go(self) -> Any:
        self.lock.release()

    def take_back(self, saved: Any) -> None:
        self.lock.acquire()

    def wait(self, timeout: float | None = None) -> bool:
        """Let the lock go, sleep until told or until `timeout` seconds are over (None: for ever), and take it again.

        Whether this thread was told.
        """
        bed = Bed()
        self.line[bed] = None
        well = False
        try:
            saved = self.let_go()
            try:
                bed.sleep(timeout)
            finally:
                self.take_back(saved)
            well = True
        finally:
            told = self.leave(bed)
            if told and not well:
                self.hand_on()
        return told

    def hand_on(self) -> None:
        """One that was told leaves without having looked."""
        self.notify()

    def leave(self, waiter: _Waiter) -> bool:
        """Take it out of the line; whether it was told."""
        self.line.pop(waiter, None)
        if waiter not in self.told:
            return False
        self.told.discard(waiter)
        return True

    def notify(self, n: int = 1) -> None:
        """Tell up to `n` of them to look, who waits longest first, and in the stead of those who were told and whose
        loop has ended since as many others."""
        self._notify(n, ())

    def _notify(self, n: int, late: Collection[_Waiter]) -> None:
        """The same, also in the stead of those who are `late`. Those who do not come are the first again."""
        absent: list[_Waiter] = []
        if self.told:
            absent = [each for each in self.told if not each.alive or each in late]
            self.told.difference_update(absent)
            n += len(absent)
        by_loop = False
        while n > 0 and self.line:
            waiter, _ = self.line.popitem(last=False)
            self.told.add(waiter)
            if waiter.wake():
                n -= 1
                by_loop = by_loop or type(waiter) is not Bed
            else:
                self.told.discard(waiter)
                absent.append(waiter)
        for waiter in reversed(absent):
            if not waiter.gone():
                self.line[waiter] = None
                self.line.move_to_end(waiter, last=False)
        if by_loop and self.line:
            heed(self)

    def look_after(self) -> bool:
        """What was told to tasks some time ago goes to others who wait, if there are any. Whether to look again."""
        if not self.lock.acquire(False):
            return True
        try:
            late, self.unheeded = self.unheeded, self.may_be_late()
            if self.line:
                self._notify(0, late)
            return bool(self.line and self.told)
        finally:
            self.lock.release()

    def may_be_late(self) -> Collection[_Waiter]:
        """Those who, if they are still told at the next look, keep others waiting, be it that their loop is busy."""
        return {each for each in self.told if type(each) is not Bed}

    def notify_all(self) -> None:
        """Tell all of them to look."""
        line, self.line = self.line, OrderedDict()
        self.told.update(line)
        for waiter in line:
            if not waiter.wake() and waiter.gone():
                self.told.discard(waiter)


class Everybody(Waiters):
    """Those who are always told all together, so that none has anything to hand on."""

    __slots__ = ()

    def hand_on(self) -> None:
        pass


class Turn:
    """The wait of one task, as `aio.Turn` describes it, and a waiter. A subclass says in `look` what it waits for."""

    __slots__ = ("_call", "deadline", "key", "waiters")

    stirs: Hashable = None  # whoever may go on is told under the lock

    def __init__(self, waiters: Waiters, deadline: float | None, key: Hashable = None) -> None:
        self.waiters = waiters
        self.deadline = deadline
        self.key = key
        self._call: Wake | None = None

    def look(self, told: bool) -> Any:
        """What the method answers or raises, or NOT_YET; the waiters' lock is held. Whether this one was `told`."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether its time is."""
        return self.deadline is not None and monotonic() >= self.deadline

    def step(self, wake: Wake | None) -> Any:
        waiters = self.waiters
        with waiters.lock:
            told = self in waiters.told
            if told:
                waiters.told.discard(self)
            if wake is not None and self not in waiters.line:
                # Before it looks: not everything that is looked at changes under this lock.
                self._call = wake
                waiters.line[self] = None
                if told:
                    waiters.line.move_to_end(self, last=False)
            answer = self.look(told)
            if answer is not NOT_YET:
                waiters.line.pop(self, None)
                return answer
        return pending()

    def quit(self) -> None:
        if not self.gone():
            with self.waiters.lock:
                if self.waiters.leave(self):
                    self.waiters.hand_on()

    def wake(self) -> bool:
        return self._call is not None and self._call()

    @property
    def alive(self) -> bool:
        return self._call is not None and self._call.alive

    def gone(self) -> bool:
        """As for every waiter. Its coroutine may be collected while somebody holds the lock that `quit` would take."""
        if self._call is not None and self._call.closed:
            self._call = None
        return self._call is None


def deadline_in(timeout: float | None) -> float | None:
    """When `timeout` seconds will be over, as a Turn counts."""
    if timeout is None:
        return None
    return monotonic() + timeout if timeout > 0 else 0.0


# asyncio comes with the first wait that needs it, not with the package.


def wait(turn: Turn) -> Coroutine[Any, Any, Any]:
    """What the turn answers in the end."""
    from sharedkit import aio

    return aio.wait(turn)


def pending() -> object:
    """What a step answers that cannot go on."""
    from sharedkit import aio

    return aio.PENDING
