"""A server's data about one client process."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

from sharedkit.manager.loop import Loop, Timer
from sharedkit.manager.sockets import is_open, socket_of

__all__ = ["Session"]

TICKETS = 1024
MOST_UNCONFIRMED = 16
UNCONFIRMED_SECONDS = 150.0  # more than a client needs to notice that a line is cut (`sockets.tune`)


class Connection(Protocol):
    """One connection of the client, as its session sees it."""

    ident: int
    descriptor: int
    loop: Loop
    waiting: dict[int, Any]
    """The connection's waiting calls, by number."""

    last: tuple[Any, Any] | None
    """The last call that was answered, and its result, if it could be taken back."""

    def close(self) -> None:
        """End the connection, and the waits of its calls."""


class Session:
    """One client process. The session begins and ends with its first connection, `life`."""

    def __init__(self, pid: int) -> None:
        self.ident = secrets.token_hex(8)
        self.pid = pid
        self.dead = False
        self.life: Connection | None = None
        self.channels: set[Connection] = set()
        self.ticket: str | None = None  # the ticket of the fork that began this process
        self.arrived = False  # whether the forked child has confirmed that it knows this session
        # used tickets of forked children; later messages may still name them
        self.redeemed: deque[str] = deque(maxlen=TICKETS)
        self._unconfirmed: OrderedDict[int, tuple[Any, Any, Timer]] = OrderedDict()  # by connection: its last answer

    def waiting_in(self, state: Any) -> list[Any]:
        """The session's calls that wait in `state`."""
        return [call for channel in self.channels for call in channel.waiting.values() if call.state is state]

    def keep_last(self, ended: Connection) -> None:
        """Keep the last answer of a connection that has ended: the client may report that it has not come."""
        if ended.last is not None and ended is not self.life and not self.dead:
            timers = ended.loop.timers
            timer = timers.at(monotonic() + UNCONFIRMED_SECONDS, lambda: self._forget(ended.ident))
            self._unconfirmed[ended.ident] = (*ended.last, timer)
            if len(self._unconfirmed) > MOST_UNCONFIRMED:
                self._forget(next(iter(self._unconfirmed)))

    def keep_none(self) -> None:
        """Forget these answers, because the session ends."""
        for ident in list(self._unconfirmed):
            self._forget(ident)

    def _forget(self, ident: int) -> None:
        if ident in self._unconfirmed:
            self._unconfirmed.pop(ident)[-1].cancel()

    def lose(self, ident: int, number: int) -> None:
        """Take back the answer to a request, because the client has reported that the connection ended before it came.
        If the request has not come, it will not: the connection is closed."""
        for each in list(self.channels):
            if each.ident == ident and each is not self.life:
                each.close()
        call, result, _ = self._unconfirmed.get(ident, (None, None, None))
        if call is not None and call.number == number:
            self._forget(ident)
            call.undo(result)
            call.state.settle()

    def is_open(self) -> bool:
        """Ask the system whether the client lives: the server may not have read of its end yet."""
        if self.dead or self.life is None:
            return False
        with suppress(OSError), socket_of(self.life.descriptor) as end:
            return is_open(end)
        return False
