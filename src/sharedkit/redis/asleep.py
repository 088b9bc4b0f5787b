"""The waits for a condition. Such a wait ends with the lock, whatever happens meanwhile.

One call releases the lock and lets the wait begin. A notification moves the wait to those for the lock, also in one
call, and the wait ends when the lock is handed to it. If the caller leaves (by a signal or a cancellation), the method
`rejoin` does the same without a notification, and passes on one that had come.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sharedkit.errors import ServerGoneError, SharedkitError
from sharedkit.redis.operation import Wait
from sharedkit.redis.refusals import Refused
from sharedkit.redis.session import Session

__all__ = ["LUA", "Nap", "Woken", "payload_of"]

LUA = "condition"


class Woken(NamedTuple):
    """The end of a wait: the lock is held again."""

    told: bool  # a notification came
    died: bool  # the last holder of the lock died
    fence: int


class Nap:
    """One wait, up to `timeout` seconds, for a condition whose lock has the key `base` and is held by `who`."""

    def __init__(self, session: Session, base: bytes, condition: bytes, who: bytes, timeout: float | None) -> None:
        self.session, self.base, self.who, self.timeout = session, base, who, timeout
        self.made = Wait(LUA, base, next(session.numbers), False)
        self.number = b"%d" % self.made.number
        self.request = (b"wait", condition, who, b"%d" % (timeout is None or timeout > 0))

    def woken(self, payload: bytes) -> Woken:
        """The end of the wait from what it was granted, which is acknowledged here."""
        self.session.acknowledge(self.base, self.made.number)
        died, fence, told, _, _ = payload.split(b" ")
        return self.holds(told == b"1", died, fence)

    def holds(self, told: bool, died: bytes, fence: bytes) -> Woken:
        woken = Woken(told, died == b"1", int(fence))
        self.session.fences[self.base] = woken.fence
        return woken

    def sleep(self) -> Woken:
        """Wait without a task. If a signal handler raises, the lock is taken again before the exception goes on; a
        further signal ends that, and the lock is not held then."""
        session, made = self.session, self.made
        session.waits[made.number] = wait = made
        try:
            session._ask(made, self.request)
            if wait.gate.acquire(True, -1 if self.timeout is None else max(0.0, self.timeout)):
                return self.woken(payload_of(wait))
            granted = session.ask(LUA, self.base, b"over", self.number)
            return self.woken(bytes(granted) if granted else _taken(wait))
        except Refused:
            raise
        except SharedkitError as why:
            if isinstance(why, ServerGoneError) and session.over is None:  # the wait may have begun
                session._leave(lambda: session._undo(made), 0.0)
            raise
        except BaseException:
            self._rejoin(wait)
            raise
        finally:
            session.waits.pop(made.number, None)

    def _rejoin(self, wait: Wait) -> None:
        session, said = self.session, list[Any]()

        def ask() -> None:
            lane = b"%d" % self.made.lane
            said[:] = session.ask_as_keeper(LUA, self.base, b"rejoin", lane, self.number)

        try:
            session._leave(ask, session.lease)
            if said and said[0]:
                self.woken(bytes(said[1]) if said[1] else _taken(wait))
        except SharedkitError:
            return
        except BaseException:
            session._leave(lambda: session._undo(self.made), 0.0)
            raise


def payload_of(wait: Any) -> bytes:
    """What a wait was granted. Raises the reason why it has ended otherwise."""
    payload: bytes | BaseException | None = wait.payload
    if isinstance(payload, BaseException):
        raise payload
    assert payload is not None
    return payload


def _taken(wait: Wait) -> bytes:
    """What a wait is granted, as soon as it comes."""
    wait.gate.acquire()
    return payload_of(wait)
