"""Entries in the order of their ranks, which are plain values: comparing them runs nobody's code.

Runs of entries, each in order: putting is two binary searches and moves some hundred references, taking compares
nothing. So ranks that cannot be compared are an error of who puts, and of nobody who takes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Ranked"]

FULL = 512

Entry: TypeAlias = tuple[Any, Any]
"""A rank, and what has it."""


class Ranked:
    """Of equal ranks the first that was put goes first. No run is empty."""

    def __init__(self) -> None:
        self._runs: list[list[Entry]] = []  # in order
        self._ranks: list[list[Any]] = []  # theirs, for `bisect`
        self._ends: list[Any] = []  # the greatest of each
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, entry: Entry, before_equals: bool = False) -> None:
        """TypeError where its rank cannot be compared with another one; nothing is changed then."""
        rank = entry[0]
        place = bisect_left if before_equals else bisect_right
        at = min(place(self._ends, rank), max(len(self._runs) - 1, 0))
        if not self._runs:
            self._runs, self._ranks, self._ends = [[entry]], [[rank]], [rank]
        else:
            run, ranks = self._runs[at], self._ranks[at]
            inside = place(ranks, rank)
            run.insert(inside, entry)
            ranks.insert(inside, rank)
            self._ends[at] = ranks[-1]
            if len(run) >= FULL:
                self._split(at)
        self._length += 1

    def put_first(self, entry: Entry) -> None:
        """In front of all, whatever they are."""
        if not self._runs:
            self.put(entry)
            return
        self._runs[0].insert(0, entry)
        self._ranks[0].insert(0, entry[0])
        self._length += 1

    def _split(self, at: int) -> None:
        run, ranks = self._runs[at], self._ranks[at]
        half = len(run) // 2
        self._runs[at : at + 1] = run[:half], run[half:]
        self._ranks[at : at + 1] = ranks[:half], ranks[half:]
        self._ends[at : at + 1] = ranks[half - 1], ranks[-1]

    def take(self) -> Entry:
        """The first entry."""
        entry = self._runs[0][0]
        self._delete(0, 0)
        return entry

    def remove(self, is_it: Callable[[Entry], bool]) -> bool:
        """The entry of which that is true; whether there was one."""
        for at, run in enumerate(self._runs):
            for inside, entry in enumerate(run):
                if is_it(entry):
                    self._delete(at, inside)
                    return True
        return False

    def _delete(self, at: int, inside: int) -> None:
        run, ranks = self._runs[at], self._ranks[at]
        del run[inside], ranks[inside]
        if run:
            self._ends[at] = ranks[-1]
        else:
            del self._runs[at], self._ranks[at], self._ends[at]
        self._length -= 1

    def clear(self) -> None:
        """Nothing is there."""
        self._runs, self._ranks, self._ends, self._length = [], [], [], 0
