"""Queues in a Redis server: the interface of `queue.Queue` of Python 3.13, with batches."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from functools import partial
from queue import Empty, Full
from time import monotonic
from typing import Any, Literal, TypeVar

from sharedkit._core.counts import how_many, number_of
from sharedkit._core.queue_methods import QueueMethods, checked_most
from sharedkit._core.timeouts import LONGEST, await_without_waiting, not_negative, without_waiting
from sharedkit.errors import SharedkitError, ShutDown
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, pids
from sharedkit.redis.items import checked, message_pack, next_batch
from sharedkit.redis.operation import Kept
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session
from sharedkit.statistics import QueueState, QueueStatistics

__all__ = ["Queue"]

T = TypeVar("T")

ALL = 1 << 40  # more items than a server has

_STATES: dict[bytes, QueueState] = {b"0": "open", b"1": "shutdown", b"2": "shutdown-immediate"}
_Got = list[bytes] | Literal["empty", "shutdown"]


class Queue(QueueMethods[T], Handle):
    """Queue(maxsize=0, *, ack="auto", name=None, exist_ok=False, persist=False, seats=192)

    A first-in, first-out queue, with the interface of `queue.Queue` of Python 3.13; unbounded if `maxsize` is 0 or
    less. The client that puts an item pickles it, and the client that gets it unpickles it.

    The server keeps an item until the process that took it has acknowledged it, by its next call on the queue or by its
    heartbeat. If a process dies, the items that it has not acknowledged go back to the front, so each item comes *at
    least once*. With `ack="on-get"` they are dropped, so each item comes *at most once*. An item has at most 512 MiB:
    `put` raises ValueError for a larger one.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a
    queue with the same parameters.
    """

    kind = "Queue"
    lua = "queue"

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
        maxsize = number_of("maxsize", maxsize)
        if ack not in ("auto", "on-get"):
            raise ValueError(f"ack must be 'auto' or 'on-get': {ack!r}")
        spec = {"maxsize": max(0, maxsize), "ack": ack}
        self._create(name, exist_ok, persist, seats, spec, b"%d" % maxsize, b"%d" % (ack == "on-get"))

    # --- putting

    def _pack(self, item: T) -> bytes:
        """The item in the form in which the server keeps it. Raises ValueError if that is too long."""
        return checked(pickle.dumps(item, 5), "an item")

    def _pack_all(self, items: Iterable[T]) -> list[bytes]:
        dumps = pickle.dumps
        packed = [dumps(item, 5) for item in items]
        if packed:
            checked(max(packed, key=len), "an item")
        return packed

    def _put(self, packed: list[bytes], block: bool, timeout: float | None) -> None:
        session = self._ensure_open()
        deadline = monotonic() + timeout if block and timeout is not None else None
        done = 0
        try:
            while done < len(packed):
                some = next_batch(packed, done) if len(packed) > 1 else packed
                left = None if deadline is None else deadline - monotonic()
                args = _args_of_put(some, block and (left is None or left > 0))
                fits, end = session.take(
                    self.lua, self._base, *args,
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
        deadline = monotonic() + timeout if block and timeout is not None else None
        done = 0
        try:
            while done < len(packed):
                some = next_batch(packed, done)
                left = None if deadline is None else deadline - monotonic()
                args = _args_of_put(some, block and (left is None or left > 0))
                back: list[list[Any]] = []
                try:
                    fits, end = await atake(
                        session, self.lua, self._base, *args,
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
        most = checked_most(max_items)
        return [] if most == 0 else self._get(most, block if blocking is None else blocking, timeout)

    def _get(self, most: int | None, block: bool, timeout: float | None) -> list[T]:
        session = self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        if timeout is not None and timeout > LONGEST:
            return without_waiting(partial(self._get, most, False, None), Empty)
        willing = b"%d" % (bool(block) and timeout != 0)
        try:
            got: list[T] | str = session.take(
                self.lua, self._base, b"get", b"%d" % (ALL if most is None else most), willing,
                timeout=timeout, use=partial(self._use_get, session),
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        return _items_or_error(got)

    async def _aget(self, most: int | None, block: bool, timeout: float | None) -> list[T]:
        from sharedkit.redis.tasks import atake

        session = self._ensure_open()
        timeout = not_negative(timeout) if timeout is not None and block else None
        if timeout is not None and timeout > LONGEST:
            items: list[T] = await await_without_waiting(self._aget(most, False, None), Empty)
            return items
        willing = b"%d" % (bool(block) and timeout != 0)
        try:
            got: list[T] | str = await atake(
                session, self.lua, self._base, b"get", b"%d" % (ALL if most is None else most), willing,
                timeout=timeout, use=partial(self._use_get, session),
            )  # fmt: skip
        except SharedkitError as why:
            raise self._told(why) from None
        return _items_or_error(got)

    def _use_get(self, session: Session, answer: Any, payload: Any, number: int, left: int) -> list[T] | str:
        """The items, "empty", or "shutdown". Items that cannot be unpickled do not go back: they never could be."""
        if answer[0] == 2:
            packed = answer[1]
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
            packed = session.ask(self.lua, self._base, b"fetch", b"%d" % number)[1]
        try:
            items = [pickle.loads(each) for each in packed]
        except Exception as why:
            if payload is not None:
                session.acknowledge(self._base, number)
            raise Kept(why) from None
        if payload is not None:
            session.acknowledge(self._base, number)
        return items

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

    def qsize(self) -> int:
        """Return how many items are in the queue now."""
        return int(self._read(b"qsize"))

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


def _args_of_put(some: list[bytes], willing: bool) -> tuple[bytes, ...]:
    """The method and arguments of a put: several items are an array in MessagePack, which is faster than arguments."""
    flag = b"1" if willing else b"0"
    if len(some) == 1:
        return b"put", flag, some[0]
    return b"put_many", flag, message_pack(some)


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
