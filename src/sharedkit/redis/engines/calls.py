"""Calls and their outcomes in transit: pickled once at each end, opaque to Dask and to its workers.

A call is unpickled only in the process that runs it, and its outcome only in the program that submitted it. Large data
travels beside the pickle as arrays of bytes, which Dask and the worker's own queues pass on without pickling them.
"""

from __future__ import annotations

import pickle
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "BEGUN",
    "BROKEN",
    "CANCELLED",
    "GONE",
    "RAISED",
    "RETURNED",
    "Outcome",
    "Packed",
    "failure",
    "make_call",
    "pack",
]

BESIDE = 1 << 16  # bytes; data of this size and more is not in the pickle

RETURNED = 0  # `packed` is the value that the call returned
RAISED = 1  # `packed` is the exception; `text` is its traceback, or empty
CANCELLED = 2  # the call was ended on purpose, or it was over or retracted before this attempt
BROKEN = 3  # the workers cannot start: `packed` is the exception that says so, `text` the traceback of its cause
BEGUN = 4  # another attempt has begun the call; `text` says whose it was
GONE = 5  # the executor is gone, or its lease is over


class Packed:
    """A pickle, and the data beside it."""

    __slots__ = ("beside", "body")

    def __init__(self, body: bytes, beside: list[Any]) -> None:
        self.body, self.beside = body, beside

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.body) + sum(int(each.nbytes) for each in self.beside)

    def __sizeof__(self) -> int:  # Dask asks it, to know how much memory its results need
        return self.size

    def __reduce__(self) -> tuple[Any, ...]:
        return Packed, (self.body, self.beside)

    def unpack(self) -> Any:
        """The object. Its arrays can be written to if the original could be. Raises what unpickling raises."""
        beside = [each if each.flags.writeable else each.copy() for each in self.beside]
        return pickle.loads(self.body, buffers=beside)


class Outcome:
    """How an attempt to run a call has ended: one of the constants above, and what belongs to it."""

    __slots__ = ("how", "packed", "text")

    def __init__(self, how: int, packed: Packed | None = None, text: str = "") -> None:
        self.how, self.packed, self.text = how, packed, text

    def __sizeof__(self) -> int:
        return len(self.text) + (0 if self.packed is None else self.packed.size)

    def __reduce__(self) -> tuple[Any, ...]:
        return Outcome, (self.how, self.packed, self.text)


def pack(value: Any) -> Packed:
    """Pickle as Dask does: what pickle cannot find by name, and what is of `__main__`, goes by cloudpickle, whole.

    Raises what pickling raises.
    """
    try:
        packed = _packed(value, pickle.dumps)
    except Exception:
        return _packed(value, _cloudpickle().dumps)
    if b"__main__" in packed.body or _is_registered(value):
        return _packed(value, _cloudpickle().dumps)
    return packed


def _packed(value: Any, dumps: Callable[..., bytes]) -> Packed:
    beside: list[Any] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        data = np.frombuffer(buffer.raw(), "u1")
        if data.nbytes < BESIDE:
            return True  # in the pickle
        beside.append(data)
        return False

    return Packed(dumps(value, protocol=5, buffer_callback=keep), beside)


def _cloudpickle() -> Any:
    import cloudpickle

    return cloudpickle


def _is_registered(value: Any) -> bool:
    """Whether the program has told cloudpickle to pickle the function's module by value."""
    known = sys.modules.get("cloudpickle")
    if known is None or type(value) is not tuple:
        return False
    return getattr(value[0], "__module__", None) in known.list_registry_pickle_by_value()


def make_call(call: Packed) -> Outcome:
    """Run a call; in a child of a Dask worker."""
    try:
        fn, args, kwargs = call.unpack()
        return Outcome(RETURNED, pack(fn(*args, **kwargs)))
    except BaseException as error:
        return failure(error, "".join(traceback.format_exception(error)))


def failure(error: BaseException, text: str = "", how: int = RAISED) -> Outcome:
    """The outcome of a call that raised `error`, or that could not be run because of it."""
    try:
        return Outcome(how, pack(error), text)
    except BaseException as why:  # pickling runs the user's code
        what = f"{type(error).__name__} of the task cannot be pickled: {why!r}"
        return Outcome(how, pack(pickle.PicklingError(what)), text)
