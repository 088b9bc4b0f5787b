"""The ranks by which the server orders the items of a priority queue: plain values, which the client derives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["rank_of"]

_PLAIN = frozenset({bool, int, float, str, bytes})
_NUMPY = (np.number, np.bool_, np.str_, np.bytes_)
_MISSING: Any = object()
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int.__index__),
    (float, float.__float__),
    (str, str.__str__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
)
DEPTH = 16  # of tuples within each other


def rank_of(item: Any) -> Any:
    """Return the rank of an item. Numbers, str, bytes and tuples of them are their own ranks. For another tuple, and
    for the fields by which a dataclass compares (`order=True`), the rank is the parts before the first that is none of
    these.

    Raises TypeError if there are no such parts.
    """
    rank = _plain(item, DEPTH)
    if rank is not _MISSING:
        return rank
    beginning = []
    for part in _parts(item):
        plain = _plain(part, DEPTH - 1)
        if plain is _MISSING:
            break
        beginning.append(plain)
    if not beginning:
        raise TypeError(
            "a PriorityQueue behind a server orders items by numbers, str, bytes and tuples of them, also of numpy; "
            f"put a tuple that begins with such a priority, (priority, item), not {type(item).__name__}"
        )
    return tuple(beginning)


def _plain(value: Any, depth: int) -> Any:
    """The value in exactly the types that the server compares, if the value compares as those types do."""
    cls = type(value)
    if cls in _PLAIN:
        return value
    if isinstance(value, np.generic):
        found = value.item() if isinstance(value, _NUMPY) else value
        return found if type(found) in _PLAIN else _MISSING
    for base, make in _BASES:
        if isinstance(value, base):
            return make(value) if cls.__lt__ is vars(base)["__lt__"] else _MISSING
    if not _is_tuple(value) or depth == 0:
        return _MISSING
    parts = [_plain(part, depth - 1) for part in tuple.__iter__(value)]
    return _MISSING if any(part is _MISSING for part in parts) else tuple(parts)


def _is_tuple(value: Any) -> bool:
    """Whether the value is a tuple, also a namedtuple, that compares as one."""
    return isinstance(value, tuple) and type(value).__lt__ is tuple.__lt__


def _parts(item: Any) -> tuple[Any, ...]:
    if _is_tuple(item):
        return tuple(tuple.__iter__(item))
    base = next((each for each in type(item).__mro__ if "__lt__" in vars(each)), object)
    made = vars(base).get("__dataclass_params__")
    if made is None or not made.order:  # with `order=True` the class cannot have its own `__lt__`
        return ()
    return tuple(getattr(item, each.name) for each in dataclasses.fields(base) if each.compare)
