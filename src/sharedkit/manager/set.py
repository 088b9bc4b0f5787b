"""A set behind a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from itertools import chain
from typing import Any

from sharedkit._core.keys import form_and_first, form_of, key_of
from sharedkit._core.set_methods import SetFace
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.protocol import pack
from sharedkit.statistics import DictStatistics

__all__ = ["Set"]

_NOTHING = pack(None)


class Set(SetFace, Handle):
    """Set(iterable=(), /, *, name=None, exist_ok=False, persist=False, seats=192)

    A `set` behind a server. A member can be anything that can be a key of a Dict; members are equal exactly when Python
    says so, and the server never unpickles them. Each single operation is atomic, and so is `update`; iteration goes
    over a snapshot, in the order in which members were added. `insert` adds a member and returns whether it was new.
    Operators such as `|`, and methods such as `union`, return plain sets. Other methods that change many members take
    one atomic step for each member.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a set
    with the same `seats` and `persist`, TypeError for a member that cannot be a key.
    """

    kind = "Set"

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
        entries = _entries(iterable)  # first: a member that cannot be sent raises before anything is made
        self._create(name, exist_ok, persist, seats, {})
        if entries:
            self._call("insert", entries)

    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step and return whether it was new: of many concurrent inserts, one returns True."""
        self._ensure_open()
        return bool(self._call("insert", [(*form_and_first(member), _NOTHING)]))

    def update(self, *others: Iterable[Any]) -> None:
        """Add the members of all the others, in one step."""
        self._ensure_open()
        self._call("insert", _entries(chain.from_iterable(others)))

    def _take(self, member: Any) -> bool:
        self._ensure_open()
        return bool(self._call("discard", form_of(member)))

    def pop(self) -> Any:
        """Remove and return the member that was added last, in one step. Raises KeyError if the set is empty."""
        try:
            form, (first, _) = self._call("popitem")
        except KeyError:
            raise KeyError("pop from an empty set") from None
        return key_of(form, first)

    def clear(self) -> None:
        """Remove all members, in one step."""
        self._call("clear")

    def __contains__(self, member: object) -> bool:
        self._ensure_open()
        return bool(self._call("has", form_of(frozenset(member) if type(member) is set else member)))

    def __len__(self) -> int:
        return int(self._call("len"))

    def __iter__(self) -> Iterator[Any]:
        return iter([key_of(form, first) for form, first in self._call("keys")])

    def statistics(self) -> DictStatistics:
        """Return the number of members and the attached processes at this moment: a DictStatistics."""
        snapshot: DictStatistics = self._call("statistics")
        return snapshot


def _entries(members: Iterable[Any]) -> list[tuple[Any, bytes | None, Any]]:
    return [(*form_and_first(member), _NOTHING) for member in members]


MutableSet.register(Set)
