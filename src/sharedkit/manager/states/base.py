"""What the server keeps of one structure, and how a call waits in it.

Every state has one mutex with one condition on it. Whatever changes the state notifies all that wait in it, and each
looks for itself: no notification is meant for one alone, so none can be swallowed by a client that dies or leaves.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any, ClassVar

from sharedkit.manager.wire import Cancelled

__all__ = ["Call", "Session", "State", "check_wait", "kinds"]

kinds: dict[str, type[State]] = {}


class Session:
    """One client process, from its first connection to its end. `dead` is set once and before anybody is told."""

    def __init__(self, ident: str, pid: int, connection: Connection) -> None:
        self.ident = ident
        self.pid = pid
        self.connection = connection
        self.dead = False
        self.calls: set[Call] = set()

    def is_open(self) -> bool:
        """Whether the client lives, asked of the system: its thread here may not have heard of the end yet."""
        try:
            with socket.fromfd(self.connection.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as end:
                return bool(end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return not self.dead
        except OSError:
            return False


class Call:
    """What one thread of one client asks: one connection, one request at a time.

    `undo` takes the last request back, for a client that left before it had the answer.
    """

    def __init__(self, session: Session, thread: int) -> None:
        self.session = session
        self.thread = thread
        self.cancelled = False
        self.waiting_in: State | None = None
        self.undo: Callable[[], None] | None = None

    @property
    def who(self) -> tuple[str, int]:
        """The thread of the process that asks."""
        return self.session.ident, self.thread

    def cancel(self) -> None:
        """End the wait that this call is in, if it is in one."""
        self.cancelled = True
        state = self.waiting_in
        if state is not None:
            with state.changed:
                state.changed.notify_all()


class State:
    """One structure in the server. `refs` counts the open handles of each session.

    A method `do_x(call, ...)` is what a client may ask for as "x". `spec` is what an equal structure has equal.
    """

    kind: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        if cls.kind:
            kinds[cls.kind] = cls

    def __init__(self, name: str, spec: dict[str, Any]) -> None:
        self.name = name
        self.spec = spec
        self.ident = 0
        self.refs: dict[Session, int] = {}
        self.changed = threading.Condition(threading.Lock())

    def attached(self) -> tuple[int, ...]:
        """The process ids of those that have it open."""
        return tuple(sorted({session.pid for session in list(self.refs) if session.is_open()}))

    def parts(self) -> tuple[State, ...]:
        """Further states that live and end with this one."""
        return ()

    def forget(self, session: Session) -> None:
        """Take back what this session held here: it died, or closed its last handle. Called with `changed` held."""

    def await_it(self, call: Call, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `ready()`, for ever where `timeout` is None; False where that does not come in time.

        `changed` is held. Raises Cancelled as soon as the client leaves or dies.
        """
        deadline = None if timeout is None else monotonic() + timeout
        call.waiting_in = self
        try:
            while True:
                if call.cancelled or call.session.dead:
                    raise Cancelled
                if ready():
                    return True
                remaining = None if deadline is None else deadline - monotonic()
                if remaining is not None and remaining <= 0:
                    return False
                self.changed.wait(None if remaining is None else min(remaining, threading.TIMEOUT_MAX))
        finally:
            call.waiting_in = None


def check_wait(blocking: bool, timeout: float) -> None:
    """The same errors for what makes no sense, whether or not one has to wait."""
    if timeout == -1:
        return
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
