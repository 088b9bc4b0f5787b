"""Queues behind a server: the interfaces of the queues in `queue` of Python 3.13, with batches."""

from __future__ import annotations

from functools import partial
from operator import index
from queue import Empty, Full
from typing import Any, TypeVar

from numpy.typing import NDArray

from sharedkit._core.counts import number_of
from sharedkit._core.lease_arguments import Overflow, checked_overflow
from sharedkit._core.queue_methods import QueueMethods, checked_most
from sharedkit._core.taken_into import checked_out, copy_into
from sharedkit._core.timeouts import LONGEST, await_without_waiting, not_negative, without_waiting
from sharedkit.manager._exchange import Request, taking
from sharedkit.manager.awaiting import acall, aput
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.protocol import pack, unpack
from sharedkit.manager.ranks import rank_of
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import QueueStatistics

__all__ = ["LifoQueue", "PriorityQueue", "Queue"]

T = TypeVar("T")


class Queue(QueueMethods[T], Handle):
    """Queue(maxsize=0, *, overflow='block', name=None, exist_ok=False, persist=False, seats=192)

    A first-in, first-out queue, with the interface of `queue.Queue` of Python 3.13; unbounded if `maxsize` is 0 or
    less. With `overflow="drop_oldest"` a put into a full queue does not wait: it drops the first item, which then
    counts as done; `statistics().dropped` is their number.

    The client that puts an item pickles it, and the client that gets it unpickles it; the server never unpickles it. If
    a client dies, an item that was taken for it but not sent goes back to the front; an item that was sent is lost with
    that client.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    queue with the same parameters.
    """

    kind = "Queue"

    def __init__(
        self,
        maxsize: int = 0,
        *,
        overflow: Overflow = "block",
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        maxsize = number_of("maxsize", maxsize)
        if checked_overflow(overflow, maxsize) and self.kind != "Queue":
            raise ValueError(f"only a Queue drops its oldest items, not a {self.kind}")
        spec = {"maxsize": max(0, maxsize), "overflow": str(overflow)}
        self._create(name, exist_ok, persist, seats, spec, maxsize)

    @property
    def overflow(self) -> Overflow:
        """What a put into a full queue does: "block" or "drop_oldest"."""
        overflow: Overflow = self._call("get_overflow")
        return overflow

    @property
    def maxsize(self) -> int:
        """How many items the queue can hold; no limit if 0 or less. May be assigned at any time."""
        maxsize: int = self._call("get_maxsize")
        return maxsize

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self._call("set_maxsize", index(maxsize))

    def _pack(self, item: T) -> Any:
        return pack(item)

    def _unpack(self, entry: Any) -> T:
        item: T = unpack(entry)
        return item

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
        self,
        request: Request,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
        out: Any = None,
    ) -> Any:
        """Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        With `out`, the item must be a NumPy array of the same shape and dtype; it is copied into `out`, which is
        returned. Raises queue.Empty if there is none in time (at once if `block` is false), ShutDown after `shutdown()`
        when none is left, ValueError for a negative timeout; TypeError or ValueError for an item of another form than
        `out` (then it goes back to the front).
        """
        if out is not None:
            checked_out(out)
        (item,) = self._get(request, 1, block if blocking is None else blocking, timeout)
        return item if out is None else copy_into(item, out)

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
        return [self._unpack(item) for item in await self._aget_packed(most, block, timeout)]

    async def _aget_packed(self, most: int | None, block: bool, timeout: float | None) -> list[Any]:
        self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        packed: list[Any]
        if timeout is not None and timeout > LONGEST:
            packed = await await_without_waiting(self._aget_packed(most, False, None), Empty)
            return packed
        try:
            packed = await self._acall("get_many", most, bool(block), timeout, bound=timeout if block else 0.0)
        except StandsStill as still:
            raise Empty(str(still)) from None
        return packed

    async def _aget_into(self, out: NDArray[Any], block: bool, timeout: float | None) -> NDArray[Any]:
        packed = await self._aget_packed(1, block, timeout)
        item = self._unpack(packed[0])
        try:
            return copy_into(item, out)
        except (TypeError, ValueError):
            client = self._ensure_open()
            await acall(client, self._ident, "undo", "get_many", (1, bool(block), timeout), packed)
            raise

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
        most = checked_most(max_items)
        return [] if most == 0 else self._get(request, most, block if blocking is None else blocking, timeout)

    def clear(self) -> int:
        """Drop the items that are there, and return how many they were. They count as done, as if somebody had taken
        them and called `task_done()`."""
        count: int = self._call("clear")
        return count

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
