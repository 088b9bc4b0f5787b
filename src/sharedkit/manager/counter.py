"""Counters behind a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sharedkit._core.counts import integer
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.statistics import CountersStatistics, CounterStatistics

__all__ = ["Counter", "CounterView", "Counters"]

A = TypeVar("A", bound="_Arithmetic")


class _Arithmetic:
    """The common part of a counter and of a view of one in a group; a subclass's `_ask` sends a request about it."""

    def _ask(self, method: str, *args: Any) -> Any:
        raise NotImplementedError

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped.

        Raises OverflowError if the result does not fit into signed 64 bits (the value is unchanged then); TypeError for
        an `n` that is not an integer.
        """
        added: int | None = self._ask("add", integer(n))
        return added

    @property
    def value(self) -> int:
        """The value; may be assigned. An assignment loses no addition: each one happens before it or after it."""
        value: int = self._ask("load")
        return value

    @value.setter
    def value(self, value: int) -> None:
        self._ask("exchange", integer(value))

    def exchange(self, value: int) -> int:
        """Set the value and return the old one, in one step."""
        old: int = self._ask("exchange", integer(value))
        return old

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError if
        striped."""
        done: bool = self._ask("compare_exchange", integer(expected), integer(desired))
        return done

    def reset(self) -> int:
        """Set the value to 0 and return the old one."""
        old: int = self._ask("exchange", 0)
        return old

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def __iadd__(self: A, n: int) -> A:
        self.add(n)
        return self

    def __isub__(self: A, n: int) -> A:
        self.add(-integer(n))
        return self


class Counter(_Arithmetic, Handle):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192)

    A signed 64-bit integer; threads and processes change it, each change in one atomic step. `striped=True` has the
    interface of the other placements: `add` returns None. It changes nothing else, since the server adds for all.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs in
    more than its value, OverflowError and TypeError for a `value` that is not a 64-bit integer.
    """

    kind = "Counter"
    _striped: bool

    def __init__(
        self,
        value: int = 0,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        striped: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._create(name, exist_ok, persist, seats, {"striped": bool(striped)}, integer(value))
        self._striped = bool(striped)

    def _ask(self, method: str, *args: Any) -> Any:
        return self._call(method, "", *args)

    def _is_striped(self) -> bool:
        """Whether it is striped. Only a client that attached the counter has to ask the server, once."""
        if not hasattr(self, "_striped"):
            self._striped = self.statistics().striped
        return self._striped

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped.

        Raises OverflowError if the result does not fit into signed 64 bits (the value is unchanged then); TypeError for
        an `n` that is not an integer.
        """
        added: int = self._ask("add", integer(n))
        return None if self._is_striped() else added

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError if
        striped."""
        self._ensure_open()
        if self._is_striped():
            raise TypeError("a striped counter has no single value to compare with")
        return super().compare_exchange(expected, desired)

    def statistics(self) -> CounterStatistics:
        """Return the counter's value and kind: a CounterStatistics."""
        snapshot: CounterStatistics = self._call("statistics")
        return snapshot


class CounterView(_Arithmetic):
    """One counter of a group, with the methods of a Counter. It is closed when its group is."""

    def __init__(self, group: Counters, key: str) -> None:
        self._group = group
        self._key = key

    @property
    def name(self) -> str:
        """The counter's name within its group."""
        return self._key

    def _ask(self, method: str, *args: Any) -> Any:
        return self._group._call(method, self._key, *args)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._key!r} of {self._group!r}>"


class Counters(Handle):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192)

    A group of named counters; each starts at 0: `c.add("ok")`, `c["ok"] += 1`, `c.as_dict()`. Iteration yields the
    names in their order, and `len` counts them.

    Raises ValueError for no names, for a name that occurs twice, or if the existing group of that `name` has other
    names; TypeError for a name that is not a str; FileExistsError when `name` is taken and not `exist_ok`.
    """

    kind = "Counters"

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._create(name, exist_ok, persist, seats, {"names": _checked_names(names)})

    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name` and return its new value; KeyError for an unknown name."""
        added: int = self._call("add", name, integer(n))
        return added

    def __getitem__(self, name: str) -> CounterView:
        if name not in self.as_dict():
            raise KeyError(name)
        return CounterView(self, name)

    def __setitem__(self, name: str, value: CounterView | int) -> None:
        """Set the value of the counter `name`; does nothing as the last step of `c[name] += 1`."""
        if isinstance(value, CounterView) and value._key == name and value._group._ident == self._ident:
            self._ensure_open()
            return
        self._call("exchange", name, integer(value))

    def __contains__(self, name: object) -> bool:
        return name in self.as_dict()

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    def keys(self) -> list[str]:
        """Return the names, in the order in which they were given."""
        return list(self.as_dict())

    def values(self) -> list[int]:
        """Return the values, in the order of `keys()`."""
        return list(self.as_dict().values())

    def items(self) -> list[tuple[str, int]]:
        """Return pairs of name and value, in the order of `keys()`."""
        return list(self.as_dict().items())

    def as_dict(self) -> dict[str, int]:
        """Return a dict of the values by name, all from one moment."""
        values: dict[str, int] = self._call("items")
        return values

    def statistics(self) -> CountersStatistics:
        """Return the value of each counter: a CountersStatistics."""
        snapshot: CountersStatistics = self._call("statistics")
        return snapshot


def _checked_names(names: Iterable[str]) -> tuple[str, ...]:
    keys = (names,) if isinstance(names, str) else tuple(names)
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"the name of a counter must be a str, not {type(key).__name__}")
    if not keys:
        raise ValueError("a group needs at least one name")
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"names come twice: {', '.join(twice)}")
    return keys
