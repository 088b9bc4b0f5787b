"""A dict for the threads of this process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from sharedkit._mapping import MappingFace
from sharedkit.statistics import DictStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State

__all__ = ["Dict"]

_MISSING: Any = object()


class _DictState(State):
    __slots__ = ("lock", "table")

    kind = "Dict"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.table: dict[Any, Any] = {}
        self.lock = threading.RLock()  # a key's __eq__ may come back here


class Dict(MappingFace, Handle[_DictState], kind="Dict"):
    """Dict(mapping_or_pairs=(), /, *, name=None, exist_ok=False, persist=False, seats=192, **items)

    A `MutableMapping` for the threads of this process, in order of insertion. Each single operation is atomic,
    `setdefault`, `pop`, `add` and `compare_exchange` among them; iteration goes over a snapshot. The values themselves
    are handed out, not copies.

    Raises FileExistsError when the name is taken, ValueError when what is there is not a dict.
    """

    __slots__ = ()

    def __init__(
        self,
        mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (),
        /,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
        **items: Any,
    ) -> None:
        pairs = dict(mapping_or_pairs, **items)
        super().__init__(
            registry.open_state(_DictState, name, exist_ok=exist_ok, persist=persist, seats=seats, kind="Dict")
        )
        self.update(pairs)

    def __getitem__(self, key: Any) -> Any:
        return self._state.table[key]

    def get(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, or `default`."""
        return self._state.table.get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._state.table

    def __setitem__(self, key: Any, value: Any) -> None:
        state = self._state
        with state.lock:
            state.table[key] = value

    def __delitem__(self, key: Any) -> None:
        state = self._state
        with state.lock:
            del state.table[key]

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """The value of `key`, set to `default` if it was missing, in one step."""
        state = self._state
        with state.lock:
            return state.table.setdefault(key, default)

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove `key` and return its value in one step; `default` if it is missing, or KeyError without one."""
        state = self._state
        with state.lock:
            return state.table.pop(key, *default)

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the pair that was inserted last, in one step. KeyError when there is none."""
        state = self._state
        with state.lock:
            return state.table.popitem()

    def add(self, key: Any, n: Any = 1, /) -> Any:
        """Add `n` to the number at `key` (a missing one is 0) in one step, and return the new value."""
        state = self._state
        with state.lock:
            after = state.table[key] + n if key in state.table else n
            state.table[key] = after
            return after

    def compare_exchange(self, key: Any, expected: Any, desired: Any, /) -> bool:
        """Set `key` to `desired` if its value equals `expected`, in one step; whether it did."""
        state = self._state
        with state.lock:
            value = state.table.get(key, _MISSING)
            if value is _MISSING or value != expected:
                return False
            state.table[key] = desired
            return True

    def update(self, mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **items: Any) -> None:
        """Set many keys, each in one step."""
        self._state.ensure_open()
        for key, value in dict(mapping_or_pairs, **items).items():
            self[key] = value

    def clear(self) -> None:
        """Remove everything, in one step."""
        state = self._state
        with state.lock:
            state.table.clear()

    def as_dict(self) -> dict[Any, Any]:
        """A plain dict of a snapshot."""
        state = self._state
        with state.lock:
            return state.table.copy()

    def copy(self) -> Dict:
        """A new dict, made from a snapshot."""
        return Dict(self.as_dict())

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> Dict:
        """A new dict of these keys, each with this value."""
        made = cls()
        for key in keys:
            made[key] = value
        return made

    def __len__(self) -> int:
        return len(self._state.table)

    def statistics(self) -> DictStatistics:
        """The number of keys and who is attached, at this moment."""
        state = self._state
        return DictStatistics(self.name, "Dict", len(state.table), None, None, None, (os.getpid(),))


MutableMapping.register(Dict)
