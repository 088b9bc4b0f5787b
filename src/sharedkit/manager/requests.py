"""Requests of one client process that no thread waits for: they share one connection, which one thread reads.

That connection is the session's first one; its end shows the server that this process has died.
"""

from __future__ import annotations

import _thread
import itertools
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sharedkit._core.background import background
from sharedkit.errors import ClosedError, ServerGoneError
from sharedkit.manager._client_connection import ClientConnection
from sharedkit.manager.gevent_support import COOPERATIVE
from sharedkit.manager.protocol import (
    CANCELLED,
    ERROR,
    LEFT,
    RESULT,
    Message,
    RemoteTraceback,
    content_of,
    halved,
    join,
    number_of,
)
from sharedkit.manager.sockets import End
from sharedkit.manager.stopped_server import StandsStill

if TYPE_CHECKING:
    from sharedkit.manager.stopped_server import Watch

__all__ = ["Pending", "Requests"]


WHOLE = 1 << 14
"""The most bytes that are sent at once, whatever signal comes: a socket takes up to 32 KiB in one step."""


LOCK_SECONDS = 0.05  # seconds that a fork waits for a thread that is sending


class Pending:
    """A request under way.

    The reading thread calls `done(self)` once, after it has set `over`; then `result()` returns or raises.
    """

    def __init__(self, requests: Requests, ident: int, method: str, args: tuple[Any, ...], thread: int) -> None:
        self._requests = requests
        self._ident = ident
        self._method = method
        self._args = args
        self._thread = thread
        self._kind = RESULT
        self._payload: Any = None
        self._left = False
        self._abandoned = False
        self.voided = False  # the request must not take effect, and the server gets a request to take it back
        self.number = 0
        self.over = False
        self.seen = False  # whether the task that awaits it has read the answer, or does not need it any more
        self.cancelled = False
        self.done: Callable[[Pending], object] = _nothing

    def result(self) -> Any:
        """Return the server's result, or raise its exception with the traceback in the server as the cause. ClosedError
        if the handle was closed meanwhile."""
        if self._kind == CANCELLED:
            raise ClosedError("it was closed while this call waited")
        if self._kind == ERROR:
            error, trace = self._payload
            raise error from (RemoteTraceback(trace) if trace else None)
        return self._payload

    def put(self, most: int) -> int:
        """How many of `most` items a put that its caller has left has put."""
        if self._kind == RESULT:
            return most
        if self._kind == ERROR:
            return int(getattr(self._payload[0], "put", 0))
        return self._payload if type(self._payload) is int else 0

    @property
    def answer(self) -> Any:
        """The result, or the server's answer to a cancelled wait; None for an exception."""
        return None if self._kind == ERROR else self._payload

    @property
    def abandoned(self) -> bool:
        """Whether `abandon` was called."""
        return self._abandoned

    @property
    def gives_back(self) -> bool:
        """Whether the result came after its caller had left the request, so that the server takes the result back."""
        return self._left and self._kind == RESULT

    def cancel(self) -> None:
        """Give up the answer: the wait ends in the server, or the server takes the result back.

        If the request is not over yet, `done` is called when the server has confirmed this, with `cancelled` true.
        Must not be called after `result()` was used.
        """
        self._requests.cancel(self)

    def void(self) -> None:
        """Cancel a request that must not take effect: items that it has put are taken back, too."""
        self._requests.void(self)
        self.cancel()

    @property
    def done_at_last(self) -> bool:
        """Whether a put that its caller has left took effect and is not taken back, or was refused."""
        if self.voided or self._kind == CANCELLED:
            return False
        return type(self._payload) is list if self._kind == RESULT else self.over

    def abandon(self) -> None:
        """Cancel a request whose task will never continue, from `done`: a cancelled wait also releases its lock."""
        self._requests.abandon(self)

    def _finish(self, kind: int, payload: Any) -> None:
        self._kind, self._payload = kind, payload
        self.cancelled = kind == CANCELLED or self._left
        self.over = True
        self.done(self)


def _nothing(pending: Pending) -> None:
    pass


class _Unsent:
    """A message that is not sent yet, or of which `begun` says that its first bytes are; with its request's number, or
    0 if it needs no answer.

    Its last bytes are sent separately, because they decide: with `left`, they tell the server to skip the request. They
    are chosen under the lock; from then on, the message is `decided`.
    """

    __slots__ = ("begun", "decided", "left", "message", "number", "sent")

    def __init__(self, message: Message, number: int = 0, begun: bool = False) -> None:
        self.message, self.number, self.begun = message, number, begun
        self.left = False
        self.decided = isinstance(message, bytes) and len(message) < len(LEFT)
        self.sent = threading.Event()


class Requests:
    """The requests under way on one connection."""

    def __init__(self, end: End, shown: str) -> None:
        self._connection = self.connection = ClientConnection(end)
        self.later = 0  # how many messages the sending thread has sent
        self._shown = shown
        self._numbers = itertools.count(1)
        self._pending: dict[int, Pending] = {}
        self._lock = threading.RLock()  # guards everything here except the reading thread's own data
        self._reader: threading.Thread | None = None
        self._gone: ServerGoneError | None = None
        self._outgoing: deque[_Unsent] = deque()
        self._sending = False

    def begin(
        self,
        ident: int,
        method: str,
        args: tuple[Any, ...],
        thread: int,
        done: Callable[[Pending], object],
        watch: Watch | None = None,
    ) -> Pending:
        """Send a request. Another thread calls `done` with its answer, perhaps before this returns."""
        pending = Pending(self, ident, method, args, thread)
        pending.done = done
        sent = None
        try:
            with self._lock:
                pending.number = next(self._numbers)
                message = join(pending.number, (ident, method, args, thread, ()))
                if self._gone is not None:
                    raise ServerGoneError(str(self._gone))
                self._see_to_reader()
                self._pending[pending.number] = pending
                try:
                    sent = self._send(message, pending.number)
                except (RuntimeError, MemoryError):  # it will not be sent
                    del self._pending[pending.number]
                    raise
            if sent is not None:  # wait until it is sent: the caller may change its data after this call
                self._await_sent(sent, watch)
        except StandsStill:
            pending.seen = True
            pending.void()
            raise
        except BaseException:
            pending.seen = True
            if pending.number in self._pending:  # a signal handler raised: no caller will read the answer
                self.cancel(pending)
            raise
        return pending

    def _await_sent(self, sent: threading.Event, watch: Watch | None) -> None:
        if watch is None:
            sent.wait()
            return
        seconds = watch.patience()
        while not sent.wait(min(seconds, threading.TIMEOUT_MAX)):
            seconds = watch.look(self._connection)

    def _see_to_reader(self) -> None:
        """Start the reading thread, under the lock. If no thread can be started, the next request tries again."""
        if COOPERATIVE:  # a greenlet, because a fork copies greenlets; a `Thread` would be missing in the child
            if self._reader is None:
                self._reader = threading.current_thread()
                _thread.start_new_thread(self._read, ())
        elif self._reader is None:
            self._reader = reader = background(self._read, name="sharedkit answers")
            try:
                reader.start()
            except BaseException:
                self._reader = None
                raise

    def _send(self, message: Message, number: int = 0) -> threading.Event | None:
        """Send the message of that request, under the lock. The reading thread also notices the end of the connection.

        A large message may be sent in pieces, and a signal handler might raise between them, or send something itself.
        So a new thread, which runs no signal handlers, sends it and all messages that come meanwhile. The returned
        event is set when the message is sent.
        """
        if not self._outgoing and not self._sending and type(message) is bytes and len(message) <= WHOLE:
            self._sending = True
            try:
                with suppress(OSError):
                    self._connection.offer(message)
            finally:
                self._sending = False
                if self._connection.gone < self._connection.length:  # the socket is full: the server does not read now
                    self._outgoing.appendleft(_Unsent(message[self._connection.gone :], number, begun=self._connection.gone > 0))
                if self._outgoing:  # perhaps added by a signal handler
                    self._see_to_rest()
            return None
        entry = _Unsent(message, number)
        self._outgoing.append(entry)
        if not self._sending:
            try:
                self._see_to_rest()
            except (RuntimeError, MemoryError):  # no thread can be started
                self._outgoing.remove(entry)
                raise
        return entry.sent if type(message) is list else None

    def _see_to_rest(self) -> None:
        background(self._send_rest, name="sharedkit requests").start()

    def _send_rest(self) -> None:
        """Run the sending thread, until nothing is left to send."""
        with self._lock:
            if self._sending:
                return
            self._sending = True
        while True:
            with self._lock:
                if not self._outgoing:
                    self._sending = False
                    return
                entry = self._outgoing[0]
                entry.begun = True
            self._send_entry(entry)
            with self._lock:
                self._outgoing.popleft()
            entry.message = b""
            self.later += 1
            entry.sent.set()

    def _send_entry(self, entry: _Unsent) -> None:
        with suppress(OSError):
            if entry.decided or not entry.number:
                self._connection.send(entry.message)
                return
            most, last = halved(entry.message)
            self._connection.send(most)
            with self._lock:
                entry.decided = True
            self._connection.send(LEFT if entry.left else last)

    def tell(self, ident: int, method: str, args: tuple[Any, ...], thread: int = 0) -> None:
        """Send a request that has no answer."""
        with self._lock:
            self._send(join(0, (ident, method, args, thread, ())))

    def tell_soon(self, ident: int, method: str, args: tuple[Any, ...]) -> None:
        """Send it at once if there is room, else later. Never wait for the server, which may be stopped."""
        message: Any = join(0, (ident, method, args, 0, ()))
        if self._lock.acquire(timeout=LOCK_SECONDS):
            try:
                if not self._outgoing and not self._sending and self._send_now(message):
                    return
                self._outgoing.append(_Unsent(message))
                if not self._sending:
                    self._see_to_rest()
            finally:
                self._lock.release()
        else:  # the thread that holds the lock waits for the server
            background(self.tell, args=(ident, method, args)).start()

    def _send_now(self, message: bytes) -> bool:
        """Whether the message needs no further sending. It is short, so it is sent whole or not at all."""
        try:
            return self._connection.socket.send(message, socket.MSG_DONTWAIT) == len(message)
        except OSError as error:
            return not isinstance(error, BlockingIOError)  # any other error: the connection has ended

    def cancel(self, pending: Pending) -> None:
        """Do what `Pending.cancel` says."""
        with self._lock:
            if pending._left:
                return
            pending._left = True
            under_way = pending.number in self._pending
            unsent = [each for each in self._outgoing if under_way and each.number == pending.number and not each.decided]
            for entry in unsent:  # one at most
                entry.left = True
                if not entry.begun:
                    self._outgoing.remove(entry)
                    entry.sent.set()
                    del self._pending[pending.number]
        if unsent:
            if not unsent[0].begun:
                pending._finish(CANCELLED, None)
        elif under_way:
            self.tell(0, "cancel", (pending.number,))
        elif pending._kind == RESULT:
            self._undo(pending)

    def void(self, pending: Pending) -> None:
        """Do the first part of `Pending.void`; `Pending.cancel` does the rest. If the put is over, change nothing."""
        with self._lock:
            pending.voided = pending.number in self._pending

    def _undo(self, pending: Pending) -> None:
        if pending._method == "put_many":
            if pending.voided and type(pending._payload) is list:
                with suppress(ServerGoneError):
                    self.begin(
                        pending._ident, "take_back", (pending._args[0], pending._payload), pending._thread, _nothing
                    )
            return
        self.tell(pending._ident, "undo", (pending._method, pending._args, pending._payload), pending._thread)

    def abandon(self, pending: Pending) -> None:
        """Do what `Pending.abandon` says."""
        if pending._kind != ERROR:
            pending._abandoned = True
            self.cancel(pending)
            self.tell(pending._ident, "undo", (f"{pending._method}_whole", pending._args, None), pending._thread)

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            while True:
                message = self._connection.receive()
                number = number_of(message)
                try:
                    kind, payload = content_of(message)
                except Exception as strange:  # usually a class that does not exist here
                    kind, payload = ERROR, (strange, "")
                del message
                with self._lock:
                    pending = self._pending.pop(number, None)
                    if pending is None:  # it was answered, and then cancelled
                        continue
                    pending._kind, pending._payload = kind, payload
                    left = pending._left
                if left and kind == RESULT:
                    self._undo(pending)
                pending._finish(kind, payload)
                del pending, payload  # keep no reference until the next message: the task may be collected meanwhile
        except (EOFError, OSError) as end:
            error = end
        finally:
            with self._lock:
                self._gone = ServerGoneError(f"the server at {self._shown} is gone: {str(error or '') or 'it hung up'}")
                rest, self._pending = self._pending, {}
            for pending in rest.values():
                pending._finish(ERROR, (ServerGoneError(str(self._gone)), ""))

    # --- the end, and forks

    def is_open(self) -> bool:
        """Whether the server has not ended the session yet."""
        return self._gone is None and self._connection.socket.is_open()

    def end_in_child(self) -> None:
        """Detach these requests in a forked child: the parent gets their answers, so no thread here must wait for
        one."""
        self._lock = threading.RLock()
        self._gone = ServerGoneError(f"the server at {self._shown} answers the process that was forked, not its child")
        self._sending = False
        self._outgoing = deque()
        self._pending = {}
