"""One call that changes something, and the wait of a thread for what it will be handed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sharedkit.redis.scripts import Script

__all__ = ["Kept", "Operation", "Use", "Wait", "kept"]

Use = Callable[[Any, "bytes | None", int, int], Any]
"""Makes the result of an operation that may wait: of its answer; of what it was handed after a wait, None if there was
no wait, or its time was over; of its number; of how many parts of it were taken back when its time was over."""


class Operation:
    """One call that changes something: its number, and the lane in which it is asked."""

    __slots__ = ("acks", "base", "entry", "kind", "lane", "number", "script")

    def __init__(self, kind: str, base: bytes, number: int, the_script: Script) -> None:
        self.kind, self.base, self.number, self.script = kind, base, number, the_script
        self.lane = 0
        self.entry = b""  # how its wait stands in the structure's line
        self.acks: list[int] = []


class Wait:
    """A thread that waits for what an operation will be handed."""

    __slots__ = ("base", "gate", "kind", "payload")

    def __init__(self, kind: str, base: bytes) -> None:
        self.kind, self.base = kind, base
        self.payload: bytes | BaseException | None = None
        self.gate = threading.Lock()
        self.gate.acquire()

    def resolve(self, payload: bytes | BaseException) -> None:
        """Wake the thread. A second answer changes nothing."""
        if self.payload is None:
            self.payload = payload
            with suppress(RuntimeError):
                self.gate.release()


def kept(said: list[Any]) -> tuple[bytes | None, int]:
    """What a wait whose time is over was handed in the end, and how many parts of it were taken back."""
    return (bytes(said[1]), 0) if said[0] == 1 else (None, said[2] if len(said) > 2 else 0)


class Kept(Exception):
    """Carries an error of `use` for which what was taken does not go back; no user sees it."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error
