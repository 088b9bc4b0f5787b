"""What a server knows of one client process."""

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
    """One connection of the client, as far as its session knows it."""

    descriptor: int
    loop: Loop
    waiting: dict[int, Any]
    """Its calls that wait, by number."""

    def close(self) -> None:
        """End it, and the waits of its calls."""


class Session:
    """One client process, from its first connection, `life`, to the end of that one."""

    def __init__(self, pid: int) -> None:
        self.ident = secrets.token_hex(8)
        self.pid = pid
        self.dead = False
        self.life: Connection | None = None
        self.channels: set[Connection] = set()
        self.ticket: str | None = None  # of the fork that it came by,
        self.arrived = False  # and whether it knows that it has come
        self.redeemed: deque[str] = deque(maxlen=TICKETS)  # by children that were forked, which may be told of again

    def waiting_in(self, state: Any) -> list[Any]:
        """Its calls that wait in `state`."""
        return [call for channel in self.channels for call in channel.waiting.values() if call.state is state]

    def is_open(self) -> bool:
        """Whether the client lives, asked of the system: we may not have read of its end yet."""
        if self.dead or self.life is None:
            return False
        with suppress(OSError), socket_of(self.life.descriptor) as end:
            return is_open(end)
        return False
