"""What server and clients say to each other, in the frames of `multiprocessing.connection`.

    client   number, then the pickle of (ident, method, args, thread, released)    a call on the structure `ident`
    server   number, then the pickle of (kind, payload)                            its answer, whenever that comes

A number is known also where the rest cannot be unpickled. A connection may have many calls under way. `ident` 0 is the
registry itself; `thread` is who asks, a thread or a task of the client; `released` are handles forgotten since, behind
the tickets of children that were forked before. A request of number 0 is not answered. What the arguments of each
method are says `arguments.py`. Two methods are about requests: `cancel` (of the registry) ends the wait of the one
that it names, and is always answered by CANCELLED in its name, after its result if it had one; `undo` gives back what
a call has answered to somebody who does not want it any more.

Data of 64 KiB and more goes beside its pickle (protocol 5), so that it is copied neither here nor there:

    byte 0          how many such buffers there are
    byte 1 to 7     the number
                    the pickle, the buffers
    8 bytes each    their lengths; the highest bit is set where the data is not to be written to
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
    "join",
    "number_of",
    "pack",
    "rest_of",
    "same",
    "unpack",
]

PROTOCOL = 4  # to be raised with every change of what is said
RESULT, ERROR, CANCELLED = range(3)  # payload: the result; the error and its traceback as text; None
FAULTS = (Exception, SystemExit, GeneratorExit)
"""What a request may raise in the server that is nobody's but its client's; a KeyboardInterrupt ends the server."""
LARGE = 1 << 16
MOST_BESIDE = 255
READ_ONLY = 1 << 63
_SIMPLE = frozenset({str, int, float, bool, bytes, NoneType})  # have nothing that could go beside their pickle
_short_head = struct.Struct("!iQ").pack  # the length of a message, and its number

Message: TypeAlias = "bytes | list[bytes | memoryview]"
"""In its frame; in parts where there is data beside the pickle."""
Packed: TypeAlias = "bytes | tuple[Any, ...]"
"""A pickled item; where it is large, the pickle and what is beside it, each as something with the buffer protocol. With
an empty pickle it is bytes."""


class Cancelled(Exception):
    """Raised in the server where a client leaves its wait, or dies in it; no user sees it."""


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in the server: its traceback there, as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f'\n"""\n{self.trace}"""'


def failed(error: BaseException) -> tuple[BaseException, str]:
    """`error`, or its words where it cannot be pickled, and its traceback."""
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
    except FAULTS:  # it has no words, or none that can be had
        return type(error).__name__, ""


def frame(*parts: bytes) -> bytes:
    """A message in its frame: behind its length, as `Connection.recv_bytes` expects it."""
    return b"".join((_frame_head(sum(map(len, parts))), *parts))


def _frame_head(length: int) -> bytes:
    return struct.pack("!i", length) if length <= 0x7FFFFFFF else struct.pack("!iQ", -1, length)


def bounds(incoming: bytearray) -> tuple[int, int]:
    """Where the first message in there begins and ends, if its frame is known; 0, 0 otherwise."""
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
    """The data as something that can be pickled.

    Never right over a memoryview: where the garbage collector finds both in a circle, a frame that an exception keeps,
    say, CPython (3.11 at least) clears the memoryview first, and dies of it.
    """
    owner: Any = np.asarray(data) if isinstance(data, memoryview) else data
    return pickle.PickleBuffer(owner)


class _Beside(list[memoryview]):
    """Data that goes beside a pickle."""

    def add(self, buffer: pickle.PickleBuffer) -> bool:
        """For `buffer_callback`: whether it goes into the pickle."""
        try:
            data = buffer.raw()
        except BufferError:  # pickle says so in its own words
            return True
        if data.nbytes < LARGE or len(self) == MOST_BESIDE:
            return True
        self.append(data)
        return False


def join(number: int, content: object) -> Message:
    """A message with its number, in its frame; raises what pickling `content` does.

    What is beside is not copied: nobody may change it before it is sent.
    """
    beside = _Beside()
    pickled = pickle.dumps(content, 5, buffer_callback=beside.add)
    length = 8 + len(pickled)
    if not beside and length <= 0x7FFFFFFF:  # as nearly always
        return _short_head(length, number) + pickled
    head = (len(beside) << 56 | number).to_bytes(8, "big")
    if not beside:
        return frame(head, pickled)
    lengths = [data.nbytes | (READ_ONLY if data.readonly else 0) for data in beside]
    tail = struct.pack(f"!{len(lengths)}Q", *lengths)
    length += sum(map(len, beside)) + len(tail)
    return [_frame_head(length) + head + pickled, *beside, tail]


def rest_of(message: list[bytes | memoryview], gone: int) -> list[bytes | memoryview]:
    """What remains of a message of which so many bytes are gone."""
    for place, part in enumerate(message):
        if gone < len(part):
            return [memoryview(part)[gone:], *message[place + 1 :]]
        gone -= len(part)
    return []


def number_of(message: bytes | memoryview) -> int:
    """The number of a message that came out of its frame."""
    return int.from_bytes(message[1:8], "big")


def content_of(message: bytes | memoryview) -> Any:
    """What `join` was given; raises what unpickling raises. Data beside is not copied if there is but one."""
    view = memoryview(message)
    if not message[0]:
        return pickle.loads(view[8:])
    return pickle.loads(view[8:], buffers=_buffers(view))


def _buffers(message: memoryview) -> Iterator[pickle.PickleBuffer]:
    """What can be unpickled from, and pickled again. Of several each has its own memory, so that one that is kept does
    not keep all."""
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
    """`item` as the server keeps it, which never looks into it: what only clients can import stays theirs.

    Large data is not copied before the message has it, and bytes not pickled, which takes memory of its own twice.
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
    """What `pack` was given, as a copy. To be unpacked once: large data is what has come."""
    if isinstance(packed, bytes):
        return pickle.loads(packed)
    pickled, *beside = packed
    return pickle.loads(pickled, buffers=map(memoryview, beside)) if len(memoryview(pickled)) else bytes(beside[0])


def same(one: Packed | None, other: Packed | None) -> bool:
    """Whether they are equal, byte for byte."""
    if type(one) is tuple and type(other) is tuple:
        return len(one) == len(other) and all(memoryview(a) == memoryview(b) for a, b in zip(one, other, strict=True))
    return one == other
