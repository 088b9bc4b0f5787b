"""A dict behind a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from sharedkit._core.dict_methods import DictMethods, Entry, Form
from sharedkit._core.keys import key_of
from sharedkit._core.mapping_methods import FILE_OPTIONS, first_items
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.protocol import pack, unpack
from sharedkit.statistics import DictStatistics

__all__ = ["Dict"]


class Dict(DictMethods, Handle):
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
        entries = self._entries(first_items(mapping_or_pairs, items, FILE_OPTIONS), {})
        self._create(name, exist_ok, persist, seats, {})
        if entries:
            self._set(entries)

    _pack = staticmethod(pack)
    _unpack = staticmethod(unpack)

    def _get(self, form: Form) -> Any:
        return self._call("get", form)

    def _has(self, form: Form) -> bool:
        return bool(self._call("has", form))

    def _set(self, entries: list[Entry]) -> None:
        self._call("set", entries)

    def _setdefault(self, form: Form, first: bytes | None, packed: Any) -> Any:
        return self._call("setdefault", form, first, packed)

    def _pop(self, form: Form) -> Any:
        found = self._call("pop", form)
        return None if found is None else found[1]

    def _pop_last(self) -> Entry:
        form, (first, value) = self._call("popitem")
        return form, first, value

    def _add(self, form: Form, first: bytes | None, n: int | float) -> tuple[Any, Any]:
        after, found = self._call("add", form, first, n)
        return after, found

    def _swap(self, form: Form, first: bytes | None, expected: Any, desired: Any) -> bool:
        return bool(self._call("swap", form, first, expected, desired))

    def _iter_keys(self) -> Iterator[tuple[Form, bytes | None]]:
        return iter(self._call("keys"))

    def _iter_pairs(self) -> Iterator[tuple[Any, Any]]:
        return ((key_of(form, first), unpack(value)) for form, (first, value) in self._call("items"))

    def update(self, mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **items: Any) -> None:
        """Set many keys, all in one step."""
        self._ensure_open()
        self._set(self._entries(mapping_or_pairs, items))

    def clear(self) -> None:
        """Remove all keys, in one step."""
        self._call("clear")

    def __len__(self) -> int:
        return int(self._call("len"))

    def statistics(self) -> DictStatistics:
        """Return the number of keys and the attached processes at this moment: a DictStatistics."""
        snapshot: DictStatistics = self._call("statistics")
        return snapshot


MutableMapping.register(Dict)
