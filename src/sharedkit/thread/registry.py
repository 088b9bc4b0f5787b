"""The names of this process's structures: `name=`, `exist_ok=`, `persist=` and `attach` for threads.

A name exists as long as some handle does; if the structure persists, until `unlink()`. Names of shared-memory segments
follow the same rule, so a program moves between placements unchanged. A structure without a name gets one when its name
is first read.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from sharedkit._core.segment import PrivatePlace, PrivateSegment
from sharedkit.segments import Blueprint, check_same, checked_name, checked_seats, flags_of

__all__ = ["attach", "create", "opens", "with_partner"]

T = TypeVar("T", bound=type)

# Re-entrant, because a finalizer may close or unlink a structure while the same thread holds the lock.
_lock = threading.RLock()
_living: WeakValueDictionary[str, PrivateSegment] = WeakValueDictionary()
_persistent: dict[str, PrivateSegment] = {}
_opened_by: dict[int, type] = {}
_numbers = itertools.count(1)


def _renew_lock() -> None:
    """Replace the lock in the child of a fork: if another thread held it, it would stay locked in the child."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_lock)


class _Names:
    """The registry's interface for segments: choose, check and remove a segment's name."""

    def choose(self, segment: PrivateSegment) -> None:
        """Name a segment that has no name yet; if two threads do so at once, the second finds it named."""
        with _lock:
            name = next(name for number in _numbers if (name := f"thread-{number}") not in _living)
            if segment.call(name) == name:
                _living[name] = segment

    def knows(self, segment: PrivateSegment) -> bool:
        """Return whether the segment's name still leads to it."""
        return _living.get(segment.name) is segment

    def kind_of(self, segment: PrivateSegment) -> str:
        return _name_of(segment.kind)

    def forget(self, segment: PrivateSegment) -> None:
        """Remove the segment's name: a new structure may take it, and open handles keep working. Doing so again does
        nothing."""
        name = segment.name
        with _lock:
            if _living.get(name) is segment:
                del _living[name]
            if _persistent.get(name) is segment:
                del _persistent[name]


_names = _Names()


def opens(*kinds: int) -> Callable[[T], T]:
    """Decorate the class that `attach` opens for segments of these kinds."""

    def register(cls: T) -> T:
        _opened_by.update(dict.fromkeys(kinds, cls))
        return cls

    return register


def _name_of(kind: int) -> str:
    return _opened_by[kind].__name__


def create(
    blueprint: Blueprint, name: str | None, exist_ok: bool, persist: bool, seats: int, stripes: int = 1
) -> PrivateSegment:
    """Return the new segment of the blueprint in this process's memory; with `exist_ok`, the existing one if equal.

    `seats` limits nothing, because there is one process; it only counts when structures are compared. Raises
    FileExistsError when the name is taken and not `exist_ok`, ValueError when the existing structure differs, or for a
    number of seats that no segment can have.
    """
    seats = checked_seats(seats)
    place = PrivatePlace(_names, seats)
    if name is None and not persist:
        made: Any = blueprint.make(place, None, stripes, 0)
        return made  # type: ignore[no-any-return]
    with _lock:
        there = None if name is None else _living.get(checked_name(name))
        if there is None:
            made = blueprint.make(place, name and checked_name(name), stripes, flags_of(persist))
            there = _living.setdefault(made.name, made)  # a finalizer may have run meanwhile and made one
            if there is made:
                if persist:
                    _persistent[made.name] = made
                return made
    if not exist_ok:
        raise FileExistsError(f"{_opened_by[there.kind].__name__} {name!r} exists; exist_ok=True attaches to it")
    check_same(there, repr(there.name), blueprint, bool(persist), seats, _name_of)
    return there


def with_partner(blueprint: Blueprint, partner: object) -> Blueprint:
    """Return the blueprint with a `partner`: an object, kept by the segment, that cannot be stored as bytes."""

    def made(*args: Any) -> Any:
        segment: Any = blueprint.make(*args)
        segment.partner = partner
        return segment

    return blueprint._replace(make=made)


def attach(name: str) -> Any:
    """Return a new handle on this process's structure of that name, of whatever kind.

    Raises FileNotFoundError if there is none.
    """
    name = checked_name(name)
    with _lock:
        segment = _living.get(name)
    if segment is None:
        raise FileNotFoundError(f"no structure of this process is called {name!r}")
    opener: Any = _opened_by[segment.kind]
    return opener._of(segment)
