"""Operations of locks: an array's lock, a Lock, and an RLock.

The next process gets the lock. It is warned of a death exactly if the dead process held the lock, and only once.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

from stress.operations import STUCK_AFTER, Operation, Outcome, Stuck, fresh_name, newcomer, path_of

from sharedkit import shm as sk


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Suppress the warnings of deaths; the arena checks `owner_died`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Acquire(Operation):
    """Acquire an array's lock."""

    commits_once = True

    def __init__(self) -> None:
        self.name = fresh_name()
        self.handle: Any = None

    @property
    def watched(self) -> str | None:
        return self.name

    def make(self) -> Any:
        return sk.Array(4, name=self.name)

    def lock(self, handle: Any) -> Any:
        return handle.lock

    def prepare(self) -> None:
        self.handle = self.make()

    def act(self) -> None:
        self.lock(self.handle).acquire()

    def survive(self, k: int) -> Outcome:
        handle = newcomer(type(self.handle), self.name)
        mine, other = self.lock(self.handle), self.lock(handle)
        outcome = Outcome(committed=0)
        first, second = (other, mine) if k % 2 else (mine, other)
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            if not first.acquire(timeout=STUCK_AFTER):
                raise Stuck("acquire")
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        outcome.committed = int(first.owner_died)
        outcome.torn += int(len(told) != outcome.committed)
        outcome.torn += int(second.acquire(blocking=False))  # would be a second owner
        first.release()
        with second:
            outcome.torn += int(second.owner_died)
        handle.close()
        return outcome

    def finish(self) -> int:
        if self.handle is not None:
            self.handle.close()
            self.handle = None
        return int(path_of(self.name).exists())


class Release(Acquire):
    def enter(self) -> None:
        self.lock(self.handle).acquire()

    def act(self) -> None:
        self.lock(self.handle).release()


class AcquireFromTheDead(Acquire):
    """A process has died with the lock; the victim is killed while it takes over. The next process is warned, once."""

    commits_once = False

    def prepare(self) -> None:
        super().prepare()
        pid = os.fork()
        if pid == 0:
            self.lock(self.handle).acquire()
            os._exit(0)
        os.waitpid(pid, 0)

    def act(self) -> None:
        with _quietly():
            self.lock(self.handle).acquire()

    def survive(self, k: int) -> Outcome:
        outcome = super().survive(k)
        outcome.lost += 1 - outcome.committed
        return outcome


class ReleaseOfTheDead(AcquireFromTheDead):
    """Releases the lock of a dead process; its death is still reported."""

    def act(self) -> None:
        self.lock(self.handle).release()


class ReleaseToldOfDeath(AcquireFromTheDead):
    """A process that was warned of a death releases the lock; from then on no process is warned."""

    commits_once = True

    def enter(self) -> None:
        with _quietly():
            self.lock(self.handle).acquire()

    def act(self) -> None:
        self.lock(self.handle).release()

    def survive(self, k: int) -> Outcome:
        return Acquire.survive(self, k)


class AcquireWaiting(Acquire):
    """A living process has the lock: spin, park, take the token, give up. It keeps the lock; no death is reported."""

    commits_once = False

    def prepare(self) -> None:
        super().prepare()
        self.lock(self.handle).acquire()

    def act(self) -> None:
        self.lock(self.handle).acquire(timeout=0.002)

    def survive(self, k: int) -> Outcome:
        handle = newcomer(type(self.handle), self.name)
        mine, other = self.lock(self.handle), self.lock(handle)
        outcome = Outcome(committed=0, torn=int(other.acquire(timeout=0.0)))
        began = time.perf_counter()
        mine.release()
        if not other.acquire(timeout=STUCK_AFTER):
            raise Stuck("acquire")
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        outcome.torn += int(other.owner_died)
        other.release()
        handle.close()
        return outcome


class LoneLock:
    """Uses a lock that is a structure of its own."""

    name: str

    def make(self) -> Any:
        return sk.Lock(name=self.name)

    def lock(self, handle: Any) -> Any:
        return handle


class Reentrant(LoneLock):
    def make(self) -> Any:
        return sk.RLock(name=self.name)


class AcquireLock(LoneLock, Acquire):
    pass


class AcquireLockWaiting(LoneLock, AcquireWaiting):
    pass


class AcquireLockFromTheDead(LoneLock, AcquireFromTheDead):
    pass


class ReleaseLock(LoneLock, Release):
    pass


class ReleaseLockToldOfDeath(LoneLock, ReleaseToldOfDeath):
    pass


class AcquireRLock(Reentrant, Acquire):
    pass


class AcquireRLockAgain(Reentrant, Acquire):
    """Held before and after: a death is reported in any case."""

    commits_once = False

    def enter(self) -> None:
        self.handle.acquire()

    def survive(self, k: int) -> Outcome:
        outcome = super().survive(k)
        outcome.lost += 1 - outcome.committed
        return outcome


class ReleaseRLockOnce(AcquireRLockAgain):
    """Releases a lock that was taken twice: it is still held."""

    def enter(self) -> None:
        self.handle.acquire()
        self.handle.acquire()

    def act(self) -> None:
        self.handle.release()


class AcquireRLockFromTheDead(Reentrant, AcquireFromTheDead):
    pass


class ReleaseRLock(Reentrant, Release):
    pass


LOCKS: dict[str, type[Operation]] = {
    "Array.lock.acquire": Acquire,
    "Array.lock.acquire, waiting": AcquireWaiting,
    "Array.lock.acquire, from the dead": AcquireFromTheDead,
    "Array.lock.release": Release,
    "Array.lock.release, told of a death": ReleaseToldOfDeath,
    "Array.lock.release, of the dead": ReleaseOfTheDead,
    "Lock.acquire": AcquireLock,
    "Lock.acquire, waiting": AcquireLockWaiting,
    "Lock.acquire, from the dead": AcquireLockFromTheDead,
    "Lock.release": ReleaseLock,
    "Lock.release, told of a death": ReleaseLockToldOfDeath,
    "RLock.acquire": AcquireRLock,
    "RLock.acquire again": AcquireRLockAgain,
    "RLock.acquire, from the dead": AcquireRLockFromTheDead,
    "RLock.release": ReleaseRLock,
    "RLock.release once": ReleaseRLockOnce,
}
