"""What the sets of all placements have in common: the face of a `set` over single steps and snapshots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import GenericAlias
from typing import Any, ClassVar, NoReturn, Self

from sharedkit._core.segment import Handle, Segment
from sharedkit.statistics import DictStatistics

__all__ = ["DictMembers", "SetFace"]

_MISSING = object()


def _key(member: Any) -> Any:
    """A set finds a set by a frozenset that equals it."""
    return frozenset(member) if type(member) is set else member


class SetFace:
    """A `set` for a handle. What changes many members, or compares with another set, is one step a member, or looks at
    a snapshot."""

    __slots__ = ()
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __class_getitem__(cls, item: Any, /) -> GenericAlias:
        return GenericAlias(cls, item)

    # --- single steps

    @abstractmethod
    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step, and say whether it was new: of many who insert the same, one is told so."""

    @abstractmethod
    def _take(self, member: Any) -> bool:
        """Remove it in one step, and say whether it was there."""

    @abstractmethod
    def pop(self) -> Any:
        """Remove and return a member, the one that was added last, in one step. KeyError when there is none."""

    @abstractmethod
    def clear(self) -> None:
        """Remove everything, in one step."""

    @abstractmethod
    def __contains__(self, member: object) -> bool: ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Any]: ...

    def add(self, member: Any, /) -> None:
        """Add `member`, if none is there that equals it, in one step."""
        self.insert(member)

    def discard(self, member: Any, /) -> None:
        """Remove `member`, if it is there, in one step."""
        self._take(_key(member))

    def remove(self, member: Any, /) -> None:
        """Remove `member` in one step. KeyError when it is not there."""
        if not self._take(_key(member)):
            raise KeyError(member)

    # --- many members, each in one step

    def update(self, *others: Iterable[Any]) -> None:
        """Add what is in any of the others."""
        self._check()
        for other in others:
            for member in other:
                self.add(member)

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Remove what is in any of the others."""
        self._check()
        for other in others:
            for member in other:
                self._take(member)

    def intersection_update(self, *others: Iterable[Any]) -> None:
        """Remove what is not in all of the others."""
        there = self.as_set()
        for member in there.difference(there.intersection(*others)):
            self._take(member)

    def symmetric_difference_update(self, other: Iterable[Any], /) -> None:
        """Remove what is in `other`, and add what was only there."""
        self._check()
        for member in dict.fromkeys(other):
            if not self.insert(member):
                self._take(member)

    # --- snapshots

    def as_set(self) -> set[Any]:
        """A plain set of a snapshot."""
        return set(self)

    def copy(self) -> Self:
        """A new Set, made from a snapshot."""
        return type(self)(self)  # type: ignore[call-arg]

    def union(self, *others: Iterable[Any]) -> set[Any]:
        """A plain set of what is here or in any of the others."""
        return self.as_set().union(*others)

    def intersection(self, *others: Iterable[Any]) -> set[Any]:
        """A plain set of what is here and in all of the others."""
        return self.as_set().intersection(*others)

    def difference(self, *others: Iterable[Any]) -> set[Any]:
        """A plain set of what is here and in none of the others."""
        return self.as_set().difference(*others)

    def symmetric_difference(self, other: Iterable[Any], /) -> set[Any]:
        """A plain set of what is either here or in `other`."""
        return self.as_set().symmetric_difference(other)

    def isdisjoint(self, other: Iterable[Any], /) -> bool:
        """Whether nothing is here and in `other`."""
        return self.as_set().isdisjoint(other)

    def issubset(self, other: Iterable[Any], /) -> bool:
        """Whether all that is here is in `other`."""
        return self.as_set().issubset(other)

    def issuperset(self, other: Iterable[Any], /) -> bool:
        """Whether all that is in `other` is here."""
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
        """ClosedError, also where nothing is to be done."""
        self.name  # noqa: B018


class _Closed:
    """The dict of a closed set: whoever asks it hears that the set is closed."""

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
        """Let go of the set. Using this handle then raises ClosedError; closing again does nothing."""
        Handle.close(self)
        self._end()

    def statistics(self) -> DictStatistics:
        """The number of members, sizes where they lie in shared memory, and who is attached: a DictStatistics."""
        picture: DictStatistics = self._dict.statistics()
        return replace(picture, kind="Set")

    def add(self, member: Any, /) -> None:
        """Add `member`, if none is there that equals it, in one step."""
        self._dict.setdefault(member, None)

    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step, and say whether it was new: of many who insert the same, one is told so."""
        return bool(self._dict._insert(member))

    def _take(self, member: Any) -> bool:
        return self._dict.pop(member, _MISSING) is not _MISSING

    def pop(self) -> Any:
        """Remove and return a member, the one that was added last, in one step. KeyError when there is none."""
        try:
            return self._dict.popitem()[0]
        except KeyError:
            raise KeyError("pop from an empty set") from None

    def clear(self) -> None:
        """Remove everything, in one step."""
        self._dict.clear()

    def __contains__(self, member: object) -> bool:
        return _key(member) in self._dict

    def __len__(self) -> int:
        return len(self._dict)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._dict)

    def _end(self: Any) -> None:
        """With the handle."""
        there = getattr(self, "_dict", None)
        if there is not None and type(there) is not _Closed:
            there.close()
            self._dict = _Closed(self._segment)
