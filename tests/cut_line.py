"""A line between clients and a server that a test can cut: after any byte of a request, of its reply, or of a message
that the server sends by itself."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Literal

__all__ = ["CutLine", "What"]

What = Literal["request", "reply", "message"]


class _Connection:
    """One connection through the line: both sockets, and whether it is one that only listens."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.listens = False
        self.ended = False
        self.moving = 2  # threads that use the sockets

    def end(self) -> None:
        self.ended = True
        for each in (self.client, self.server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class CutLine:
    """Listens at `address`, a free port of this machine, and passes everything on to the server at `to`.

    `arm(what, after)` cuts the line once: both connections end as soon as `after` bytes of that kind have passed on one
    connection, and no further byte of it passes. For a request or its reply, it is the first connection over which a
    client sends something from then on; for a message of a Redis server, one on which a client has subscribed. Without
    `after`, nothing is cut, and `passed` counts the bytes. In silence, the server gets everything, and the line ends at
    the first byte of each reply.
    """

    def __init__(self, to: tuple[str, int]) -> None:
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address: tuple[str, int] = self._listener.getsockname()
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._what: What | None = None
        self._left: int | None = None
        self._on: _Connection | None = None
        self._moving = 0  # how many threads pass something on now
        self.passed = 0
        self.was_cut = False
        self.silent = False
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, what: What, after: int | None = None) -> None:
        while not self._is_quiet():  # a message that was sent before is not meant
            time.sleep(0.0005)
        with self._lock:
            self._what, self._left, self._on = what, after, None
            self.passed, self.was_cut = 0, False

    def lead_to(self, other: tuple[str, int]) -> None:
        """Pass new connections on to another server, and end the present ones."""
        self._to = other
        for each in list(self._connections):
            each.end()

    def disarm(self) -> None:
        with self._lock:
            self._what = None

    def _is_quiet(self) -> bool:
        """Whether all that was sent has passed."""
        with self._lock:
            poll = select.poll()
            for each in self._connections:
                for side in (each.client, each.server):
                    if not each.ended:
                        poll.register(side, select.POLLIN)
            return not self._moving and not poll.poll(0)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._to)
                except OSError:
                    client.close()
                    continue
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = _Connection(client, server)
                with self._lock:
                    self._connections.append(connection)
                for way in (self._requests, self._replies):
                    threading.Thread(target=way, args=(connection,), daemon=True).start()

    def _may_pass(self, data: bytes, on: _Connection, kinds: tuple[What, ...]) -> tuple[bytes, bool]:
        """The part of the data that passes, and whether the line is cut then."""
        with self._lock:
            asks = kinds == ("request",)
            if asks and b"SUBSCRIBE" in data:
                on.listens = True
            if not asks and self.silent:
                return b"", True
            if self._on is None and (on.listens if self._what == "message" else asks):
                self._on = on
            if self._on is not on or self._what not in kinds:
                return data, False
            if self._left is None or len(data) <= self._left:
                self.passed += len(data)
                if self._left is not None:
                    self._left -= len(data)
                return data, False
            self._what, self.was_cut = None, True
            return data[: self._left], True

    def _requests(self, on: _Connection) -> None:
        self._move(on, on.client, on.server, ("request",))

    def _replies(self, on: _Connection) -> None:
        self._move(on, on.server, on.client, ("reply", "message"))

    def _move(self, on: _Connection, source: socket.socket, to: socket.socket, kinds: tuple[What, ...]) -> None:
        with suppress(OSError):
            while True:
                ready = select.poll()
                ready.register(source, select.POLLIN)
                ready.poll()
                with self._lock:
                    self._moving += 1
                try:
                    data = source.recv(1 << 16)
                    passes, cut = self._may_pass(data, on, kinds) if data else (b"", True)
                    to.sendall(passes)
                finally:
                    with self._lock:
                        self._moving -= 1
                if cut:
                    break
        on.end()
        with self._lock:
            on.moving -= 1
            if on.moving == 0:
                on.client.close()
                on.server.close()
                self._connections.remove(on)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._connections):
            each.end()

    def __enter__(self) -> CutLine:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
