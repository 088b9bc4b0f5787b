"""Queues behind a server: the interfaces of the queues in `queue` of Python 3.13, with batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from operator import index
from queue import Empty, Full
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sharedkit._core.counts import how_many
from sharedkit._core.iteration import refuse_search, until_shutdown
from sharedkit._core.timeouts import LONGEST, not_negative, span, too_long, without_waiting
from sharedkit.manager._exchange import Request, taking
from sharedkit.manager.awaiting import aput
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.protocol import pack, unpack
from sharedkit.manager.ranks import rank_of
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import QueueStatistics

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

T = TypeVar("T")


class Queue(Handle, Generic[T]):
    """Queue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)

    A first-in, first-out queue, with the interface of `queue.Queue` of Python 3.13; unbounded if `maxsize` is 0 or
    less. The client that puts an item pickles it, and the client that gets it unpickles it; the server never unpickles
    it. If a client dies, an item that was taken for it but not sent goes back to the front; an item that was sent is
    lost with that client.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    queue with the same parameters.
    """

    kind = "Queue"

    if not TYPE_CHECKING:  # a context's own class is a subclass without parameters

        def __class_getitem__(cls, item: Any, /) -> GenericAlias:
            return GenericAlias(cls, item)

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
        self._create(name, exist_ok, persist, seats, {"maxsize": max(0, maxsize)}, maxsize)

    @property
    def maxsize(self) -> int:
        """How many items the queue can hold; no limit if 0 or less. May be assigned at any time."""
        maxsize: int = self._call("get_maxsize")
        return maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self._call("set_maxsize", index(maxsize))

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put and are not yet marked as done."""
        return self.statistics().unfinished_tasks

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown()` was called."""
        return self.statistics().state != "open"

    def _pack(self, item: T) -> Any:
        """The item in the form in which the server keeps it."""
        return pack(item)

    def _unpack(self, entry: Any) -> T:
        item: T = unpack(entry)
        return item

    def put(self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> None:
        """Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full if there is no room in time (at once if `block` is false), ShutDown after `shutdown()`,
        ValueError for a negative timeout, and what pickling the item raises.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        if timeout is not None and block:
            timeout = self._time_of_put(timeout)
            if timeout is not None and timeout > LONGEST:
                return without_waiting(partial(self.put, item, False), Full)
        self._put([self._pack(item)], block, timeout)

    async def aput(
        self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """Put as `put` does, without blocking the event loop.

        A cancelled task has usually put nothing; the attribute `put` of the CancelledError says whether the server had
        put the item already.
        """
        if blocking is not None:
            block = blocking
        if timeout is not None and block:
            timeout = self._time_of_put(timeout)
            if timeout is not None and timeout > LONGEST:
                from sharedkit.aio import waiters

                await waiters.without_waiting(self.aput(item, False), Full)
                return
        await self._aput([self._pack(item)], block, timeout)

    def _time_of_put(self, timeout: float) -> float | None:
        """The timeout of a put. An unbounded queue ignores it, as queue.Queue does. Raises TypeError, ValueError."""
        number = span(timeout)
        if number is not None and not 0 <= number <= LONGEST and self.maxsize <= 0:
            return None
        return not_negative(timeout)

    def _put(self, packed: list[Any], block: bool, timeout: float | None) -> None:
        if block and timeout is None:
            self._call("put_many", packed, True, None)
            return
        try:
            self._call("put_many", packed, bool(block), timeout, True, bound=timeout if block else 0.0)
        except StandsStill as still:
            raise _full(still) from None

    async def _aput(self, packed: list[Any], block: bool, timeout: float | None) -> None:
        try:
            await aput(self._ensure_open(), self._ident, packed, bool(block), timeout if block else None)
        except StandsStill as still:
            raise _full(still) from None

    @taking
    def get(
        self, request: Request, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> T:
        """Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Empty if there is none in time (at once if `block` is false), ShutDown after `shutdown()` when none
        is left, ValueError for a negative timeout.
        """
        (item,) = self._get(request, 1, block if blocking is None else blocking, timeout)
        return item

    async def aget(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """Take as `get` does, without blocking the event loop. A cancelled task has taken nothing: an item that the
        server had already taken for it goes back to the front.
        """
        (item,) = await self._aget(1, block if blocking is None else blocking, timeout)
        return item

    def __iter__(self) -> Iterator[T]:
        """Yield items as `get` takes them, waiting for each, until the queue is shut down and empty."""
        self._ensure_open()
        return until_shutdown(self.get)

    def __contains__(self, item: object) -> bool:
        """Raise TypeError: a search would have to take the items."""
        refuse_search()

    def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as `aget` takes them, until the queue is shut down and empty."""
        from sharedkit.aio import waiters

        return waiters.iterate(self.aget)

    def _get(self, request: Request, most: int | None, block: bool, timeout: float | None) -> list[T]:
        self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        if timeout is not None and timeout > LONGEST:
            return without_waiting(partial(self._get, request, most, False, None), Empty)
        try:
            packed = self._call(
                "get_many", most, bool(block), timeout, request=request, bound=timeout if block else 0.0
            )
        except StandsStill as still:
            raise Empty(str(still)) from None
        try:
            return [self._unpack(item) for item in packed]
        except Exception:  # the item does not go back: a client that cannot unpickle it now cannot do so later
            request.keep()
            raise

    async def _aget(self, most: int | None, block: bool, timeout: float | None) -> list[T]:
        self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        if timeout is not None and timeout > LONGEST:
            from sharedkit.aio import waiters

            items: list[T] = await waiters.without_waiting(self._aget(most, False, None), Empty)
            return items
        try:
            packed = await self._acall("get_many", most, bool(block), timeout, bound=timeout if block else 0.0)
        except StandsStill as still:
            raise Empty(str(still)) from None
        return [self._unpack(item) for item in packed]

    def put_nowait(self, item: T) -> None:
        """Same as put(item, block=False)."""
        self.put(item, False)

    def get_nowait(self) -> T:
        """Same as get(block=False)."""
        return self.get(False)

    def put_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """Put the items in order, waiting for room as `put` does; `timeout` is for all of them together.

        Raises as `put` does; the attribute `put` of Full and ShutDown is the number of items that went in.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        self._put([self._pack(item) for item in items], block, _time_of_batch(block, timeout))

    async def aput_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """Put as `put_many` does, without blocking the event loop.

        A cancelled task may have put the first items; the attribute `put` of the CancelledError is their number.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        await self._aput([self._pack(item) for item in items], block, _time_of_batch(block, timeout))

    @taking
    def get_many(
        self,
        request: Request,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """Wait for the first item as `get` does, then take the items that are there, at most `max_items` in all.

        The list is empty only if `max_items` is 0. Raises as `get` does, and ValueError for a negative `max_items`.
        """
        self._ensure_open()
        most = _checked_most(max_items)
        return [] if most == 0 else self._get(request, most, block if blocking is None else blocking, timeout)

    async def aget_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """Take as `get_many` does, without blocking the event loop. A cancelled task has taken nothing."""
        self._ensure_open()
        most = _checked_most(max_items)
        return [] if most == 0 else await self._aget(most, block if blocking is None else blocking, timeout)

    def task_done(self) -> None:
        """Mark an item taken earlier as done. Raises ValueError when called more often than items were put."""
        self._call("task_done")

    def join(self) -> None:
        """Wait until `task_done()` was called for every item that was put."""
        self._call("join")

    async def ajoin(self) -> None:
        """Wait as `join` does, without blocking the event loop."""
        await self._acall("join")

    def shutdown(self, immediate: bool = False) -> None:
        """Make every `put` raise ShutDown, and every `get` that finds no item; calls that wait now are included.

        With `immediate`, the remaining items are thrown away and count as done.
        """
        self._call("shutdown", bool(immediate))

    def qsize(self) -> int:
        """Return how many items are in the queue now."""
        qsize: int = self._call("qsize")
        return qsize

    def empty(self) -> bool:
        """Whether the queue has no item now."""
        return not self.qsize()

    def full(self) -> bool:
        """Whether the queue has no room now."""
        snapshot = self.statistics()
        return 0 < snapshot.maxsize <= snapshot.qsize

    def join_thread(self) -> None:
        """Do nothing: `multiprocessing.Queue` has a feeder thread, this queue has none."""

    def cancel_join_thread(self) -> None:
        """Do nothing: `multiprocessing.Queue` has a feeder thread, this queue has none."""

    def statistics(self) -> QueueStatistics:
        """Return sizes, counts of waiting threads, and state: a QueueStatistics."""
        snapshot: QueueStatistics = self._call("statistics")
        return snapshot


class LifoQueue(Queue[T]):
    """LifoQueue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)

    `queue.LifoQueue` behind a server: a Queue whose `get` takes the item that was put last.

    Raises as Queue does.
    """

    kind = "LifoQueue"


class PriorityQueue(Queue[T]):
    """PriorityQueue(maxsize=0, *, name=None, exist_ok=False, persist=False, seats=192)

    `queue.PriorityQueue` behind a server: a Queue whose `get` takes the least item, and of equal items the one that was
    put first. The server never unpickles an item. It orders items that are numbers, str, bytes, or tuples of them. It
    orders other tuples by the first parts that are such plain values: `(priority, task)` by the priority. A dataclass
    with `order=True` is ordered by its fields in the same way.

    `put` raises TypeError for other items, and for priorities that cannot be compared with those in the queue, such as
    1 and "a"; then the item is not in the queue. Raises as Queue does.
    """

    kind = "PriorityQueue"

    def _pack(self, item: T) -> Any:
        return rank_of(item), pack(item)

    def _unpack(self, entry: Any) -> T:
        item: T = unpack(entry[1])
        return item


def _full(still: StandsStill) -> Full:
    """The error of a put in a server that stands still: it is unknown how many items of a batch have gone in."""
    error = Full(str(still))
    vars(error)["put"] = None
    return error


def _checked_most(max_items: int | None) -> int | None:
    if max_items is None:
        return None
    most = how_many(max_items)
    if most < 0:
        raise ValueError(f"max_items must not be negative: {most}")
    return most


def _time_of_batch(block: bool, timeout: float | None) -> float | None:
    """The timeout of a batch, which is checked before the first item goes in. Raises TypeError, ValueError,
    OverflowError."""
    if timeout is None or not block:
        return None
    number = not_negative(timeout)
    if number > LONGEST:
        raise too_long()
    return number
