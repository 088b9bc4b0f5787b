"""The common part of the values of all placements: their types, and the interface of a `multiprocessing.Value`."""

from __future__ import annotations

import ctypes
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from sharedkit._core import readiness
from sharedkit._core.counts import perhaps_a_name
from sharedkit._core.handle_methods import StructureMethods
from sharedkit._core.segment import ends_anywhere
from sharedkit.errors import CorruptSegmentError

if TYPE_CHECKING:
    from sharedkit.statistics import ArrayStatistics

__all__ = [
    "CTYPES",
    "Locked",
    "MemoryValue",
    "MemoryValueWithLock",
    "ServedRawValue",
    "ServedValue",
    "ServedValueWithLock",
    "cell_of",
    "dtype_of",
    "given_lock",
]

CTYPES: dict[str, Any] = {
    each._type_: each
    for each in (
        *(ctypes.c_byte, ctypes.c_ubyte, ctypes.c_short, ctypes.c_ushort, ctypes.c_int, ctypes.c_uint),
        *(ctypes.c_long, ctypes.c_ulong, ctypes.c_longlong, ctypes.c_ulonglong, ctypes.c_float, ctypes.c_double),
        *(ctypes.c_bool, ctypes.c_char, ctypes.c_wchar),
    )
}
"""Types by their code in `ctypes`: numbers of up to 8 bytes, bools, characters; read and written in one step each."""
_BY_CODE = {"q": ctypes.c_longlong, "Q": ctypes.c_ulonglong, **CTYPES}
_OTHER_DTYPES = {"c": "S1", "u": "U1"}


def cell_of(typecode_or_type: Any, args: tuple[Any, ...]) -> Any:
    """Return a `ctypes` object of that type and value. Raises TypeError if the type is not a number, bool or
    character."""
    kind = typecode_or_type
    if isinstance(kind, str) and kind in _BY_CODE:
        kind = _BY_CODE[kind]
    if not any(kind is each for each in CTYPES.values()):
        called = f"bad typecode {kind!r}" if isinstance(kind, str) else f"bad type {getattr(kind, '__name__', kind)}"
        raise TypeError(
            f"{called}: a Value is one of the codes {', '.join(_BY_CODE)} or a ctypes type of a number of up to 8 "
            "bytes, a bool or a character; structures and arrays go into an Array, whose dtype can have fields"
            f"{perhaps_a_name(kind)}"
        )
    return kind(*args)


def dtype_of(cell: Any) -> np.dtype[Any]:
    """Return the dtype of the cell's bytes."""
    code = cell._type_
    return np.dtype(_OTHER_DTYPES[code] if code in _OTHER_DTYPES else type(cell))


def given_lock(lock: Any) -> Any:
    """Return None if the value gets a lock of its own, else the lock to use. Raises AttributeError if that is not a
    lock."""
    if lock is True or lock is None:
        return None
    if not hasattr(lock, "acquire") or not hasattr(lock, "release"):
        raise AttributeError(f"{lock!r} has no method 'acquire': lock is True, False or a lock")
    return lock


class Locked:
    """The lock of a value, by the names of `multiprocessing.Value` and of sharedkit; a `with` block holds it."""

    __slots__ = ()

    get_lock: Callable[[], Any]

    @property
    def lock(self) -> Any:
        """The lock that `get_lock()` returns, under the name that an Array uses."""
        return self.get_lock()

    def acquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock, as `get_lock().acquire` does."""
        return bool(self.get_lock().acquire(blocking if block is None else block, timeout))

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1, *, block: bool | None = None) -> bool:
        """Take the lock as `acquire` does, without blocking the event loop."""
        return bool(await self.get_lock().aacquire(blocking if block is None else block, timeout))

    def release(self) -> None:
        """Release the lock, as `get_lock().release` does."""
        self.get_lock().release()

    def __enter__(self) -> bool:
        return bool(self.get_lock().__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.get_lock().__exit__(kind, error, trace)

    async def __aenter__(self) -> bool:
        return bool(await self.get_lock().__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.get_lock().__aexit__(kind, error, trace)


class ServedValue(StructureMethods):
    """A value behind a server."""

    @abstractmethod
    def _code(self) -> str:
        """The code of the type in `ctypes`."""

    @abstractmethod
    def _load(self) -> Any:
        """The value, whoever holds its lock."""

    @abstractmethod
    def _store(self, value: Any) -> None:
        """Set the value, which is converted, whoever holds its lock."""

    def _converted(self, value: Any) -> Any:
        self._ensure_open()
        return CTYPES[self._code()](value).value


class ServedRawValue(ServedValue):
    """A value without a lock."""

    @property
    def value(self) -> Any:
        """The value. A read is one step, and so is a write. As in `ctypes`, a number that is too large wraps around."""
        return self._load()

    @value.setter
    def value(self, value: Any) -> None:
        self._store(self._converted(value))


class ServedValueWithLock(Locked, ServedValue):
    """A value with a lock: one of its own, or another one."""

    home: ClassVar[Any] = None
    _given: Any = None

    def __new__(cls, *args: Any, lock: Any = True, **options: Any) -> Any:
        if lock is False and cls.home is not None:
            return cls.home.RawValue(*args, **options)
        return super().__new__(cls)

    @abstractmethod
    def _load_when_free(self) -> Any:
        """The value, as soon as no other caller holds the value's own lock."""

    @abstractmethod
    def _store_when_free(self, value: Any) -> None:
        """Set the value as soon as no other caller holds the value's own lock."""

    @abstractmethod
    def _own_lock(self) -> Any:
        """The value's own lock."""

    @property
    def value(self) -> Any:
        """The value. A read or write waits while another thread or process holds the lock. As in `ctypes`, a number
        that is too large wraps around.

        `v.value += 1` reads, then writes: hold the lock around it, or use a Counter.
        """
        if self._given is None:
            return self._load_when_free()
        with self._given:
            return self._load()

    @value.setter
    def value(self, value: Any) -> None:
        if self._given is None:
            self._store_when_free(self._converted(value))
        else:
            with self._given:
                self._store(self._converted(value))

    def get_lock(self) -> Any:
        """Return the lock that each read and write waits for: an RLock, or the given lock."""
        self._ensure_open()
        return self._own_lock() if self._given is None else self._given

    def __reduce__(self) -> tuple[Any, ...]:
        plain: Any = super().__reduce__()
        return plain if self._given is None else (_served_with_lock, (*plain, self._given))


def _served_with_lock(opens: Callable[..., Any], args: tuple[Any, ...], lock: Any) -> Any:
    """Unpickle a value with a lock that is not its own."""
    value = opens(*args)
    value._given = lock
    return value


class MemoryValue:
    """A value stored in an array without axes in the same segment; the other methods are compiled."""

    __slots__ = ()
    _array_class: ClassVar[Any]

    @classmethod
    def _of(cls, segment: Any) -> Self:
        self: Any = cls.__new__(cls)
        self._adopt(segment)
        return self  # type: ignore[no-any-return]

    def _adopt(self: Any, segment: Any) -> None:
        array = self._array_class._of(segment)
        kind = _BY_CODE.get({"S": "c", "U": "u"}.get(array.dtype.kind, array.dtype.char))
        if kind is None or array.shape != () or array.dtype != dtype_of(kind()):
            raise CorruptSegmentError(f"no value has the shape {array.shape} and the dtype {array.dtype}")
        cell = kind.from_buffer(array.ndarray)
        ends_anywhere(cell)
        ends_anywhere(cell._objects)  # the memoryview that ctypes keeps, which refers to the array
        self._hold(array, cell, segment)

    def statistics(self: Any) -> ArrayStatistics:
        """Return the type, the attached processes and the lock's holder at this moment: an ArrayStatistics."""
        # kept in a local variable: if another thread closes this value meanwhile, `array` is closed, but not None
        array = self._array
        self._segment()
        snapshot: ArrayStatistics = array.statistics()
        return replace(snapshot, kind=type(self).__name__)

    def __repr__(self: Any) -> str:
        kind, cell = type(self).__name__, self._cell
        if self.closed:
            return f"<{kind} closed>"
        return f"<{kind} {type(cell).__name__}({cell.value!r}) name={self.name!r}>"


class MemoryValueWithLock(Locked, MemoryValue):
    """A MemoryValue behind a lock: the lock of the array, as an RLock, or another one."""

    __slots__ = ()
    _rlock_class: ClassVar[Any]

    def _adopt(self: Any, segment: Any, given: Any = None) -> None:
        self._lock_by(self._rlock_class._in(segment, 0) if given is None else None, given)
        super()._adopt(segment)

    def __reduce__(self: Any) -> tuple[Any, ...]:
        plain: Any = super().__reduce__()
        return plain if self._given is None else (_with_lock, (*plain[:2], self._given))


def _with_lock(opens: Callable[..., Any], args: tuple[Any, ...], lock: Any) -> Any:
    """Unpickle a value with a lock that is not its own."""
    value = opens(*args)
    value._lock_by(None, lock)
    return value


def _ready(value: Locked) -> Any:
    return readiness.waiter_of(value.get_lock())


readiness.register(Locked, {"": _ready, "acquire": _ready, "aacquire": _ready})
