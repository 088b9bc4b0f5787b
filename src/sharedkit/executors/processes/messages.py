"""The messages to workers, and the messages from workers.

A call is pickled as (function, arguments, keywords). If pickle finds the function by its name in a module, as is usual,
the pickle of the function is made once and reused:

byte 0, byte n, n bytes of the function's pickle, then the pickle of (arguments, keywords), or nothing for none

Workers put these messages into the queue of results:

int >= 0                       the task of that number returned None
int < -1                       ~number: a task with a time limit has begun
-1                             a task was cancelled, or claimed by another worker, and is dropped
bytes                          8 bytes of number, then the pickled result
(number, bytes, buffers)       the same, with large data beside the pickle
(number, bytes, [], text)      the pickled exception, and its traceback
(str, ...)                     not from a task: a death, an initializer that raised
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

from sharedkit.executors.remote_errors import raised

__all__ = ["DROPPED", "Calls", "Outcome", "Packer", "read"]

DROPPED = -1
NAMED = 0  # no pickle begins with this byte

Outcome = tuple[int, Any, BaseException | None]
"""A task's number, its result, its exception."""


def _is_named(fn: Any, module: str, name: str) -> bool:
    """Whether the function is now found under that name, as pickle looks for it."""
    return getattr(sys.modules.get(module), name, None) is fn


class Packer:
    """Pickles calls, and remembers the last function."""

    def __init__(self) -> None:
        self._last: tuple[Any, str, str, bytes] = (None, "", "", b"")

    def pack(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, list[pickle.PickleBuffer]]:
        """The pickled call, and large data beside it. Raises what pickling raises."""
        last, module, name, head = self._last
        if last is not fn or not _is_named(fn, module, name):
            head = self._learn(fn)
        if head and not args and not kwargs:
            return head, []
        buffers: list[pickle.PickleBuffer] = []
        what = (args, kwargs) if head else (fn, args, kwargs)
        return head + pickle.dumps(what, 5, buffer_callback=buffers.append), buffers

    def _learn(self, fn: Any) -> bytes:
        """The bytes that begin each call of this function; empty if it is pickled with each call."""
        if type(fn) is not FunctionType or not _is_named(fn, fn.__module__, fn.__qualname__):
            return b""
        pickled = pickle.dumps(fn, 5)
        if len(pickled) > 255:
            return b""
        head = bytes([NAMED, len(pickled)]) + pickled
        self._last = fn, fn.__module__, fn.__qualname__, head
        return head


class Calls:
    """Unpacks, in a worker, the calls that a Packer has packed; it also remembers the last function."""

    def __init__(self) -> None:
        self._head = b""
        self._fn: Any = None
        self._where = "", ""

    def unpack(self, body: memoryview, buffers: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """Function, arguments, keywords. Raises what unpickling raises."""
        if body[0] != NAMED:
            fn, args, kwargs = pickle.loads(body, buffers=buffers)
            return fn, args, kwargs
        end = 2 + body[1]
        if self._head != body[:end] or not _is_named(self._fn, *self._where):
            self._fn = fn = pickle.loads(body[2:end])
            self._where = getattr(fn, "__module__", ""), getattr(fn, "__qualname__", "")
            self._head = bytes(body[:end])
        if len(body) == end:
            return self._fn, (), {}
        args, kwargs = pickle.loads(body[end:], buffers=buffers)
        return self._fn, args, kwargs


def read(message: Any) -> Outcome | None:
    """The outcome of a task, if the message is one."""
    if type(message) is int:
        return None if message < 0 else (message, None, None)
    try:
        if type(message) is bytes:
            task = int.from_bytes(message[:8], "little")
            return task, pickle.loads(memoryview(message)[8:]), None
        if type(message[0]) is str:
            return None
        task = message[0]
        value = pickle.loads(message[1], buffers=message[2])
        if len(message) == 3:
            return task, value, None
    except BaseException as why:  # unpickling runs the user's code
        value = why
    text = message[3] if type(message) is tuple and len(message) > 3 else ""
    return task, None, raised(value, text)
