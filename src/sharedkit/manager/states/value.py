"""A single value in the server, with or without a lock for its users."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from sharedkit._core.value_methods import cell_of, dtype_of
from sharedkit.manager.states.base import Call, State, Wait, Waiting
from sharedkit.manager.states.lock import RLockState
from sharedkit.statistics import ArrayStatistics

__all__ = ["RawValueState", "ValueState"]


class RawValueState(State):
    kind = "RawValue"

    def __init__(self, name: str, spec: dict[str, Any], value: Any) -> None:
        super().__init__(name, spec)
        self.cell = cell_of(spec["type"], (value,))

    def owner(self) -> int | None:
        """The process id of the holder of its lock."""
        return None

    def do_type(self, call: Call) -> str:
        code: str = self.cell._type_
        return code

    def do_get(self, call: Call) -> Any:
        return self.cell.value

    def do_set(self, call: Call, value: Any) -> Any:
        self.cell.value = value

    def do_statistics(self, call: Call) -> ArrayStatistics:
        return ArrayStatistics(
            name=self.name,
            kind=self.kind,
            shape=(),
            dtype=str(dtype_of(self.cell)),
            nbytes=ctypes.sizeof(self.cell),
            attached=self.attached(),
            lock_owner=self.owner(),
        )


class ValueState(RawValueState):
    """A client that does not hold the lock waits for it to read or write, in one line with those that acquire it."""

    kind = "Value"

    def __init__(self, name: str, spec: dict[str, Any], value: Any) -> None:
        super().__init__(name, spec, value)
        self.lock = RLockState(name, {"on_owner_died": "warn"})

    def parts(self) -> tuple[State, ...]:
        return (self.lock,)

    def owner(self) -> int | None:
        return None if self.lock.owner is None else self.lock.owner.pid

    def do_lock(self, call: Call) -> int:
        """The number of the lock."""
        return self.lock.ident

    def do_get(self, call: Call) -> Any:
        if self.lock.owner is None or self.lock.owned_by(call):
            return self.cell.value
        return self._when_free(lambda: self.cell.value)

    def do_set(self, call: Call, value: Any) -> Any:
        if self.lock.owner is None or self.lock.owned_by(call):
            self.cell.value = value
            return None
        return self._when_free(lambda: setattr(self.cell, "value", value))

    def _when_free(self, step: Callable[[], Any]) -> Waiting[Any]:
        yield Wait(self.lock.waiting)
        return step()
