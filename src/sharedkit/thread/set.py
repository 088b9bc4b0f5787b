"""A set for the threads of this process: the keys of a dict."""

from __future__ import annotations

from collections.abc import Iterable, MutableSet
from typing import Any

from sharedkit._core.segment import Handle
from sharedkit._core.set_methods import DictMembers
from sharedkit.segments import DEFAULT_SEATS, Blueprint
from sharedkit.thread import _table, registry
from sharedkit.thread.dict import Dict

__all__ = ["Set"]

KIND_SET = 17

_BLUEPRINT = Blueprint(
    KIND_SET,
    lambda place, name, seats, flags: _table.make(place, name, seats, flags, KIND_SET),
    lambda there: None,
)


@registry.opens(KIND_SET)
class Set(DictMembers, Handle):
    """Set(iterable=(), /, *, name=None, exist_ok=False, persist=False, seats=192)

    A `set` for the threads of this process. Each single operation is atomic; iteration goes over a snapshot, in the
    order in which members were added. `insert` adds a member and returns whether it was new. Operators such as `|`, and
    methods such as `union`, return plain sets. Methods that change many members take one atomic step for each member.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a set
    with the same `seats` and `persist`, TypeError for a member that is not hashable.
    """

    __slots__ = ("_dict",)
    _dict_class = Dict

    def __init__(
        self,
        iterable: Iterable[Any] = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        members = dict.fromkeys(iterable)
        self._adopt(registry.create(_BLUEPRINT, name, exist_ok, persist, seats))
        for member in members:
            self.add(member)


MutableSet.register(Set)
