"""What server and clients say to each other, in the frames of `multiprocessing.connection`.

    client   number, then the pickle of (ident, method, args, thread, released)    a call on the structure `ident`
    server   number, then the pickle of (kind, payload)                            its answer, whenever that comes

A number is 8 bytes and known also where the rest cannot be unpickled. A connection may have many calls under way.
`ident` 0 is the house itself; `thread` is who asks, a thread or a task of the client; `released` are handles forgotten
since. A request of number 0 is not answered. Two methods are about requests: `cancel` (of the house) ends the wait of
the one that it names, and is always answered by CANCELLED in its name, after its result if it had one; `undo` gives
back what a call has answered to somebody who does not want it any more.
"""

from __future__ import annotations

import pickle
import struct
import traceback
from typing import Any

__all__ = [
    "CANCELLED",
    "ERROR",
    "PROTOCOL",
    "RESULT",
    "Cancelled",
    "RemoteTraceback",
    "failed",
    "frame",
    "join",
    "pack",
    "split",
    "unpack",
]

PROTOCOL = 1  # to be raised with every change of what is said
RESULT, ERROR, CANCELLED = range(3)  # payload: the result; the error and its traceback as text; None


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
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, trace


def frame(*parts: bytes) -> bytes:
    """A message in its frame: behind its length, as `Connection.recv_bytes` expects it."""
    length = sum(map(len, parts))
    return b"".join((struct.pack("!i", length) if length <= 0x7FFFFFFF else struct.pack("!iQ", -1, length), *parts))


def join(number: int, content: object) -> bytes:
    """A message with its number, in its frame; raises what pickling `content` does."""
    return frame(number.to_bytes(8, "big"), pickle.dumps(content, 5))


def split(message: bytes | memoryview) -> tuple[int, memoryview]:
    """The number of a message that came out of its frame, and its pickle."""
    return int.from_bytes(message[:8], "big"), memoryview(message)[8:]


def pack(item: object) -> bytes:
    """`item` as the server keeps it, which never looks into it: what only clients can import stays theirs."""
    return pickle.dumps(item, 5)


def unpack(packed: bytes) -> Any:
    """What `pack` was given, as a copy."""
    return pickle.loads(packed)
