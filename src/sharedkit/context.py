"""`get_context`: the same class names, with the state in another place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, fields
from types import ModuleType
from typing import Any

from sharedkit import protocols, shm, thread

__all__ = ["Context", "get_context"]


@dataclass(frozen=True, repr=False, eq=False)
class Context:
    """The classes of one placement, in the manner of `multiprocessing.get_context()`.

    `method` is the placement's name; `attach(name)` opens whatever has that name there, and raises
    FileNotFoundError where nothing has.
    """

    method: str
    placement: InitVar[ModuleType]
    Array: type[protocols.Array] = field(init=False)
    Barrier: type[protocols.Barrier] = field(init=False)
    BoundedSemaphore: type[protocols.BoundedSemaphore] = field(init=False)
    Condition: type[protocols.Condition] = field(init=False)
    Counter: type[protocols.Counter] = field(init=False)
    Counters: type[protocols.Counters] = field(init=False)
    Dict: type[protocols.Dict] = field(init=False)
    Event: type[protocols.Event] = field(init=False)
    Executor: type[protocols.Executor] = field(init=False)
    Lock: type[protocols.Lock] = field(init=False)
    Queue: type[protocols.Queue[Any]] = field(init=False)
    RLock: type[protocols.RLock] = field(init=False)
    RWLock: type[protocols.RWLock] = field(init=False)
    Semaphore: type[protocols.Semaphore] = field(init=False)
    attach: Callable[[str], Any] = field(init=False)

    def __post_init__(self, placement: ModuleType) -> None:
        for each in fields(self):
            if not each.init:
                object.__setattr__(self, each.name, getattr(placement, each.name))

    def __repr__(self) -> str:
        return f"<sharedkit context {self.method!r}>"

    def __reduce__(self) -> tuple[Callable[[str], Context], tuple[str]]:
        return get_context, (self.method,)


_CONTEXTS = {context.method: context for context in (Context("thread", thread), Context("shm", shm))}


def get_context(method: str | None = None) -> Context:
    """The context of the placement `method`: "thread", or "shm", which is the default.

    Raises ValueError for an unknown method.
    """
    try:
        return _CONTEXTS["shm" if method is None else method]
    except (KeyError, TypeError):
        known = ", ".join(repr(known) for known in _CONTEXTS)
        raise ValueError(f"unknown context {method!r}; the known ones are {known}") from None
