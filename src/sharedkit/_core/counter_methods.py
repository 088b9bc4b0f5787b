"""The common part of the counters behind a server: arithmetic, views of the counters of a group, and the group."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator
from typing import Any, ClassVar, Self

from sharedkit._core.counts import integer
from sharedkit._core.handle_methods import StructureMethods

__all__ = ["Arithmetic", "CounterMethods", "CounterView", "CountersMethods", "checked_names"]


class Arithmetic:
    """The common part of a counter and of a view of one in a group; a subclass's `_ask` sends a request about it."""

    @abstractmethod
    def _ask(self, method: str, *args: int) -> Any:
        """The server's answer to a request about this counter."""

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped.

        Raises OverflowError if the result does not fit into signed 64 bits (the value is unchanged then); TypeError for
        an `n` that is not an integer.
        """
        return int(self._ask("add", integer(n)))

    @property
    def value(self) -> int:
        """The value; may be assigned. An assignment loses no addition: each one comes before it or after it."""
        return int(self._ask("load"))

    @value.setter
    def value(self, value: int) -> None:
        self._ask("exchange", integer(value))

    def exchange(self, value: int) -> int:
        """Set the value and return the old one, in one step."""
        return int(self._ask("exchange", integer(value)))

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError if
        striped."""
        return bool(self._ask("compare_exchange", integer(expected), integer(desired)))

    def reset(self) -> int:
        """Set the value to 0 and return the old one."""
        return int(self._ask("exchange", 0))

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def __iadd__(self, n: int) -> Self:
        self.add(n)
        return self

    def __isub__(self, n: int) -> Self:
        self.add(-integer(n))
        return self


class CounterMethods(Arithmetic, StructureMethods):
    """A counter that is a structure of its own, plain or striped."""

    @abstractmethod
    def _is_striped(self) -> bool:
        """Whether it is striped."""

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped.

        Raises OverflowError if the result does not fit into signed 64 bits (the value is unchanged then); TypeError for
        an `n` that is not an integer.
        """
        added = int(self._ask("add", integer(n)))
        return None if self._is_striped() else added

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError if
        striped."""
        self._ensure_open()
        if self._is_striped():
            raise TypeError("a striped counter has no single value to compare with")
        return super().compare_exchange(expected, desired)


class CounterView(Arithmetic):
    """One counter of a group; a placement's class says how to ask about it."""

    def __init__(self, group: Any, key: str) -> None:
        self._group = group
        self._key = key

    @property
    def name(self) -> str:
        """The counter's name within its group."""
        return self._key

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key!r} of {self._group!r}>"


class CountersMethods(StructureMethods):
    """A group of named counters."""

    _view_class: ClassVar[type[CounterView]]

    @abstractmethod
    def _ask(self, method: str, key: str, /, *args: int) -> Any:
        """The server's answer to a request about the counter `key`."""

    @abstractmethod
    def _names(self) -> Collection[str]:
        """The names, in the order in which they were given."""

    @abstractmethod
    def _is_same(self, other: Any) -> bool:
        """Whether `other` is a handle on the same group."""

    @abstractmethod
    def as_dict(self) -> dict[str, int]:
        """Return a dict of the values by name, all from one moment."""

    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name` and return its new value; KeyError for an unknown name."""
        return int(self._ask("add", name, integer(n)))

    def __getitem__(self, name: str) -> CounterView:
        if name not in self._names():
            raise KeyError(name)
        return self._view_class(self, name)

    def __setitem__(self, name: str, value: CounterView | int) -> None:
        """Set the value of the counter `name`; does nothing as the last step of `c[name] += 1`."""
        if isinstance(value, self._view_class) and value._key == name and self._is_same(value._group):
            self._ensure_open()
            return
        self._ask("exchange", name, integer(value))

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def keys(self) -> list[str]:
        """Return the names, in the order in which they were given."""
        return list(self._names())

    def values(self) -> list[int]:
        """Return the values, in the order of `keys()`."""
        return list(self.as_dict().values())

    def items(self) -> list[tuple[str, int]]:
        """Return pairs of name and value, in the order of `keys()`."""
        return list(self.as_dict().items())


def checked_names(names: Iterable[str]) -> list[str]:
    """The names of a group, in their order. Raises TypeError, ValueError."""
    keys = [names] if isinstance(names, str) else list(names)
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"the name of a counter must be a str, not {type(key).__name__}")
    if not keys:
        raise ValueError("a group needs at least one name")
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"names come twice: {', '.join(twice)}")
    return keys
