"""The two ends of a queue in a worker, and the loops that use them.

A queue either blocks in its own calls or only tries. For a queue that only tries, the loops here poll as tightly as
possible, and offer the core after some attempts in vain (two cores carry up to four workers). There is only one copy of
the loops, so that no rival pays for a wrapper around each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from os import sched_yield
from time import perf_counter_ns
from typing import Any

EAGER = 200  # attempts in vain, after which each further one is preceded by a sched_yield


class Sender:
    """The producer's end: `put` blocks, or `try_put` returns whether the item went in; the same for batches."""

    def __init__(
        self,
        *,
        put: Callable[[Any], object] | None = None,
        try_put: Callable[[Any], bool] | None = None,
        put_many: Callable[[list[Any]], object] | None = None,
        try_put_many: Callable[[Sequence[Any]], int] | None = None,
    ) -> None:
        self.try_put = try_put
        self.put = put or self._put_polling
        self.put_many = put_many or self._put_many_polling
        self._try_put_many = try_put_many

    def send(self, items: list[Any]) -> None:
        """Put every item, one at a time."""
        try_put = self.try_put
        if try_put is None:
            put = self.put
            for item in items:
                put(item)
            return
        for item in items:
            if not try_put(item):
                self._put_polling(item)

    def send_batches(self, batches: list[list[Any]]) -> None:
        """Put every batch."""
        put_many = self.put_many
        for batch in batches:
            put_many(batch)

    def _put_polling(self, item: Any) -> None:
        assert self.try_put is not None
        for _ in repeat(None, EAGER):
            if self.try_put(item):
                return
        while not self.try_put(item):
            sched_yield()

    def _put_many_polling(self, items: list[Any]) -> None:
        assert self._try_put_many is not None
        went_in = self._try_put_many(items)
        vain = 0
        while went_in < len(items):
            more = self._try_put_many(items[went_in:])
            went_in += more
            vain = 0 if more else vain + 1
            if vain > EAGER:
                sched_yield()


class Receiver:
    """The consumer's end: `get` blocks, or `try_get` returns None if there is no item; `get_many` returns a list."""

    def __init__(
        self,
        *,
        get: Callable[[], Any] | None = None,
        try_get: Callable[[], Any] | None = None,
        get_many: Callable[[], list[Any]] | None = None,
    ) -> None:
        self.try_get = try_get
        self.get = get or self._get_polling
        self.get_many = get_many

    def receive_until(self, stop: Any) -> list[Any]:
        """Get items, one at a time, until `stop` comes; return the others."""
        if self.try_get is None:
            return list(iter(self.get, stop))
        items: list[Any] = []
        take = items.append
        vain = 0
        for item in iter(self.try_get, stop):
            if item is not None:
                take(item)
                vain = 0
            elif (vain := vain + 1) > EAGER:
                sched_yield()
        return items

    def receive_batches(self, count: int) -> list[Any]:
        """Get items, as many at a time as there are, until there are `count`."""
        assert self.get_many is not None
        get_many = self.get_many
        items: list[Any] = []
        vain = 0
        while len(items) < count:
            batch = get_many()
            if batch:
                items += batch
                vain = 0
            elif (vain := vain + 1) > EAGER:
                sched_yield()
        return items

    def _get_polling(self) -> Any:
        assert self.try_get is not None
        for _ in repeat(None, EAGER):
            if (item := self.try_get()) is not None:
                return item
        while (item := self.try_get()) is None:
            sched_yield()
        return item


def ping(sender: Sender, receiver: Receiver, items: list[Any], times: list[int]) -> list[Any]:
    """Send each item and wait for its echo; record the nanoseconds of each round trip, return the echoes."""
    if sender.try_put is not None and receiver.try_get is not None:
        return _ping_polling(sender.try_put, receiver.try_get, items, times)
    put, get = sender.put, receiver.get
    echoes = []
    for item in items:
        start = perf_counter_ns()
        put(item)
        echo = get()
        times.append(perf_counter_ns() - start)
        echoes.append(echo)
    return echoes


def echo(sender: Sender, receiver: Receiver, count: int) -> None:
    """Send the next `count` items back."""
    if sender.try_put is not None and receiver.try_get is not None:
        _echo_polling(sender.try_put, receiver.try_get, count)
        return
    put, get = sender.put, receiver.get
    for _ in repeat(None, count):
        put(get())


def _ping_polling(
    try_put: Callable[[Any], bool], try_get: Callable[[], Any], items: list[Any], times: list[int]
) -> list[Any]:
    echoes = []
    for item in items:
        start = perf_counter_ns()
        while not try_put(item):
            sched_yield()
        vain = 0
        while (echo := try_get()) is None:
            if (vain := vain + 1) > EAGER:
                sched_yield()
        times.append(perf_counter_ns() - start)
        echoes.append(echo)
    return echoes


def _echo_polling(try_put: Callable[[Any], bool], try_get: Callable[[], Any], count: int) -> None:
    for _ in repeat(None, count):
        vain = 0
        while (item := try_get()) is None:
            if (vain := vain + 1) > EAGER:
                sched_yield()
        while not try_put(item):
            sched_yield()
