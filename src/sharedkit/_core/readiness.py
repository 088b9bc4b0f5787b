"""What `sharedkit.wait` can wait for: for each class, the methods, and the wait until a call of each would not wait.

A structure adds itself when its module is imported, by one call of `register`. A wait is a Waiter of sharedkit.aio; its
answer is True, and it takes nothing. If it may have used up a wake-up that another waiter needs, it passes the wake-up
on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["BARRIER", "BEHIND_A_SERVER", "CONDITION", "of_queue", "refuse", "register", "waiter_of"]

BEHIND_A_SERVER = (
    "sharedkit.wait takes structures of the placements shm and thread, and this one is behind a server: use a task for "
    "each awaitable method, and asyncio.wait"
)
CONDITION = (
    "cannot wait for a Condition beside other things: its wait releases a lock and takes it again; use an Event or a "
    "queue"
)
BARRIER = "cannot wait for a Barrier beside other things: whoever waits for it takes part in it"

Ways = Mapping[str, Callable[[Any], Any]]

_ways: dict[type, Ways] = {}
_reasons: dict[type, str] = {}


def register(kind: type, ways: Ways) -> None:
    """Add a class: for each method's name a function that makes the wait from the handle. The name "" stands for the
    handle itself."""
    _ways[kind] = ways


def refuse(kind: type, reason: str) -> None:
    """Say why nobody can wait for this class, for the error message."""
    _reasons[kind] = reason


def of_queue(get: Callable[[Any], Any], put: Callable[[Any], Any], join: Callable[[Any], Any]) -> Ways:
    """The methods of a queue."""
    gets = ("get", "get_nowait", "get_many", "aget", "aget_many")
    puts = ("put", "put_nowait", "put_many", "aput", "aput_many")
    return {**dict.fromkeys(gets, get), **dict.fromkeys(puts, put), "join": join, "ajoin": join}


def waiter_of(thing: Any) -> Any:
    """The wait for a handle or a bound method of one. Raises TypeError, ClosedError."""
    owner = getattr(thing, "__self__", None) if callable(thing) else None
    name = "" if owner is None else str(getattr(thing, "__name__", ""))
    what = thing if owner is None else owner
    kinds = type(what).__mro__
    for kind in kinds:
        if kind in _reasons:
            raise TypeError(_reasons[kind])
        if kind in _ways:
            make = _ways[kind].get(name)
            if make is not None:
                return make(what)
            named = (each for each in _ways[kind] if each and (each[0] != "a" or each.startswith("acquire")))
            known = ", ".join(f".{each}" for each in named)
            if name:
                raise TypeError(f"cannot wait for {type(what).__name__}.{name}: only for {known}")
            raise TypeError(f"cannot wait for a {type(what).__name__} itself: name a method, {known}")
    raise TypeError(
        f"cannot wait for {thing!r}: only for methods of queues, for events, locks, semaphores, values with a lock and "
        "the sides of an RWLock, in the placements shm and thread"
    )
