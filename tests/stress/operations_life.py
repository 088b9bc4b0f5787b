"""Operations in the life of a segment: create, attach, close, unlink, sweep."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from stress.operations import Operation, Outcome, QueueOperation, fresh_name, newcomer, path_of, payload

from sharedkit import segments
from sharedkit import shm as sk
from sharedkit._core import segment as core
from sharedkit.shm import _queue


def _use(queue: Any, before: list[bytes]) -> int:
    """Put and take three items; return the number of wrong items."""
    new = [payload(f"new{i}") for i in range(3)]
    for item in new:
        queue.put(item, timeout=10)
    seen = [queue.get(timeout=10) for _ in range(len(before) + 3)]
    return int(seen != before + new) + queue.qsize()


class Create(Operation):
    """A death before the file has its name leaves nothing; a later one leaves an orphan, which the next use removes."""

    def __init__(self) -> None:
        self.name = fresh_name()
        self.queue: Any = None
        self.segment: Any = None

    def prepare(self) -> None:
        pass

    def act(self) -> None:
        self.segment = _queue.make(str(path_of(self.name)), self.name, 192, 0, 0, 8, 0)

    def survive(self, k: int) -> Outcome:
        outcome = Outcome(committed=int(path_of(self.name).exists()))
        began = time.perf_counter()
        if k % 2:
            try:
                sk.attach(self.name)
                outcome.torn += 1  # no process has it open, so it must not be found
            except FileNotFoundError:
                outcome.left += int(path_of(self.name).exists())
        self.queue = sk.Queue(name=self.name)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        outcome.lost += _use(self.queue, [])
        return outcome

    def finish(self) -> int:
        if self.queue is not None:
            self.queue.close()
            self.queue = None
        self.segment = None
        return int(path_of(self.name).exists())


class CreateByClass(Create):
    """The whole of `Queue(name=…)`, with its sweep and registers."""

    def act(self) -> None:
        self.queue = sk.Queue(name=self.name)


class CloseLast(Operation):
    """Closes the last handle. After a death the segment is complete, then an orphan, then gone."""

    def __init__(self) -> None:
        self.name = fresh_name()
        self.queue: Any = None

    def prepare(self) -> None:
        pass

    def enter(self) -> None:
        self.queue = sk.Queue(name=self.name)
        self.queue.put(payload("old"))

    def act(self) -> None:
        self.queue.close()

    def survive(self, k: int) -> Outcome:
        outcome = Outcome(committed=int(not path_of(self.name).exists()))
        began = time.perf_counter()
        if k % 3 == 0:
            try:
                sk.attach(self.name)
                outcome.torn += 1
            except FileNotFoundError:
                pass
        elif k % 3 == 1:
            segments.sweep()
        else:
            again = sk.Queue(name=self.name)
            outcome.lost += _use(again, [])
            again.close()
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        return outcome

    def finish(self) -> int:
        return int(path_of(self.name).exists())


class SegmentOfOthers(QueueOperation):
    """The arena has the queue open; the victim attaches or closes."""

    def survive(self, k: int) -> Outcome:
        outcome = super().survive(k)
        if self.queue._segment().attached() != (os.getpid(),):
            outcome.left += 1  # the seat of the dead process is still taken
        return outcome


class CloseNotLast(SegmentOfOthers):
    def act(self) -> None:
        self.queue.close()


class Attach(SegmentOfOthers):
    def enter(self) -> None:
        self.queue.close()
        self.queue = None

    def act(self) -> None:
        self.queue = sk.attach(self.name)


class Unlink(QueueOperation):
    """The name is removed or not; processes that have the queue open go on in either case."""

    def act(self) -> None:
        self.queue.unlink()

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        outcome = Outcome(committed=int(not path_of(self.name).exists()))
        outcome.lost += _use(self.queue, self.before)
        outcome.left += int(not self.queue._segment().in_use)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        return outcome


class FirstUse(SegmentOfOthers):
    """A process that already has the queue open takes its seat."""

    seated = False

    def enter(self) -> None:
        self.segment = self.queue._segment()

    def act(self) -> None:
        self.segment.sit()


class Transit(SegmentOfOthers):
    """A handle is packed for a child that is being started."""

    def enter(self) -> None:
        self.segment = self.queue._segment()

    def act(self) -> None:
        self.segment.transit()


class Sweep(Operation):
    """Removes an orphan; if the victim is killed, the next sweep removes the orphan."""

    def __init__(self) -> None:
        self.name = fresh_name()

    def prepare(self) -> None:
        pid = os.fork()
        if pid == 0:
            sk.Counter(name=self.name)
            os._exit(0)
        os.waitpid(pid, 0)

    def act(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # another process of this machine has swept it
            core.sweep([str(path_of(self.name))])

    def survive(self, k: int) -> Outcome:
        outcome = Outcome(committed=int(not path_of(self.name).exists()))
        began = time.perf_counter()
        with sk.Counter(name=self.name) as counter:
            counter.add(3)
            outcome.lost += int(counter.value != 3)
            other = newcomer(sk.Counter, self.name)
            outcome.lost += int(other.value != 3)
            other.close()
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        return outcome

    def finish(self) -> int:
        return int(path_of(self.name).exists())
