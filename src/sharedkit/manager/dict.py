"""A dict behind a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from sharedkit._core.keys import form_and_first, form_of, key_of
from sharedkit._core.mapping_methods import FILE_OPTIONS, MappingFace, first_items
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.protocol import pack, unpack
from sharedkit.statistics import DictStatistics

__all__ = ["Dict"]


class Dict(MappingFace, Handle):
    """Dict(mapping_or_pairs=(), /, *, name=None, exist_ok=False, persist=False, seats=192, **items)

    A `MutableMapping` in order of insertion. Each single operation is atomic, including `setdefault`, `pop`, `add` and
    `compare_exchange`; iteration goes over a snapshot. Keys and values are pickled, so reads return copies. The server
    unpickles neither; it only reads values that are plain numbers, for `add`. Keys are equal exactly when Python says
    so. A type that sharedkit does not know needs `register_key` and otherwise raises TypeError. Further keywords are
    items, as in `dict`: `Dict(maxsize=3)` has the key "maxsize", and no bound.

    Raises TypeError for `mode` and `group`, which are options in shared memory; FileExistsError when `name` is taken
    and not `exist_ok`, ValueError when the existing structure is not a dict with the same `seats` and `persist`.
    """

    kind = "Dict"

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
        # first: an item that cannot be sent raises before anything is made
        entries = _entries(first_items(mapping_or_pairs, items, FILE_OPTIONS), {})
        self._create(name, exist_ok, persist, seats, {})
        if entries:
            self._call("set", entries)

    def __getitem__(self, key: Any) -> Any:
        found = self._call("get", form_of(key))
        if found is None:
            raise KeyError(key)
        return unpack(found)

    def get(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of `key`, or `default`."""
        found = self._call("get", form_of(key))
        return default if found is None else unpack(found)

    def __contains__(self, key: object) -> bool:
        return bool(self._call("has", form_of(key)))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._ensure_open()
        self._call("set", [(*form_and_first(key), pack(value))])

    def __delitem__(self, key: Any) -> None:
        self.pop(key)

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        """Return the value of `key`, set to `default` first if it was missing, in one step."""
        self._ensure_open()
        return unpack(self._call("setdefault", *form_and_first(key), pack(default)))

    def pop(self, key: Any, *default: Any) -> Any:
        """Remove `key` and return its value in one step; `default` if it is missing, or KeyError without one."""
        if len(default) > 1:
            raise TypeError(f"pop expected at most 2 arguments, got {1 + len(default)}")
        found = self._call("pop", form_of(key))
        if found is not None:
            return unpack(found[1])
        if default:
            return default[0]
        raise KeyError(key)

    def popitem(self) -> tuple[Any, Any]:
        """Remove and return the pair that was inserted last, in one step. Raises KeyError if the dict is empty."""
        form, (first, value) = self._call("popitem")
        return key_of(form, first), unpack(value)

    def add(self, key: Any, n: Any = 1, /) -> Any:
        """Add `n` to the number at `key` (a missing one is 0) in one step, and return the new value."""
        self._ensure_open()
        form, first = form_and_first(key)
        while type(n) in (int, float):
            after, found = self._call("add", form, first, n)
            if found is None:
                return after
            after = unpack(found) + n  # no plain number, which the server would not unpickle
            if self._call("swap", form, first, found, pack(after)):
                return after
        while True:
            found = self._call("get", form)
            after = n if found is None else unpack(found) + n
            if self._call("swap", form, first, found, pack(after)):
                return after

    def compare_exchange(self, key: Any, expected: Any, desired: Any, /) -> bool:
        """Set `key` to `desired` if its value equals `expected`, in one step; return whether it did."""
        self._ensure_open()
        form, packed = form_of(key), pack(desired)
        while (found := self._call("get", form)) is not None and unpack(found) == expected:
            if self._call("swap", form, None, found, packed):
                return True
        return False

    def update(self, mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **items: Any) -> None:
        """Set many keys, all in one step."""
        self._ensure_open()
        self._call("set", _entries(mapping_or_pairs, items))

    def clear(self) -> None:
        """Remove all keys, in one step."""
        self._call("clear")

    def as_dict(self) -> dict[Any, Any]:
        """Return a snapshot as a plain dict."""
        return {key_of(form, first): unpack(value) for form, (first, value) in self._call("items")}

    def __iter__(self) -> Iterator[Any]:
        return iter([key_of(form, first) for form, first in self._call("keys")])

    def copy(self) -> Dict:
        """Return a new dict, made from a snapshot."""
        return type(self)(self.as_dict())

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None, /) -> Dict:
        """Return a new dict of these keys, each with this value."""
        return cls(dict.fromkeys(keys, value))

    def __len__(self) -> int:
        return int(self._call("len"))

    def statistics(self) -> DictStatistics:
        """Return the number of keys and the attached processes at this moment: a DictStatistics."""
        snapshot: DictStatistics = self._call("statistics")
        return snapshot


def _entries(mapping_or_pairs: Any, items: dict[str, Any]) -> list[tuple[Any, bytes | None, Any]]:
    """For each pair: the canonical form of the key, the pickled key or None, the packed value."""
    pairs = dict(mapping_or_pairs, **items)
    return [(*form_and_first(key), pack(value)) for key, value in pairs.items()]


MutableMapping.register(Dict)
