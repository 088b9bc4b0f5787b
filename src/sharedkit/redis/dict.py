"""A dict in a Redis server."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import chain
from typing import Any

from sharedkit._core.counts import HIGHEST, LOWEST
from sharedkit._core.dict_methods import DictMethods, Entry, Form
from sharedkit._core.keys import key_of
from sharedkit._core.mapping_methods import FILE_OPTIONS, first_items
from sharedkit.redis.handle import DEFAULT_SEATS
from sharedkit.redis.items import batches, checked, message_pack
from sharedkit.redis.keys import Keys, first_of, form_bytes, form_from

__all__ = ["Dict"]


class Dict(Keys, DictMethods):
    """Dict(mapping_or_pairs=(), /, *, name=None, exist_ok=False, persist=False, seats=192, **items)

    A `MutableMapping` in order of insertion. Each operation on one key is atomic, including `setdefault`, `pop`, `add`
    and `compare_exchange`; iteration goes over a snapshot, which a large dict sends in pages. Keys and values are
    pickled, so reads return copies. The server reads only values that are plain numbers, for `add`. Keys are equal
    exactly when Python says so. A type that sharedkit does not know needs `register_key` and otherwise raises
    TypeError. A key, and a value, has at most 512 MiB: ValueError for a larger one.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not a dict
    with the same `seats` and `persist`.
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
        new = self._create(name, exist_ok, persist, seats, {})
        self._fill(new, lambda: self._set(entries))

    def _pack(self, value: Any) -> bytes:
        """Digits for an integer of 64 bits, f and digits for a finite float, p and the pickle for anything else."""
        if type(value) is int and LOWEST <= value <= HIGHEST:
            return b"%d" % value
        if type(value) is float and math.isfinite(value):
            return b"f" + repr(value).encode()
        return checked(b"p" + pickle.dumps(value, 5), "a value")

    def _unpack(self, packed: bytes) -> Any:
        kind = packed[:1]
        if kind == b"p":
            return pickle.loads(memoryview(packed)[1:])
        return float(packed[1:]) if kind == b"f" else int(packed)

    def _get(self, form: Form) -> bytes | None:
        found: bytes | None = self._read(b"get", form_bytes(form))
        return found

    def _set(self, entries: list[Entry]) -> None:
        sent: list[tuple[bytes, ...]] = [(form_bytes(form), first_of(first), packed) for form, first, packed in entries]
        for some in batches(sent):
            if len(some) == 1:
                self._call(b"set", *some[0])
            else:
                self._call(b"set_many", message_pack(chain.from_iterable(some)))

    def _setdefault(self, form: Form, first: bytes | None, packed: Any) -> Any:
        there = self._call(b"setdefault", form_bytes(form), first_of(first), packed)
        self._seen(there)
        return packed if there is None else there

    def _pop(self, form: Form) -> bytes | None:
        found: bytes | None = self._call(b"pop", form_bytes(form), shrinks=True)
        self._seen(found)
        return found

    def _add(self, form: Form, first: bytes | None, n: int | float) -> tuple[Any, Any]:
        packed = self._pack(n)
        if packed.startswith(b"p"):  # too large for the server
            found = self._get(form)
            return (n, None) if found is None and self._swap(form, first, None, packed) else (None, found or b"0")
        after = self._call(b"add", form_bytes(form), first_of(first), packed)
        if not isinstance(after, list):
            return self._unpack(after), None
        self._seen(after[0])
        return None, after[0]

    def _swap(self, form: Form, first: bytes | None, expected: Any, desired: Any) -> bool:
        return bool(self._call(b"swap", form_bytes(form), first_of(first), expected or b"", desired))

    def _iter_pairs(self) -> Iterator[tuple[Any, Any]]:
        return (
            (key_of(form_from(form), first or None), self._unpack(value))
            for form, first, value in self._snapshot(b"p", 3)
        )

    def update(self, mapping_or_pairs: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = (), /, **items: Any) -> None:
        """Set many keys: up to 1,000, or 16 MiB, in one step."""
        self._ensure_open()
        self._set(self._entries(mapping_or_pairs, items))


MutableMapping.register(Dict)
