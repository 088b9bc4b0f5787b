"""A set behind a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from typing import Any

from sharedkit._core.dict_methods import Entry, Form, MembersMethods
from sharedkit._core.keys import form_and_first
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.protocol import pack
from sharedkit.statistics import DictStatistics

__all__ = ["Set"]

_NOTHING = pack(None)


class Set(MembersMethods, Handle):
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
        members = [form_and_first(member) for member in iterable]  # first: one that cannot be sent raises here
        self._create(name, exist_ok, persist, seats, {})
        if members:
            self._insert(members)

    def _insert(self, entries: list[tuple[Form, bytes | None]]) -> int:
        return int(self._call("insert", [(form, first, _NOTHING) for form, first in entries]))

    def _discard(self, form: Form) -> bool:
        return bool(self._call("discard", form))

    def _has(self, form: Form) -> bool:
        return bool(self._call("has", form))

    def _pop_last(self) -> Entry:
        form, (first, value) = self._call("popitem")
        return form, first, value

    def _iter_keys(self) -> Iterator[tuple[Form, bytes | None]]:
        return iter(self._call("keys"))

    def clear(self) -> None:
        """Remove all members, in one step."""
        self._call("clear")

    def __len__(self) -> int:
        return int(self._call("len"))

    def statistics(self) -> DictStatistics:
        """Return the number of members and the attached processes at this moment: a DictStatistics."""
        snapshot: DictStatistics = self._call("statistics")
        return snapshot


MutableSet.register(Set)
