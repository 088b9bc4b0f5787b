"""Operations of the lock for many readers or one writer.

What a dead process held is free for the next one. A writer's death is reported until another writer has released the
lock in order; a reader's death is never reported.
"""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

from stress.operations import STUCK_AFTER, Operation, Outcome, Stuck, fresh_name, newcomer, path_of

from sharedkit import shm as sk


def told_by(take: Any) -> int:
    """Take a side, and return the number of warnings of a death. Raises Stuck if the side cannot be taken."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if not take(timeout=STUCK_AFTER):
            raise Stuck(take.__name__)
    return len(told)


class ReadWrite(Operation):
    """After the death the next process reads or writes; `k` decides which, and which handle is first."""

    def __init__(self) -> None:
        self.name = fresh_name()
        self.handle: Any = None

    @property
    def watched(self) -> str | None:
        return self.name

    def prepare(self) -> None:
        self.handle = sk.RWLock(name=self.name)

    def leave_dead(self, take: str) -> None:
        """A process takes a side and dies with it."""
        pid = os.fork()
        if pid == 0:
            getattr(self.handle, take)()
            os._exit(0)
        os.waitpid(pid, 0)

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.RWLock, self.name)
        outcome = Outcome(committed=0)
        first, second = (other, self.handle) if k % 2 else (self.handle, other)
        began = time.perf_counter()
        if k // 2 % 2:
            outcome.committed = told_by(first.acquire_read)
            outcome.recovery_ms = (time.perf_counter() - began) * 1e3
            outcome.torn += int(told_by(second.acquire_read) != outcome.committed)
            outcome.torn += int(second.acquire_write(blocking=False))  # would be a writer beside readers
            first.release_read()
            second.release_read()
            outcome.lost += int(told_by(first.acquire_write) != outcome.committed)
        else:
            outcome.committed = told_by(first.acquire_write)
            outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        outcome.torn += int(first.owner_died != bool(outcome.committed))
        outcome.torn += int(second.acquire_write(blocking=False)) + int(second.acquire_read(blocking=False))
        first.release_write()
        self.nothing_is_left(outcome, first, second)
        other.close()
        return outcome

    @staticmethod
    def nothing_is_left(outcome: Outcome, first: Any, second: Any) -> None:
        """Check that two can read at once, that each can write, and that no death is reported any more."""
        outcome.duplicated += told_by(first.acquire_read) + told_by(second.acquire_read)
        first.release_read()
        second.release_read()
        outcome.duplicated += told_by(second.acquire_write)
        second.release_write()
        there = first.statistics()
        outcome.torn += int(bool(there.readers) or there.writer is not None or there.owner_died)
        outcome.torn += there.waiting_readers + there.waiting_writers

    def finish(self) -> int:
        if self.handle is not None:
            self.handle.close()
            self.handle = None
        return int(path_of(self.name).exists())


class AcquireRead(ReadWrite):
    def act(self) -> None:
        self.handle.acquire_read()

    def survive(self, k: int) -> Outcome:
        outcome = super().survive(k)
        outcome.duplicated += outcome.committed  # a reader's death must not be reported
        return outcome


class ReleaseRead(AcquireRead):
    def enter(self) -> None:
        self.handle.acquire_read()

    def act(self) -> None:
        self.handle.release_read()


class AcquireWrite(ReadWrite):
    commits_once = True

    def act(self) -> None:
        self.handle.acquire_write()


class ReleaseWrite(AcquireWrite):
    def enter(self) -> None:
        self.handle.acquire_write()

    def act(self) -> None:
        self.handle.release_write()


class AcquireWriteFromDeadReader(AcquireWrite):
    def prepare(self) -> None:
        super().prepare()
        self.leave_dead("acquire_read")


class FromDeadWriter(ReadWrite):
    """A process has died writing; the victim is killed while it takes over. The next process is warned all the same."""

    def prepare(self) -> None:
        super().prepare()
        self.leave_dead("acquire_write")

    def survive(self, k: int) -> Outcome:
        outcome = super().survive(k)
        outcome.lost += 1 - outcome.committed
        return outcome


class AcquireReadFromDeadWriter(FromDeadWriter):
    def act(self) -> None:
        self.handle.acquire_read()


class AcquireWriteFromDeadWriter(FromDeadWriter):
    def act(self) -> None:
        self.handle.acquire_write()


class ReleaseWriteToldOfDeath(FromDeadWriter):
    """A process that was warned of a death releases the lock; from then on no process is warned."""

    commits_once = True

    def enter(self) -> None:
        self.handle.acquire_write()

    def act(self) -> None:
        self.handle.release_write()

    def survive(self, k: int) -> Outcome:
        return ReadWrite.survive(self, k)


class AcquireReadWaiting(ReadWrite):
    """A living process writes: spin, park, give up. It keeps the lock; no death is reported."""

    def prepare(self) -> None:
        super().prepare()
        self.handle.acquire_write()

    def act(self) -> None:
        self.handle.acquire_read(timeout=0.002)

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.RWLock, self.name)
        outcome = Outcome(committed=0)
        outcome.torn += int(other.acquire_read(timeout=0.0)) + int(other.acquire_write(timeout=0.0))
        self.handle.release_write()
        began = time.perf_counter()
        self.nothing_is_left(outcome, other, self.handle)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        other.close()
        return outcome


class AcquireWriteWaiting(ReadWrite):
    """A living process reads: announce the writer, take the word, spin, park, give up. Then readers can enter again."""

    def prepare(self) -> None:
        super().prepare()
        self.handle.acquire_read()

    def act(self) -> None:
        self.handle.acquire_write(timeout=0.002)

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.RWLock, self.name)
        began = time.perf_counter()
        told = told_by(other.acquire_read)
        outcome = Outcome(committed=0, recovery_ms=(time.perf_counter() - began) * 1e3)
        outcome.torn += int(other.acquire_write(blocking=False))
        other.release_read()
        self.handle.release_read()
        if told:  # the victim had taken the word; whether it had begun to write cannot be seen from outside
            outcome.lost += 1 - told_by(other.acquire_write)
            other.release_write()
        self.nothing_is_left(outcome, other, self.handle)
        other.close()
        return outcome


READ_WRITE: dict[str, type[Operation]] = {
    "RWLock.acquire_read": AcquireRead,
    "RWLock.acquire_read, waiting": AcquireReadWaiting,
    "RWLock.acquire_read, from the dead": AcquireReadFromDeadWriter,
    "RWLock.release_read": ReleaseRead,
    "RWLock.acquire_write": AcquireWrite,
    "RWLock.acquire_write, waiting": AcquireWriteWaiting,
    "RWLock.acquire_write, from a dead reader": AcquireWriteFromDeadReader,
    "RWLock.acquire_write, from the dead": AcquireWriteFromDeadWriter,
    "RWLock.release_write": ReleaseWrite,
    "RWLock.release_write, told of a death": ReleaseWriteToldOfDeath,
}
