"""The one connection on which all tasks of this process ask: requests go out at once, and answers come in their order.

A request that is small goes out in the step that makes it. A thread writes the large ones, so that no event loop waits
for a socket, and another reads. When the connection ends, what is not answered is asked again on a new one: scripts
know the numbers of operations that they have seen.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol

from redis import exceptions

from sharedkit._core.background import background
from sharedkit.errors import ServerGoneError, SharedkitError
from sharedkit.redis.address import LOST, Address, pack, send
from sharedkit.redis.operation import Operation
from sharedkit.redis.refusals import Refused

__all__ = ["Line", "Request"]

SMALL = 1 << 16  # bytes that a task may send by itself
TRIES = 3


class Asker(Protocol):
    """The session, as far as its line needs it."""

    address: Address
    over: Any

    def connect(self) -> Any: ...

    def new_lane(self) -> int: ...

    def reason(self) -> BaseException: ...

    def bytes_of(self, of: Operation, method_and_args: tuple[bytes, ...]) -> bytes: ...


class Request:
    """A command, and the call of `done(answer)` that follows; an answer may be an exception."""

    __slots__ = ("command", "done", "made", "parts", "tries")

    def __init__(self, made: Operation | None, parts: tuple[bytes, ...], done: Callable[[Any], object]) -> None:
        self.made, self.parts, self.done = made, parts, done
        self.command = b""
        self.tries = 0


class Line:
    """The connection of the tasks of a session."""

    def __init__(self, session: Asker) -> None:
        self._session = session
        self._lock = threading.RLock()
        self._connection: Any = None
        self._outstanding: deque[Request] = deque()
        self._unsent: deque[Request] = deque()
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lanes: deque[int] = deque()

    def submit(self, made: Operation, parts: tuple[bytes, ...], done: Callable[[Any], object]) -> None:
        """Ask; another thread calls `done`. An operation without a lane gets one until it is answered."""
        request = Request(made, parts, done)
        with self._lock:
            if self._session.over is not None:
                raise self._session.reason()
            if made.number and not made.lane:
                made.lane = self._lanes.popleft() if self._lanes else self._session.new_lane()
            request.command = self._session.bytes_of(made, parts)
            self._send(request)

    def free_lane(self, lane: int) -> None:
        """The operation of this lane has its answer."""
        self._lanes.append(lane)

    def _send(self, request: Request) -> None:
        """Send now, or by the writer if it has something to send before, or this is long. Under the lock."""
        self._outstanding.append(request)
        connection = self._connection
        if connection is not None and not self._unsent and len(request.command) <= SMALL:
            try:
                send(connection, request.command)
            except LOST:  # the reader sees to the rest
                connection.disconnect()
            return
        self._unsent.append(request)
        if self._writer is None:
            self._writer = background(self._write, name="sharedkit redis writer")
            self._writer.start()
        self._tokens.put(True)

    def _write(self) -> None:
        """The thread that connects, and sends what is long."""
        while self._tokens.get():
            while True:
                with self._lock:
                    if not self._unsent or self._session.over is not None:
                        break
                    request, connection = self._unsent[0], self._connection
                if connection is None:
                    try:
                        connection = self._session.connect()
                    except SharedkitError as why:
                        self._fail(why)
                        continue
                    with self._lock:
                        self._connection = connection
                    background(self._read, name="sharedkit redis answers", args=(connection,)).start()
                try:
                    send(connection, request.command)
                except LOST:
                    self._broken(connection)
                    continue
                with self._lock:  # if it was sent in vain, it is asked again; else others may send now
                    if self._connection is connection and self._unsent and self._unsent[0] is request:
                        self._unsent.popleft()

    def _fail(self, why: BaseException) -> None:
        with self._lock:
            failed = list(self._outstanding)
            self._outstanding.clear()
            self._unsent.clear()
        for request in failed:
            request.done(why)

    def _broken(self, connection: Any) -> None:
        """Ask again, on a new connection, what is not answered; give up what was asked so before."""
        failed: list[Request] = []
        with self._lock:
            if self._connection is not connection:
                return
            self._connection = None
            for request in list(self._outstanding):
                request.tries += 1
                if request.tries >= TRIES or self._session.over is not None:
                    self._outstanding.remove(request)
                    failed.append(request)
            self._unsent = deque(self._outstanding)
            if self._unsent:
                self._tokens.put(True)
        connection.disconnect()
        why: BaseException = ServerGoneError(f"the server at {self._session.address.public} does not answer")
        if self._session.over is not None:
            why = self._session.reason()
        for request in failed:
            request.done(why)

    def _read(self, connection: Any) -> None:
        """The thread that reads the answers of one connection."""
        while True:
            try:
                answer = connection.read_response(disable_decoding=True, disconnect_on_error=False)
            except exceptions.TimeoutError:
                if self._outstanding or self._connection is not connection:
                    self._broken(connection)
                    return
                continue
            except exceptions.NoScriptError:
                with self._lock:
                    request = self._outstanding.popleft()
                    assert request.made is not None
                    load = Request(None, (), lambda _: None)
                    load.command = pack(b"SCRIPT", b"LOAD", request.made.script.text)
                    self._send(load)
                    self._send(request)
                continue
            except exceptions.ResponseError as why:
                answer = Refused.of(why)
            except (*LOST, AttributeError):
                self._broken(connection)
                return
            with self._lock:
                if self._connection is not connection:
                    return
                request = self._outstanding.popleft()
            request.done(answer)

    def close(self) -> None:
        """End the connection; what is not answered is told why the session is over."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._tokens.put(False)
        if connection is not None:
            connection.disconnect()
        if self._session.over is not None:
            self._fail(self._session.reason())

    def in_child(self) -> None:
        """The child of a fork: what was asked, and the connection, are the parent's."""
        self._lock = threading.RLock()
        self._outstanding.clear()
        self._connection = None
