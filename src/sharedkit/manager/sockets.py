"""The sockets below the connections."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["socket_of"]


@contextmanager
def socket_of(descriptor: int) -> Iterator[socket.socket]:
    """The socket behind a descriptor, which stays open. It takes no further one: there may be none left."""
    end = socket.socket(fileno=descriptor)
    try:
        yield end
    finally:
        end.detach()
