"""Single values behind a server, of the types of `ctypes`."""

from __future__ import annotations

from typing import Any

from sharedkit._core.value_methods import ServedRawValue, ServedValue, ServedValueWithLock, cell_of, given_lock
from sharedkit.manager.handle import DEFAULT_SEATS, Handle, Structure
from sharedkit.manager.lock import PartLock
from sharedkit.statistics import ArrayStatistics

__all__ = ["RawValue", "Value"]


class _Value(ServedValue, Structure):
    """Reading and writing are one request each."""

    _known_code: str

    def _make(self, typecode_or_type: Any, args: tuple[Any, ...], options: tuple[Any, ...]) -> None:
        cell = cell_of(typecode_or_type, args)
        self._create(*options, {"type": cell._type_}, cell.value)

    def _code(self) -> str:
        if not hasattr(self, "_known_code"):
            self._known_code = self._call("type")
        return self._known_code

    def _load(self) -> Any:
        return self._call("get")

    def _store(self, value: Any) -> None:
        self._call("set", value)

    def statistics(self) -> ArrayStatistics:
        """Return the type, the attached processes and the holder of the lock: an ArrayStatistics."""
        snapshot: ArrayStatistics = self._call("statistics")
        return snapshot


class RawValue(ServedRawValue, _Value, Handle):
    """RawValue(typecode_or_type, *args, name=None, exist_ok=False, persist=False, seats=192)

    `multiprocessing.RawValue` behind a server: one number, bool or character of a type of `ctypes`, or of a code of
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

    `multiprocessing.Value` behind a server: a RawValue with a lock. A read or write of `value` waits while another
    thread or process holds the lock; `with`, `acquire` and `release` act on the lock. It is an RLock of the value's
    own, or the given `lock`, which is pickled with the handle but is unknown to `attach`. With `lock=False` the result
    is a RawValue. `with` does not close the handle. There is no `get_obj`: the memory is in the server.

    Raises as RawValue does, and AttributeError for a `lock` that is not a lock.
    """

    kind = "Value"
    _known: int

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
        return self._call("get", thread=self._own_lock()._who(), patience=None)

    def _store_when_free(self, value: Any) -> None:
        self._call("set", value, thread=self._own_lock()._who(), patience=None)

    def _own_lock(self) -> PartLock:
        self._ensure_open()
        if not hasattr(self, "_known"):
            self._known = self._call("lock")
        return PartLock(self, self._known, owned=True)
