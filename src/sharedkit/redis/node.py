"""What a session has at one server: idle lanes, the connection of its tasks, and that of its wakes."""

from __future__ import annotations

from collections import deque
from typing import Any

from sharedkit.redis.address import Address
from sharedkit.redis.asker import Asker
from sharedkit.redis.line import Line
from sharedkit.redis.wakes import Wakes

__all__ = ["Lane", "Node"]


class Lane:
    """A connection of a pool, its number, which stays the same when it is connected anew or to another server, and the
    number of the last operation in it."""

    __slots__ = ("connection", "last", "node", "number")

    def __init__(self, number: int, node: Node) -> None:
        self.number, self.node = number, node
        self.last = 0
        self.connection: Any = None

    def put_back(self) -> None:
        """Make it idle."""
        self.node.idle.append(self)

    def retire(self) -> None:
        """End its connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.disconnect()


class Node:
    """One server, as a session uses it."""

    def __init__(self, session: Asker, address: Address) -> None:
        self.address = address
        self.idle: deque[Lane] = deque()
        self.line = Line(session, self)
        self.wakes = Wakes(session, address)

    def close(self) -> None:
        """End all connections, after the session."""
        self.line.close()
        self.wakes.close()
        for lane in list(self.idle):
            lane.retire()
        self.idle.clear()
