"""Counters for the threads of this process."""

from __future__ import annotations

from collections.abc import Iterable

from sharedkit._core.segment import with_own_methods
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _counter, counter
from sharedkit.thread import registry

__all__ = ["Counter", "Counters"]

STRIPES = 16  # usually more than the threads that add at the same moment


@registry.opens(_counter.KIND_COUNTER, _counter.KIND_STRIPED)
@with_own_methods
class Counter(_counter.Counter):
    """Counter(value=0, *, name=None, exist_ok=False, persist=False, striped=False, seats=192)

    A signed 64-bit integer that the threads of this process change in one atomic step each. With `exist_ok=True` and
    the name of an existing counter, the result is a further handle on it, and its value stays. `striped=True` spreads
    the threads over several words: adding rarely contends, `add` returns None and `compare_exchange` raises TypeError.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs in
    more than its value, OverflowError and TypeError for a `value` that is not a 64-bit integer.
    """

    __slots__ = ()

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
        plan = _counter.blueprint(value, striped)
        self._open(registry.create(plan, name, exist_ok, persist, seats, STRIPES if striped else 1))


@registry.opens(_counter.KIND_GROUP)
class Counters(counter.Counters):
    """Counters(names, *, name=None, exist_ok=False, persist=False, seats=192)

    A group of named counters; each starts at 0: `c.add("ok")`, `c["ok"] += 1`, `c.as_dict()`. Iteration yields the
    names in their order, and `len` counts them.

    Raises ValueError for no names, for a name that occurs twice, or if the existing group of that `name` has other
    names; TypeError for a name that is not a str; FileExistsError when `name` is taken and not `exist_ok`.
    """

    __slots__ = ()

    _view_class = Counter

    def __init__(
        self,
        names: Iterable[str],
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._adopt(registry.create(counter.blueprint(names), name, exist_ok, persist, seats))
