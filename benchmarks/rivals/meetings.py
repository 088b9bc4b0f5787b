"""A turn that two processes pass to and fro, by each kind of structure; a subclass says whose structure it is."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from benchmarks.rivals.rival import MeetingRival


class EventMeeting(MeetingRival):
    """Two events, one a direction."""

    @abstractmethod
    def make(self) -> Any:
        """One event."""

    def create(self, scratch: Path) -> None:
        self.go, self.back = self.make(), self.make()

    def ask(self, number: int, cell: memoryview) -> None:
        cell[0] = number
        self.go.set()
        self.back.wait()
        self.back.clear()

    def answer(self, number: int, cell: memoryview) -> None:
        self.go.wait()
        self.go.clear()
        cell[1] = cell[0]
        self.back.set()


class ConditionMeeting(MeetingRival):
    """One condition; the numbers say whose turn it is."""

    @abstractmethod
    def make(self) -> Any:
        """A condition."""

    def create(self, scratch: Path) -> None:
        self.condition = self.make()

    def ask(self, number: int, cell: memoryview) -> None:
        with self.condition:
            cell[0] = number
            self.condition.notify()
            while cell[1] != number:
                self.condition.wait()

    def answer(self, number: int, cell: memoryview) -> None:
        with self.condition:
            while cell[0] != number:
                self.condition.wait()
            cell[1] = number
            self.condition.notify()


class BarrierMeeting(MeetingRival):
    """A barrier for two, passed once: each has written its number before, and finds the other's number after it."""

    @abstractmethod
    def make(self) -> Any:
        """A barrier for two."""

    def create(self, scratch: Path) -> None:
        self.barrier = self.make()

    def ask(self, number: int, cell: memoryview) -> None:
        cell[0] = number
        self.barrier.wait()

    def answer(self, number: int, cell: memoryview) -> None:
        cell[1] = number
        self.barrier.wait()
