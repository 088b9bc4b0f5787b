"""A queue for the threads of this process: `queue.Queue` of Python 3.13 on every Python, with batches.

The design is the standard library's, a deque behind one mutex with three conditions on it. They are our own, on which
tasks of an event loop may wait as well, and nobody is notified where nobody waits.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from operator import index
from queue import Full
from time import monotonic
from typing import Any, Generic, TypeVar

from sharedkit._differences import unlike
from sharedkit._iteration import refuse_search, until_shutdown
from sharedkit._times import check_span, not_negative
from sharedkit.errors import ShutDown
from sharedkit.statistics import QueueStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.queue_state import Get, GetMany, Join, PutMany, SharedQueue, remaining
from sharedkit.thread.registry import DEFAULT_SEATS
from sharedkit.thread.waiters import wait

__all__ = ["Queue"]

T = TypeVar("T")


class Queue(Handle[SharedQueue[T]], Generic[T], kind="Queue"):
    """Queue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)

    A first-in, first-out queue of any objects for the threads of this process, unbounded where `maxsize` is
    0 or less. The items themselves are handed over, not copies. With `exist_ok=True` and the name of a
    queue that is there, a further handle on it.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an equal queue.
    """

    __slots__ = ()

    def __init__(
        self,
        maxsize: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        maxsize = index(maxsize)

        def differs(found: Any) -> str | None:
            return unlike("maxsize", max(0, found.maxsize), max(0, maxsize))

        super().__init__(
            registry.open_state(
                lambda name: SharedQueue[T](name, maxsize),
                name,
                exist_ok=exist_ok,
                persist=persist,
                seats=seats,
                kind="Queue",
                differs=differs,
            )
        )

    @property
    def maxsize(self) -> int:
        """How many items fit; no bound where it is 0 or less. May be set at any time."""
        return self._state.maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        wanted, state = index(maxsize), self._state
        with state.mutex:
            state.maxsize = wanted
            state.not_full.notify_all()

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put for which no `task_done()` came yet."""
        return self._state.unfinished

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown()` was called."""
        return self._state.state != "open"

    def put(self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> None:
        """Put `item`, waiting for room for up to `timeout` seconds, or for ever where it is None.

        Raises Full where there is no room in time (at once where `block` is false), ShutDown after
        `shutdown()`, ValueError for a negative timeout.
        """
        state = self._state
        with state.mutex:
            if state.state != "open":
                raise ShutDown
            if state.maxsize > 0:
                if blocking is not None:
                    block = blocking
                if timeout is not None and block:
                    not_negative(timeout)
                if len(state.items) >= state.maxsize:
                    state.await_room(block, timeout)
            state.items.append(item)
            state.unfinished += 1
            if state.not_empty.line:
                state.not_empty.notify()

    def get(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """Take the oldest item, waiting for one for up to `timeout` seconds, or for ever where it is None.

        Raises Empty where there is none in time (at once where `block` is false), ShutDown after
        `shutdown()` when none is left, ValueError for a negative timeout.
        """
        state = self._state
        if blocking is not None:
            block = blocking
        with state.mutex:
            if not state.items:
                state.await_item(block, timeout)
            elif timeout is not None and block:
                not_negative(timeout)
            item = state.items.popleft()
            if state.not_full.line:
                state.not_full.notify()
        return item

    def put_nowait(self, item: T) -> None:
        """`put(item, block=False)`."""
        self.put(item, False)

    def get_nowait(self) -> T:
        """`get(block=False)`."""
        return self.get(False)

    def put_many(
        self,
        items: Iterable[T],
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> None:
        """Put `items` in their order, as many at once as there is room for; `timeout` is for all of them
        together.

        Raises what `put` does; the exception's attribute `put` says how many went in before it.
        """
        batch = list(items)
        if blocking is not None:
            block = blocking
        deadline = None if timeout is None or not block else monotonic() + _time_of_batch(timeout)
        state = self._state
        put = 0
        try:
            with state.mutex:
                if state.state != "open":
                    raise ShutDown
                while put < len(batch):
                    state.await_room(block, remaining(deadline))
                    put += state.add(batch, put)
        except (Full, ShutDown) as error:
            vars(error)["put"] = put
            raise

    def get_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """Wait for the first item as `get` does, and take what is there: at most `max_items` of them.

        The list is empty only where `max_items` is 0. All of it was there at one moment; other placements may add what
        comes meanwhile, up to twice `maxsize` in all. Raises what `get` does, ValueError for a negative `max_items`.
        """
        state = self._state
        state.ensure_open()
        if max_items is not None and (max_items := _most(max_items)) == 0:
            return []
        if blocking is not None:
            block = blocking
        with state.mutex:
            if not state.items:
                state.await_item(block, timeout)
            elif timeout is not None and block:
                not_negative(timeout)
            return state.take(max_items)

    def task_done(self) -> None:
        """Say that one taken item is dealt with; ValueError where this is said more often than items came."""
        state = self._state
        with state.mutex:
            if not state.unfinished:
                raise ValueError("task_done() called too many times")
            state.unfinished -= 1
            if not state.unfinished:
                state.all_done.notify_all()

    def join(self) -> None:
        """Wait until `task_done()` was called for every item that was put."""
        state = self._state
        with state.mutex:
            while state.unfinished:
                state.all_done.wait()

    async def aput(
        self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """`put`, which lets the event loop go on while it waits.

        Tasks of a loop put in the order in which they came; one that is cancelled has put nothing.
        """
        state = self._state
        if state.maxsize <= 0:
            timeout = None  # a queue without a bound does not look at it, as queue.Queue does not
        await wait(PutMany(state, block if blocking is None else blocking, timeout, [item]))

    async def aget(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """`get`, which lets the event loop go on while it waits.

        Tasks of a loop get in the order in which they came; one that is cancelled has taken nothing.
        """
        item: T = await wait(Get(self._state, block if blocking is None else blocking, timeout))
        return item

    async def aput_many(
        self,
        items: Iterable[T],
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> None:
        """`put_many`, which lets the event loop go on while it waits.

        Cancelled half-way, it has put some; the CancelledError's attribute `put` says how many, as a Full's does.
        """
        from asyncio import CancelledError

        if blocking is not None:
            block = blocking
        if timeout is not None and block:
            timeout = _time_of_batch(timeout)
        turn = PutMany(self._state, block, timeout, list(items))
        try:
            await wait(turn)
        except (Full, ShutDown, CancelledError) as error:
            vars(error)["put"] = turn.put
            raise

    async def aget_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """`get_many`, which lets the event loop go on while it waits. A task that is cancelled has taken nothing."""
        state = self._state
        state.ensure_open()
        if max_items is not None and (max_items := _most(max_items)) == 0:
            return []
        taken: list[T] = await wait(GetMany(state, block if blocking is None else blocking, timeout, max_items))
        return taken

    async def ajoin(self) -> None:
        """`join`, which lets the event loop go on while it waits."""
        await wait(Join(self._state))

    def __iter__(self) -> Iterator[T]:
        """Items as `get` takes them, waiting for each, until the queue is shut down and empty."""
        self._state.ensure_open()
        return until_shutdown(self.get)

    def __contains__(self, item: object) -> bool:
        """TypeError, for to look is to take."""
        refuse_search()

    def __aiter__(self) -> AsyncIterator[T]:
        """Items as `aget` takes them, until the queue is shut down and empty."""
        from sharedkit import aio

        self._state.ensure_open()
        return aio.iterate(self.aget)

    def shutdown(self, immediate: bool = False) -> None:
        """Make every `put`, and every `get` that finds no item, raise ShutDown, those that wait now among
        them.

        With `immediate` the items that are left are thrown away and count as done.
        """
        state = self._state
        with state.mutex:
            if immediate:
                state.state = "shutdown-immediate"
                state.unfinished = max(0, state.unfinished - len(state.items))
                state.items.clear()
                state.all_done.notify_all()
            elif state.state == "open":
                state.state = "shutdown"
            state.not_empty.notify_all()
            state.not_full.notify_all()

    def qsize(self) -> int:
        """How many items are in the queue now."""
        return len(self._state.items)

    def empty(self) -> bool:
        """Whether the queue has no item now."""
        return not self._state.items

    def full(self) -> bool:
        """Whether the queue has no room now."""
        state = self._state
        return 0 < state.maxsize <= len(state.items)

    def join_thread(self) -> None:
        """Does nothing: there is no feeder thread as `multiprocessing.Queue` has one."""

    def cancel_join_thread(self) -> None:
        """Does nothing: there is no feeder thread as `multiprocessing.Queue` has one."""

    def statistics(self) -> QueueStatistics:
        """Sizes, counts of waiting threads and state, as one frozen picture."""
        state = self._state
        with state.mutex:
            return QueueStatistics(
                name=state.name,
                kind=state.kind,
                maxsize=max(0, state.maxsize),
                qsize=len(state.items),
                unfinished_tasks=state.unfinished,
                capacity_bytes=None,
                used_bytes=None,
                state=state.state,
                attached=(os.getpid(),),
                waiting_getters=len(state.not_empty),
                waiting_putters=len(state.not_full),
            )


def _time_of_batch(timeout: float) -> float:
    """A timeout that is refused before the first item goes in. TypeError, ValueError, OverflowError."""
    number = not_negative(timeout)
    check_span(number)
    return number


def _most(max_items: int) -> int:
    max_items = index(max_items)
    if max_items < 0:
        raise ValueError(f"max_items must not be negative: {max_items}")
    return max_items
