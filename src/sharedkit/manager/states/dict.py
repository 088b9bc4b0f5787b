"""A dict in the server. It needs to know its keys, which it compares; values it keeps as the clients pickled them."""

from __future__ import annotations

from typing import Any

from sharedkit.manager.states.base import Call, State
from sharedkit.manager.wire import Packed, number_in, pack, same
from sharedkit.statistics import DictStatistics

__all__ = ["DictState"]


class DictState(State):
    kind = "Dict"

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        super().__init__(name, spec)
        self.table: dict[Any, Packed] = {}

    def do_get(self, call: Call, key: Any) -> Packed | None:
        return self.table.get(key)

    def do_has(self, call: Call, key: Any) -> bool:
        return key in self.table

    def do_set(self, call: Call, pairs: list[tuple[Any, Packed]]) -> None:
        for key, value in pairs:
            self.table[key] = value

    def do_setdefault(self, call: Call, key: Any, default: Packed) -> Packed:
        return self.table.setdefault(key, default)

    def do_pop(self, call: Call, key: Any) -> Packed | None:
        return self.table.pop(key, None)

    def undo_pop(self, call: Call, taken: Packed | None, key: Any) -> None:
        if taken is not None:
            self.table.setdefault(key, taken)

    def do_popitem(self, call: Call) -> tuple[Any, Packed]:
        if not self.table:
            raise KeyError("popitem(): dictionary is empty")
        return self.table.popitem()

    def undo_popitem(self, call: Call, taken: tuple[Any, Packed]) -> None:
        self.table.setdefault(*taken)

    def do_add(self, call: Call, key: Any, n: int | float) -> tuple[int | float | None, Packed | None]:
        """The new value; None where the old one is no plain number, which comes with it: the client adds then."""
        found = self.table.get(key)
        if found is None:
            after: int | float = n
        else:
            number = number_in(found)
            if number is None:
                return None, found
            after = number + n
        self.table[key] = pack(after)
        return after, None

    def do_swap(self, call: Call, key: Any, expected: Packed, desired: Packed) -> bool:
        """Set `key` if its value is still these bytes: the client has compared what they stand for."""
        if not same(self.table.get(key), expected):
            return False
        self.table[key] = desired
        return True

    def do_clear(self, call: Call) -> None:
        self.table.clear()

    def do_items(self, call: Call) -> list[tuple[Any, Packed]]:
        return list(self.table.items())

    def do_len(self, call: Call) -> int:
        return len(self.table)

    def do_statistics(self, call: Call) -> DictStatistics:
        return DictStatistics(self.name, self.kind, len(self.table), None, None, None, self.attached())
