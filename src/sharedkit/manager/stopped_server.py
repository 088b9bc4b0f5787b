"""Calls with a time limit, and a server that stands still: stopped by a signal, a debugger or a frozen machine.

A call with a time limit checks at intervals, near the end of its time and after it, whether the server is stopped. On
one machine, the system reports this about the process at the other end of a Unix socket; a running server never counts
as standing still, however slow it is. Over TCP the system cannot report it. Then the client sends a request over the
session's connection; the server stands still when it has neither sent nor accepted anything for `SILENCE` seconds after
the end of the call's time.

The client then sends the server a request to forget the call. If the server has not begun the call yet, it reads this
before it begins. If it has, it takes the call's effect back when it goes on.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from sharedkit._core.stopped_processes import is_stopped
from sharedkit.manager.sockets import RelayedEnd

__all__ = ["StandsStill", "Watch", "pid_of_peer"]

LOOK = 0.02  # seconds between two checks, and the most that one check counts: a late one shows only the last moment
STILL = 0.08  # seconds for which every check must find the server stopped; as in ext/include/core/sk_stall.h
LOOK_FAR = 0.5  # as LOOK, over TCP
SILENCE = 5.0


class Connection(Protocol):
    """One connection of the client: the bytes received and sent so far, and its socket."""

    @property
    def socket(self) -> Any: ...
    @property
    def came(self) -> int: ...
    @property
    def gone(self) -> int: ...


class Client(Protocol):
    """The part of the client that a watch needs."""

    @property
    def shown(self) -> str: ...
    def session_connection(self) -> Connection | None: ...
    def sent_so_far(self) -> int: ...
    def ping(self) -> None: ...


class StandsStill(Exception):
    """Raised when the time of a call is over and the server stands still. The call has already been left then."""

    def __init__(self, why: str, pid: int = 0) -> None:
        super().__init__(why)
        self._pid = pid

    def is_over(self) -> bool:
        """Whether the server has gone on since; then it will soon report the outcome of the call."""
        return self._pid != 0 and not is_stopped(self._pid)


def pid_of_peer(end: socket.socket) -> int:
    """The pid of the process at the other end of a Unix socket; 0 if it has none in this process's namespace, and for
    TLS, where the socket leads to a relay in this process."""
    with suppress(OSError):
        if end.family == socket.AF_UNIX and not isinstance(end, RelayedEnd):
            pid: int = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            return pid
    return 0


class Watch:
    """The checks of one call, whose time ends `bound` seconds after this object was made."""

    __slots__ = ("_client", "_last", "_moved", "_still", "_until")

    def __init__(self, client: Client, bound: float) -> None:
        self._client = client
        self._until = monotonic() + max(0.0, bound)
        self._last = 0.0
        self._still = 0.0
        self._moved: Any = None

    def patience(self) -> float:
        """Seconds until the first check is needed."""
        return max(LOOK, self._until - monotonic() - STILL)

    def look(self, connection: Connection | None = None, end: socket.socket | None = None) -> float:
        """Seconds until the next check. Raises StandsStill if the time is over and the server is stopped.

        `connection` is the call's connection, and `end` its socket, if there is one; otherwise the session's are used.
        """
        now = monotonic()
        if now < self._until - STILL:
            return self._until - STILL - now
        session = self._client.session_connection()
        if end is None:
            own = connection or session
            end = None if own is None else own.socket
        pid = 0 if end is None else pid_of_peer(end)
        if pid:
            self._judge(now, is_stopped(pid), LOOK)
            if now >= self._until and self._still >= STILL:
                raise StandsStill(
                    f"the server at {self._client.shown} stands still: pid {pid} is stopped; others wait until it goes "
                    "on (SIGCONT) or ends",
                    pid,
                )
            return LOOK
        if now >= self._until:
            self._ask(now, connection, session)
            if self._still >= SILENCE:
                raise StandsStill(
                    f"the server at {self._client.shown} has said nothing for {SILENCE:g} s past the time of this call"
                )
        return LOOK_FAR

    def _judge(self, now: float, stopped: bool, most: float) -> None:
        """Add the time between two checks if both found the server stopped."""
        passed, self._last = now - self._last, now
        self._still = self._still + min(passed, most) if stopped and self._moved else 0.0
        self._moved = stopped

    def _ask(self, now: float, connection: Connection | None, session: Connection | None) -> None:
        """Check over TCP: any traffic since the last check is a sign of life. After traffic, send another request."""
        both = (each for each in (connection, session) if each is not None)
        moved = [(each.came, each.gone if each is connection else 0) for each in both]
        moved.append((self._client.sent_so_far(), 0))
        passed, self._last = now - self._last, now
        if moved != self._moved:
            self._moved, self._still = moved, 0.0
            self._client.ping()
        else:
            self._still += min(passed, 2 * LOOK_FAR)
