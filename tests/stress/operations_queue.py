"""Operations of the queue: put, take, grow, shut down; and the same after another process has died in one of them."""

from __future__ import annotations

import contextlib
from queue import Empty, Full
from typing import Any

import numpy as np
from stress.operations import Operation, Outcome, QueueOperation, Stuck, payload
from stress.stepper import CHANGED, Route, Stepper

from sharedkit.errors import ShutDown


class Put(QueueOperation):
    commits_once = True

    def __init__(self) -> None:
        super().__init__()
        self.mine = [payload("mine")]

    def act(self) -> None:
        self.queue.put(self.mine[0])


class PutOverTheEdge(Put):
    """The record crosses the end of the ring, and the position carries over from its low 32 bits."""

    ring_log2 = 8
    start = (2**32 - 1) << 32 | (2**32 - 24)


class PutArray(Put):
    def __init__(self) -> None:
        super().__init__()
        self.mine = [np.frombuffer(payload("array", 2993)[:2992], "f8").copy()]


class PutGrowing(Put):
    """The ring is full: a put lengthens it and changes the geometry; no record has to move."""

    ring_log2 = 8

    def __init__(self) -> None:
        super().__init__()
        self.before = [payload(f"old{i}", 330) for i in range(11)]
        self.mine = [payload("mine", 700)]


class PutGrowingOverTheEdge(PutGrowing):
    """The records lie around the end of the ring: those at its start are copied to behind the old end."""

    gone = 8


class PutNextLap(Put):
    """The put would reach two ring lengths past the ring's origin; so the origin moves on."""

    ring_log2 = 8
    gone = 21

    def __init__(self) -> None:
        super().__init__()
        self.before = [payload("old", 64)]
        self.mine = [payload("mine", 330)]


class PutMany(QueueOperation):
    commits_once = True

    def __init__(self) -> None:
        super().__init__()
        self.mine = [payload(f"mine{i}", 40 + 60 * i) for i in range(5)]

    def act(self) -> None:
        self.queue.put_many(self.mine)


class PutManyGrowing(PutMany):
    ring_log2 = 8

    def __init__(self) -> None:
        super().__init__()
        self.before = [payload(f"old{i}", 330) for i in range(10)]


class PutWaiting(Put):
    """The queue is full: spin, set the waiting bit, park, give up."""

    commits_once = False
    maxsize = 3

    def act(self) -> None:
        with contextlib.suppress(Full):
            self.queue.put(self.mine[0], timeout=0.002)


class Get(QueueOperation):
    commits_once = True
    victim_may_lose = 1

    def act(self) -> None:
        self.queue.get()


class GetBounded(Get):
    """A get from a bounded queue wakes producers."""

    maxsize = 3


class GetLarge(Get):
    """The item is too large for the stack: a first try returns the size, a second one takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.before = [payload(f"old{i}", 2500) for i in range(3)]


class GetArray(Get):
    def __init__(self) -> None:
        super().__init__()
        self.before = [np.frombuffer(payload(f"array{i}", 3000)[:2992], "f8").copy() for i in range(3)]


class GetMany(QueueOperation):
    commits_once = True
    victim_may_lose = 2

    def act(self) -> None:
        self.queue.get_many(2)


class GetWaiting(QueueOperation):
    """The queue is empty: spin, set the waiting bit, park, give up."""

    def __init__(self) -> None:
        super().__init__()
        self.before = []

    def act(self) -> None:
        with contextlib.suppress(Empty):
            self.queue.get(timeout=0.002)


class TaskDone(QueueOperation):
    commits_once = True

    def prepare(self) -> None:
        super().prepare()
        self.queue.put(payload("more"))
        self.before.append(payload("more"))

    def act(self) -> None:
        self.queue.task_done()

    def _count_tasks(self, handle: Any, outcome: Outcome) -> None:
        undone = handle.unfinished_tasks
        puts = len(self.before) + 3
        outcome.committed = puts - undone
        if outcome.committed not in (0, 1):
            outcome.torn += 1
        for _ in range(undone):
            handle.task_done()
        handle.join()


class Join(QueueOperation):
    """All tasks are done, so `join` polls once and returns."""

    def prepare(self) -> None:
        super().prepare()
        for _ in self.before:
            self.queue.task_done()

    def act(self) -> None:
        self.queue.join()

    def _count_tasks(self, handle: Any, outcome: Outcome) -> None:
        for _ in range(3):
            handle.task_done()
        handle.join()


class Shutdown(QueueOperation):
    """Before the commit the queue is open, after it shut down; all items are there."""

    commits_once = True
    immediate = False

    def act(self) -> None:
        self.queue.shutdown(self.immediate)

    def survive(self, k: int) -> Outcome:
        if not self.queue.is_shutdown:
            outcome = super().survive(k)
            self._in_time("shutdown", self.queue.shutdown)
            return outcome
        outcome = Outcome(committed=1)
        seen: list[Any] = []
        try:
            self.queue.put(payload("late"), timeout=10)
            outcome.torn += 1
        except ShutDown:
            pass
        try:
            while True:
                seen.append(self.queue.get(timeout=10))
        except ShutDown:
            pass
        except Empty as why:
            raise Stuck("get on a queue that was shut down") from why
        wanted = [] if self.immediate else self.before
        outcome.lost = len(wanted) - len(seen)
        outcome.torn += int(seen != wanted)
        for _ in range(len(wanted)):
            self.queue.task_done()
        self.queue.join()
        return outcome


class ShutdownAtOnce(Shutdown):
    immediate = True


class AfterDeath(Operation):
    """The victim is killed while it takes over from a first victim, killed at instruction `at` of another operation."""

    def __init__(self, first: type[Operation], second: type[Operation], at: int, stepper: Stepper,
                 route: Route, committed: bool) -> None:  # fmt: skip
        self._stepper, self._route, self._at = stepper, route, at
        self._first = first()
        self._second = second()
        self._committed = committed

    @property
    def watched(self) -> str | None:
        return self._first.watched

    def prepare(self) -> None:
        self._first.prepare()
        victim = self._stepper.fork(self._first.enter, self._first.act, self._first.seated)
        start, counted = self._route.to(self._at)
        self._stepper.to(victim, start, counted)
        self._stepper.kill(victim)
        self._second.adopt(self._first, self._committed)

    def act(self) -> None:
        self._second.act()

    def survive(self, k: int) -> Outcome:
        return self._second.survive(k)

    def finish(self) -> int:
        return self._first.finish()


def changes(route: Route) -> list[int]:
    """The points right after each change of the control words."""
    return [i + 1 for i, step in enumerate(route.steps) if step.flags & CHANGED]
