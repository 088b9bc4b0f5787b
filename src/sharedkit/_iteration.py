"""`for item in queue`, in every placement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

from sharedkit.errors import ShutDown

__all__ = ["refuse_search", "until_shutdown"]

T = TypeVar("T")


def until_shutdown(get: Callable[[], T]) -> Iterator[T]:
    """Items as `get` takes them, until the queue is shut down and empty."""
    while True:
        try:
            item = get()
        except ShutDown:
            return
        yield item


def refuse_search() -> NoReturn:
    """`item in queue`, which Python would answer by taking one item after the other and then waiting for more."""
    raise TypeError("a queue cannot say whether an item is in it: that would take the items out")
