"""The one thread in which a server does its work: whatever is ready, and whatever is due.

Structures are touched here alone, so they need no locks, and whatever a request does is one step.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from sharedkit._core.poller import Poller
from sharedkit.manager.protocol import FAULTS

__all__ = ["Loop", "Timer", "report"]

FEWEST = 64  # timers below which it is not worth while to look for cancelled ones
LONGEST = 3600.0  # seconds of one sleep; `epoll` cannot count more than 24 days


def report() -> None:
    """Say on the error output what was raised. Nobody's mistake ends the server, which all others share."""
    with suppress(*FAULTS):  # nobody may read it any more
        traceback.print_exc()


def _attempt(action: Callable[[], None]) -> None:
    try:
        action()
    except FAULTS:
        report()


class Timer:
    """Something to be done at a time, unless it is cancelled."""

    __slots__ = ("action", "timers")

    def __init__(self, timers: Timers, action: Callable[[], None]) -> None:
        self.timers = timers
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Not any more."""
        if self.action is not None:
            self.action = None
            self.timers.cancelled()


class Timers:
    """By their times. What was cancelled stays until it is due, or until half of all are."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._dead = 0

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        timer = Timer(self, action)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        return timer

    def cancelled(self) -> None:
        self._dead += 1
        if self._dead * 2 > len(self._heap) > FEWEST:
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def until_next(self) -> float | None:
        """Seconds until something may be due; None where nothing is."""
        return min(max(0.0, self._heap[0][0] - monotonic()), LONGEST) if self._heap else None

    def run(self) -> None:
        """Do what is due."""
        if not self._heap:
            return
        now = monotonic()
        while self._heap and self._heap[0][0] <= now:
            action = heapq.heappop(self._heap)[2]
            if action.action is None:
                self._dead -= 1
            else:
                do, action.action = action.action, None
                _attempt(do)


class Loop:
    """`epoll` with timers, and with errands from other threads."""

    def __init__(self) -> None:
        self.timers = Timers()
        self._ready = select.epoll()
        self._looker = Poller()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._errands: deque[Callable[[], None]] = deque()
        self._stopped = False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._bell, select.EPOLLIN, lambda _: None)

    def watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        """Call `handler` with what is ready of `events` at `descriptor`, which may be watched already."""
        if descriptor in self._handlers:
            self._ready.modify(descriptor, events)
        else:
            self._ready.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Watch it no more, if it is watched. To be called before it is closed."""
        if self._handlers.pop(descriptor, None) is not None:
            self._ready.unregister(descriptor)

    def soon(self, errand: Callable[[], None]) -> None:
        """Have `errand` done in this loop's thread; may be called from any."""
        self._errands.append(errand)
        os.eventfd_write(self._bell, 1)

    def stop(self) -> None:
        """Have `run` return; from this loop's thread."""
        self._stopped = True

    def run(self) -> None:
        """Until `stop`.

        What is due comes first: who has left at the end of its time, while this process stood still, gets nothing any
        more. Errands come after what was ready: a descriptor that came up meanwhile under the number of a closed one
        has no handler yet. What a handler raises, an action or an errand, concerns nobody else.
        """
        while not self._stopped:
            self._looker.look(self._ready.fileno())
            ready = self._ready.poll(self.timers.until_next())
            self._looker.woke()
            self.timers.run()
            for descriptor, events in ready:
                handler = self._handlers.get(descriptor)
                if handler is not None:
                    try:
                        handler(events)
                    except FAULTS:
                        report()
                        self.forget(descriptor)  # or it might be ready, and raise, for ever
            if self._errands:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
                for _ in range(len(self._errands)):
                    _attempt(self._errands.popleft())
