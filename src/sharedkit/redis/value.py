"""Single values in a Redis server, of the types of `ctypes`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from sharedkit._core.value_methods import (
    CTYPES,
    ServedRawValue,
    ServedValue,
    ServedValueWithLock,
    cell_of,
    dtype_of,
    given_lock,
)
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, Structure, pids
from sharedkit.redis.lock import PartLock
from sharedkit.statistics import ArrayStatistics

__all__ = ["RawValue", "Value"]

_FROM: dict[type[Any], Callable[[bytes], Any]] = {
    int: int,
    bool: b"1".__eq__,
    float: float,
    bytes: bytes,
    str: lambda sent: sent.decode("utf-8", "surrogatepass"),
}
"""For each type of Python's that a value of `ctypes` has: how it is read."""


def _sent(value: Any) -> bytes:
    """The value in the server: digits, bytes, or UTF-8."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return repr(value).encode() if isinstance(value, float) else b"%d" % value


class _Value(ServedValue, Structure):
    """Reading and writing are one call each."""

    lua = "value"

    def _make(self, typecode_or_type: Any, args: tuple[Any, ...], options: tuple[str | None, bool, bool, int]) -> None:
        cell = cell_of(typecode_or_type, args)
        self._create(*options, {"type": cell._type_}, _sent(cell.value))

    def _code(self) -> str:
        code: str = self._spec["type"]
        return code

    def _try_load(self, who: bytes) -> Any:
        """The value, None if another than `who` holds the lock."""
        found = self._read(b"load", who)
        return None if found is None else _FROM[type(CTYPES[self._code()]().value)](found)

    def _load(self) -> Any:
        return self._try_load(b"")

    def _store(self, value: Any) -> None:
        self._call(b"store", _sent(value), b"", shrinks=True)

    def statistics(self) -> ArrayStatistics:
        """Return the type, the attached processes and the holder of the lock: an ArrayStatistics."""
        holder, sessions = self._read(b"holder")
        cell = CTYPES[self._code()]()
        owner = pids([holder])[0] if holder else None
        return ArrayStatistics(
            self._name, self.kind, (), str(dtype_of(cell)), ctypes.sizeof(cell), pids(sessions), owner
        )


class RawValue(ServedRawValue, _Value, Handle):
    """RawValue(typecode_or_type, *args, name=None, exist_ok=False, persist=False, seats=192)

    `multiprocessing.RawValue` in a Redis server: one number, bool or character of a type of `ctypes`, or of a code of
    `array`, including "c" and "u". `value` reads it in one step and writes it in one step. With `exist_ok=True` and the
    name of an existing RawValue, the result is a further handle on it, and its value stays.

    Raises TypeError for another type, including structures and arrays, or for a value that the type does not accept;
    FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure differs in more
    than its value.
    """

    kind = "RawValue"

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
        self._make(typecode_or_type, args, (name, exist_ok, persist, seats))


class Value(ServedValueWithLock, _Value):
    """Value(typecode_or_type, *args, lock=True, name=None, exist_ok=False, persist=False, seats=192)

    `multiprocessing.Value` in a Redis server: a RawValue with a lock. A read or write of `value` waits while another
    thread or process holds the lock; `with`, `acquire` and `release` act on the lock. It is an RLock of the value's
    own, or the given `lock`, which is pickled with the handle but is unknown to `attach`. With `lock=False` the result
    is a RawValue. `with` does not close the handle. There is no `get_obj`: the memory is in the server.

    Raises as RawValue does, and AttributeError for a `lock` that is not a lock.
    """

    kind = "Value"

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
        self._given = given_lock(lock)
        self._make(typecode_or_type, args, (name, exist_ok, persist, seats))

    def _load_when_free(self) -> Any:
        lock = self._own_lock()
        found = self._try_load(lock._who())
        if found is None:
            with lock:
                found = self._try_load(lock._who())
        return found

    def _store_when_free(self, value: Any) -> None:
        lock = self._own_lock()
        if not self._call(b"store", _sent(value), lock._who(), shrinks=True):
            with lock:
                self._call(b"store", _sent(value), lock._who(), shrinks=True)

    def _own_lock(self) -> PartLock:
        self._ensure_open()
        return PartLock(self, self.lua, self._base, "RLock", self._name)
