"""A set in a Redis server."""

from __future__ import annotations

from collections.abc import Iterable, MutableSet
from itertools import chain
from typing import Any

from sharedkit._core.dict_methods import Form, MembersMethods
from sharedkit._core.keys import form_and_first
from sharedkit.redis.handle import DEFAULT_SEATS
from sharedkit.redis.items import batches, message_pack
from sharedkit.redis.keys import Keys, first_of, form_bytes

__all__ = ["Set"]


class Set(Keys, MembersMethods):
    """Set(iterable=(), /, *, name=None, exist_ok=False, persist=False, seats=192)

    A `set` in a Redis server. A member can be anything that can be a key of a Dict; members are equal exactly when
    Python says so, and the server never unpickles them. Each single operation is atomic; iteration goes over a
    snapshot, in the order in which members were added, which a large set sends in pages. `insert` adds a member and
    returns whether it was new. Operators such as `|`, and methods such as `union`, return plain sets. `update` adds up
    to 1,000 members in one step; other methods that change many members take one step for each member.

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
        new = self._create(name, exist_ok, persist, seats, {})
        self._fill(new, lambda: self._insert(members))

    def _insert(self, entries: list[tuple[Form, bytes | None]]) -> int:
        sent: list[tuple[bytes, ...]] = [(form_bytes(form), first_of(first), b"") for form, first in entries]
        if len(sent) == 1:
            return int(self._call(b"set", *sent[0]))
        return sum(self._call(b"set_many", message_pack(chain.from_iterable(some))) for some in batches(sent))

    def _discard(self, form: Form) -> bool:
        return bool(self._call(b"discard", form_bytes(form), shrinks=True))


MutableSet.register(Set)
