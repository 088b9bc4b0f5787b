"""The sockets of the connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["End", "RelayedEnd", "is_open", "socket_of", "tune"]

GONE_SECONDS = 120  # after which another machine that is silent counts as gone


class End(socket.socket):
    """A client's end of a connection. It is closed silently when it is collected, usually together with its thread."""

    def __del__(self) -> None:
        with suppress(AttributeError):  # a signal handler has interrupted its creation
            self.close()

    def hang_up(self) -> None:
        """End the connection for both sides and for all threads; the descriptor stays in use until it is closed."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def is_open(self) -> bool:
        """Whether the connection is open: the other side has not ended it yet."""
        return is_open(self)


class RelayedEnd(End):
    """A client's end of a connection over TLS: this process itself has the other end, and relays what it carries."""


def is_open(end: socket.socket) -> bool:
    """Ask the system whether the connection is open: the other side has not ended it yet. No data is consumed."""
    try:
        return bool(end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextmanager
def socket_of(descriptor: int) -> Iterator[socket.socket]:
    """The socket of a descriptor, which stays open. This needs no further descriptor, because none may be left."""
    end = socket.socket(fileno=descriptor)
    try:
        yield end
    finally:
        end.detach()


def tune(end: socket.socket) -> None:
    """Over TCP: send without delay, and notice within `GONE_SECONDS` that the other machine has vanished.

    An idle connection is probed from time to time; the other machine must acknowledge sent data within the same time.
    """
    if end.family != socket.AF_UNIX:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_NODELAY, 1),
            (socket.TCP_KEEPIDLE, GONE_SECONDS // 2),
            (socket.TCP_KEEPINTVL, GONE_SECONDS // 6),
            (socket.TCP_KEEPCNT, 3),
            (socket.TCP_USER_TIMEOUT, GONE_SECONDS * 1000),
        ):
            end.setsockopt(socket.IPPROTO_TCP, option, value)
