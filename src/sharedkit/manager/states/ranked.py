"""Entries in the order of their ranks. Ranks are plain values, so comparing them runs no client's code.

The entries are in sorted runs: a put needs two binary searches and moves some hundred references; a take compares
nothing. So if ranks cannot be compared, the call that puts raises, and never one that takes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["Ranked"]

FULL = 512

Entry: TypeAlias = tuple[Any, Any]
"""A rank, and the object that has it."""


class Ranked:
    """A sorted store; among equal ranks, the entry that was put first goes first. No run is empty."""

    def __init__(self) -> None:
        self._runs: list[list[Entry]] = []  # in the order of the ranks
        self._ranks: list[list[Any]] = []  # the ranks of each run, for `bisect`
        self._ends: list[Any] = []  # the greatest rank of each run
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, entry: Entry, before_equals: bool = False) -> None:
        """Insert an entry. Raises TypeError if its rank cannot be compared with another one; then nothing has
        changed."""
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
        """Insert an entry in front of all others, whatever their ranks."""
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
        """Remove and return the first entry."""
        entry = self._runs[0][0]
        self._delete(0, 0)
        return entry

    def remove(self, is_it: Callable[[Entry], bool]) -> bool:
        """Remove the entry for which `is_it` is true; returns whether there was one."""
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
        """Remove all entries."""
        self._runs, self._ranks, self._ends, self._length = [], [], [], 0
