"""Counters in a Redis server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sharedkit._core import counter_methods
from sharedkit._core.counter_methods import CounterMethods, CountersMethods, checked_names
from sharedkit._core.counts import number_of
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, integer, pids
from sharedkit.redis.refusals import Refused
from sharedkit.statistics import CountersStatistics, CounterStatistics

__all__ = ["Counter", "CounterView", "Counters"]

_TEXT = b"%d".__mod__  # the text of an integer


class Counter(CounterMethods, Handle):
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
        first = integer(number_of("value", value))
        self._create(name, exist_ok, persist, seats, {"striped": bool(striped)}, b"v", first)

    def _ask(self, method: str, *args: int) -> Any:
        if method == "load":
            return self._read(b"load", b"v")
        try:
            return self._call(method.encode(), b"v", *map(_TEXT, args))
        except Refused as why:
            raise _refusal(why, self._name) from None

    def _is_striped(self) -> bool:
        return bool(self._spec["striped"])

    def statistics(self) -> CounterStatistics:
        """Return the counter's value and kind: a CounterStatistics."""
        fields, sessions = self._read(b"statistics")
        value = int(dict(zip(fields[::2], fields[1::2], strict=True))[b"v"])
        return CounterStatistics(self._name, self.kind, value, self._spec["striped"], pids(sessions))


class CounterView(counter_methods.CounterView):
    """One counter of a group, with the methods of a Counter. It is closed when its group is."""

    def _ask(self, method: str, *args: int) -> Any:
        return self._group._ask(method, self._key, *args)


class Counters(CountersMethods, Handle):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192)

    A group of named counters; each starts at 0: `c.add("ok")`, `c["ok"] += 1`, `c.as_dict()`. Iteration yields the
    names in their order, and `len` counts them.

    Raises ValueError for no names, for a name that occurs twice, or if the existing group of that `name` has other
    names; TypeError for a name that is not a str; FileExistsError when `name` is taken and not `exist_ok`.
    """

    kind = "Counters"
    lua = "counter"
    _view_class = CounterView

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        keys = checked_names(names)
        begin = [part for key in keys for part in (_field(key), b"0")]
        self._create(name, exist_ok, persist, seats, {"names": keys}, *begin)

    def _ask(self, method: str, key: str, /, *args: int) -> Any:
        if method == "load":
            return self._read(b"load", _field(key))
        try:
            return self._call(method.encode(), _field(key), *map(_TEXT, args))
        except Refused as why:
            raise _refusal(why, key) from None

    def _is_same(self, other: Counters) -> bool:
        return other._base == self._base

    def _names(self) -> list[str]:
        self._ensure_open()
        names: list[str] = self._spec["names"]
        return names

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
