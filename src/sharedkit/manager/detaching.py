"""Finishes a request that its thread has left with an exception of a signal handler, in whatever state the request was.

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


def finish(client: Client, request: Any, give: bool) -> bool:
    """Complete `request` if it gives, and undo it if it takes. Raises ServerGoneError, EOFError, OSError.

    Answers whether its connection, which the request has not given back, can be used again: all was sent and answered.
    """
    if request.answer is not None:
        _undo(client, request, request.answer)
        return request.connection is not None
    connection, number = request.connection, request.number
    whole: bool = connection.sent
    try:
        if not whole:  # perhaps half a message: the server sees the end of it, and answers if it had the whole
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
        return False
    finally:
        if not whole:
            connection.socket.close()


def _undo(client: Client, request: Any, answer: bytes | memoryview) -> int:
    """Give back the result of an answer that nobody here needs any more; answers the kind of the answer."""
    kind, payload = content_of(answer)
    if kind == RESULT:
        ident, method, args, thread = request.content
        if method != "put_many":
            _ask(client, ident, "undo", (method, args, payload), thread)
        elif request.still and type(payload) is list:  # a caller that was told Full has put nothing
            _ask(client, ident, "take_back", (args[0], payload), thread)
    return int(kind)


def _ask(client: Client, ident: int, method: str, args: tuple[Any, ...], thread: int) -> None:
    """Send a request through the connection of the session, and wait for its answer."""
    over = threading.Event()
    client.begin(ident, method, args, lambda _: over.set(), thread)
    over.wait()
