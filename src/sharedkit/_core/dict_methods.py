"""The common part of the dicts and sets behind a server: clients find the form of a key, and pickle and unpickle."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Self, TypeAlias

from sharedkit._core.handle_methods import StructureMethods
from sharedkit._core.keys import form_and_first, form_of, key_of
from sharedkit._core.mapping_methods import MappingFace
from sharedkit._core.set_methods import SetFace, key_of_member

__all__ = ["DictMethods", "Entry", "Form", "KeysMethods", "MembersMethods"]

Form: TypeAlias = "str | int | bytes"
"""What stands for a key: equal for equal keys (`keys.form_of`)."""
Entry: TypeAlias = tuple[Form, "bytes | None", Any]
"""A form; the pickled key, None if the form says all; the packed value."""


class KeysMethods(StructureMethods):
    """Steps in the server that a dict and a set have in common."""

    @abstractmethod
    def _has(self, form: Form) -> bool: ...

    @abstractmethod
    def _pop_last(self) -> Entry:
        """Remove and return the last entry. Raises KeyError."""

    @abstractmethod
    def _iter_keys(self) -> Iterator[tuple[Form, bytes | None]]:
        """The forms and pickled keys of a snapshot that is taken now."""

    @abstractmethod
    def clear(self) -> None:
        """Remove all keys or members, in one step."""

    @abstractmethod
    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]:
        return (key_of(form, first) for form, first in self._iter_keys())


class DictMethods(MappingFace, KeysMethods):
    """A dict over single steps in the server; it compares values with `==` and adds what the server cannot add."""

    # --- single steps in the server

    @abstractmethod
    def _pack(self, value: Any, /) -> Any:
        """The value in the form in which the server keeps it."""

    @abstractmethod
    def _unpack(self, packed: Any, /) -> Any: ...

    @abstractmethod
    def _get(self, form: Form) -> Any:
        """The packed value; None if the key is missing."""

    @abstractmethod
    def _set(self, entries: list[Entry]) -> None: ...

    @abstractmethod
    def _setdefault(self, form: Form, first: bytes | None, packed: Any) -> Any:
        """The packed value that the key has now."""

    @abstractmethod
    def _pop(self, form: Form) -> Any:
        """Remove the key; its packed value, None if it is missing."""

    @abstractmethod
    def _add(self, form: Form, first: bytes | None, n: int | float) -> tuple[Any, Any]:
        """The new value and None; or, if the server cannot add, anything and the packed value that is there."""

    @abstractmethod
    def _swap(self, form: Form, first: bytes | None, expected: Any, desired: Any) -> bool:
        """Set the key if it has this packed value (None: if it is missing); return whether it had."""

    @abstractmethod
    def _iter_pairs(self) -> Iterator[tuple[Any, Any]]:
        """The pairs of a snapshot that is taken now."""

    # --- the mapping

    __iter__ = KeysMethods.__iter__

    def _entries(self, mapping_or_pairs: Any, items: dict[str, Any]) -> list[Entry]:
        """The entries of these pairs. Raises TypeError for a key, or an error of pickle for a value, that cannot be
        sent."""
        pairs = dict(mapping_or_pairs, **items)
        return [(*form_and_first(key), self._pack(value)) for key, value in pairs.items()]

    def __getitem__(self, key: Any) -> Any:
        found = self._get(form_of(key))
        if found is None:
            raise KeyError(key)
        return self._unpack(found)

    def get(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of `key`, or `default`."""
        found = self._get(form_of(key))
        return default if found is None else self._unpack(found)

    def __contains__(self, key: object) -> bool:
        return self._has(form_of(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ensure_open()
        self._set([(*form_and_first(key), self._pack(value))])

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of `key`, set to `default` first if it was missing, in one step."""
        self._ensure_open()
        return self._unpack(self._setdefault(*form_and_first(key), self._pack(default)))

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove `key` and return its value in one step; `default` if it is missing, or KeyError without one."""
        if len(default) > 1:
            raise TypeError(f"pop expected at most 2 arguments, got {1 + len(default)}")
        found = self._pop(form_of(key))
        if found is not None:
            return self._unpack(found)
        if default:
            return default[0]
        raise KeyError(key)

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the pair that was inserted last, in one step. Raises KeyError if the dict is empty."""
        form, first, value = self._pop_last()
        return key_of(form, first), self._unpack(value)

    def add(self, key: Any, n: Any = 1, /) -> Any:
        """Add `n` to the number at `key` (a missing one is 0) in one step, and return the new value."""
        self._ensure_open()
        form, first = form_and_first(key)
        while type(n) in (int, float):
            after, found = self._add(form, first, n)
            if found is None:
                return after
            after = self._unpack(found) + n
            if self._swap(form, first, found, self._pack(after)):
                return after
        while True:
            found = self._get(form)
            after = n if found is None else self._unpack(found) + n
            if self._swap(form, first, found, self._pack(after)):
                return after

    def compare_exchange(self, key: Any, expected: Any, desired: Any, /) -> bool:
        """Set `key` to `desired` if its value equals `expected`, in one step; return whether it did."""
        self._ensure_open()
        form, packed = form_of(key), self._pack(desired)
        while (found := self._get(form)) is not None and self._unpack(found) == expected:
            if self._swap(form, None, found, packed):
                return True
        return False

    def as_dict(self) -> dict[Any, Any]:
        """Return a snapshot as a plain dict."""
        return dict(self._iter_pairs())

    def __reversed__(self) -> Iterator[Any]:
        return iter(list(self)[::-1])

    def copy(self) -> Self:
        """Return a new dict, made from a snapshot."""
        return type(self)(self.as_dict())  # type: ignore[call-arg]

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> Self:
        """Return a new dict of these keys, each with this value."""
        return cls(dict.fromkeys(keys, value))  # type: ignore[call-arg]


class MembersMethods(SetFace, KeysMethods):
    """A set over single steps in the server."""

    __iter__ = KeysMethods.__iter__

    @abstractmethod
    def _insert(self, entries: list[tuple[Form, bytes | None]]) -> int:
        """Add members; return how many were new."""

    @abstractmethod
    def _discard(self, form: Form) -> bool: ...

    def insert(self, member: Any, /) -> bool:
        """Add `member` in one step and return whether it was new: of many concurrent inserts, one returns True."""
        self._ensure_open()
        return self._insert([form_and_first(member)]) == 1

    def _insert_all(self, members: Iterable[Any]) -> None:
        self._insert([form_and_first(member) for member in members])

    def update(self, *others: Iterable[Any]) -> None:
        """Add the members of all the others."""
        self._ensure_open()
        self._insert_all(chain.from_iterable(others))

    def _take(self, member: Any) -> bool:
        self._ensure_open()
        return self._discard(form_of(member))

    def pop(self) -> Any:
        """Remove and return the member that was added last, in one step. Raises KeyError if the set is empty."""
        try:
            form, first, _ = self._pop_last()
        except KeyError:
            raise KeyError("pop from an empty set") from None
        return key_of(form, first)

    def __contains__(self, member: object) -> bool:
        self._ensure_open()
        return self._has(form_of(key_of_member(member)))
