"""A flag in a Redis server."""

from __future__ import annotations

import warnings

from sharedkit._core.timeouts import LONGEST, span, too_long
from sharedkit.errors import SharedkitError
from sharedkit.redis.handle import DEFAULT_SEATS, Handle, pids
from sharedkit.statistics import EventStatistics

__all__ = ["Event"]


class Event(Handle):
    """Event(*, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Event`: a flag, initially not set. `with` closes the handle.

    Raises FileExistsError when `name` is taken and not `exist_ok`, ValueError when the existing structure is not an
    event with the same `seats` and `persist`.
    """

    kind = "Event"
    lua = "event"

    def __init__(
        self, *, name: str | None = None, exist_ok: bool = False, persist: bool = False, seats: int = DEFAULT_SEATS
    ) -> None:
        self._create(name, exist_ok, persist, seats, {})

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return bool(self._read(b"is_set"))

    def isSet(self) -> bool:
        """Deprecated name of `is_set`; gives a DeprecationWarning."""
        warnings.warn("isSet() is deprecated, use is_set() instead", DeprecationWarning, stacklevel=2)
        return self.is_set()

    def set(self) -> None:
        """Set the flag and wake all waiters."""
        self._call(b"set")

    def clear(self) -> None:
        """Clear the flag; the `wait` of a thread that was woken before still returns True."""
        self._call(b"clear", shrinks=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, up to `timeout` seconds (None: for ever); return whether it was.

        Raises OverflowError if it must wait and the timeout is longer than threading.TIMEOUT_MAX.
        """
        session, timeout = self._ensure_open(), span(timeout)
        if timeout is not None and not 0 < timeout <= LONGEST:
            return self._without_waiting(timeout, self.is_set())
        try:
            return bool(
                session.take(
                    self.lua,
                    self._base,
                    b"wait",
                    timeout=timeout,
                    use=lambda *came: self._use_grant(session, *came),
                    shrinks=False,
                )
            )
        except SharedkitError as why:
            raise self._told(why) from None

    async def await_(self, timeout: float | None = None) -> bool:
        """Wait as `wait` does, without blocking the event loop. (`await` is a Python keyword.)"""
        from sharedkit.redis.tasks import atake

        session, timeout = self._ensure_open(), span(timeout)
        if timeout is not None and not 0 < timeout <= LONGEST:
            return self._without_waiting(timeout, self.is_set())
        try:
            return bool(
                await atake(
                    session,
                    self.lua,
                    self._base,
                    b"wait",
                    timeout=timeout,
                    use=lambda *came: self._use_grant(session, *came),
                    shrinks=False,
                )
            )
        except SharedkitError as why:
            raise self._told(why) from None

    @staticmethod
    def _without_waiting(timeout: float, is_set: bool) -> bool:
        if timeout > LONGEST and not is_set:
            raise too_long()
        return is_set

    def statistics(self) -> EventStatistics:
        """Return whether the flag is set and how many threads wait: an EventStatistics."""
        flag, waiting, sessions = self._read(b"statistics")
        return EventStatistics(self._name, self.kind, flag == b"1", waiting, pids(sessions))

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        return f"<sharedkit.Event at {id(self):#x} name={self._name!r}: {'set' if self.is_set() else 'unset'}>"
