"""A flag for the threads of this process to wait for."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any

from sharedkit._times import check_span, span
from sharedkit.statistics import EventStatistics
from sharedkit.thread import registry
from sharedkit.thread.handle import Handle
from sharedkit.thread.registry import DEFAULT_SEATS, State
from sharedkit.thread.waiters import NOT_YET, Everybody, Turn, deadline_in, wait

__all__ = ["Event"]


class _EventState(State):
    """As threading's own: `flag` changes under `mutex`, where `waiters` wait for it to be set."""

    __slots__ = ("flag", "mutex", "waiters")

    kind = "Event"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.mutex = threading.Lock()
        self.waiters = Everybody(self.mutex)
        self.flag = False


class _Set(Turn):
    """A task's wait for the flag; once told that it was set, it does not ask whether it still is."""

    __slots__ = ("event", "timeout")

    def __init__(self, event: _EventState, timeout: float | None) -> None:
        super().__init__(event.waiters, deadline_in(timeout))
        self.event = event
        self.timeout = timeout

    def look(self, told: bool) -> Any:
        if self.event.flag or told:
            return True
        check_span(self.timeout)
        return False if self.over else NOT_YET


class Event(Handle[_EventState], kind="Event"):
    """Event(*, name=None, exist_ok=False, persist=False, seats=192)

    `threading.Event`: a flag, at first not set. `with` closes the handle.

    Raises FileExistsError when the name is taken, ValueError when what is there is not an event.
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        name: str | None = None,
        exist_ok: bool = False,
        persist: bool = False,
        seats: int = DEFAULT_SEATS,
    ) -> None:
        super().__init__(
            registry.open_state(_EventState, name, exist_ok=exist_ok, persist=persist, seats=seats, kind="Event")
        )

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._state.flag

    def isSet(self) -> bool:
        """Deprecated spelling of `is_set`."""
        warnings.warn("isSet() is deprecated, use is_set() instead", DeprecationWarning, stacklevel=2)
        return self.is_set()

    def set(self) -> None:
        """Set the flag, and wake everybody who waits for it."""
        state = self._state
        with state.mutex:
            state.flag = True
            state.waiters.notify_all()

    def clear(self) -> None:
        """Clear the flag; who was woken before returns True all the same."""
        state = self._state
        with state.mutex:
            state.flag = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, for up to `timeout` seconds or for ever where it is None; whether it was.

        Raises OverflowError for a timeout past threading.TIMEOUT_MAX.
        """
        state = self._state
        timeout = span(timeout)
        with state.mutex:
            return state.flag or state.waiters.wait(timeout)  # once: who was woken returns, set or not by now

    async def await_(self, timeout: float | None = None) -> bool:
        """`wait`, which lets the event loop go on meanwhile."""
        came: bool = await wait(_Set(self._state, span(timeout)))
        return came

    def statistics(self) -> EventStatistics:
        """Whether it is set, and how many threads and tasks wait, as one frozen picture."""
        state = self._state
        return EventStatistics(
            name=state.name,
            kind=state.kind,
            is_set=state.flag,
            waiting=len(state.waiters),
            attached=(os.getpid(),),
        )

    def __repr__(self) -> str:
        if self.closed:
            return super().__repr__()
        return f"<sharedkit.Event at {id(self):#x} name={self._name!r}: {'set' if self.is_set() else 'unset'}>"
