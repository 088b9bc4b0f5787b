"""Queues in a Redis server: the interface of `queue.Queue` of Python 3.13, with batches."""

from __future__ import annotations

import pickle
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from operator import index
from queue import Empty, Full
from time import monotonic
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from sharedkit._core.counts import how_many
from sharedkit._core.iteration import refuse_search, until_shutdown
from sharedkit._core.timeouts import LONGEST, not_negative, span, too_long, without_waiting
from sharedkit.errors import SharedkitError, ShutDown
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, pids
from sharedkit.redis.operation import Kept
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session
from sharedkit.statistics import QueueState, QueueStatistics

__all__ = ["Queue"]

T = TypeVar("T")

LARGEST = (512 << 20) - 1024  # bytes of an item: a server takes 512 MiB at most, including what the protocol adds
BATCH_BYTES = 16 << 20  # bytes of items in one call
BATCH_ITEMS = 1000  # items in one call: a longer script would keep all other clients waiting

_STATES: dict[bytes, QueueState] = {b"0": "open", b"1": "shutdown", b"2": "shutdown-immediate"}
_Got = list[bytes] | Literal["empty", "shutdown"]


class Queue(Handle, Generic[T]):
    """Queue(maxsize=0, *, ack="auto", name=None, exist_ok=False, persist=False, seats=192)

    A first-in, first-out queue, with the interface of `queue.Queue` of Python 3.13; unbounded if `maxsize` is 0 or
    less. The client that puts an item pickles it, and the client that gets it unpickles it.

    The server keeps an item until the process that took it has acknowledged it, by its next call on the queue or by its
    heartbeat. If a process dies, the items that it has not acknowledged go back to the front, so each item comes *at
    least once*. With `ack="on-get"` they are dropped, so each item comes *at most once*. An item has at most 512 MiB.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    queue with the same parameters.
    """

    kind = "Queue"
    lua = "queue"

    if not TYPE_CHECKING:  # a context's own class is a subclass without parameters

        def __class_getitem__(cls, item: Any, /) -> GenericAlias:
            return GenericAlias(cls, item)

    def __init__(
        self,
        maxsize: int = 0,
        *,
        ack: Literal["auto", "on-get"] = "auto",
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        maxsize = index(maxsize)
        if ack not in ("auto", "on-get"):
            raise ValueError(f"ack must be 'auto' or 'on-get': {ack!r}")
        spec = {"maxsize": max(0, maxsize), "ack": ack}
        self._create(name, exist_ok, persist, seats, spec, b"%d" % maxsize, b"%d" % (ack == "on-get"))

    # --- putting

    def put(self, item: T, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> None:
        """Put `item`, waiting for room up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Full if there is no room in time (at once if `block` is false), ShutDown after `shutdown()`,
        ValueError for a negative timeout or an item that is too large, and what pickling the item raises.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        if timeout is not None and block:
            timeout = self._time_of_put(timeout)
            if timeout is not None and timeout > LONGEST:
                return without_waiting(partial(self.put, item, False), Full)
        self._put([_packed(item)], bool(block), timeout if block else None)

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
                from sharedkit.aio import waiters

                await waiters.without_waiting(self.aput(item, False), Full)
                return
        await self._aput([_packed(item)], bool(block), timeout if block else None)

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
        self._put([_packed(item) for item in items], bool(block), _time_of_batch(block, timeout))

    async def aput_many(
        self, items: Iterable[T], block: bool = True, timeout: float | None = None, *, blocking: bool | None = None
    ) -> None:
        """Put as `put_many` does, without blocking the event loop.

        A cancelled task may have put the first items; the attribute `put` of the CancelledError is their number.
        """
        self._ensure_open()
        if blocking is not None:
            block = blocking
        await self._aput([_packed(item) for item in items], bool(block), _time_of_batch(block, timeout))

    def _time_of_put(self, timeout: float) -> float | None:
        """The timeout of a put. An unbounded queue ignores it, as queue.Queue does. Raises TypeError, ValueError."""
        number = span(timeout)
        if number is not None and not 0 <= number <= LONGEST and self.maxsize <= 0:
            return None
        return not_negative(timeout)

    def _put(self, packed: list[bytes], block: bool, timeout: float | None) -> None:
        session = self._ensure_open()
        deadline = None if timeout is None else monotonic() + timeout
        done = 0
        try:
            while done < len(packed):
                some = _next_batch(packed, done)
                left = None if deadline is None else deadline - monotonic()
                args = _args_of_put(some, block and (left is None or left > 0))
                fits, end = session.take(
                    self.lua, self._base, b"put", *args,
                    entry=b"p", timeout=left, use=partial(self._use_put, session, len(some)), shrinks=False,
                )  # fmt: skip
                done += fits
                if end is not None:
                    raise _stopped(end, done)
        except SharedkitError as why:
            raise self._told(why) from None

    async def _aput(self, packed: list[bytes], block: bool, timeout: float | None) -> None:
        from asyncio import CancelledError

        from sharedkit.redis.tasks import atake

        session = self._ensure_open()
        deadline = None if timeout is None else monotonic() + timeout
        done = 0
        try:
            while done < len(packed):
                some = _next_batch(packed, done)
                left = None if deadline is None else deadline - monotonic()
                args = _args_of_put(some, block and (left is None or left > 0))
                back: list[list[Any]] = []
                try:
                    fits, end = await atake(
                        session, self.lua, self._base, b"put", *args,
                        entry=b"p", timeout=left, use=partial(self._use_put, session, len(some)), shrinks=False,
                        taken_back=back.append,
                    )  # fmt: skip
                except CancelledError as error:
                    for said in back:
                        vars(error)["put"] = done + _put_before(said, len(some))
                    raise
                done += fits
                if end is not None:
                    raise _stopped(end, done)
        except SharedkitError as why:
            raise self._told(why) from None

    def _use_put(
        self, session: Session, count: int, answer: Any, payload: Any, number: int, left: int
    ) -> tuple[int, Literal["full", "shutdown"] | None]:
        """How many items went in, and why not all of them: "full", "shutdown", or None if all went in."""
        code, fits = answer
        if code == 1:
            return fits, None
        if code != 0:
            return fits, "shutdown" if code == -1 else "full"
        if payload is None:
            return count - left, "full"
        session.acknowledge(self._base, number)
        if payload.startswith(b"!"):
            return count - int(payload[1:]), "shutdown"
        return count, None

    # --- getting

    def get(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """Take the first item, waiting for one up to `timeout` seconds (None: for ever) if `block`.

        Raises queue.Empty if there is none in time (at once if `block` is false), ShutDown after `shutdown()` when none
        is left, ValueError for a negative timeout.
        """
        (item,) = self._get(1, block if blocking is None else blocking, timeout)
        return item

    async def aget(self, block: bool = True, timeout: float | None = None, *, blocking: bool | None = None) -> T:
        """Take as `get` does, without blocking the event loop. A cancelled task has taken nothing: an item that the
        server had already granted to it goes back to the front.
        """
        (item,) = await self._aget(1, block if blocking is None else blocking, timeout)
        return item

    def get_nowait(self) -> T:
        """Same as get(block=False)."""
        return self.get(False)

    def get_many(
        self,
        max_items: int | None = None,
        block: bool = True,
        timeout: float | None = None,
        *,
        blocking: bool | None = None,
    ) -> list[T]:
        """Wait for the first item as `get` does, then take the items that are there, at most `max_items`.

        The list is empty only if `max_items` is 0. Raises as `get` does, and ValueError for a negative `max_items`.
        """
        self._ensure_open()
        most = _checked_most(max_items)
        return [] if most == 0 else self._get(most, block if blocking is None else blocking, timeout)

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

    def _get(self, most: int, block: bool, timeout: float | None) -> list[T]:
        session = self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        if timeout is not None and timeout > LONGEST:
            return without_waiting(partial(self._get, most, False, None), Empty)
        willing = b"%d" % (bool(block) and timeout != 0)
        try:
            got: list[T] | str = session.take(
                self.lua, self._base, b"get", b"%d" % most, willing,
                timeout=timeout, use=partial(self._use_get, session),
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        return _items_or_error(got)

    async def _aget(self, most: int, block: bool, timeout: float | None) -> list[T]:
        from sharedkit.redis.tasks import atake

        session = self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        if timeout is not None and timeout > LONGEST:
            from sharedkit.aio import waiters

            items: list[T] = await waiters.without_waiting(self._aget(most, False, None), Empty)
            return items
        willing = b"%d" % (bool(block) and timeout != 0)
        try:
            got: list[T] | str = await atake(
                session, self.lua, self._base, b"get", b"%d" % most, willing,
                timeout=timeout, use=partial(self._use_get, session),
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        return _items_or_error(got)

    def _use_get(self, session: Session, answer: Any, payload: Any, number: int, left: int) -> list[T] | str:
        """The items, "empty", or "shutdown". Items that cannot be unpickled do not go back: they never could be."""
        if answer[0] == 2:
            packed = answer[1:]
        elif answer[0] != 0:
            return "shutdown" if answer[0] == -1 else "empty"
        elif payload is None:
            return "empty"
        elif payload[:1] == b"=":
            packed = [payload[1:]]
        elif payload == b"!":
            session.acknowledge(self._base, number)
            return "shutdown"
        else:
            packed = session.ask(self.lua, self._base, b"fetch", b"%d" % number)[1:]
        try:
            items = [pickle.loads(each) for each in packed]
        except Exception as why:
            session.acknowledge(self._base, number)
            raise Kept(why) from None
        session.acknowledge(self._base, number)
        return items

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

    # --- the rest

    def task_done(self) -> None:
        """Mark an item taken earlier as done. Raises ValueError when called more often than items were put."""
        try:
            self._call(b"task_done", shrinks=True)
        except Refused as why:
            if why.code != "SKTOOMANY":
                raise
            raise ValueError("task_done() called too many times") from None

    def join(self) -> None:
        """Wait until `task_done()` was called for every item that was put."""
        session = self._ensure_open()
        try:
            session.take(self.lua, self._base, b"join", timeout=None, use=partial(self._use_join, session))
        except SharedkitError as why:
            raise self._told(why) from None

    async def ajoin(self) -> None:
        """Wait as `join` does, without blocking the event loop."""
        from sharedkit.redis.tasks import atake

        session = self._ensure_open()
        try:
            await atake(session, self.lua, self._base, b"join", timeout=None, use=partial(self._use_join, session))
        except SharedkitError as why:
            raise self._told(why) from None

    def _use_join(self, session: Session, answer: Any, payload: Any, number: int, left: int) -> None:
        if payload is not None:
            session.acknowledge(self._base, number)

    def shutdown(self, immediate: bool = False) -> None:
        """Make every `put` raise ShutDown, and every `get` that finds no item; calls that wait now are included.

        With `immediate`, the remaining items are thrown away and count as done.
        """
        self._call(b"shutdown", b"%d" % bool(immediate), shrinks=True)

    @property
    def maxsize(self) -> int:
        """How many items the queue can hold; no limit if 0 or less. May be assigned at any time."""
        return int(self._read(b"get_maxsize"))

    @maxsize.setter
    def maxsize(self, maxsize: int) -> None:
        self._call(b"set_maxsize", b"%d" % how_many(maxsize))

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put and are not yet marked as done."""
        return self.statistics().unfinished_tasks

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown()` was called."""
        return self.statistics().state != "open"

    def qsize(self) -> int:
        """Return how many items are in the queue now."""
        return int(self._read(b"qsize"))

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
        maxsize, qsize, unfinished, state, getters, putters, sessions = self._read(b"statistics")
        return QueueStatistics(
            self._name,
            self.kind,
            max(0, int(maxsize)),
            qsize,
            int(unfinished),
            None,
            None,
            _STATES[state],
            pids(sessions),
            getters,
            putters,
        )


def _packed(item: object) -> bytes:
    """The item in the form in which the server keeps it. Raises ValueError if that is too long."""
    packed = pickle.dumps(item, 5)
    if len(packed) > LARGEST:
        raise ValueError(f"an item has {len(packed)} bytes, and a Redis server takes {LARGEST}: put it in parts")
    return packed


def _next_batch(packed: list[bytes], first: int) -> list[bytes]:
    """The items of the next call, from number `first` on: few enough not to keep other clients waiting for long."""
    if len(packed) == 1:
        return packed
    size, last = 0, first
    while (
        last < len(packed) and last < first + BATCH_ITEMS and (last == first or size + len(packed[last]) <= BATCH_BYTES)
    ):
        size += len(packed[last])
        last += 1
    return packed[first:last]


def _args_of_put(some: list[bytes], willing: bool) -> tuple[bytes, ...]:
    """The arguments of a put: one item as it is; several as an array in MessagePack, which is faster than arguments."""
    flag = b"1" if willing else b"0"
    if len(some) == 1:
        return flag, b"", some[0]
    parts = [struct.pack(">BI", 0xDD, len(some))]
    for each in some:
        parts.append(struct.pack(">BI", 0xDB, len(each)))
        parts.append(each)
    return flag, b"".join(parts), b""


def _put_before(said: list[Any], count: int) -> int:
    """How many items of a cancelled put had gone in. `said`: the answer to the put, then the answer to its undo."""
    answer, _, _, *parts = said
    if answer is not None and answer[0] != 0:
        return int(answer[1])
    return count - parts[0] if parts and answer is not None else 0


def _stopped(end: str, done: int) -> Exception:
    error: Exception = ShutDown() if end == "shutdown" else Full()
    vars(error)["put"] = done
    return error


def _items_or_error(got: list[T] | str) -> list[T]:
    if isinstance(got, list):
        return got
    raise ShutDown if got == "shutdown" else Empty


def _checked_most(max_items: int | None) -> int:
    if max_items is None:
        return 1 << 40
    most = how_many(max_items)
    if most < 0:
        raise ValueError(f"max_items must not be negative: {most}")
    return most


def _time_of_batch(block: bool, timeout: float | None) -> float | None:
    """The timeout of a batch; it is checked before the first item goes in. Raises TypeError, ValueError,
    OverflowError."""
    if timeout is None or not block:
        return None
    number = not_negative(timeout)
    if number > LONGEST:
        raise too_long()
    return number
