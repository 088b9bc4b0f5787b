"""A dict in the server. It identifies keys by their forms (`keys.form_of`), which are equal for equal keys. It also
keeps the key objects and the values, as the clients pickled them: only clients import their classes."""

from __future__ import annotations

from typing import Any, TypeAlias

from sharedkit.manager._door import number_in
from sharedkit.manager.protocol import Packed, pack, same
from sharedkit.manager.states.base import Call, State
from sharedkit.statistics import DictStatistics

__all__ = ["DictState", "SetState"]

FormOfKey: TypeAlias = "str | int | bytes"
Entry: TypeAlias = tuple[bytes | None, Packed]
"""The data that `keys.key_of` needs in addition to the form, from the key that was stored first; and the value."""


class _Keys(State):
    """The common part of a set and a dict."""

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.table: dict[FormOfKey, Entry] = {}

    def do_has(self, call: Call, form: FormOfKey) -> bool:
        return form in self.table

    def do_popitem(self, call: Call) -> tuple[FormOfKey, Entry]:
        if not self.table:
            raise KeyError("popitem(): dictionary is empty")
        return self.table.popitem()

    def undo_popitem(self, call: Call, taken: tuple[FormOfKey, Entry]) -> None:
        self.table.setdefault(*taken)

    def do_clear(self, call: Call) -> None:
        self.table.clear()

    def do_keys(self, call: Call) -> list[tuple[FormOfKey, bytes | None]]:
        return [(form, entry[0]) for form, entry in self.table.items()]

    def do_len(self, call: Call) -> int:
        return len(self.table)

    def do_statistics(self, call: Call) -> DictStatistics:
        return DictStatistics(self.name, self.kind, len(self.table), None, None, None, self.attached())


class DictState(_Keys):
    kind = "Dict"

    def _put(self, form: FormOfKey, first: bytes | None, value: Packed) -> None:
        """Store the value; if an equal key exists, that key object stays."""
        found = self.table.get(form)
        self.table[form] = (first if found is None else found[0], value)

    def do_get(self, call: Call, form: FormOfKey) -> Packed | None:
        found = self.table.get(form)
        return None if found is None else found[1]

    def do_set(self, call: Call, entries: list[tuple[FormOfKey, bytes | None, Packed]]) -> None:
        for form, first, value in entries:
            self._put(form, first, value)

    def do_setdefault(self, call: Call, form: FormOfKey, first: bytes | None, default: Packed) -> Packed:
        return self.table.setdefault(form, (first, default))[1]

    def do_pop(self, call: Call, form: FormOfKey) -> Entry | None:
        return self.table.pop(form, None)

    def undo_pop(self, call: Call, taken: Entry | None, form: FormOfKey) -> None:
        if taken is not None:
            self.table.setdefault(form, taken)

    def do_add(
        self, call: Call, form: FormOfKey, first: bytes | None, n: int | float
    ) -> tuple[int | float | None, Packed | None]:
        """Return the new value. If the old value is no plain number, return None and the old value: the client adds."""
        found = self.table.get(form)
        if found is None:
            after: int | float = n
        else:
            first, value = found
            number = number_in(value)
            if number is None:
                return None, value
            after = number + n
        self.table[form] = first, pack(after)
        return after, None

    def do_swap(
        self, call: Call, form: FormOfKey, first: bytes | None, expected: Packed | None, desired: Packed
    ) -> bool:
        """Set a key if its value still has these bytes (None: if it is still missing); the client compared values."""
        found = self.table.get(form)
        if not same(None if found is None else found[1], expected):
            return False
        self._put(form, first, desired)
        return True

    def do_items(self, call: Call) -> list[tuple[FormOfKey, Entry]]:
        return list(self.table.items())


class SetState(_Keys):
    """Keys only; all values are the same."""

    kind = "Set"

    def do_insert(self, call: Call, entries: list[tuple[FormOfKey, bytes | None, Packed]]) -> int:
        """Add the entries; return how many of them were new."""
        before = len(self.table)
        for form, first, nothing in entries:
            self.table.setdefault(form, (first, nothing))
        return len(self.table) - before

    def do_discard(self, call: Call, form: FormOfKey) -> bool:
        return self.table.pop(form, None) is not None
