"""Crews of tasks: the programs of one event loop, and programs that have a loop in each process.

A program without a wait runs to its end before the next one begins, as always in asyncio; a program that waits is a
coroutine function with the same arguments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

from sharedkit.compare.crew import Clock, Program
from sharedkit.compare.workload import Lap

__all__ = ["TaskCrew", "in_a_loop"]


class _Together(Clock):
    """The clock of tasks. They begin together anyway, so the crew measures the time."""

    def __init__(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class TaskCrew:
    """One task for each role, on one event loop that lives for all laps."""

    def __init__(self, roles: Sequence[Program], shared: Any, patience: float) -> None:
        self._roles = roles
        self._shared = shared
        self._patience = patience
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()

    def lap(self, amount: int) -> Lap:
        """Run all tasks. The time from the start of the first to the end of the last includes their preparation."""
        return self._runner.run(self._lap(amount))

    async def _lap(self, amount: int) -> Lap:
        async def play(rank: int, role: Program) -> Any:
            result = role(self._shared, rank, amount, _Together())
            return await result if asyncio.iscoroutine(result) else result

        async with asyncio.timeout(self._patience):
            start = time.perf_counter()
            results = await asyncio.gather(*(play(rank, role) for rank, role in enumerate(self._roles)))
            return Lap(time.perf_counter() - start, results)


def in_a_loop(program: Callable[..., Coroutine[Any, Any, Any]], *first: Any) -> Program:
    """A program that runs a coroutine in a process; `first` are arguments before those of a program."""
    return _InALoop(program, first)


class _InALoop:
    """A program that can be pickled, for processes that are spawned."""

    def __init__(self, program: Callable[..., Coroutine[Any, Any, Any]], first: tuple[Any, ...]) -> None:
        self._program = program
        self._first = first

    def __call__(self, shared: Any, rank: int, amount: int, clock: Clock) -> Any:
        return asyncio.run(self._program(*self._first, shared, rank, amount, clock))
