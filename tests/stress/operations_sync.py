"""Operations of events, semaphores and barriers: no waiter is left waiting, no permit is lost by a death."""

from __future__ import annotations

import contextlib
import os
import time
from abc import abstractmethod
from threading import BrokenBarrierError
from typing import Any

from stress.operations import STUCK_AFTER, Operation, Outcome, Stuck, fresh_name, newcomer, path_of

from sharedkit import shm as sk

A_MOMENT = 0.15  # seconds, three slices: by then a waiter has noticed a death


class Primitive(Operation):
    def __init__(self) -> None:
        self.name = fresh_name()
        self.handle: Any = None
        self.children: list[int] = []

    @property
    def watched(self) -> str | None:
        return self.name

    @abstractmethod
    def make(self) -> Any:
        """Make the structure."""

    def prepare(self) -> None:
        self.handle = self.make()

    def start(self, wait: Any) -> int:
        """Start a child that waits; it ends with 0 if `wait()` returns True."""
        pid = os.fork()
        if pid == 0:
            status = 2
            try:
                status = 0 if wait() else 1
            finally:
                os._exit(status)
        self.children.append(pid)
        return pid

    def end_of(self, pid: int, limit: float) -> int | None:
        """The exit code of the child; None if it still waits."""
        deadline = time.monotonic() + limit
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.children.remove(pid)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.0005)

    def finish(self) -> int:
        for pid in self.children:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        if self.handle is not None:
            self.handle.close()
            self.handle = None
        return int(path_of(self.name).exists())


# --- events ------------------------------------------------------------------------------------------


class SetEvent(Primitive):
    commits_once = True

    def make(self) -> Any:
        return sk.Event(name=self.name)

    def act(self) -> None:
        self.handle.set()

    def happened(self) -> bool:
        return bool(self.handle.is_set())

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(sk.Event, self.name)
        outcome = Outcome(committed=int(self.happened()))
        for one, two in ((self.handle, other), (other, self.handle)):
            one.clear()
            outcome.torn += int(two.is_set()) + int(two.wait(0))
            one.set()
            if not two.wait(STUCK_AFTER):
                raise Stuck("wait")
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        other.close()
        return outcome


class SetEventAwaited(SetEvent):
    """A process sleeps on the event; it wakes even if the victim dies between the change and the wake-up."""

    def prepare(self) -> None:
        super().prepare()
        pid = self.start(lambda: self.handle.wait(2 * STUCK_AFTER))
        while self.handle.statistics().waiting == 0 and self.children == [pid]:
            time.sleep(0.0005)

    def survive(self, k: int) -> Outcome:
        committed = self.happened()
        if not committed:
            self.handle.set()
        began = time.perf_counter()
        if self.end_of(self.children[0], STUCK_AFTER) != 0:
            raise Stuck("wait of the other process")
        recovery = (time.perf_counter() - began) * 1e3
        outcome = super().survive(k)
        outcome.committed = int(committed)
        outcome.recovery_ms = max(outcome.recovery_ms, recovery)
        return outcome


class ClearEvent(SetEvent):
    def prepare(self) -> None:
        super().prepare()
        self.handle.set()

    def act(self) -> None:
        self.handle.clear()

    def happened(self) -> bool:
        return not self.handle.is_set()


class WaitForEvent(SetEvent):
    """The event is not set: spin, park, give up."""

    commits_once = False

    def act(self) -> None:
        self.handle.wait(0.002)


# --- semaphores --------------------------------------------------------------------------------------


class AcquireSemaphore(Primitive):
    """A permit of a Semaphore has no owner: a death loses that permit at most once, and nothing else."""

    commits_once = True
    value, after = 2, 1

    def make(self) -> Any:
        return sk.Semaphore(self.value, name=self.name)

    def act(self) -> None:
        self.handle.acquire()

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(sk.Semaphore, self.name)
        value = other.get_value()
        outcome = Outcome(committed=int(value == self.after), torn=int(value not in (self.value, self.after)))
        first, second = (other, self.handle) if k % 2 else (self.handle, other)
        for _ in range(value):
            if not first.acquire(timeout=STUCK_AFTER):
                raise Stuck("acquire")
        outcome.duplicated += int(second.acquire(blocking=False))
        second.release(3)
        for _ in range(3):
            if not first.acquire(timeout=STUCK_AFTER):
                raise Stuck("acquire after release")
        outcome.lost += int(first.get_value() != 0)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        other.close()
        return outcome


class ReleaseSemaphore(AcquireSemaphore):
    value, after = 0, 1

    def act(self) -> None:
        self.handle.release()


class AcquireSemaphoreWaiting(AcquireSemaphore):
    commits_once = False
    value = after = 0

    def act(self) -> None:
        self.handle.acquire(timeout=0.002)


class AcquireBounded(Primitive):
    """All permits of a BoundedSemaphore that a dead process held come back, and no more."""

    bound = 2

    def make(self) -> Any:
        return sk.BoundedSemaphore(self.bound, name=self.name)

    def act(self) -> None:
        self.handle.acquire()

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.BoundedSemaphore, self.name)
        outcome = Outcome(committed=0)
        first, second = (other, self.handle) if k % 2 else (self.handle, other)
        began = time.perf_counter()
        for _ in range(self.bound):
            if not first.acquire(timeout=STUCK_AFTER):
                raise Stuck("acquire")
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        outcome.duplicated += int(second.acquire(blocking=False))
        for _ in range(self.bound):
            first.release()
        for handle in (first, second):
            with contextlib.suppress(ValueError):
                handle.release()
                outcome.duplicated += 1
        outcome.lost += int(second.get_value() != self.bound)
        other.close()
        return outcome


class AcquireBoundedAgain(AcquireBounded):
    def enter(self) -> None:
        self.handle.acquire()


class ReleaseBounded(AcquireBounded):
    def enter(self) -> None:
        self.handle.acquire()
        self.handle.acquire()

    def act(self) -> None:
        self.handle.release()


class AcquireBoundedFromTheDead(AcquireBounded):
    """A process has died with all permits; the victim is killed while it takes one of these."""

    def prepare(self) -> None:
        super().prepare()
        taken = self.start(lambda: all(self.handle.acquire(timeout=STUCK_AFTER) for _ in range(self.bound)))
        if self.end_of(taken, STUCK_AFTER) != 0:
            raise Stuck("acquire")


# --- barriers ----------------------------------------------------------------------------------------


class WaitAtBarrier(Primitive):
    """The first of two parties waits and gives up. A death inside breaks the barrier, and a reset repairs it."""

    def make(self) -> Any:
        return sk.Barrier(2, name=self.name)

    def act(self) -> None:
        with contextlib.suppress(BrokenBarrierError):
            self.handle.wait(0.002)

    def passes(self, barrier: Any, seconds: float = STUCK_AFTER) -> bool:
        """Whether the wait succeeded; False if the barrier is or was broken."""
        try:
            barrier.wait(seconds)
        except BrokenBarrierError:
            return False
        return True

    def meet(self, outcome: Outcome, barrier: Any) -> bool:
        """Whether a child and this process pass the barrier; checks that both do or neither."""
        child = self.start(lambda: self.passes(self.handle))
        began = time.monotonic()
        met = self.passes(barrier)
        if time.monotonic() - began > 0.9 * STUCK_AFTER:
            raise Stuck("wait")
        ended = self.end_of(child, STUCK_AFTER)
        if ended is None:
            raise Stuck("wait of the child")
        outcome.torn += int((ended == 0) != met)
        return met

    def mended(self, outcome: Outcome, k: int) -> None:
        other = newcomer(sk.Barrier, self.name)
        began = time.perf_counter()
        if not self.meet(outcome, other if k % 2 else self.handle):
            outcome.torn += int(not other.broken)
            other.reset()
            outcome.lost += int(not self.meet(outcome, other if k % 2 else self.handle))
        outcome.lost += int(not self.meet(outcome, other))
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        outcome.torn += int(other.broken) + other.n_waiting
        other.close()

    def survive(self, k: int) -> Outcome:
        outcome = Outcome(committed=0)
        self.mended(outcome, k)
        return outcome


class CompleteBarrier(WaitAtBarrier):
    """The second of two parties arrives: the first passes, or finds the barrier broken, or still waits."""

    def prepare(self) -> None:
        super().prepare()
        self.first = self.start(lambda: self.passes(self.handle, 2 * STUCK_AFTER))
        while self.handle.n_waiting == 0:
            time.sleep(0.0005)

    def act(self) -> None:
        self.handle.wait(STUCK_AFTER)

    def survive(self, k: int) -> Outcome:
        outcome = Outcome(committed=0)
        ended = self.end_of(self.first, A_MOMENT)
        if ended is None:  # the victim had not arrived: this process is the second party
            met = self.passes(self.handle)
            ended = self.end_of(self.first, STUCK_AFTER)
            if ended is None:
                raise Stuck("wait of the first")
            outcome.torn += int((ended == 0) != met)
        self.mended(outcome, k)
        return outcome


SYNC: dict[str, type[Operation]] = {
    "Event.set": SetEvent,
    "Event.set, awaited": SetEventAwaited,
    "Event.clear": ClearEvent,
    "Event.wait": WaitForEvent,
    "Semaphore.acquire": AcquireSemaphore,
    "Semaphore.acquire, waiting": AcquireSemaphoreWaiting,
    "Semaphore.release": ReleaseSemaphore,
    "BoundedSemaphore.acquire": AcquireBounded,
    "BoundedSemaphore.acquire again": AcquireBoundedAgain,
    "BoundedSemaphore.acquire, from the dead": AcquireBoundedFromTheDead,
    "BoundedSemaphore.release": ReleaseBounded,
    "Barrier.wait": WaitAtBarrier,
    "Barrier.wait, the last": CompleteBarrier,
}
