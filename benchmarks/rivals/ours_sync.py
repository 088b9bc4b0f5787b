"""sharedkit's locks, rendezvous structures and dict, in the placement shm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.rivals.meetings import BarrierMeeting, ConditionMeeting, EventMeeting
from benchmarks.rivals.ours import Ours
from benchmarks.rivals.rival import DictRival, LockRival


class OurLock(Ours, LockRival):
    """`Lock`."""

    name = "sharedkit"
    needs = "Lock"

    def create(self, scratch: Path) -> None:
        self.lock: Any = getattr(self.kit(), self.needs)()

    def destroy(self) -> None:
        self.lock.close()


class OurRLock(OurLock):
    """`RLock`."""

    name = "sharedkit RLock"
    needs = "RLock"


class OurEvents(Ours, EventMeeting):
    """Two `Event`s."""

    name = "sharedkit"
    needs = "Event"

    def make(self) -> Any:
        return self.kit().Event()

    def destroy(self) -> None:
        self.go.close()
        self.back.close()


class OurCondition(Ours, ConditionMeeting):
    """A `Condition` with its own lock."""

    name = "sharedkit"
    needs = "Condition"

    def make(self) -> Any:
        return self.kit().Condition()

    def destroy(self) -> None:
        self.condition.close()


class OurBarrier(Ours, BarrierMeeting):
    """A `Barrier` for two."""

    name = "sharedkit"
    needs = "Barrier"

    def make(self) -> Any:
        return self.kit().Barrier(2)

    def destroy(self) -> None:
        self.barrier.close()


class OurDict(Ours, DictRival):
    """`Dict`."""

    name = "sharedkit"
    needs = "Dict"

    def create(self, first: dict[str, int], scratch: Path) -> None:
        self.mapping: Any = self.kit().Dict(first)

    def destroy(self) -> None:
        self.mapping.close()
