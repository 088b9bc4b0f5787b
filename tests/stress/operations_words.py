"""Operations on single words: before the commit the old value, after it the new one."""

from __future__ import annotations

import time
from typing import Any

from stress.operations import Operation, Outcome, fresh_name, newcomer, path_of

from sharedkit import shm as sk


class Add(Operation):
    """Counter.add: the value is v or v + n."""

    commits_once = True
    first, step = 1 << 40, (1 << 33) + 5

    def __init__(self) -> None:
        self.name = fresh_name()
        self.handle: Any = None

    @property
    def watched(self) -> str | None:
        return self.name

    def make(self) -> Any:
        return sk.Counter(self.first, name=self.name)

    def prepare(self) -> None:
        self.handle = self.make()

    def act(self) -> None:
        self.handle.add(self.step)

    def read(self, handle: Any) -> int:
        return handle.value

    def add(self, handle: Any, n: int) -> None:
        handle.add(n)

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(type(self.handle), self.name)
        value = self.read(other)
        outcome = Outcome(committed=int(value != self.first))
        outcome.torn += int(value not in (self.first, self.first + self.step))
        for handle in (self.handle, other, self.handle):
            self.add(handle, 1)
        outcome.lost += int(self.read(self.handle) != value + 3)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        other.close()
        return outcome

    def finish(self) -> int:
        if self.handle is not None:
            self.handle.close()
        return int(path_of(self.name).exists())


class AddStriped(Add):
    """The stripe of the dead process keeps its count, even when another process takes the seat."""

    def make(self) -> Any:
        return sk.Counter(self.first, name=self.name, striped=True)


class AddInGroup(Add):
    def make(self) -> Any:
        group = sk.Counters(["other", "mine"], name=self.name)
        group["mine"].exchange(self.first)
        group["other"].exchange(-1)
        return group

    def act(self) -> None:
        self.handle.add("mine", self.step)

    def read(self, handle: Any) -> int:
        assert handle["other"].value == -1
        return handle["mine"].value

    def add(self, handle: Any, n: int) -> None:
        handle.add("mine", n)


class Exchange(Add):
    def act(self) -> None:
        self.handle.exchange(self.first + self.step)


class CompareExchange(Add):
    def act(self) -> None:
        self.handle.compare_exchange(self.first, self.first + self.step)
