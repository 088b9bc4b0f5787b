"""Finishes a request that its thread has left because a signal handler raised, in whatever state the request was.

This runs in a thread of its own, and always ends: with the server's answer, or with the end of the connection.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol

from sharedkit.manager.protocol import CANCELLED, RESULT, content_of, join, number_of

__all__ = ["finish"]


class Client(Protocol):
    """Sends requests through the connection of the session."""

    def begin(
        self, ident: int, method: str, args: tuple[Any, ...], answered: Callable[[Any], object], thread: int
    ) -> Any: ...

    def report_lost(self, connection: Any) -> None: ...


def finish(client: Client, request: Any, give: bool) -> bool:
    """Complete `request` if `give`, otherwise undo it. Raises ServerGoneError, EOFError, OSError.

    Returns whether the connection, which the request still has, can be used again: all was sent and answered.
    """
    if request.answer is not None:
        _undo(client, request, request.answer)
        return request.connection is not None
    connection, number = request.connection, request.number
    whole: bool = connection.sent
    try:
        if not whole:  # perhaps half a message was sent: the server sees the end, and answers if it got the whole one
            connection.socket.shutdown(socket.SHUT_WR)
        elif not (give or request.told):
            connection.send(join(0, (0, "cancel", (number,), 0, ())))
        while True:
            answer = connection.receive()
            if number_of(answer) != number:
                continue
            if give or _undo(client, request, answer) == CANCELLED:
                return whole
    except (EOFError, OSError):
        whole = False
        if give and not connection.sent:
            _ask(client, *request.content)
        elif give:
            raise
        else:
            client.report_lost(connection)
        return False
    finally:
        if not whole:
            connection.socket.close()


def _undo(client: Client, request: Any, answer: bytes | memoryview) -> int:
    """Give back the result of an answer that the caller does not need any more; returns the kind of the answer."""
    kind, payload = content_of(answer)
    if kind == RESULT:
        ident, method, args, thread = request.content
        if method != "put_many":
            _ask(client, ident, "undo", (method, args, payload), thread)
        elif request.still and type(payload) is list:  # the caller got Full, so its items must not stay in the queue
            _ask(client, ident, "take_back", (args[0], payload), thread)
    return int(kind)


def _ask(client: Client, ident: int, method: str, args: tuple[Any, ...], thread: int) -> None:
    """Send a request through the connection of the session, and wait for its answer."""
    over = threading.Event()
    client.begin(ident, method, args, lambda _: over.set(), thread)
    over.wait()
