"""`get_context`: the same class names, with the state in another place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sharedkit import protocols, segments, shm, thread

__all__ = ["Context", "get_context"]


@dataclass(frozen=True, repr=False)
class Context:
    """The classes of one placement, in the manner of `multiprocessing.get_context()`.

    `method` is the placement's name; `attach(name)` opens whatever has that name there, and raises
    FileNotFoundError where nothing has.
    """

    method: str
    Counter: type[protocols.Counter]
    Counters: type[protocols.Counters]
    Queue: type[protocols.Queue[Any]]
    Array: type[protocols.Array]
    Dict: type[protocols.Dict]
    attach: Callable[[str], Any]

    def __repr__(self) -> str:
        return f"<sharedkit context {self.method!r}>"

    def __reduce__(self) -> tuple[Callable[[str], Context], tuple[str]]:
        return get_context, (self.method,)


_CONTEXTS = {
    context.method: context
    for context in (
        Context("thread", thread.Counter, thread.Counters, thread.Queue, thread.Array, thread.Dict, thread.attach),
        Context("shm", shm.Counter, shm.Counters, shm.Queue, shm.Array, shm.Dict, segments.attach),
    )
}


def get_context(method: str | None = None) -> Context:
    """The context of the placement `method`: "thread", or "shm", which is the default.

    Raises ValueError for an unknown method.
    """
    try:
        return _CONTEXTS["shm" if method is None else method]
    except (KeyError, TypeError):
        known = ", ".join(repr(known) for known in _CONTEXTS)
        raise ValueError(f"unknown context {method!r}; the known ones are {known}") from None
