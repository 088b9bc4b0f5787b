"""The record of an executor's calls in Redis: which call may begin, and which has begun."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from sharedkit.errors import LeaseLostError
from sharedkit.redis.handle import DEFAULT_SEATS, Structure
from sharedkit.redis.placement import Placement, placement_of

__all__ = ["GONE", "OVER", "TAKEN", "YES", "CallRecord", "Owner", "RecordOfWorker", "Where", "owner_of"]

YES, OVER, TAKEN, GONE = 1, 0, 2, -1
"""The answers to a claim, as in `calls.lua`."""

Where = tuple[str, str, float, float, bytes]
"""How a worker finds the record: url without a password, prefix, lease and timeout in seconds; its key."""


class Owner(NamedTuple):
    """The worker of the engine that has begun a call."""

    pid: int
    address: str


def owner_of(text: str) -> Owner:
    """The owner from the form in which the record has it."""
    pid, _, address = text.partition(" ")
    return Owner(int(pid), address)


class CallRecord(Structure):
    """The record, as the executor has it open; it ends with this handle, and with this process's session."""

    kind = "Calls"
    lua = "calls"

    def __init__(self, start: bytes) -> None:
        self._create(None, False, False, DEFAULT_SEATS, {}, start)

    def where(self) -> Where:
        """How workers find it."""
        assert self.home is not None
        return *self.home.travels(), self._base

    def announce(self, over: Iterable[int], new: Iterable[int]) -> None:
        """Let workers begin the `new` calls; forget those that are over."""
        session = self._ensure_open()
        session.ask(self.lua, self._base, b"announce", _text(over), _text(new), shrinks=False)

    def retract(self, numbers: Iterable[int]) -> set[int]:
        """Let no worker begin these calls; the answer are those that one has begun."""
        return {int(each) for each in self._read(b"retract", _text(numbers))}

    def hosts(self) -> list[str]:
        """The addresses of the workers that have entered."""
        return [bytes(each).decode("utf-8", "surrogateescape") for each in self._read(b"hosts")]

    def owner(self, number: int) -> Owner | None:
        """Who has begun the call, None if nobody has."""
        return self.owners([number]).get(number)

    def owners(self, numbers: Iterable[int]) -> dict[int, Owner]:
        """Those of these calls that have begun, and who has begun each."""
        found = self._read(b"owners", _text(numbers))
        return {int(each): owner_of(bytes(text).decode()) for each, text in zip(found[::2], found[1::2], strict=True)}


def _text(numbers: Iterable[int]) -> bytes:
    return b",".join(b"%d" % each for each in numbers)


class RecordOfWorker:
    """The record, as a worker asks it, by the one session of the worker's process."""

    def __init__(self, where: Where) -> None:
        self.home: Placement = placement_of(*where[:4])
        self._base = where[4]

    def _ask(self, method: bytes, *args: bytes, shrinks: bool = True) -> Any:
        with suppress(LeaseLostError):  # it concerns what this process's handles held, but a worker holds nothing here
            return self.home.session(self._base).ask("calls", self._base, method, *args, shrinks=shrinks)
        return self.home.session(self._base).ask("calls", self._base, method, *args, shrinks=shrinks)

    def claim(self, number: int, attempt: bytes, owner: Owner) -> tuple[int, str]:
        """One of the answers above; if another attempt has begun the call, the text is its owner's."""
        whose = f"{owner.pid} {owner.address}".encode()
        answer, other = self._ask(b"claim", b"%d" % number, attempt, whose, shrinks=False)
        return answer, bytes(other).decode()

    def start(self) -> bytes:
        """What the executor has pickled for its workers; empty if the executor is gone."""
        return bytes(self._ask(b"start"))

    def enter(self, address: str) -> None:
        """Have the executor know this worker by that address."""
        self._ask(b"enter", address.encode("utf-8", "surrogateescape"), shrinks=False)

    def exists(self) -> bool:
        """Whether the executor still exists."""
        return bool(self._ask(b"exists"))
