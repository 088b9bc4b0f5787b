"""One client process and one server: a connection a thread, and one more for what no thread waits for.

Connections are opened when they are first needed, and again in a child that was forked, which is a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing import current_process
from typing import Any

from sharedkit.errors import ClosedError, ServerGoneError
from sharedkit.manager.dial import SessionEnded, dial
from sharedkit.manager.requests import Pending, Requests
from sharedkit.manager.sockets import End
from sharedkit.manager.stream import Stream
from sharedkit.manager.wire import CANCELLED, RESULT, RemoteTraceback, content_of, join

__all__ = ["Link"]

PATIENCE = 0.1  # seconds that who leaves a wait gives the server to say what became of it
_links: weakref.WeakSet[Link] = weakref.WeakSet()


class _Calls(threading.local):
    """The connections of each thread that are not in use: one, or more where signal handlers have called in a call."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []


class Link:
    """The way from this process to the server at `address`.

    `released` are the structures whose handles were closed or forgotten since the last call. Each session has its own,
    to which its handles hold on, so that they let go of nothing in another one.
    """

    def __init__(self, address: Any, authkey: bytes | None) -> None:
        self.address = address
        self.authkey = bytes(current_process().authkey if authkey is None else authkey)
        self.epoch = 0
        self.ending = False  # the interpreter ends, and with it the server
        self.ticket: str | None = None
        self.released: deque[int] = deque()
        self._lock = threading.RLock()  # a signal handler may call, too
        self.opening = threading.RLock()  # held from the call that opens a structure until its handle is there
        self._requests: Requests | None = None
        self._held: Requests | None = None
        self._ident = ""
        self._calls = _Calls()
        self._open: weakref.WeakSet[End] = weakref.WeakSet()
        _links.add(self)

    # --- connections

    def _connect(self, method: str, *args: Any) -> tuple[End, Any]:
        """A new connection that serves `method`, and what the server answered to it."""
        return dial(self.address, self.authkey, method, *args)

    @property
    def shown(self) -> str:
        """The address, for messages."""
        return repr(self.address)

    def open(self) -> Requests:
        """See that this process has a session. Raises ServerGoneError, AuthkeyError, ServerMismatchError."""
        requests = self._requests
        if requests is not None:
            return requests
        with self._lock:
            if self._requests is None:
                connection, ident = self._connect("kit_session", os.getpid(), self.ticket)
                requests = Requests(connection, self.shown)
                if self._requests is None:  # no handler runs between this step and the next
                    self._requests, self._ident, self.ticket = requests, ident, None
                    self._open.add(connection)
                else:  # one was faster
                    connection.close()
            return self._requests

    def _new_stream(self) -> Stream:
        """One more connection for a thread."""
        try:
            with self._lock:
                requests, epoch, ident = self.open(), self.epoch, self._ident
        except ServerGoneError:
            self._leave_if_ending()
            raise
        try:
            connection, _ = self._connect("kit_calls", ident)
        except SessionEnded:
            self._leave_if_ending()
            self._renew(requests)
            raise ServerGoneError(
                f"the server at {self.shown} has no session of this process any more: it was started anew, or took us "
                "for gone"
            ) from None
        except ServerGoneError:
            self._leave_if_ending()
            self._renew_if_ended(requests)
            raise
        with self._lock:
            self._open.add(connection)
        return Stream(connection, epoch)

    def close(self) -> None:
        """End the session of this process, and with it all that its handles hold and wait for."""
        with self._lock:
            self._end_session()

    def _end_session(self) -> None:
        """With the lock. The next call begins another."""
        if self._requests is not None:
            self.epoch += 1
            self.released = deque()
            self._requests = None
            for connection in list(self._open):
                connection.hang_up()
            self._open.clear()

    # --- calls that a thread waits for

    def call(self, ident: int, method: str, *args: Any, patience: float | None = PATIENCE, thread: int = 0) -> Any:
        """The result of `method` in the server, or its exception, with the traceback it had there as the cause.

        Who leaves with an exception of a signal handler leaves nothing behind: the wait is ended, and what the server
        had done by then is taken back. That is waited for up to `patience` seconds (None: for ever), and then goes on
        behind the scenes. `thread` says who asks, for an RLock; by default the thread that calls.
        """
        streams = self._calls.streams
        stream = streams.pop() if streams else None  # while it is in use, a signal handler that calls takes another
        if stream is None or stream.epoch != self.epoch:
            stream = self._new_stream()
        stream.number = number = stream.number + 1
        thread = thread or threading.get_ident()
        released = self._forgotten() if self.released else ()
        try:
            message = join(number, (ident, method, args, thread, released))
        except BaseException:
            self.released.extend(released)
            streams.append(stream)
            raise
        sent, answer = False, None
        try:
            stream.send(message)
            sent = True
            answer = stream.receive()
            kind, payload = content_of(answer)
        except BaseException as end:
            if _is_end(end):
                raise self._gone(stream, end) from end
            if (answer is not None and isinstance(end, Exception)) or self._leave(
                _Leaving(stream, (ident, method, args, thread), number, sent, answer), patience
            ):
                streams.append(stream)
            raise
        streams.append(stream)
        if kind == RESULT:
            return payload
        if kind == CANCELLED:
            raise ClosedError("it was closed while this call waited")
        error, trace = payload
        raise error from RemoteTraceback(trace)

    def flush(self) -> None:
        """Tell the server of the handles that were closed; a server that is gone has forgotten them anyway."""
        if self.released and self._requests is not None:
            with contextlib.suppress(ServerGoneError):
                self.call(0, "release")

    def _forgotten(self) -> tuple[int, ...]:
        released = []
        while self.released:
            with contextlib.suppress(IndexError):
                released.append(self.released.popleft())
        return tuple(released)

    def _renew(self, requests: Requests) -> None:
        """Have the next call begin another session; this one is over, if nobody has said so before."""
        with self._lock:
            if self._requests is requests:
                self._end_session()

    def _renew_if_ended(self, requests: Requests | None) -> None:
        """The same where the server has hung up on the session: a thread's connection may have come to grief alone."""
        if requests is not None and not requests.is_open():
            self._renew(requests)

    def _leave_if_ending(self) -> None:
        """End a daemon thread, the only kind that is left then, without a word, as those that wait elsewhere end."""
        if self.ending and threading.current_thread() is not threading.main_thread():
            raise SystemExit

    def _gone(self, stream: Stream, error: BaseException) -> ServerGoneError:
        stream.connection.close()
        self._leave_if_ending()
        self._renew_if_ended(self._requests)
        return ServerGoneError(f"the server at {self.shown} is gone: {str(error or '') or 'it hung up'}")

    # --- leaving them

    def _leave(self, leaving: _Leaving, patience: float | None) -> bool:
        """End the wait of this thread in the server, and give back what it had answered by then. Whether that is over,
        and its connection can be used again.

        Another thread does it, which no signal handler interrupts. A further signal ends but our waiting for it.
        """
        try:
            later = threading.Thread(target=leaving.finish, args=(self.open(),), daemon=True)
            later.start()
            later.join(patience)
            return not later.is_alive() and leaving.in_order
        except BaseException:  # the first exception is the one to see
            return False

    # --- calls that no thread waits for

    def begin(
        self, ident: int, method: str, args: tuple[Any, ...], done: Callable[[Pending], object], thread: int = 0
    ) -> Pending:
        """Send a request and return at once: `done(pending)` is called when its answer is there, by another thread.

        `thread` says who asks, for an RLock; by default the thread that calls. Raises ServerGoneError, AuthkeyError,
        and what pickling the arguments raises.
        """
        requests = self.open()
        try:
            return requests.begin(ident, method, args, thread or threading.get_ident(), done)
        except ServerGoneError:
            self._renew(requests)
            raise

    # --- forks

    def before_fork(self) -> None:
        """Keep alive for the child what this process has open, and may close at once on another connection."""
        error = _hold(self.opening)  # or the child would have handles of what the ticket does not name
        try:
            if self._requests is not None:
                ticket = secrets.token_hex(8)
                with contextlib.suppress(Exception):
                    self.call(0, "ticket", ticket, None)
                    self.ticket = ticket
        except BaseException as end:
            error = end
        error = _hold(self._lock) or error
        self._held = self._requests
        if self._held is not None:
            self._held.hold()
        if error is not None:
            raise error

    def after_fork(self, child: bool) -> None:
        """Go on in the parent; in the child, leave the parent's connections and open a session with what it had."""
        if not child:
            self.ticket = None
            held, self._held = self._held, None
            if held is not None:
                held.release()
            self._lock.release()
            self.opening.release()
            return
        had = self._requests is not None
        self.opening = threading.RLock()
        self._lock = threading.RLock()
        self.epoch += 1
        self._requests = None
        for connection in list(self._open):
            connection.close()
        self._open = weakref.WeakSet()
        if had:
            with contextlib.suppress(Exception):
                self.open()


class _Leaving:
    """A call that its thread has left with an exception of a signal handler: how far it had come."""

    __slots__ = ("answer", "in_order", "number", "request", "sent", "stream")

    def __init__(
        self,
        stream: Stream,
        request: tuple[int, str, tuple[Any, ...], int],
        number: int,
        sent: bool,
        answer: bytes | memoryview | None,
    ) -> None:
        self.stream = stream
        self.request = request
        self.number = number
        self.sent = sent
        self.answer = answer
        self.in_order = False

    def finish(self, requests: Requests) -> None:
        """Come to an end of it with the server. `in_order` says that the stream can be used again."""
        with contextlib.suppress(Exception):
            if self.answer is not None:
                self._give_back(requests)
                self.in_order = True
                return
            if self.sent:
                self.stream.send(join(0, (0, "cancel", (self.number,), 0, ())))
            else:  # perhaps half a message: the server sees its end, and answers if it had the whole
                self.stream.connection.shutdown(socket.SHUT_WR)
            while True:
                self.answer = self.stream.receive()
                if self._give_back(requests) == CANCELLED:
                    self.in_order = self.sent
                    return

    def _give_back(self, requests: Requests) -> int:
        """What an answer brought is of no use to anybody here. What kind it was."""
        assert self.answer is not None
        kind, payload = content_of(self.answer)
        if kind == RESULT:
            ident, method, args, thread = self.request
            requests.tell(ident, "undo", (method, args, payload), thread)
        return int(kind)


def _is_end(error: BaseException) -> bool:
    """Whether a connection raises it, and not a signal handler, which may raise a TimeoutError."""
    return (
        isinstance(error, EOFError)
        or type(error) is OSError
        or (isinstance(error, OSError) and error.errno is not None)
    )


_gate = threading.RLock()  # one fork at a time
_forking: list[Link] = []


def _hold(lock: Any) -> BaseException | None:
    """Acquire it, whatever a signal handler raises meanwhile, which is answered: `_after_fork` will release it."""
    error: BaseException | None = None
    while True:
        try:
            lock.acquire()
            return error
        except BaseException as end:
            error = end


def _before_fork() -> None:
    error = _hold(_gate)
    for link in list(_links):
        _forking.append(link)
        try:
            link.before_fork()
        except BaseException as end:  # of a signal handler; the locks are held all the same
            error = end
    if error is not None:
        raise error


def _after_fork_in_parent() -> None:
    try:
        while _forking:
            _forking.pop().after_fork(False)
    finally:
        _gate.release()


def _after_fork_in_child() -> None:
    global _gate
    _gate = threading.RLock()
    while _forking:
        _forking.pop().after_fork(True)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
