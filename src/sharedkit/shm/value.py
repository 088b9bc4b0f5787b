"""Single values in shared memory, of the types of `ctypes`."""

from __future__ import annotations

from typing import Any

import numpy as np

from sharedkit._core.segment import with_own_methods
from sharedkit._core.value_methods import MemoryValue, MemoryValueWithLock, cell_of, dtype_of, given_lock
from sharedkit.segments import DEFAULT_SEATS, Kind, create, register_kind
from sharedkit.shm import _array, _value
from sharedkit.shm._lock import RLock

__all__ = ["RawValue", "Value"]

KIND_VALUE = 18
KIND_RAW_VALUE = 19


def _blueprint(kind: int, cell: Any) -> Any:
    dtype = dtype_of(cell)
    return _array.blueprint((), dtype, np.frombuffer(cell, dtype).reshape(()), kind)


@with_own_methods
class RawValue(MemoryValue, _value.Memory):
    """RawValue(typecode_or_type, *args, name=None, exist_ok=False, persist=False, seats=192, mode=None, group=None)

    `multiprocessing.RawValue` in shared memory: one number, bool or character of a type of `ctypes`, or of a code of
    `array`, including "c" and "u". `value` reads it in one step and writes it in one step. With `exist_ok=True` and the
    name of an existing RawValue, the result is a further handle on it, and its value stays.

    Raises TypeError for another type, including structures and arrays, or for a value that the type does not accept;
    FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs in more
    than its value, OutOfSharedMemory.
    """

    __slots__ = ()
    _array_class = _array.Array

    def __init__(
        self,
        typecode_or_type: Any,
        /,
        *args: Any,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None:
        plan = _blueprint(KIND_RAW_VALUE, cell_of(typecode_or_type, args))
        self._adopt(create(plan, name, exist_ok, persist, seats, mode, group))


@with_own_methods
class Value(MemoryValueWithLock, _value.LockedMemory):  # type: ignore[misc]  # `with` takes, where a Handle's closes
    """Value(typecode_or_type, *args, lock=True, name=None, exist_ok=False, persist=False, seats=192, mode=None, \
group=None)

    `multiprocessing.Value` in shared memory: a RawValue with a lock. `value` takes the lock for each access; `with`,
    `acquire` and `release` act on the lock. It is an RLock of the value's own, or the given `lock`, which is pickled
    with the handle but is unknown to `attach`. With `lock=False` the result is a RawValue. `with` does not close the
    handle.

    Raises as RawValue does, and AttributeError for a `lock` that is not a lock.
    """

    __slots__ = ()
    _array_class = _array.Array
    _rlock_class = RLock

    def __new__(cls, *args: Any, lock: Any = True, **options: Any) -> Any:
        return RawValue(*args, **options) if lock is False else super().__new__(cls)

    def __init__(
        self,
        typecode_or_type: Any,
        /,
        *args: Any,
        lock: Any = True,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
        mode: int | None = None,
        group: int | str | None = None,
    ) -> None:
        given = given_lock(lock)
        plan = _blueprint(KIND_VALUE, cell_of(typecode_or_type, args))
        self._adopt(create(plan, name, exist_ok, persist, seats, mode, group), given)


def _state(segment: Any) -> str:
    return repr(RawValue._of(segment)._cell)


def _state_with_lock(segment: Any) -> str:
    held: str = Value._of(segment).get_lock()._held_text()
    return f"{_state(segment)}, {held}" if held != "unlocked" else _state(segment)


register_kind(Kind(KIND_VALUE, "Value", Value._of, _state_with_lock))
register_kind(Kind(KIND_RAW_VALUE, "RawValue", RawValue._of, _state))
