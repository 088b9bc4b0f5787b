"""One call that changes something, and the wait of a thread for what the server grants to the call later.

A call that has to wait is answered at once that it waits. Later the server *grants* it an item, a lock, a permit or a
notification, and a message says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["Kept", "Operation", "Use", "Wait", "kept"]

Use = Callable[[Any, "bytes | None", int, int], Any]
"""Makes the result of an operation that may wait. The arguments: the answer; what it was granted after a wait (None if
it did not wait, or if its time was over); its number; how many of its parts were taken back when its time was over."""


class Operation:
    """One call: its number, and the lane in which it is asked. `shrinks`: it may run when the server has no memory."""

    __slots__ = ("acks", "base", "entry", "kind", "lane", "number", "shrinks")

    def __init__(self, kind: str, base: bytes, number: int, shrinks: bool) -> None:
        self.kind, self.base, self.number, self.shrinks = kind, base, number, shrinks
        self.lane = 0
        self.entry = b""  # the entry of its wait in the structure's wait queue
        self.acks: list[int] = []


class Wait:
    """A thread that waits for what its operation will be granted."""

    __slots__ = ("base", "gate", "kind", "payload")

    def __init__(self, kind: str, base: bytes) -> None:
        self.kind, self.base = kind, base
        self.payload: bytes | BaseException | None = None
        self.gate = threading.Lock()
        self.gate.acquire()

    def resolve(self, payload: bytes | BaseException) -> None:
        """Wake the thread with the payload or an exception. A second call has no effect."""
        if self.payload is None:
            self.payload = payload
            with suppress(RuntimeError):
                self.gate.release()


def kept(said: list[Any]) -> tuple[bytes | None, int]:
    """What was granted to a wait whose time is over (None: nothing), and how many parts of it were taken back."""
    return (bytes(said[1]), 0) if said[0] == 1 else (None, said[2] if len(said) > 2 else 0)


class Kept(Exception):
    """Carries an error of `use` after which the taken thing does not go back. Internal: no user gets this exception."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error
