"""Single values for the threads of this process, of the types of `ctypes`."""

from __future__ import annotations

from typing import Any

import numpy as np

from sharedkit._core.segment import with_own_methods
from sharedkit._core.value_methods import MemoryValue, MemoryValueWithLock, cell_of, dtype_of, given_lock
from sharedkit.segments import DEFAULT_SEATS
from sharedkit.shm import _array, _value
from sharedkit.thread import registry
from sharedkit.thread.array import Array
from sharedkit.thread.lock import RLock

__all__ = ["RawValue", "Value"]

KIND_VALUE = 18
KIND_RAW_VALUE = 19


def _blueprint(kind: int, cell: Any) -> Any:
    dtype = dtype_of(cell)
    return _array.blueprint((), dtype, np.frombuffer(cell, dtype).reshape(()), kind)


@registry.opens(KIND_RAW_VALUE)
@with_own_methods
class RawValue(MemoryValue, _value.Memory):
    """RawValue(typecode_or_type, *args, name=None, exist_ok=False, persist=False, seats=192)

    `multiprocessing.RawValue` for the threads of this process: one number, bool or character of a type of `ctypes`, or
    of a code of `array`, including "c" and "u". `value` reads it in one step and writes it in one step. With
    `exist_ok=True` and the name of an existing RawValue, the result is a further handle on it, and its value stays.

    Raises TypeError for another type, including structures and arrays, or for a value that the type does not accept;
    FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs in more
    than its value.
    """

    __slots__ = ()
    _array_class = Array

    def __init__(
        self,
        typecode_or_type: Any,
        /,
        *args: Any,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        plan = _blueprint(KIND_RAW_VALUE, cell_of(typecode_or_type, args))
        self._adopt(registry.create(plan, name, exist_ok, persist, seats))


@registry.opens(KIND_VALUE)
@with_own_methods
class Value(MemoryValueWithLock, _value.LockedMemory):  # type: ignore[misc]  # `with` takes, where a Handle's closes
    """Value(typecode_or_type, *args, lock=True, name=None, exist_ok=False, persist=False, seats=192)

    `multiprocessing.Value` for the threads of this process: a RawValue with a lock. `value` takes the lock for each
    access; `with`, `acquire` and `release` act on the lock. It is an RLock of the value's own, or the given `lock`,
    which is unknown to `attach`. With `lock=False` the result is a RawValue. `with` does not close the handle.

    Raises as RawValue does, and AttributeError for a `lock` that is not a lock.
    """

    __slots__ = ()
    _array_class = Array
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
    ) -> None:
        given = given_lock(lock)
        plan = _blueprint(KIND_VALUE, cell_of(typecode_or_type, args))
        self._adopt(registry.create(plan, name, exist_ok, persist, seats), given)
