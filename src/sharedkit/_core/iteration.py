"""`for item in queue` and `async for item in queue`, in every placement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import NoReturn, TypeVar

from sharedkit.errors import ShutDown

__all__ = ["aiter_until_shutdown", "refuse_search", "until_shutdown"]

T = TypeVar("T")


class until_shutdown(Iterator[T]):
    """Yields items as `get` takes them, until the queue is shut down and empty.

    Threads can share one iterator without `threading.serialize_iterator`: each item goes to one of them.
    """

    __slots__ = ("_get",)

    def __init__(self, get: Callable[[], T]) -> None:
        self._get = get

    def __next__(self) -> T:
        try:
            return self._get()
        except ShutDown:
            raise StopIteration from None


async def aiter_until_shutdown(get: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
    """Yields items as `get` takes them, until the queue is shut down and empty."""
    while True:
        try:
            item = await get()
        except ShutDown:
            return
        yield item


def refuse_search() -> NoReturn:
    """Refuse `item in queue`: Python would take one item after the other, and then wait for more."""
    raise TypeError("a queue cannot say whether an item is in it: that would take the items out")
