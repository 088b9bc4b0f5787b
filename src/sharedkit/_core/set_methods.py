"""The common part of the sets of all placements: the interface of a `set` over single steps and snapshots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

from sharedkit._core.segment import Handle, Segment

if TYPE_CHECKING:
    from sharedkit.statistics import DictStatistics

__all__ = ["DictMembers", "SetFace", "key_of_member"]

_MISSING = object()


def key_of_member(member: Any) -> Any:
    """The key of a member: a set stands for the frozenset that equals it."""
    return frozenset(member) if type(member) is set else member


class SetFace:
    """A `set` for a handle. A method that changes many members takes one step for each member; one that compares with
    another set uses a snapshot."""

    __slots__ = ()
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __class_getitem__(cls, item: Any, /) -> GenericAlias:
        return GenericAlias(cls, item)

    # --- single steps

    @abstractmethod
    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step and return whether it was new: of many concurrent inserts, one returns True."""

    @abstractmethod
    def _take(self, member: Any) -> bool:
        """Remove `member` in one step and return whether it was in the set."""

    @abstractmethod
    def pop(self) -> Any:
        """Remove and return the member that was added last, in one step. Raises KeyError if the set is empty."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all members, in one step."""

    @abstractmethod
    def __contains__(self, member: object) -> bool: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    def add(self, member: Any, /) -> None:
        """Add `member` in one step, unless an equal member is in the set."""
        self.insert(member)

    def discard(self, member: Any, /) -> None:
        """Remove `member` in one step, if it is in the set."""
        self._take(key_of_member(member))

    def remove(self, member: Any, /) -> None:
        """Remove `member` in one step. Raises KeyError if it is not in the set."""
        if not self._take(key_of_member(member)):
            raise KeyError(member)

    # --- many members, each in one step

    def update(self, *others: Iterable[Any]) -> None:
        """Add the members of all the others."""
        self._check()
        for other in others:
            for member in other:
                self.add(member)

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Remove the members that are in any of the others."""
        self._check()
        for other in others:
            for member in other:
                self._take(member)

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Remove the members that are not in all of the others."""
        there = self.as_set()
        for member in there.difference(there.intersection(*others)):
            self._take(member)

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None:
        """Remove the members that are in `other`, and add those that are only in `other`."""
        self._check()
        for member in dict.fromkeys(other):
            if not self.insert(member):
                self._take(member)

    # --- snapshots

    def as_set(self) -> set[Any]:
        """Return a snapshot as a plain set."""
        return set(self)

    def copy(self) -> Self:
        """Return a new Set, made from a snapshot."""
        return type(self)(self)  # type: ignore[call-arg]

    def union(self, *others: Iterable[Any]) -> set[Any]:
        """Return a plain set of the members of this set and of all the others."""
        return self.as_set().union(*others)

    def intersection(self, *others: Iterable[Any]) -> set[Any]:
        """Return a plain set of the members that are also in all of the others."""
        return self.as_set().intersection(*others)

    def difference(self, *others: Iterable[Any]) -> set[Any]:
        """Return a plain set of the members that are in none of the others."""
        return self.as_set().difference(*others)

    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]:
        """Return a plain set of the members that are either in this set or in `other`, but not in both."""
        return self.as_set().symmetric_difference(other)

    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Whether no member is in `other`."""
        return self.as_set().isdisjoint(other)

    def issubset(self, other: Iterable[Any], /) -> bool:
        """Whether every member is in `other`."""
        return self.as_set().issubset(other)

    def issuperset(self, other: Iterable[Any], /) -> bool:
        """Whether everything in `other` is a member."""
        return self.as_set().issuperset(other)

    # --- operators, with sets alone

    def __or__(self, other: Any) -> set[Any]:
        return self.as_set() | set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __and__(self, other: Any) -> set[Any]:
        return self.as_set() & set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __sub__(self, other: Any) -> set[Any]:
        return self.as_set() - set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __xor__(self, other: Any) -> set[Any]:
        return self.as_set() ^ set(other) if isinstance(other, AbstractSet) else NotImplemented

    __ror__, __rand__, __rxor__ = __or__, __and__, __xor__

    def __rsub__(self, other: Any) -> set[Any]:
        return set(other) - self.as_set() if isinstance(other, AbstractSet) else NotImplemented

    def __ior__(self, other: Any) -> Self:
        if not isinstance(other, AbstractSet):
            return NotImplemented
        self.update(other)
        return self

    def __iand__(self, other: Any) -> Self:
        if not isinstance(other, AbstractSet):
            return NotImplemented
        self.intersection_update(other)
        return self

    def __isub__(self, other: Any) -> Self:
        if not isinstance(other, AbstractSet):
            return NotImplemented
        self.difference_update(other)
        return self

    def __ixor__(self, other: Any) -> Self:
        if not isinstance(other, AbstractSet):
            return NotImplemented
        self.symmetric_difference_update(other)
        return self

    def __eq__(self, other: object) -> bool:
        return self.as_set() == set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __le__(self, other: Any) -> bool:
        return self.as_set() <= set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __lt__(self, other: Any) -> bool:
        return self.as_set() < set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __ge__(self, other: Any) -> bool:
        return self.as_set() >= set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __gt__(self, other: Any) -> bool:
        return self.as_set() > set(other) if isinstance(other, AbstractSet) else NotImplemented

    def __repr__(self: Any) -> str:
        return "<Set closed>" if self.closed else f"Set({self.as_set()!r}, name={self.name!r})"

    def _check(self: Any) -> None:
        """Raise ClosedError if the set is closed, also if there is nothing to do."""
        self.name  # noqa: B018


class _Closed:
    """Stands for the dict of a closed set: every access raises the error that the set is closed."""

    __slots__ = ("_refuse",)

    def __init__(self, refuse: Any) -> None:
        self._refuse = refuse

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse()
        raise AttributeError(name)

    def __contains__(self, member: object) -> bool:
        self._refuse()
        return False

    def __len__(self) -> int:
        self._refuse()
        return 0

    def __iter__(self) -> Iterator[Any]:
        self._refuse()
        return iter(())


class DictMembers(SetFace):
    """A set whose members are the keys of a dict of its placement, `_dict`, in the same segment."""

    __slots__ = ()
    _dict_class: ClassVar[Any]
    _dict: Any

    @classmethod
    def _of(cls, segment: Segment) -> Self:
        self = cls.__new__(cls)
        self._adopt(segment)
        return self

    def _adopt(self: Any, segment: Segment) -> None:
        self._dict = self._dict_class._of(segment)
        self._bind(segment)

    def close(self: Any) -> None:
        """Detach from the set. Using the handle afterwards raises ClosedError; closing again does nothing."""
        Handle.close(self)
        self._end()

    def statistics(self) -> DictStatistics:
        """Return the number of members, sizes if in shared memory, and the attached processes: a DictStatistics."""
        snapshot: DictStatistics = self._dict.statistics()
        return replace(snapshot, kind="Set")

    def add(self, member: Any, /) -> None:
        """Add `member` in one step, unless an equal member is in the set."""
        self._dict.setdefault(member, None)

    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step and return whether it was new: of many concurrent inserts, one returns True."""
        return bool(self._dict._insert(member))

    def _take(self, member: Any) -> bool:
        return self._dict.pop(member, _MISSING) is not _MISSING

    def pop(self) -> Any:
        """Remove and return the member that was added last, in one step. Raises KeyError if the set is empty."""
        try:
            return self._dict.popitem()[0]
        except KeyError:
            raise KeyError("pop from an empty set") from None

    def clear(self) -> None:
        """Remove all members, in one step."""
        self._dict.clear()

    def __contains__(self, member: object) -> bool:
        return key_of_member(member) in self._dict

    def __len__(self) -> int:
        return len(self._dict)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._dict)

    def _end(self: Any) -> None:
        """Close the dict together with the handle."""
        there = getattr(self, "_dict", None)
        if there is not None and type(there) is not _Closed:
            there.close()
            self._dict = _Closed(self._segment)
