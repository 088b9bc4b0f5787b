"""The sockets below the connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["End", "socket_of", "tune"]


class End(socket.socket):
    """A client's end of a connection. One that is forgotten, with its thread mostly, is closed without a word."""

    def __del__(self) -> None:
        self.close()

    def hang_up(self) -> None:
        """End the connection for both sides and for all threads; the descriptor stays taken until it is closed."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def is_open(self) -> bool:
        """Whether the other side has not ended it yet."""
        try:
            return bool(self.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return True
        except OSError:
            return False


@contextmanager
def socket_of(descriptor: int) -> Iterator[socket.socket]:
    """The socket behind a descriptor, which stays open. It takes no further one: there may be none left."""
    end = socket.socket(fileno=descriptor)
    try:
        yield end
    finally:
        end.detach()


def tune(end: socket.socket) -> None:
    """Over TCP: send at once, and notice that the other machine has vanished."""
    if end.family != socket.AF_UNIX:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
