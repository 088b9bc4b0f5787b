"""The one connection over which all tasks of this process send requests to a server; answers come in the order of the
requests.

A task sends a small request itself, at once. A thread sends the large ones, so that no event loop waits for a socket,
and another thread reads the answers. When the connection ends, the requests without an answer are sent again over a new
one; no operation runs twice, because the server's functions know the numbers of the operations that they have seen.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any

from redis import exceptions

from sharedkit._core.background import background
from sharedkit.errors import ServerGoneError, SharedkitError
from sharedkit.redis.address import LOST, pack, send
from sharedkit.redis.asker import Asker
from sharedkit.redis.operation import Operation
from sharedkit.redis.refusals import Refused
from sharedkit.redis.scripts import MOST_LOADS, library

__all__ = ["Line", "Request"]

SMALL = 1 << 16  # bytes that a task may send by itself
TRIES = 3


class Request:
    """A command; `done(answer)` is called with its answer, which may be an exception."""

    __slots__ = ("command", "done", "loads", "made", "parts", "redirected", "refusal", "tries")

    def __init__(self, made: Operation | None, parts: tuple[bytes, ...], done: Callable[[Any], object]) -> None:
        self.made, self.parts, self.done = made, parts, done
        self.command = b""
        self.tries = self.loads = 0
        self.refusal: Refused | None = None  # why the server does not take the functions
        self.redirected: float | None = None  # since when it looks for the node of a cluster that serves it

    def end(self, answer: Any, asker: Asker) -> None:
        """The answer has come, or an exception in its place."""
        if isinstance(answer, BaseException) and self.made is not None:
            asker.unsaid(self.made, isinstance(answer, Refused) and not answer.elsewhere)
        self.done(answer)


def _loaded(request: Request, answer: Any) -> None:
    """Keep for the request, which is answered next, why the server did not load the functions."""
    if isinstance(answer, Refused) and not answer.loaded:
        request.refusal = answer


class Line:
    """The connection of the tasks of a session to one server. All lanes of tasks are those of the session's home."""

    def __init__(self, session: Asker, node: Any) -> None:
        self._session, self._node = session, node
        self._lock = threading.RLock()
        self._connection: Any = None
        self._outstanding: deque[Request] = deque()
        self._unsent: deque[Request] = deque()
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self._lanes: deque[tuple[int, int]] = deque()  # the free lanes, and the number of the last operation in each

    def submit(self, made: Operation, parts: tuple[bytes, ...], done: Callable[[Any], object]) -> None:
        """Send a request; another thread calls `done`. An operation without a lane gets one until it is answered."""
        request = Request(made, parts, done)
        with self._lock:
            if self._session.over is not None:
                raise self._session.reason()
            if made.number and not made.lane:
                made.lane = self._lane(made.number)
            request.command = self._session.bytes_of(made, parts)
            self._session.node_of(made.base).line.enter(request)

    def enter(self, request: Request) -> None:
        """Send a request that has its lane. Raises the reason why the session is over."""
        with self._lock:
            if self._session.over is not None:
                raise self._session.reason()
            self._send(request)

    def _lane(self, number: int) -> int:
        """A free lane for the operation of that number. A lane's numbers must rise, and another loop may have drawn a
        later number and used the lane already."""
        for _ in range(len(self._lanes)):
            lane, last = self._lanes.popleft()
            if last < number:
                return lane
            self._lanes.append((lane, last))
        return self._session.new_lane()

    def free_lane(self, made: Operation) -> None:
        """Make its lane free for another operation, because the operation has been answered."""
        self._lanes.append((made.lane, made.number))

    def _send(self, request: Request) -> None:
        """Send the request; let the writer send it if it is long or if others wait to be sent. Under the lock."""
        self._outstanding.append(request)
        connection = self._connection
        if connection is not None and not self._unsent and len(request.command) <= SMALL:
            try:
                send(connection, request.command)
            except LOST:  # the reader notices that too, and has the request sent again
                connection.disconnect()
            return
        self._unsent.append(request)
        if self._writer is None:
            self._writer = background(self._write, name="sharedkit redis writer")
            self._writer.start()
        self._tokens.put(True)

    def _write(self) -> None:
        """Run the thread that connects and sends the long requests."""
        while self._tokens.get():
            while True:
                with self._lock:
                    if not self._unsent or self._session.over is not None:
                        break
                    request, connection = self._unsent[0], self._connection
                if connection is None:
                    try:
                        connection = self._session.connect(self._node)
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
                with self._lock:  # unless the connection was replaced, tasks may send again now
                    if self._connection is connection and self._unsent and self._unsent[0] is request:
                        self._unsent.popleft()

    def _fail(self, why: BaseException) -> None:
        with self._lock:
            failed = list(self._outstanding)
            self._outstanding.clear()
            self._unsent.clear()
        for request in failed:
            request.end(why, self._session)

    def _broken(self, connection: Any) -> None:
        """Send the unanswered requests again over a new connection; a request that was sent TRIES times fails."""
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
        why: BaseException = ServerGoneError(f"the server at {self._node.address.public} does not answer")
        if self._session.over is not None:
            why = self._session.reason()
        for request in failed:
            request.end(why, self._session)

    def _read(self, connection: Any) -> None:
        """Run the thread that reads the answers of one connection."""
        while True:
            try:
                answer = connection.read_response(disable_decoding=True, disconnect_on_error=False)
            except exceptions.TimeoutError:
                if self._outstanding or self._connection is not connection:
                    self._broken(connection)
                    return
                continue
            except exceptions.ResponseError as why:
                answer = Refused.of(why)
                moves = self._session.moves
                if answer.elsewhere and moves is not None:
                    with self._lock:
                        if self._connection is not connection:
                            return
                        request = self._outstanding.popleft()
                    moves.again(request, answer)
                    continue
                if answer.forgotten:
                    answer = self._load(answer)
                    if answer is None:
                        continue
            except (*LOST, AttributeError):
                self._broken(connection)
                return
            with self._lock:
                if self._connection is not connection:
                    return
                request = self._outstanding.popleft()
            request.end(answer, self._session)

    def _load(self, answer: Refused) -> Refused | None:
        """Load the functions of the request whose `answer` says that the server does not know them, and send it again.
        If the server forgets or refuses them, return what the request fails with instead."""
        with self._lock:
            request = self._outstanding[0]
            if request.made is None or request.loads == MOST_LOADS or request.refusal is not None:
                return request.refusal or answer
            self._outstanding.popleft()
            request.loads += 1
            load = Request(None, (), partial(_loaded, request))
            load.command = pack(b"FUNCTION", b"LOAD", library(request.made.kind, self._session.moves is not None))
            self._send(load)
            self._send(request)
            return None

    def close(self) -> None:
        """End the connection; unanswered requests fail with the reason why the session is over."""
        with self._lock:
            connection, self._connection = self._connection, None
            self._tokens.put(False)
        if connection is not None:
            connection.disconnect()
        if self._session.over is not None:
            self._fail(self._session.reason())

    def in_child(self) -> None:
        """In the child of a fork, forget the requests and the connection, which are the parent's."""
        self._lock = threading.RLock()
        self._outstanding.clear()
        self._connection = None
