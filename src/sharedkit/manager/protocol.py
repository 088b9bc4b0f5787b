"""The messages between server and clients, in the frames of `multiprocessing.connection`.

    client   number, then the pickle of (ident, method, args, thread, released)    a call on the structure `ident`
        server   number, then the pickle of (kind, payload)                            its answer, at any later time

The number can be read even if the rest cannot be unpickled. A connection may have many calls under way. `ident` 0 is
the registry itself. `thread` is the caller, a thread or a task of the client. `released` are handles that were closed
or forgotten since the last call, preceded by the tickets of children that were forked before that. A request of number
0 gets no answer. `arguments.py` lists the arguments of each method. Two methods refer to other requests. `cancel` (of
the registry) ends the wait of another request; its answer is always CANCELLED, under that request's number, and comes
after the request's result if there is one. `undo` gives back the result of a call whose caller does not want it.

Data of 64 KiB and more is sent beside its pickle (protocol 5), so that neither side copies it:

    byte 0          the number of such buffers
    byte 1 to 7     the number of the request
                    the pickle, the buffers
        8 bytes each    their lengths; the highest bit is set if the data is read-only

A client that leaves a request before its last bytes are sent ends the message with `LEFT`. The server then answers that
the request is cancelled, without beginning it: a `cancel` behind it might come too late.
"""

from __future__ import annotations

import pickle
import struct
import traceback
from collections.abc import Iterator
from types import NoneType
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "CANCELLED",
    "ERROR",
    "FAULTS",
    "LEFT",
    "PROTOCOL",
    "RESULT",
    "Cancelled",
    "Message",
    "Packed",
    "RemoteTraceback",
    "bounds",
    "buffer_over",
    "content_of",
    "failed",
    "frame",
    "halved",
    "join",
    "number_of",
    "pack",
    "rest_of",
    "same",
    "unpack",
]

PROTOCOL = 6  # increase it with every change of the messages
RESULT, ERROR, CANCELLED = range(3)  # payload: the result; the error and its traceback as text; None
FAULTS = (Exception, SystemExit, GeneratorExit)
"""Exceptions in a request that concern only its client; a KeyboardInterrupt ends the server."""
LEFT = b"\xff" * 8
"""The last bytes of a message whose request was left. A pickle ends otherwise, and so does a length."""
LARGE = 1 << 16
MOST_BESIDE = 255
READ_ONLY = 1 << 63
_SIMPLE = frozenset({str, int, float, bool, bytes, NoneType})  # types without data that could go beside their pickle
_short_head = struct.Struct("!iQ").pack  # the length of a message, and its number

Message: TypeAlias = "bytes | list[bytes | memoryview]"
"""A message in its frame; in parts if there is data beside the pickle."""
Packed: TypeAlias = "bytes | tuple[Any, ...]"
"""A pickled item. A large one is the pickle and the data beside it, each as an object with the buffer protocol; with an
empty pickle it is bytes."""


class Cancelled(Exception):
    """Raised in the server when a client leaves its wait, or dies in it. It never reaches a user."""


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in the server: its traceback there, as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f'\n"""\n{self.trace}"""'


def failed(error: BaseException) -> tuple[BaseException, str]:
    """`error` and its traceback as text; if `error` cannot be pickled, an error with its text replaces it."""
    try:
        trace = "".join(traceback.format_exception(error))
        if not isinstance(error, Exception):
            raise error
        pickle.loads(pickle.dumps(error))
    except FAULTS:
        words, trace = _words_of(error)
        error = RuntimeError(words)
    return error, trace


def _words_of(error: BaseException) -> tuple[str, str]:
    try:
        return f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
    except FAULTS:  # it has no text, or getting the text fails
        return type(error).__name__, ""


def frame(*parts: bytes) -> bytes:
    """A message in its frame: preceded by its length, as `Connection.recv_bytes` expects."""
    return b"".join((_frame_head(sum(map(len, parts))), *parts))


def _frame_head(length: int) -> bytes:
    return struct.pack("!i", length) if length <= 0x7FFFFFFF else struct.pack("!iQ", -1, length)


def bounds(incoming: bytearray) -> tuple[int, int]:
    """Begin and end of the first message in `incoming`; 0, 0 if its length has not come yet."""
    if len(incoming) < 4:
        return 0, 0
    (length,) = struct.unpack_from("!i", incoming)
    if length != -1:
        return 4, 4 + length
    if len(incoming) < 12:
        return 0, 0
    (length,) = struct.unpack_from("!Q", incoming, 4)
    return 12, 12 + length


def buffer_over(data: bytes | bytearray | memoryview) -> pickle.PickleBuffer:
    """The data as an object that can be pickled.

    Never a PickleBuffer over a memoryview: if the garbage collector finds both in a cycle (a frame that an exception
    keeps, for example), CPython (3.11 at least) clears the memoryview first, and crashes.
    """
    owner: Any = np.asarray(data) if isinstance(data, memoryview) else data
    return pickle.PickleBuffer(owner)


class _Beside(list[memoryview]):
    """Data that is sent beside a pickle."""

    def add(self, buffer: pickle.PickleBuffer) -> bool:
        """For `buffer_callback`: returns whether the buffer goes into the pickle."""
        try:
            data = buffer.raw()
        except BufferError:  # pickle raises its own error for it
            return True
        if data.nbytes < LARGE or len(self) == MOST_BESIDE:
            return True
        self.append(data)
        return False


def join(number: int, content: object) -> Message:
    """A message with its number, in its frame; raises the errors of pickling `content`.

    Data beside the pickle is not copied: it must not change before it is sent.
    """
    beside = _Beside()
    pickled = pickle.dumps(content, 5, buffer_callback=beside.add)
    length = 8 + len(pickled)
    if not beside and length <= 0x7FFFFFFF:  # nearly always
        return _short_head(length, number) + pickled
    head = (len(beside) << 56 | number).to_bytes(8, "big")
    if not beside:
        return frame(head, pickled)
    lengths = [data.nbytes | (READ_ONLY if data.readonly else 0) for data in beside]
    tail = struct.pack(f"!{len(lengths)}Q", *lengths)
    length += sum(map(len, beside)) + len(tail)
    return [_frame_head(length) + head + pickled, *beside, tail]


def rest_of(message: list[bytes | memoryview], gone: int) -> list[bytes | memoryview]:
    """The remaining parts of a message of which `gone` bytes are sent."""
    for place, part in enumerate(message):
        if gone < len(part):
            return [memoryview(part)[gone:], *message[place + 1 :]]
        gone -= len(part)
    return []


def halved(message: Message) -> tuple[Message, bytes]:
    """All of a message but its last bytes, as many as `LEFT` has; and these."""
    if isinstance(message, bytes):
        return message[: -len(LEFT)], message[-len(LEFT) :]
    *parts, tail = message
    return [*parts, tail[: -len(LEFT)]], bytes(tail[-len(LEFT) :])


def number_of(message: bytes | memoryview) -> int:
    """The number of a message without its frame."""
    return int.from_bytes(message[1:8], "big")


def content_of(message: bytes | memoryview) -> Any:
    """The content that `join` was given. Raises the errors of unpickling. A single buffer beside it is not copied."""
    view = memoryview(message)
    if not message[0]:
        return pickle.loads(view[8:])
    return pickle.loads(view[8:], buffers=_buffers(view))


def _buffers(message: memoryview) -> Iterator[pickle.PickleBuffer]:
    """Buffers that can be unpickled from, and pickled again. If there are several, each has its own memory, so that
    keeping one does not keep all."""
    count = message[0]
    end = len(message) - 8 * count
    lengths = struct.unpack_from(f"!{count}Q", message, end)
    begin = end - sum(length & ~READ_ONLY for length in lengths)
    if begin < 8:
        raise pickle.UnpicklingError("a message of the server's is damaged")
    for length in lengths:
        data = message[begin : begin + (length & ~READ_ONLY)]
        begin += len(data)
        if length & READ_ONLY:
            yield buffer_over(bytes(data) if count > 1 else data.toreadonly())
        else:
            yield buffer_over(bytearray(data) if count > 1 or data.readonly else data)


def pack(item: object) -> Packed:
    """`item` in the form in which the server keeps it. The server never unpickles it, so only clients import its
    classes.

    Large data is not copied before it is part of the message. Bytes are not pickled, because that would need twice
    their memory.
    """
    kind = type(item)
    if kind in _SIMPLE:
        if kind is bytes and len(item) >= LARGE:  # type: ignore[arg-type]
            return (b"", pickle.PickleBuffer(item))  # type: ignore[arg-type]
        pickled = pickle.dumps(item, 5)
        return pickled if len(pickled) < LARGE else (pickle.PickleBuffer(pickled),)
    beside = _Beside()
    pickled = pickle.dumps(item, 5, buffer_callback=beside.add)
    if not beside and len(pickled) < LARGE:
        return pickled
    return (pickle.PickleBuffer(pickled), *map(buffer_over, beside))


def unpack(packed: Packed) -> Any:
    """A copy of the item that `pack` was given. Unpack only once: large data is the received memory itself."""
    if isinstance(packed, bytes):
        return pickle.loads(packed)
    pickled, *beside = packed
    return pickle.loads(pickled, buffers=map(memoryview, beside)) if len(memoryview(pickled)) else bytes(beside[0])


def same(one: Packed | None, other: Packed | None) -> bool:
    """Whether two items are equal, byte for byte."""
    if type(one) is tuple and type(other) is tuple:
        return len(one) == len(other) and all(memoryview(a) == memoryview(b) for a, b in zip(one, other, strict=True))
    return one == other
