"""An array in a Redis server: its elements are read as copies and written by functions in it."""

from __future__ import annotations

import base64
import pickle
import sys
from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sharedkit._core.array_methods import ArrayMethods
from sharedkit._core.array_spec import contents_of, geometry, plain_dtype
from sharedkit._core.operands import element, number, numbers
from sharedkit.errors import OutOfSharedMemory, ServerGoneError, SharedkitError
from sharedkit.redis.elements import Chosen, cell_at, chosen, like
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, pids
from sharedkit.redis.lock import PartLock
from sharedkit.redis.refusals import Refused, refused
from sharedkit.redis.session import Session
from sharedkit.statistics import ArrayStatistics

__all__ = ["Array"]

LARGEST = 512 << 20  # bytes of a string in the server
CHUNK = 1 << 20  # bytes that one command reads or writes
RUNS = 1000  # pieces that one call reads, writes or adds: a longer one would keep all other clients waiting
SPARSE = 16  # a sparse index reads all bytes between its elements, unless these are so many times as many
STAGED = 600_000  # ms that elements stay in the server before they are part of an array


class Array(ArrayMethods, Handle):
    """Array(shape, dtype="f8", *, name=None, exist_ok=False, persist=False, seats=192)

    A NumPy array of zeros, in C order, of at most 512 MiB. Indexing writes to the server and reads copies, and so do
    `ndarray` and `np.asarray(array)`. The copies are read-only, because a write to a copy would not reach the server.
    A read or write of one element, or of up to 1 MiB side by side, is one step, and so is a write of all elements;
    anything else is several steps.

    Raises TypeError for a dtype with Python objects, ValueError for a negative length, for more than 512 MiB or when
    the existing structure is not an array with the same parameters, FileExistsError when `name` is taken and not
    `exist_ok`, OutOfSharedMemory, which is a MemoryError.
    """

    kind = "Array"
    lua = "array"
    _contents: memoryview | None = None  # while the array is made
    _known: tuple[tuple[int, ...], np.dtype[Any]]
    _empty: NDArray[Any]

    def __init__(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = "f8",
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        self._make(*geometry(shape, dtype), None, name, exist_ok, persist, seats)

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> Self:
        """Return a new array with the shape, the dtype and a copy of the elements of `array`, or of what
        `numpy.asarray` makes of it. With `exist_ok`, an existing array of the same shape and dtype keeps its own
        elements, as a Counter keeps its value.

        Raises as `Array` does.
        """
        self = cls.__new__(cls)
        contents = contents_of(array)
        self._make(contents.shape, contents.dtype, contents, name, exist_ok, persist, seats)
        return self

    # --- making

    def _make(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        contents: NDArray[Any] | None,
        name: str | None,
        exist_ok: bool,
        persist: bool,
        seats: int,
    ) -> None:
        size = like(shape, dtype).nbytes
        if size > LARGEST:
            raise ValueError(
                f"an array of shape {shape} and dtype {dtype} has {size} bytes, and a Redis server takes {LARGEST}: "
                "make several arrays"
            )
        packed = base64.b64encode(pickle.dumps(plain_dtype(dtype), 4)).decode()
        data = None if contents is None or not size else _bytes_of(contents)
        at_once = data is not None and size <= CHUNK
        self._contents, self._size, self._staged = None if at_once else data, size, []
        new = False
        try:
            new = self._create(
                name, exist_ok, persist, seats, {"shape": list(shape), "dtype": packed},
                b"%d" % size, bytes(data) if data is not None and at_once else b"",
            )  # fmt: skip
        finally:
            self._contents = None
            if self._staged and not new and self.home is not None:
                for key in self._staged:
                    with suppress(Refused):  # it goes by itself
                        self.home.session(key).ask_plain(key, b"UNLINK", key)

    _size: int
    _staged: list[bytes]

    def _prepare(self, session: Session, pointer: bytes, base: bytes) -> bool:
        if self._size > CHUNK:
            _check_memory(session, base, self._size)
        if self._contents is None:
            return True
        try:
            if session.ask_plain(base, b"EXISTS", pointer):
                return False
            self._staged.append(base + b":data")
            _write_whole(session, base + b":data", self._contents)
        except Refused as why:
            raise refused(why, session.address.public, base) from None
        return True

    def _shown(self, key: str, value: Any) -> Any:
        if key == "shape":
            return tuple(value)
        return pickle.loads(base64.b64decode(value)) if key == "dtype" else value

    def _geometry(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        self._ensure_open()
        if not hasattr(self, "_known"):
            self._known = self._shown("shape", self._spec["shape"]), self._shown("dtype", self._spec["dtype"])
        return self._known

    def _like(self) -> NDArray[Any]:
        """An array of this shape and dtype without memory, for views alone."""
        shape, dtype = self._geometry()
        if not hasattr(self, "_empty"):
            self._empty = like(shape, dtype)
        return self._empty

    @property
    def lock(self) -> PartLock:
        """A lock whose meaning the users agree on; every handle has the same one. No method here takes it."""
        self._ensure_open()
        return PartLock(self, self.lua, self._base, "Lock", self._name)

    # --- reading

    def __getitem__(self, key: Any) -> Any:
        where = chosen(self._like(), key)
        found = self._read_chosen(where)
        if where.scalar:
            return found[()]
        found.flags.writeable = False
        return found

    def _read_chosen(self, where: Chosen) -> NDArray[Any]:
        places, run = where.places, where.run
        if len(places) == 0:
            return np.zeros(where.shape, where.dtype)
        low, high = int(places.min()), int(places.max()) + run
        result: NDArray[Any]
        if len(places) == 1:
            result = np.ndarray(where.shape, where.dtype, self._read_range(low, run))
            return result
        if high - low <= max(CHUNK // 16, SPARSE * len(places) * run):
            return where.pick(self._read_range(low, high - low), low)
        found = np.empty((len(places), run), np.uint8)
        step = max(1, min(RUNS, CHUNK // run))
        for first in range(0, len(places), step):
            some = places[first : first + step]
            sent = self._read(b"gather", some.astype("<f8").tobytes(), b"%d" % run)
            found[first : first + step] = _whole(sent, len(some) * run).reshape(-1, run)
        result = np.ndarray(where.shape, where.dtype, found)
        return result

    def _read_range(self, low: int, size: int) -> NDArray[np.uint8]:
        """These bytes; more than CHUNK by the server's own command, which copies them once less than a function."""
        if size <= CHUNK:
            return _whole(self._read(b"read", b"%d" % low, b"%d" % size), size)
        found = np.empty(size, np.uint8)
        self._read(b"check")
        session, key = self._ensure_open(), self._base + b":data"
        for at in range(0, size, CHUNK):
            some = min(CHUNK, size - at)
            try:
                sent = session.ask_plain(key, b"GETRANGE", key, b"%d" % (low + at), b"%d" % (low + at + some - 1))
            except SharedkitError as why:
                raise self._told(why) from None
            except Refused as why:
                raise refused(why, session.address.public, self._base) from None
            if len(sent) < some:
                self._read(b"check")  # raises GoneError
            found[at : at + some] = _whole(sent, some)
        self._read(b"check")
        return found

    # --- writing

    def __setitem__(self, key: Any, value: ArrayLike) -> None:
        where = chosen(self._like(), key)
        if type(value) is np.ndarray and (value.shape, value.dtype) == (where.shape, where.dtype):
            given = np.asarray(value, order="C")
        else:
            given = np.zeros(where.shape, where.dtype)
            given[...] = value
        if isinstance(key, list) and where.dtype.names is not None and key and isinstance(key[0], str):
            for name in where.dtype.names:  # between these fields there may be others
                self[name] = given[name]
            return
        if len(where.places):
            self._write_chosen(where, given)

    def _write_chosen(self, where: Chosen, given: NDArray[Any]) -> None:
        places, run, data = where.places, where.run, _bytes_of(given)
        if run == self.nbytes and run > CHUNK:
            self._replace(data)
        elif run > CHUNK or len(places) == 1:
            for number_, low in enumerate(places.tolist()):
                for at in range(0, run, CHUNK):
                    piece = data[number_ * run + at : number_ * run + min(at + CHUNK, run)]
                    self._call(b"write", b"%d" % (low + at), bytes(piece), shrinks=True)
        else:
            step = max(1, min(RUNS, CHUNK // run))
            for first in range(0, len(places), step):
                some = places[first : first + step].astype("<f8").tobytes()
                piece = data[first * run : (first + step) * run]
                self._call(b"scatter", some, b"%d" % run, bytes(piece), shrinks=True)

    def _replace(self, data: memoryview) -> None:
        """Write all elements beside the old ones, and then put them in their place, in one step."""
        session = self._ensure_open()
        key = b"%b:new:%b %d" % (self._base, session.sid, next(session.numbers))
        try:
            _check_memory(session, key, len(data))
            try:
                _write_whole(session, key, data)
                self._call(b"replace", key, shrinks=True)
            except BaseException:
                with suppress(Refused, SharedkitError):
                    session.ask_plain(key, b"UNLINK", key)
                raise
        except Refused as why:
            if why.code == "SKLOST":
                raise ServerGoneError(
                    f"the server did not keep what was written to {self._name!r}, which is unchanged: write it again"
                ) from None
            raise refused(why, session.address.public, self._base) from None
        except SharedkitError as why:
            raise self._told(why) from None

    # --- atomic operations

    def _cell(self, index: int | tuple[int, ...]) -> tuple[bytes, NDArray[Any]]:
        """Where that element begins, and a view without memory of it. Raises IndexError, TypeError."""
        whole = self._like()
        cell = element(whole, index)
        return b"%d" % cell_at(whole, cell), cell

    def fetch_add(self, index: int | tuple[int, ...], n: int | float) -> Any:
        """Add `n` to one element in one step and return the value from before, as a Python number.

        Integers wrap around at the ends of their type, as NumPy's do. Raises IndexError out of range,
        TypeError for a dtype that is neither integer nor float or for a float `n` and an integer dtype,
        OverflowError for an `n` that the dtype cannot hold.
        """
        at, cell = self._cell(index)
        summand = number(cell.dtype, n)
        form = _form_of(cell.dtype)
        if form is not None:
            return _one(self._call(b"fetch_add", at, summand.tobytes(), form, shrinks=True), cell.dtype).item()
        return self._add_by_swap(at, summand).item()

    def _add_by_swap(self, at: bytes, summand: NDArray[Any]) -> NDArray[Any]:
        """Add to an element of a type that no function in the server can add; return the element from before."""
        while True:
            there = self._read(b"read", at, b"%d" % summand.dtype.itemsize)
            before = _one(there, summand.dtype)
            after = np.asarray(np.add(before, summand), summand.dtype)  # a scalar would lose the order of bytes
            if self._call(b"swap", at, there, after.tobytes(), shrinks=True):
                return before

    def compare_exchange(self, index: int | tuple[int, ...], expected: int | float, desired: int | float) -> bool:
        """Set one element to `desired` if it is `expected`, in one step; return whether it was.

        Raises as `fetch_add` does.
        """
        at, cell = self._cell(index)
        old, new = number(cell.dtype, expected), number(cell.dtype, desired)
        if cell.dtype.kind != "f":
            return bool(self._call(b"swap", at, old.tobytes(), new.tobytes(), shrinks=True))
        while True:  # equal floats may have different bytes
            there = self._read(b"read", at, b"%d" % cell.dtype.itemsize)
            if _one(there, cell.dtype) != old:
                return False
            if self._call(b"swap", at, there, new.tobytes(), shrinks=True):
                return True

    def add_at(self, indices: Any, values: ArrayLike) -> None:
        """Add `values` to the elements at `indices`, each in one step, up to 1,000 of them in one; an index that occurs
        twice is added to twice.

        `indices` and `values` are as for `numpy.add.at`. Raises, with nothing added: IndexError out of range, TypeError
        for a dtype that is neither integer nor float or for fractions and an integer dtype, OverflowError for values
        that the dtype cannot hold, ValueError for values that do not broadcast.
        """
        dtype = self.dtype
        summands = numbers(dtype, values)
        where = chosen(self._like(), indices)
        places = where.elements()
        summands = np.broadcast_to(summands, where.shape).reshape(-1)
        form = _form_of(dtype)
        if form is None:
            for place, summand in zip(places.tolist(), summands, strict=True):
                self._add_by_swap(b"%d" % place, np.asarray(summand, dtype))
            return
        if dtype.kind != "f":  # in any order the sum is the same
            places, of = np.unique(places, return_inverse=True)
            summands, each = np.zeros(len(places), dtype), summands
            np.add.at(summands, of.reshape(-1), each)
        for first in range(0, len(places), RUNS):
            some = places[first : first + RUNS].astype("<f8").tobytes()
            self._call(
                b"add_at", some, b"%d" % dtype.itemsize, summands[first : first + RUNS].tobytes(), form, shrinks=True
            )

    def statistics(self) -> ArrayStatistics:
        """Return the shape, the size and whether the lock is held: an ArrayStatistics."""
        shape, dtype = self._geometry()
        holder, sessions = self._read(b"holder")
        owner = pids([holder])[0] if holder else None
        return ArrayStatistics(self._name, self.kind, shape, str(dtype), self.nbytes, pids(sessions), owner)


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The memory of an array in C order; the array has elements."""
    flat: Any = np.ndarray((array.nbytes,), np.uint8, array)
    return memoryview(flat)


def _whole(sent: bytes, size: int) -> NDArray[np.uint8]:
    """The bytes that the server sent, which must be so many."""
    if len(sent) != size:
        raise ServerGoneError(f"the server has lost {size - len(sent)} of {size} bytes of an array")
    return np.frombuffer(sent, np.uint8)


def _one(sent: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.frombuffer(sent, dtype).reshape(())


def _form_of(dtype: np.dtype[Any]) -> bytes | None:
    """The form of an element for `struct` in Lua; None if no function in the server can add such elements."""
    order = ">" if dtype.byteorder == ">" or (dtype.byteorder != "<" and sys.byteorder == "big") else "<"
    letters = {1: "I1", 2: "I2", 4: "I4", 8: "I4I4"} if dtype.kind != "f" else {4: "f", 8: "d"}
    letter = letters.get(dtype.itemsize)
    return None if letter is None else (order + letter).encode()


def _write_whole(session: Session, key: bytes, data: memoryview) -> None:
    """Write a string that goes by itself if nothing comes of it. Raises Refused."""
    session.ask_plain(key, b"SETRANGE", key, b"%d" % (len(data) - 1), b"\0")
    session.ask_plain(key, b"PEXPIRE", key, b"%d" % STAGED)
    for at in range(0, len(data), CHUNK):
        session.ask_plain(key, b"SETRANGE", key, b"%d" % at, data=data[at : at + CHUNK])


def _check_memory(session: Session, key: bytes, size: int) -> None:
    """Raise OutOfSharedMemory if the server's limit does not allow so many bytes more: a server itself checks that only
    after it has taken them."""
    lines = bytes(session.ask_plain(key, b"INFO", b"memory")).splitlines()
    said = dict(line.split(b":", 1) for line in lines if b":" in line)
    limit, used = int(said.get(b"maxmemory", 0)), int(said.get(b"used_memory", 0))
    if limit and used + size > limit:
        raise OutOfSharedMemory(
            f"{size:,} bytes were asked for, {max(0, limit - used):,} are free in the server at "
            f"{session.address.public}: take something out, or raise its maxmemory ({limit:,})"
        )
