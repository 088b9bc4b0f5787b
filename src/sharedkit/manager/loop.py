"""The one thread in which a server does its work: it handles ready descriptors and due timers.

Only this thread accesses the structures. So they need no locks, and each request is one step.
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

FEWEST = 64  # if there are more timers, cancelled ones are removed
LONGEST = 3600.0  # seconds of one sleep, because `epoll` takes no more than 24 days


def report() -> None:
    """Print the current exception to the error output. One client's error must not end the server for all clients."""
    with suppress(*FAULTS):  # the error output may be closed
        traceback.print_exc()


def _attempt(action: Callable[[], None]) -> None:
    try:
        action()
    except FAULTS:
        report()


class Timer:
    """An action that runs at a given time, unless it is cancelled."""

    __slots__ = ("action", "timers")

    def __init__(self, timers: Timers, action: Callable[[], None]) -> None:
        self.timers = timers
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Cancel the action."""
        if self.action is not None:
            self.action = None
            self.timers.cancelled()


class Timers:
    """Timers, ordered by their times. A cancelled timer stays until it is due, or until half of all are cancelled."""

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
        """Seconds until a timer may be due; None if there is no timer."""
        return min(max(0.0, self._heap[0][0] - monotonic()), LONGEST) if self._heap else None

    def run(self) -> None:
        """Run the actions that are due."""
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
    """`epoll` with timers, and with functions that other threads pass to it (errands)."""

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
        """Call `handler` with those of `events` that are ready at `descriptor`, which may be watched already."""
        if descriptor in self._handlers:
            self._ready.modify(descriptor, events)
        else:
            self._ready.register(descriptor, events)
        self._handlers[descriptor] = handler

    def forget(self, descriptor: int) -> None:
        """Stop watching the descriptor, if it is watched. Must be called before it is closed."""
        if self._handlers.pop(descriptor, None) is not None:
            self._ready.unregister(descriptor)

    def soon(self, errand: Callable[[], None]) -> None:
        """Run `errand` in this loop's thread, soon; callable from any thread."""
        self._errands.append(errand)
        os.eventfd_write(self._bell, 1)

    def stop(self) -> None:
        """Make `run` return; called from this loop's thread."""
        self._stopped = True

    def run(self) -> None:
        """Run until `stop`.

        Due timers come first: if a client's time limit ended while this process stood still, the client gets nothing
        any more. Errands, which may watch new descriptors, come after the ready descriptors: so an event of a closed
        descriptor never reaches the handler of a new one with the same number. An exception of a handler, an action or
        an errand has no effect on the others.
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
                        self.forget(descriptor)  # otherwise it might stay ready, and raise for ever
            if self._errands:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
                for _ in range(len(self._errands)):
                    _attempt(self._errands.popleft())
