"""Which waits hold each other up: waits that last, and circles of them, among all structures.

A segment names processes, not threads. A process of several threads may hold with one of them and wait with another,
and then a circle through it is a deadlock only if those are one thread. If all threads of all processes of a circle
wait, it is a deadlock for certain. If a process waits for what it holds itself and has threads that do not wait, one of
these may hold it: that is only a possible deadlock, as every busy lock of a program with threads looks like that.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sharedkit.shm.inspection import Holder, Inspection, Process, Wait

__all__ = ["Block", "Deadlock", "deadlocks", "lasting", "possible_deadlocks"]

REENTRANT = ("RLock", "Value", "Condition")  # kinds whose "for the lock" is a wait for a re-entrant lock


@dataclass(frozen=True, slots=True)
class Block:
    """`threads` threads of `process` wait for `what` at `structure`; `holders` could let them go: all of them must if
    `every`, else one is enough. `reentrant`: the thread that holds the lock never waits for it."""

    process: Process
    structure: str
    what: str
    threads: int
    holders: tuple[Holder, ...]
    every: bool
    reentrant: bool = False


@dataclass(frozen=True, slots=True)
class Deadlock:
    """A circle: the process of each wait holds what the wait before it needs, and the first what the last needs.

    `certain`: all threads of its processes wait; otherwise a thread that does not may hold, and let go."""

    waits: tuple[Block, ...]
    certain: bool


def lasting(before: Iterable[Inspection], now: Iterable[Inspection]) -> list[Block]:
    """The waits that were there at both looks, with the same holders since the same time."""
    earlier = {
        (each.name, each.created, wait.what, process, _held(wait))
        for each in before
        for wait in each.waits
        for process in wait.waiters
    }
    return [
        Block(
            process,
            each.name,
            wait.what,
            threads,
            wait.holders,
            wait.every,
            each.kind in REENTRANT and wait.what == "for the lock",
        )
        for each in now
        for wait in each.waits
        for process, threads in wait.waiters.items()
        if (each.name, each.created, wait.what, process, _held(wait)) in earlier
    ]


def _held(wait: Wait) -> frozenset[Holder]:
    return frozenset(wait.holders)


def deadlocks(blocks: Iterable[Block], threads_of: Callable[[Process], int | None]) -> list[Deadlock]:
    """The circles of waits that nobody outside of them can end. `threads_of`: how many threads a process has, None if
    that is unknown."""
    return _circles(blocks, threads_of, within=False)


def possible_deadlocks(
    blocks: Iterable[Block], threads_of: Callable[[Process], int | None], found: Iterable[Deadlock]
) -> list[Deadlock]:
    """The further circles in which a process waits for what it holds itself, although some of its threads do not wait:
    deadlocks if the threads that hold are among those that wait. One for the same processes and structures.
    """
    known = {block for deadlock in found for block in deadlock.waits}
    further = [each for each in _circles(blocks, threads_of, within=True) if known.isdisjoint(each.waits)]
    return list(
        {frozenset((block.process, block.structure) for block in each.waits): each for each in further}.values()
    )


def _circles(blocks: Iterable[Block], threads_of: Callable[[Process], int | None], within: bool) -> list[Deadlock]:
    """The circles of waits. `within`: take any wait of a process for one that keeps what the process holds."""
    stuck = [block for block in blocks if block.holders and all(each.process is not None for each in block.holders)]
    left = -1
    while left != len(stuck):  # take away the waits that a process can end that does not hang itself
        left = len(stuck)
        full = _without_free_threads(stuck, threads_of)
        stuck = [block for block in stuck if _hangs(block, stuck, full, within)]
    found: dict[frozenset[Block], Deadlock] = {}
    for block in stuck:
        circle = _shortest(block, stuck, full, within)
        if circle:
            certain = all(each.process in full for each in circle)
            found.setdefault(frozenset(circle), Deadlock(_from_the_least(circle), certain))
    return list(found.values())


def _without_free_threads(stuck: list[Block], threads_of: Callable[[Process], int | None]) -> set[Process]:
    """The processes all of whose threads wait."""
    waiting = Counter[Process]()
    for block in stuck:
        waiting[block.process] += block.threads
    return {process for process, n in waiting.items() if n >= (threads_of(process) or math.inf)}


def _next(block: Block, holder: Holder, stuck: list[Block], full: set[Process], within: bool) -> list[Block]:
    """The waits that keep the holder from letting go."""
    others = [other for other in stuck if other.process == holder.process]
    if holder.process != block.process or block.process in full:
        return others
    if not within:
        return []  # another of its threads may hold it, and go on
    return [other for other in others if other is not block] if block.reentrant else others


def _hangs(block: Block, stuck: list[Block], full: set[Process], within: bool) -> bool:
    each = (bool(_next(block, holder, stuck, full, within)) for holder in block.holders)
    return any(each) if block.every else all(each)


def _shortest(block: Block, stuck: list[Block], full: set[Process], within: bool) -> tuple[Block, ...]:
    """The shortest way from the wait back to itself; empty if there is none."""
    ways: deque[tuple[Block, ...]] = deque([(block,)])
    seen: set[Block] = set()
    while ways:
        way = ways.popleft()
        for holder in way[-1].holders:
            for other in _next(way[-1], holder, stuck, full, within):
                if other is block:
                    return way
                if other not in seen:
                    seen.add(other)
                    ways.append((*way, other))
    return ()


def _from_the_least(circle: tuple[Block, ...]) -> tuple[Block, ...]:
    first = min(range(len(circle)), key=lambda i: (circle[i].process, circle[i].structure))
    return circle[first:] + circle[:first]
