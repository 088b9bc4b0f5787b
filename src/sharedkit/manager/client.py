"""One client process and one server: a connection a thread, and one more for what no thread waits for.

Connections are opened when they are first needed, and again in a child that was forked, which is a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable
from multiprocessing import current_process
from typing import Any

from sharedkit.errors import ServerGoneError
from sharedkit.manager._client_connection import ClientConnection
from sharedkit.manager._exchange import Request, call
from sharedkit.manager.connect import SessionEnded, connect
from sharedkit.manager.detaching import finish
from sharedkit.manager.gevent_support import COOPERATIVE
from sharedkit.manager.requests import Pending, Requests
from sharedkit.manager.sockets import End
from sharedkit.manager.stopped_server import Watch

__all__ = ["Client"]

PATIENCE = 0.1  # seconds that who leaves a wait gives the server to say what became of it
MOST_TICKETS = 256  # forks in a row, without a call in between
CHILD_PATIENCE = 0.1  # seconds that the child of a fork gives the server to let it in; else its first call sees to it
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class _Calls(threading.local):
    """Of each thread: its connections that are not in use, one, or more where signal handlers have called in a call;
    and what it has left that is not over yet, each as a lock that is free then.
    """

    def __init__(self) -> None:
        self.streams: list[ClientConnection] = []
        self.leaving: list[Any] = []


class Client:
    """The way from this process to the server at `address`.

    `released` are the structures whose handles were closed or forgotten since the last call. Each session has its own,
    to which its handles hold on, so that they let go of nothing in another one. `handles` are those that are open, and
    `tickets` those of children that were forked since: what is released is so after what they name was kept for them.
    Those in `forking` are of children that may not be forked yet: what other threads open meanwhile is theirs, too.
    """

    def __init__(self, address: Any, authkey: bytes | None) -> None:
        self.address = address
        self.authkey = bytes(current_process().authkey if authkey is None else authkey)
        self.epoch = 0
        self.proven = False  # the server has taken this authkey
        self.ending = False  # the interpreter ends, and with it the server
        self.released: deque[int] = deque()
        self.tickets: deque[str] = deque(maxlen=MOST_TICKETS)
        self.forking: deque[str] = deque(maxlen=MOST_TICKETS)
        self.handles: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # by `id`
        self._lock = threading.RLock()  # a signal handler may call, too
        self._requests: Requests | None = None
        self._ident = ""
        self._inherited: _Inherited | None = None
        self._calls = _Calls()
        self._open: weakref.WeakSet[End] = weakref.WeakSet()
        _clients.add(self)

    # --- connections

    def _connect(
        self, method: str, *args: Any, patience: float | None = None, watch: Watch | None = None
    ) -> tuple[End, Any]:
        """A new connection that serves `method`, and what the server answered to it."""
        return connect(self.address, self.authkey, method, *args, patience=patience, watch=watch)

    @property
    def shown(self) -> str:
        """The address, for messages."""
        return repr(self.address)

    def open(self, patience: float | None = None, watch: Watch | None = None) -> Requests:
        """See that this process has a session, within `patience` seconds where they are few.

        Raises ServerGoneError, AuthkeyError, ServerMismatchError, and what `watch` does.
        """
        requests = self._requests
        if requests is not None:
            return requests
        with self._lock:
            if self._requests is None:
                mine = None if self._inherited is None else self._inherited.told()
                connection, ident = self._connect("kit_session", os.getpid(), mine, patience=patience, watch=watch)
                requests = Requests(connection, self.shown)
                if self._requests is None:  # no handler runs between this step and the next
                    self._requests, self._ident, self.proven = requests, ident, True
                    self._open.add(connection)
                    if self._inherited is not None:
                        self._inherited = None
                        requests.tell(0, "arrived", ())
                else:  # one was faster
                    connection.close()
            return self._requests

    def _new_stream(self, watch: Watch | None = None) -> ClientConnection:
        """One more connection for a thread."""
        try:
            with self._lock:
                requests, epoch, ident = self.open(watch=watch), self.epoch, self._ident
        except ServerGoneError:
            self._leave_if_ending()
            raise
        try:
            connection, _ = self._connect("kit_calls", ident, watch=watch)
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
        return ClientConnection(connection, epoch)

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

    def call(
        self,
        ident: int,
        method: str,
        *args: Any,
        patience: float | None = PATIENCE,
        thread: int = 0,
        bound: float | None = None,
    ) -> Any:
        """The result of `method` in the server, or its exception, with the traceback it had there as the cause.

        Who leaves with an exception of a signal handler leaves nothing behind: the wait is ended, and what the server
        had done by then is taken back. That is waited for up to `patience` seconds (None: for ever), and then goes on
        behind the scenes. `thread` says who asks, for an RLock; by default the thread that calls. `bound` is how many
        seconds the call may take; StandsStill where they are over and the server stands still.
        """
        return call(self, ident, method, args, patience, thread, bound)

    def _finish(self, request: Request, give: bool, done: Any) -> None:
        """In a thread of its own: bring `request`, which was left, to its end, and release `done`."""
        try:
            with contextlib.suppress(Exception):
                request.in_order = finish(self, request, give)
        finally:
            done.release()

    def flush(self) -> None:
        """Tell the server of the handles that were closed; a server that is gone has forgotten them anyway."""
        if self.released and self._requests is not None:
            with contextlib.suppress(ServerGoneError):
                self.call(0, "release")

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

    def _gone(self, stream: ClientConnection, error: BaseException) -> ServerGoneError:
        stream.connection.close()
        self._leave_if_ending()
        self._renew_if_ended(self._requests)
        return ServerGoneError(f"the server at {self.shown} is gone: {str(error or '') or 'it hung up'}")

    # --- calls that no thread waits for

    def begin(
        self,
        ident: int,
        method: str,
        args: tuple[Any, ...],
        done: Callable[[Pending], object],
        thread: int = 0,
        watch: Watch | None = None,
    ) -> Pending:
        """Send a request and return at once: `done(pending)` is called when its answer is there, by another thread.

        `thread` says who asks, for an RLock; by default the thread that calls. Raises ServerGoneError, AuthkeyError,
        what pickling the arguments raises, and what `watch` does.
        """
        requests = self.open(watch=watch)
        try:
            return requests.begin(ident, method, args, thread or threading.get_ident(), done, watch)
        except ServerGoneError:
            self._renew(requests)
            raise

    # --- whether the server gets on

    def session_stream(self) -> ClientConnection | None:
        """That of the session, where there is one."""
        requests = self._requests
        return None if requests is None else requests.stream

    def sent_so_far(self) -> int:
        """How many messages the session's connection has taken that did not go at once."""
        requests = self._requests
        return 0 if requests is None else requests.later

    def ping(self) -> None:
        """Have the server say something in the session, if it can."""
        requests = self._requests
        if requests is not None:
            with contextlib.suppress(ServerGoneError):
                requests.begin(0, "undone", (), 0, lambda _: None)

    # --- forks

    def before_fork(self, ticket: str) -> None:
        """Have the server keep for the child what this process has open, and may close at once. Waits for nobody.

        A server that is stopped hears of it when it goes on, and before whatever this process lets go of.
        """
        requests = self._requests
        if requests is not None:
            self.forking.append(ticket)
            requests.tell_soon(0, "ticket", (ticket, None))

    def in_parent(self, ticket: str) -> None:
        """The child is there: the next request that is answered has told of all that it has."""
        if ticket in self.forking:
            self.tickets.append(ticket)
            self.forking.remove(ticket)

    def in_child(self, ticket: str) -> None:
        """Leave the parent's connections and open a session with what it had, at the first call at the latest."""
        self._lock = threading.RLock()
        self._calls = _Calls()
        self.epoch += 1
        self.tickets.clear()
        self.forking.clear()
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.end_in_child()
            self._inherited = _Inherited(self._ident, ticket)
        if self._inherited is not None:
            self.released.clear()  # what is not open in this child was not handed on to it
            self._inherited.idents = [each._ident for each in list(self.handles.values()) if each._client is self]
        for connection in list(self._open):
            connection.close()
        self._open = weakref.WeakSet()
        if self._inherited is not None and not COOPERATIVE:  # a fork of gevent's has no hub yet
            with contextlib.suppress(Exception):
                self.open(CHILD_PATIENCE)


class _Inherited:
    """What the child of a fork has open of its parent's session, until it has one of its own."""

    def __init__(self, parent: str, ticket: str) -> None:
        self.parent = parent
        self.ticket = ticket
        self.idents: list[int] = []  # of each handle that there was at the moment of the fork

    def told(self) -> tuple[str, str, tuple[int, ...]]:
        """What the server is to know: the session of the parent, the ticket, and each structure for each handle."""
        return self.parent, self.ticket, tuple(self.idents)


_forking: dict[int, list[tuple[Client, str]]] = {}
"""By the thread that forks: the clients there are, and the tickets that its child may use."""


def _before_fork() -> None:
    mine = _forking[threading.get_ident()] = []
    error: BaseException | None = None
    for client in _all_clients():
        try:
            mine.append((client, secrets.token_hex(8)))
            client.before_fork(mine[-1][1])
        except BaseException as end:  # of a signal handler; the server may not have heard of this ticket
            error = end
    if error is not None:
        raise error


def _all_clients() -> list[Client]:
    while True:
        try:
            return list(_clients)
        except RuntimeError:  # another thread has made one just now
            continue


def _after_fork_in_parent() -> None:
    error: BaseException | None = None
    for client, ticket in _forking.pop(threading.get_ident(), []):
        try:
            client.in_parent(ticket)
        except BaseException as end:  # of a signal handler
            client.in_parent(ticket)
            error = end
    if error is not None:
        raise error


def _after_fork_in_child() -> None:
    for client, ticket in _forking.pop(threading.get_ident(), []):
        client.in_child(ticket)
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
