"""What server and clients say to each other: requests, answers, and exceptions with their traceback there."""

from __future__ import annotations

import pickle
import traceback
from typing import Any, NamedTuple

__all__ = ["Answer", "Cancelled", "RemoteTraceback", "Request", "failed", "pack", "unpack"]


class Request(NamedTuple):
    """A call of `method` on the structure `ident` (0 is the house itself); `released` are handles forgotten since."""

    ident: int
    method: str
    args: tuple[Any, ...]
    released: tuple[int, ...]


class Answer(NamedTuple):
    """A result, or an error and its traceback as text; both None and `cancelled` for a call that was left."""

    result: Any = None
    error: BaseException | None = None
    trace: str = ""
    cancelled: bool = False


class Cancelled(Exception):
    """Raised in the server where a client leaves its wait, or dies in it; no user sees it."""


class RemoteTraceback(Exception):
    """The cause of an exception that was raised in the server: its traceback there, as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f'\n"""\n{self.trace}"""'


def failed(error: BaseException) -> Answer:
    """The answer that carries `error`, or its words where it cannot be pickled."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return Answer(error=error, trace=trace)


def pack(item: object) -> bytes:
    """`item` as the server keeps it, which never looks into it: what only clients can import stays theirs."""
    return pickle.dumps(item, 5)


def unpack(packed: bytes) -> Any:
    """What `pack` was given, as a copy."""
    return pickle.loads(packed)
