"""A dict in the server. It knows its keys by their forms (`_keys.form_of`), which equal keys have in common, and keeps
the objects beside them, and the values, as the clients pickled them: what only clients can import stays theirs."""

from __future__ import annotations

from typing import Any, TypeAlias

from sharedkit.manager.states.base import Call, State
from sharedkit.manager.wire import Packed, pack, same, unpack
from sharedkit.statistics import DictStatistics

__all__ = ["DictState"]

FormOfKey: TypeAlias = "str | int | bytes"
Entry: TypeAlias = tuple[bytes | None, Packed]
"""What `_keys.key_of` wants beside the form of the key that was stored first; and the value."""


def _checked(form: Any) -> FormOfKey:
    """What a client sends as a key."""
    if type(form) not in (str, int, bytes):
        raise TypeError(f"a {type(form).__name__} is no form of a key")
    return form  # type: ignore[no-any-return]


class DictState(State):
    kind = "Dict"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.table: dict[FormOfKey, Entry] = {}

    def _put(self, form: Any, first: bytes | None, value: Packed) -> None:
        """An equal key that is there stays the one that was stored first."""
        found = self.table.get(_checked(form))
        self.table[form] = (first if found is None else found[0], value)

    def do_get(self, call: Call, form: Any) -> Packed | None:
        found = self.table.get(_checked(form))
        return None if found is None else found[1]

    def do_has(self, call: Call, form: Any) -> bool:
        return _checked(form) in self.table

    def do_set(self, call: Call, entries: list[tuple[Any, bytes | None, Packed]]) -> None:
        for form, first, value in entries:
            self._put(form, first, value)

    def do_setdefault(self, call: Call, form: Any, first: bytes | None, default: Packed) -> Packed:
        return self.table.setdefault(_checked(form), (first, default))[1]

    def do_pop(self, call: Call, form: Any) -> Entry | None:
        return self.table.pop(_checked(form), None)

    def undo_pop(self, call: Call, taken: Entry | None, form: Any) -> None:
        if taken is not None:
            self.table.setdefault(form, taken)

    def do_popitem(self, call: Call) -> tuple[FormOfKey, Entry]:
        if not self.table:
            raise KeyError("popitem(): dictionary is empty")
        return self.table.popitem()

    def undo_popitem(self, call: Call, taken: tuple[FormOfKey, Entry]) -> None:
        self.table.setdefault(*taken)

    def do_add(self, call: Call, form: Any, first: bytes | None, n: Any) -> Any:
        found = self.table.get(_checked(form))
        after = n if found is None else unpack(found[1]) + n
        self._put(form, first, pack(after))
        return after

    def do_swap(self, call: Call, form: Any, expected: Packed, desired: Packed) -> bool:
        """Set a key if its value is still these bytes: the client has compared what they stand for."""
        found = self.table.get(_checked(form))
        if found is None or not same(found[1], expected):
            return False
        self._put(form, None, desired)
        return True

    def do_clear(self, call: Call) -> None:
        self.table.clear()

    def do_items(self, call: Call) -> list[tuple[FormOfKey, Entry]]:
        return list(self.table.items())

    def do_keys(self, call: Call) -> list[tuple[FormOfKey, bytes | None]]:
        return [(form, entry[0]) for form, entry in self.table.items()]

    def do_len(self, call: Call) -> int:
        return len(self.table)

    def do_statistics(self, call: Call) -> DictStatistics:
        return DictStatistics(self.name, self.kind, len(self.table), None, None, None, self.attached())
