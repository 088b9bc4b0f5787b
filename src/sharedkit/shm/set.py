"""A set in shared memory: the keys of a dict."""

from __future__ import annotations

from collections.abc import Iterable, MutableSet
from typing import Any

from sharedkit import segments
from sharedkit._core.segment import Handle, Segment
from sharedkit._core.set_methods import DictMembers
from sharedkit.shm import _dict

__all__ = ["Set"]

KIND_SET = 17


class Set(DictMembers, Handle):
    """Set(iterable=(), /, *, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)

    A `set` in shared memory. A member can be anything that can be a key of a Dict; members are equal exactly when
    Python says so.
    Each single operation is atomic; iteration goes over a snapshot, in the order in which members were added. `insert`
    adds a member and returns whether it was new. Operators such as `|`, and methods such as `union`, return plain sets.
    Methods that change many members take one atomic step for each member.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs,
    TypeError for a member that cannot be a key, OutOfSharedMemory.
    """

    __slots__ = ("_dict",)
    _dict_class = _dict.Dict

    def __init__(
        self,
        iterable: Iterable[Any] = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = segments.DEFAULT_SEATS,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None:
        members = dict.fromkeys(iterable)
        fresh: list[Segment] = []

        def made(place: Any, name: str | None, seats: int, flags: int) -> Segment:
            segment = _dict.make(place, name, seats, flags, KIND_SET)
            fresh.append(segment)
            return segment

        blueprint = segments.Blueprint(KIND_SET, made, lambda there: None)
        self._adopt(segments.create(blueprint, name, exist_ok, persist, seats, mode, group))
        try:
            for member in members:
                self.add(member)
        except BaseException:  # a set with only some of the members must not remain
            if fresh:
                self.unlink()
            self.close()
            raise


def _state(segment: Segment) -> str:
    count = len(_dict.Dict._of(segment))
    return f"{count} member{'s' * (count != 1)}"


MutableSet.register(Set)
segments.register_kind(segments.Kind(KIND_SET, "Set", Set._of, _state, _dict.CONTENTS))
