"""Counters behind a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sharedkit._core import counter_methods
from sharedkit._core.counter_methods import CounterMethods, CountersMethods, checked_names
from sharedkit._core.counts import integer, number_of
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.statistics import CountersStatistics, CounterStatistics

__all__ = ["Counter", "CounterView", "Counters"]


class Counter(CounterMethods, Handle):
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
        self._create(name, exist_ok, persist, seats, {"striped": bool(striped)}, integer(number_of("value", value)))
        self._striped = bool(striped)

    def _ask(self, method: str, *args: int) -> Any:
        return self._call(method, "", *args)

    def _is_striped(self) -> bool:
        """Whether it is striped. Only a client that attached the counter has to ask the server, once."""
        if not hasattr(self, "_striped"):
            self._striped = self.statistics().striped
        return self._striped

    def statistics(self) -> CounterStatistics:
        """Return the counter's value and kind: a CounterStatistics."""
        snapshot: CounterStatistics = self._call("statistics")
        return snapshot


class CounterView(counter_methods.CounterView):
    """One counter of a group, with the methods of a Counter. It is closed when its group is."""

    def _ask(self, method: str, *args: int) -> Any:
        return self._group._call(method, self._key, *args)


class Counters(CountersMethods, Handle):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192)

    A group of named counters; each starts at 0: `c.add("ok")`, `c["ok"] += 1`, `c.as_dict()`. Iteration yields the
    names in their order, and `len` counts them.

    Raises ValueError for no names, for a name that occurs twice, or if the existing group of that `name` has other
    names; TypeError for a name that is not a str; FileExistsError when `name` is taken and not `exist_ok`.
    """

    kind = "Counters"
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
        self._create(name, exist_ok, persist, seats, {"names": tuple(checked_names(names))})

    _ask = Handle._call

    def _is_same(self, other: Counters) -> bool:
        return other._ident == self._ident and other._client is self._client

    def as_dict(self) -> dict[str, int]:
        """Return a dict of the values by name, all from one moment."""
        values: dict[str, int] = self._call("items")
        return values

    _names = as_dict

    def statistics(self) -> CountersStatistics:
        """Return the value of each counter: a CountersStatistics."""
        snapshot: CountersStatistics = self._call("statistics")
        return snapshot
