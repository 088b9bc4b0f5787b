"""A server's data about one client process."""

from __future__ import annotations

import secrets
from collections import deque
from contextlib import suppress
from typing import Any, Protocol

from sharedkit.manager.loop import Loop
from sharedkit.manager.sockets import is_open, socket_of

__all__ = ["Session"]

TICKETS = 1024


class Connection(Protocol):
    """One connection of the client, as its session sees it."""

    descriptor: int
    loop: Loop
    waiting: dict[int, Any]
    """The connection's waiting calls, by number."""

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

    def waiting_in(self, state: Any) -> list[Any]:
        """The session's calls that wait in `state`."""
        return [call for channel in self.channels for call in channel.waiting.values() if call.state is state]

    def is_open(self) -> bool:
        """Ask the system whether the client lives: the server may not have read of its end yet."""
        if self.dead or self.life is None:
            return False
        with suppress(OSError), socket_of(self.life.descriptor) as end:
            return is_open(end)
        return False
