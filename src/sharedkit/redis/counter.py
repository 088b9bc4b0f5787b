"""Counters in a Redis server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sharedkit.redis.handle import DEFAULT_SEATS, Handle, integer, pids
from sharedkit.redis.refusals import Refused
from sharedkit.statistics import CountersStatistics, CounterStatistics

__all__ = ["Counter", "CounterView", "Counters"]

A = TypeVar("A", bound="_Arithmetic")


class _Arithmetic:
    """The common part of a counter and of a view of one in a group; `_field` is the field that contains the value."""

    _field: bytes

    def _change(self, method: bytes, *args: bytes) -> Any:
        raise NotImplementedError

    def _load(self) -> Any:
        raise NotImplementedError

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped.

        Raises OverflowError if the result does not fit into signed 64 bits (the value is unchanged then); TypeError for
        an `n` that is not an integer.
        """
        return int(self._change(b"add", integer(n)))

    @property
    def value(self) -> int:
        """The value; may be assigned. An assignment loses no addition: each one comes before it or after it."""
        return int(self._load())

    @value.setter
    def value(self, value: int) -> None:
        self._change(b"exchange", integer(value))

    def exchange(self, value: int) -> int:
        """Set the value and return the old one, in one step."""
        return int(self._change(b"exchange", integer(value)))

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError if
        striped."""
        return bool(self._change(b"compare_exchange", integer(expected), integer(desired)))

    def reset(self) -> int:
        """Set the value to 0 and return the old one."""
        return int(self._change(b"exchange", b"0"))

    def __int__(self) -> int:
        return self.value

    def __index__(self) -> int:
        return self.value

    def __iadd__(self: A, n: int) -> A:
        self.add(n)
        return self

    def __isub__(self: A, n: int) -> A:
        self.add(-int(integer(n)))
        return self


class Counter(_Arithmetic, Handle):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192)

    A signed 64-bit integer for threads, processes and machines; each change is one atomic step. `striped=True` has the
    interface of the other placements: `add` returns None. It changes nothing else, since the server adds for all.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs in
    more than its value, OverflowError and TypeError for a `value` that is not a 64-bit integer.
    """

    kind = "Counter"
    lua = "counter"

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
        self._create(name, exist_ok, persist, seats, {"striped": bool(striped)}, b"v", integer(value))

    def _change(self, method: bytes, *args: bytes) -> Any:
        try:
            return self._call(method, b"v", *args)
        except Refused as why:
            raise _refusal(why, self._name) from None

    def _load(self) -> Any:
        return self._read(b"load", b"v")

    def add(self, n: int = 1) -> int | None:
        """Add `n` and return the new value, or None when striped.

        Raises OverflowError if the result does not fit into signed 64 bits (the value is unchanged then); TypeError for
        an `n` that is not an integer.
        """
        added = int(self._change(b"add", integer(n)))
        return None if self._spec["striped"] else added

    def compare_exchange(self, expected: int, desired: int) -> bool:
        """Set the value to `desired` if it is `expected`, in one step; return whether it was. Raises TypeError if
        striped."""
        self._ensure_open()
        if self._spec["striped"]:
            raise TypeError("a striped counter has no single value to compare with")
        return super().compare_exchange(expected, desired)

    def statistics(self) -> CounterStatistics:
        """Return the counter's value and kind: a CounterStatistics."""
        fields, sessions = self._read(b"statistics")
        value = int(dict(zip(fields[::2], fields[1::2], strict=True))[b"v"])
        return CounterStatistics(self._name, self.kind, value, self._spec["striped"], pids(sessions))


class CounterView(_Arithmetic):
    """One counter of a group, with the methods of a Counter. It is closed when its group is."""

    def __init__(self, group: Counters, key: str) -> None:
        self._group = group
        self._key = key

    @property
    def name(self) -> str:
        """The counter's name within its group."""
        return self._key

    def _change(self, method: bytes, *args: bytes) -> Any:
        return self._group._change(method, self._key, *args)

    def _load(self) -> Any:
        return self._group._read(b"load", _field(self._key))

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
    lua = "counter"

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        keys = _checked_names(names)
        begin = [part for key in keys for part in (_field(key), b"0")]
        self._create(name, exist_ok, persist, seats, {"names": keys}, *begin)

    def _change(self, method: bytes, key: str, *args: bytes) -> Any:
        try:
            return self._call(method, _field(key), *args)
        except Refused as why:
            raise _refusal(why, key) from None

    def add(self, name: str, n: int = 1) -> int:
        """Add `n` to the counter `name` and return its new value; KeyError for an unknown name."""
        return int(self._change(b"add", name, integer(n)))

    def __getitem__(self, name: str) -> CounterView:
        if name not in self.keys():
            raise KeyError(name)
        return CounterView(self, name)

    def __setitem__(self, name: str, value: CounterView | int) -> None:
        """Set the value of the counter `name`; does nothing as the last step of `c[name] += 1`."""
        if isinstance(value, CounterView) and value._key == name and value._group._base == self._base:
            self._ensure_open()
            return
        self._change(b"exchange", name, integer(value))

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def keys(self) -> list[str]:
        """Return the names, in the order in which they were given."""
        self._ensure_open()
        return list(self._spec["names"])

    def values(self) -> list[int]:
        """Return the values, in the order of `keys()`."""
        return list(self.as_dict().values())

    def items(self) -> list[tuple[str, int]]:
        """Return pairs of name and value, in the order of `keys()`."""
        return list(self.as_dict().items())

    def as_dict(self) -> dict[str, int]:
        """Return a dict of the values by name, all from one moment."""
        return self._values(self._read(b"values"))

    def _values(self, fields: list[bytes]) -> dict[str, int]:
        there = dict(zip(fields[::2], fields[1::2], strict=True))
        return {key: int(there[_field(key)]) for key in self._spec["names"]}

    def statistics(self) -> CountersStatistics:
        """Return the value of each counter: a CountersStatistics."""
        fields, sessions = self._read(b"statistics")
        return CountersStatistics(self._name, self.kind, self._values(fields), pids(sessions))


def _field(key: object) -> bytes:
    """The field of the counter of that name."""
    if not isinstance(key, str):
        raise KeyError(key)
    return b"v:" + key.encode("utf-8", "surrogatepass")


def _refusal(why: Refused, key: str) -> Exception:
    if why.code == "SKOVERFLOW":
        return OverflowError(f"the counter {key!r} would not fit in a signed 64-bit integer any more")
    return KeyError(key) if why.code == "SKUNKNOWN" else why


def _checked_names(names: Iterable[str]) -> list[str]:
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
