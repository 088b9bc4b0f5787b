"""The names of this process's structures: `name=`, `exist_ok=`, `persist=` and `attach` for threads.

A *state* is what the handles of one structure share. Its name lives as long as some handle does (or until
`unlink()` when it persists), as a shared-memory segment's does, so a program moves between placements
unchanged.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sharedkit._differences import is_another, unlike, with_another
from sharedkit.segments import DEFAULT_SEATS, checked_name, checked_seats

__all__ = ["DEFAULT_SEATS", "State", "find", "forget", "open_state"]


class State:
    """What the handles of one structure share; `kind` is the name of the handle's class.

    `seats` bounds nothing where there is one process; it is kept to tell equal structures from others.
    """

    __slots__ = ("__weakref__", "name", "seats")

    kind = "State"

    def __init__(self, name: str) -> None:
        self.name = name
        self.seats = DEFAULT_SEATS

    def ensure_open(self) -> None:
        """Does nothing; what a closed handle holds instead of a state raises ClosedError here."""


S = TypeVar("S", bound=State)

# Reentrant, because a finalizer may close or unlink a structure while this very thread is in here.
_lock = threading.RLock()
_living: WeakValueDictionary[str, State] = WeakValueDictionary()
_persistent: dict[str, State] = {}


def _renew_lock() -> None:
    """A lock that some other thread held at a fork would stay held in the child, which lacks that thread."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


def open_state(
    make: Callable[[str], S],
    name: str | None,
    *,
    exist_ok: bool,
    persist: bool,
    seats: int,
    kind: str,
    differs: Callable[[Any], str | None] = lambda found: None,
) -> S:
    """A new state made by `make(name)`, or with `exist_ok` the one of that name if it is equal.

    `differs(state)`, of one of this `kind`, answers None for an equal one, or words for the difference. Raises
    FileExistsError when the name is taken and `exist_ok` is false, ValueError when what is there is not equal or for a
    number of `seats` that no segment has.
    """
    seats = checked_seats(seats)
    if name is None:
        return _register(make(f"thread-{secrets.token_hex(8)}"), persist, seats)
    name = checked_name(name)
    with _lock:
        found = _living.get(name)
        if found is None:
            return _register(make(name), persist, seats)
    if not exist_ok:
        raise FileExistsError(f"{found.kind} {name!r} exists; exist_ok=True attaches to it")
    if found.kind != kind:
        raise is_another(repr(name), found.kind, kind)
    difference = (
        differs(found)
        or unlike("seats", found.seats, seats)
        or unlike("persist", _persistent.get(name) is found, bool(persist))
    )
    if difference is not None:
        raise with_another(repr(name), kind, difference)
    return found  # type: ignore[return-value]  # it is of the kind that make() makes


def _register(state: S, persist: bool, seats: int) -> S:
    state.seats = seats
    with _lock:
        _living[state.name] = state
        if persist:
            _persistent[state.name] = state
    return state


def find(name: str) -> State:
    """The state of that name; FileNotFoundError where there is none."""
    name = checked_name(name)
    with _lock:
        state = _living.get(name)
    if state is None:
        raise FileNotFoundError(f"no structure of this process is called {name!r}")
    return state


def forget(state: State) -> None:
    """Take the name from `state`: a new structure may have it, and open handles work on. Twice is once."""
    with _lock:
        if _living.get(state.name) is state:
            del _living[state.name]
        if _persistent.get(state.name) is state:
            del _persistent[state.name]
