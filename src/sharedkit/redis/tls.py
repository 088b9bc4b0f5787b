"""TLS connections that one thread may read while another one writes.

An SSL object of OpenSSL is not for two threads at once, and `ssl` guards it only in later releases of Python. So the
socket does not block, each step on it is under a lock, and a thread waits for the network without the lock.
"""

from __future__ import annotations

import select
import ssl
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from redis import connection as redis_connection

__all__ = ["TlsConnection"]

Result = TypeVar("Result")


class TlsSocket:
    """The part of a socket that a connection of redis-py and `address.py` use."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls
        self._timeout = tls.gettimeout()
        self._lock = threading.RLock()  # reentrant: a signal handler may end the connection
        self._ended = False
        tls.setblocking(False)

    def _step(self, step: Callable[..., Result], data: Any) -> Result:
        """The result of `recv`, `recv_into` or `send`, as soon as the network allows it."""
        deadline = None if self._timeout is None else monotonic() + self._timeout
        while True:
            try:
                with self._lock:
                    if self._ended:
                        raise OSError("the connection was ended")
                    return step(data)
            except ssl.SSLWantReadError:
                self._wait(False, deadline)
            except ssl.SSLWantWriteError:
                self._wait(True, deadline)

    def _wait(self, writes: bool, deadline: float | None) -> None:
        left = None if deadline is None else max(0.0, deadline - monotonic())
        number = self._tls.fileno()
        if number < 0:
            raise OSError("the connection was ended")
        if not _is_ready(number, writes, left):
            raise TimeoutError("timed out")

    def recv(self, size: int) -> bytes:
        """Read what has come, at most `size` bytes; none at the end."""
        return self._step(self._tls.recv, size)

    def recv_into(self, buffer: Any) -> int:
        """Read what has come; 0 at the end."""
        return self._step(self._tls.recv_into, buffer)

    def sendall(self, data: bytes | memoryview) -> None:
        """Write all of it."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._step(self._tls.send, rest) :]

    def settimeout(self, seconds: float | None) -> None:
        """Set the most seconds of a step."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """The most seconds of a step."""
        return self._timeout

    def fileno(self) -> int:
        """The descriptor."""
        return self._tls.fileno()

    def shutdown(self, how: int) -> None:
        """End the connection; this wakes the threads that wait for it."""
        with self._lock:
            self._ended = True
            self._tls.shutdown(how)

    def close(self) -> None:
        """Close the descriptor. Without the lock, which a thread of the parent may have held at a fork."""
        self._tls.close()


if hasattr(select, "poll"):

    def _is_ready(number: int, writes: bool, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(number, select.POLLOUT if writes else select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

else:  # Windows

    def _is_ready(number: int, writes: bool, seconds: float | None) -> bool:
        numbers = [number]
        return any(select.select([] if writes else numbers, numbers if writes else [], numbers, seconds))


class TlsConnection(redis_connection.SSLConnection):
    """redis-py's connection, with such a socket."""

    def _connect(self) -> Any:
        connected: Any = super()._connect()  # type: ignore[no-untyped-call]
        return TlsSocket(connected)
