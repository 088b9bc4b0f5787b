"""The common part of the queues behind a server: the checks of arguments, and the methods that only call others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from queue import Full
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sharedkit._core.counts import how_many
from sharedkit._core.handle_methods import StructureMethods
from sharedkit._core.iteration import aiter_until_shutdown, refuse_search, until_shutdown
from sharedkit._core.timeouts import LONGEST, await_without_waiting, not_negative, span, too_long, without_waiting
from sharedkit.statistics import QueueStatistics

__all__ = ["QueueMethods", "checked_most"]

T = TypeVar("T")


class QueueMethods(StructureMethods, Generic[T]):
    """The rest of a queue, built on `_pack`, `_put`, `_aput`, `get`, `_aget`, `qsize` and `statistics`."""

    if not TYPE_CHECKING:  # a context's own class is a subclass without parameters

        def __class_getitem__(cls, item: Any, /) -> GenericAlias:
            return GenericAlias(cls, item)

    @abstractmethod
    def _pack(self, item: T) -> Any:
        """The item in the form in which the server keeps it."""

    def _pack_all(self, items: Iterable[T]) -> list[Any]:
        """The items, each as `_pack` makes it."""
        return [self._pack(item) for item in items]

    @abstractmethod
    def _put(self, packed: list[Any], block: bool, timeout: float | None) -> None:
        """Put packed items, in order. `block` may be any object; a `timeout` counts only if it is true."""

    @abstractmethod
    async def _aput(self, packed: list[Any], block: bool, timeout: float | None) -> None:
        """Put as `_put` does, without blocking the event loop."""

    @abstractmethod
    def get(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """Take the first item."""

    @abstractmethod
    async def _aget(self, most: int | None, block: bool, timeout: float | None) -> list[T]:
        """Take the items that are there, at most `most` (None: all), after a wait for the first one."""

    @property
    @abstractmethod
    def maxsize(self) -> int:
        """How many items the queue can hold; no limit if 0 or less."""

    @abstractmethod
    def qsize(self) -> int:
        """Return how many items are in the queue now."""

    @abstractmethod
    def statistics(self) -> QueueStatistics:
        """Return sizes, counts of waiting threads, and state: a QueueStatistics."""

    # --- putting

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
        self._ensure_open()
        if blocking is not None:
            block = blocking
        if timeout is not None and block:
            timeout = self._time_of_put(timeout)
            if timeout is not None and timeout > LONGEST:
                await await_without_waiting(self.aput(item, False), Full)
                return
        await self._aput([self._pack(item)], block, timeout)

    def put_nowait(self, item: T) -> None:
        """Same as put(item, block=False)."""
        self.put(item, False)

    def put_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """Put the items in order, waiting for room as `put` does; `timeout` is for all of them together.

        Raises as `put` does; the attribute `put` of Full and ShutDown is the number of items that went in.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        self._put(self._pack_all(items), block, _time_of_batch(block, timeout))

    async def aput_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """Put as `put_many` does, without blocking the event loop.

        A cancelled task may have put the first items; the attribute `put` of the CancelledError is their number.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        await self._aput(self._pack_all(items), block, _time_of_batch(block, timeout))

    def _time_of_put(self, timeout: float) -> float | None:
        """The timeout of a put. An unbounded queue ignores it, as queue.Queue does. Raises TypeError, ValueError."""
        number = span(timeout)
        if number is not None and not 0 <= number <= LONGEST and self.maxsize <= 0:
            return None
        return not_negative(timeout)

    # --- getting

    async def aget(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """Take as `get` does, without blocking the event loop. A cancelled task has taken nothing: an item that the
        server had already taken for it goes back to the front.
        """
        (item,) = await self._aget(1, block if blocking is None else blocking, timeout)
        return item

    def get_nowait(self) -> T:
        """Same as get(block=False)."""
        return self.get(False)

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
        most = checked_most(max_items)
        return [] if most == 0 else await self._aget(most, block if blocking is None else blocking, timeout)

    def __iter__(self) -> Iterator[T]:
        """Yield items as `get` takes them, waiting for each, until the queue is shut down and empty."""
        self._ensure_open()
        return until_shutdown(self.get)

    def __contains__(self, item: object) -> bool:
        """Raise TypeError: a search would have to take the items."""
        refuse_search()

    def __aiter__(self) -> AsyncIterator[T]:
        """Yield items as `aget` takes them, until the queue is shut down and empty."""
        return aiter_until_shutdown(self.aget)

    # --- the rest

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put and are not yet marked as done."""
        return self.statistics().unfinished_tasks

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown()` was called."""
        return self.statistics().state != "open"

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


def checked_most(max_items: int | None) -> int | None:
    """How many items a batch has at most; None: no limit. Raises TypeError, ValueError."""
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
