"""A flag behind a server."""

from __future__ import annotations

import warnings

from sharedkit._core.timeouts import LONGEST, span, too_long
from sharedkit.manager.awaiting import keep
from sharedkit.manager.handle import DEFAULT_SEATS, Handle
from sharedkit.manager.stopped_server import StandsStill
from sharedkit.statistics import EventStatistics

__all__ = ["Event"]


class Event(Handle):
    """Event(*, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Event`: a flag, initially not set. `with` closes the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    event with the same `seats` and `persist`.
    """

    kind = "Event"

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = DEFAULT_SEATS
    ) -> None:
        self._create(name, exist_ok, persist, seats, {})

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return bool(self._call("is_set"))

    def isSet(self) -> bool:
        """Deprecated name of `is_set`; gives a DeprecationWarning."""
        warnings.warn("isSet() is deprecated, use is_set() instead", DeprecationWarning, stacklevel=2)
        return self.is_set()

    def set(self) -> None:
        """Set the flag and wake all waiters."""
        self._call("set")

    def clear(self) -> None:
        """Clear the flag; the `wait` of a thread that was woken before still returns True."""
        self._call("clear")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, up to `timeout` seconds (None: for ever); return whether it was.

        Raises OverflowError if it must wait and the timeout is longer than threading.TIMEOUT_MAX.
        """
        self._ensure_open()
        timeout = span(timeout)
        if timeout is not None and timeout > LONGEST:
            if not self._call("is_set"):
                raise too_long()
            return True
        try:
            return bool(self._call("wait", timeout, bound=timeout))
        except StandsStill:
            return False

    async def await_(self, timeout: float | None = None) -> bool:
        """Wait as `wait` does, without blocking the event loop. (`await` is a Python keyword.)"""
        self._ensure_open()
        timeout = span(timeout)
        if timeout is not None and timeout > LONGEST:
            if not self._call("is_set"):
                raise too_long()
            return True
        try:
            return bool(await self._acall("wait", timeout, leave=keep, bound=timeout))
        except StandsStill:
            return False

    def statistics(self) -> EventStatistics:
        """Return whether the flag is set and how many threads wait: an EventStatistics."""
        snapshot: EventStatistics = self._call("statistics")
        return snapshot

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        return f"<sharedkit.Event at {id(self):#x} name={self._name!r}: {'set' if self.is_set() else 'unset'}>"
