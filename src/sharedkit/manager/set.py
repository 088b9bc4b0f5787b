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

    A `set` behind a server. Members are what can be keys of a Dict, and equal exactly when Python says so; the server
    never unpickles them. Each single operation is atomic, and so is `update`; iteration goes over a snapshot, in the
    order in which members were added. `insert` adds and says whether the member was new. Operators such as `|`, and
    `union` and its like, answer plain sets; what else changes many members does so in one atomic step a member.

    Raises FileExistsError when the name is taken, ValueError when what is there is not a set, TypeError for what cannot
    be a key.
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
        entries = _entries(iterable)  # what cannot be sent is an error before anything is made
        self._create(name, exist_ok, persist, seats, {})
        if entries:
            self._call("insert", entries)

    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step, and say whether it was new: of many who insert the same, one is told so."""
        self._ensure_open()
        return bool(self._call("insert", [(*form_and_first(member), _NOTHING)]))

    def update(self, *others: Iterable[Any]) -> None:
        """Add what is in any of the others, all in one step."""
        self._ensure_open()
        self._call("insert", _entries(chain.from_iterable(others)))

    def _take(self, member: Any) -> bool:
        self._ensure_open()
        return bool(self._call("discard", form_of(member)))

    def pop(self) -> Any:
        """Remove and return a member, the one that was added last, in one step. KeyError when there is none."""
        try:
            form, (first, _) = self._call("popitem")
        except KeyError:
            raise KeyError("pop from an empty set") from None
        return key_of(form, first)

    def clear(self) -> None:
        """Remove everything, in one step."""
        self._call("clear")

    def __contains__(self, member: object) -> bool:
        self._ensure_open()
        return bool(self._call("has", form_of(frozenset(member) if type(member) is set else member)))

    def __len__(self) -> int:
        return int(self._call("len"))

    def __iter__(self) -> Iterator[Any]:
        return iter([key_of(form, first) for form, first in self._call("keys")])

    def statistics(self) -> DictStatistics:
        """The number of members and who is attached, at this moment."""
        picture: DictStatistics = self._call("statistics")
        return picture


def _entries(members: Iterable[Any]) -> list[tuple[Any, bytes | None, Any]]:
    return [(*form_and_first(member), _NOTHING) for member in members]


MutableSet.register(Set)
