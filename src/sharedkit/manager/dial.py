"""Connecting to a server: each shows the other that it has the authkey, in multiprocessing's way."""

from __future__ import annotations

import os
import pickle
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, answer_challenge, deliver_challenge
from typing import Any

from sharedkit.errors import AuthkeyError, ServerGoneError, ServerMismatchError
from sharedkit.manager.wire import PROTOCOL

__all__ = ["dial"]

HANDSHAKE_SECONDS = 10  # that what listens at the address may take for each step


def dial(address: Any, authkey: bytes, method: str, *args: Any) -> tuple[Connection, Any]:
    """A new connection that serves `method`, and what the server has answered.

    Raises AuthkeyError, ServerMismatchError, and ServerGoneError where no server of the kit answers.
    """
    shown = repr(address)
    try:
        connection = Client(address)
    except (OSError, EOFError) as error:
        raise ServerGoneError(f"no server answers at {shown}: {error}") from error
    try:
        with _patient(connection):
            kind, result = _shake_hands(connection, authkey, (None, method, (PROTOCOL, *args), {}))
        if kind == "#REFUSED":
            raise ServerMismatchError(f"the server at {shown} does not serve this process: {result}")
        if kind != "#RETURN":
            raise ServerGoneError(f"what listens at {shown} is no server of the kit: {result}")
    except BaseException as error:
        connection.close()
        if isinstance(error, AuthenticationError) and not isinstance(error, AuthkeyError):
            raise AuthkeyError(
                f"the server at {shown} has another authkey ({error}); give get_context('manager', address=..., "
                "authkey=...) the one that it was started with, once in this process before the first handle comes"
            ) from None
        if isinstance(error, BlockingIOError):
            raise ServerGoneError(
                f"what listens at {shown} says nothing for {HANDSHAKE_SECONDS} seconds: it is no server of the kit, "
                "or one that is stopped"
            ) from error
        if isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno is not None):
            raise ServerGoneError(f"what listens at {shown} hung up: {error or 'end of file'}") from error
        if isinstance(error, _Strange):
            raise ServerGoneError(f"what listens at {shown} is no server of the kit: {error}") from error
        raise
    return connection, result


class _Strange(Exception):
    """Raised for an answer that makes no sense."""


def _shake_hands(connection: Connection, authkey: bytes, request: object) -> tuple[str, Any]:
    try:
        answer_challenge(connection, authkey)
        deliver_challenge(connection, authkey)
        connection.send(request)
        kind, result = connection.recv()
    except (AssertionError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise _Strange(str(error)) from error
    except OSError as error:
        if type(error) is OSError and error.errno is None:  # a length that makes no sense, or half a message
            raise _Strange(str(error)) from error
        raise
    return kind, result


@contextmanager
def _patient(connection: Connection) -> Iterator[None]:
    """Each read and write within may take so long and no longer; then BlockingIOError."""
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        if end.family != socket.AF_UNIX:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _limit(end, HANDSHAKE_SECONDS)
        yield
        _limit(end, 0)


def _limit(end: socket.socket, seconds: int) -> None:
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        end.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))
