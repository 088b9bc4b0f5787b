"""One client process and one server: a connection for each thread, and one for requests that no thread waits for.

Connections are opened when they are first needed, and again in a forked child, which has a session of its own.
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
from typing import TYPE_CHECKING, Any

from sharedkit._core.weak_sets import members
from sharedkit.errors import ServerGoneError
from sharedkit.manager._client_connection import ClientConnection
from sharedkit.manager._exchange import Request, call
from sharedkit.manager.connect import SessionEnded, connect
from sharedkit.manager.detaching import finish
from sharedkit.manager.gevent_support import COOPERATIVE
from sharedkit.manager.requests import Pending, Requests
from sharedkit.manager.sockets import End
from sharedkit.manager.stopped_server import Watch

if TYPE_CHECKING:
    import ssl

__all__ = ["Client"]

PATIENCE = 0.1  # seconds that an interrupted call gives the server to report the outcome
MOST_TICKETS = 256  # forks in a row, without a call in between
CHILD_PATIENCE = 0.1  # seconds that a forked child waits for its session; after that, its first call connects
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class _Calls(threading.local):
    """The state of each thread: its idle connections (more than one if signal handlers have called during a call); and
    the requests that it has left and that are not over yet, each as a lock that is released when the request is over.
    """

    def __init__(self) -> None:
        self.idle_connections: list[ClientConnection] = []
        self.leaving: list[Any] = []


class Client:
    """This process's access to the server at `address`, over TLS if `tls` is given.

    `released` are the structures whose handles were closed or forgotten since the last call. Each session has its own
    `released`; its handles refer to it, so that they release nothing in another session. `handles` are the open ones.
    `tickets` belong to children that were forked since the last call: the server keeps structures for these tickets
    before it handles the structures released after them. The tickets in `forking` belong to children that may not be
    forked yet: they also cover what other threads open meanwhile.
    """

    def __init__(self, address: Any, authkey: bytes | None, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.tls = tls
        self.authkey = bytes(current_process().authkey if authkey is None else authkey)
        self.epoch = 0
        self.proven = False  # the server has accepted this authkey
        self.ended = False  # this process has ended the server
        self.ending = False  # the interpreter ends, and the server with it
        self.released: deque[int] = deque()
        self.tickets: deque[str] = deque(maxlen=MOST_TICKETS)
        self.forking: deque[str] = deque(maxlen=MOST_TICKETS)
        self.handles: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # by `id`
        self._lock = threading.RLock()  # reentrant: a signal handler may make calls, too
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
        """A new connection that serves `method`, and the server's answer to it."""
        return connect(self.address, self.authkey, method, *args, patience=patience, watch=watch, tls=self.tls)

    @property
    def shown(self) -> str:
        """The address, for messages."""
        return repr(self.address)

    def open(self, patience: float | None = None, watch: Watch | None = None) -> Requests:
        """Make sure that this process has a session, within `patience` seconds if given.

        Raises ServerGoneError, AuthkeyError, ServerMismatchError, and the errors of `watch`.
        """
        requests = self._requests
        if requests is not None:
            return requests
        with self._lock:
            if self.ended:  # the server may serve for another moment, but knows none of the handles any more
                raise ServerGoneError(f"the server at {self.shown} is gone: this process has ended it")
            if self._requests is None:
                mine = None if self._inherited is None else self._inherited.told()
                connection, ident = self._connect("kit_session", os.getpid(), mine, patience=patience, watch=watch)
                requests = Requests(connection, self.shown)
                if self._requests is None:  # no signal handler runs between this step and the next
                    self._requests, self._ident, self.proven = requests, ident, True
                    self._open.add(connection)
                    if self._inherited is not None:
                        self._inherited = None
                        requests.tell(0, "arrived", ())
                else:  # a signal handler has opened a session first
                    connection.close()
            return self._requests

    def _new_connection(self, watch: Watch | None = None) -> ClientConnection:
        """Open one more connection for a thread."""
        try:
            with self._lock:
                requests, epoch, ident = self.open(watch=watch), self.epoch, self._ident
        except ServerGoneError:
            self.leave_if_ending()
            raise
        try:
            connection, number = self._connect("kit_calls", ident, watch=watch)
        except SessionEnded:
            self.leave_if_ending()
            self._renew(requests)
            raise ServerGoneError(
                f"the server at {self.shown} has no session of this process any more: it was restarted, or it took "
                "this process for dead"
            ) from None
        except ServerGoneError:
            self.leave_if_ending()
            self._renew_if_ended(requests)
            raise
        with self._lock:
            self._open.add(connection)
        return ClientConnection(connection, epoch, number)

    def close(self) -> None:
        """End the session of this process; the server releases all that its handles hold, and ends their waits."""
        with self._lock:
            self._end_session()

    def _end_session(self) -> None:
        """End the session, under the lock. The next call begins another."""
        if self._requests is not None:
            self.epoch += 1
            self.released = deque()
            self._requests = None
            for connection in members(self._open):
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
        """The result of `method` in the server, or its exception, with the traceback in the server as the cause.

        A call that a signal handler interrupts by an exception has no lasting effect: its wait ends, and the server
        takes back what the call has done. The call waits for that up to `patience` seconds (None: no limit); after
        that, this continues in the background. `thread` names the caller, for an RLock; by default it is the calling
        thread. `bound` is the call's time limit in seconds; StandsStill if it is over and the server stands still.
        """
        return call(self, ident, method, args, patience, thread, bound)

    def _finish(self, request: Request, give: bool, done: Any) -> None:
        """Finish a `request` that was left, in a thread of its own, and release `done`."""
        try:
            with contextlib.suppress(Exception):
                request.in_order = finish(self, request, give)
        finally:
            done.release()

    def flush(self) -> None:
        """Report the closed handles to the server; a server that has ended does not need that."""
        if self.released and self._requests is not None:
            with contextlib.suppress(ServerGoneError):
                self.call(0, "release")

    def _renew(self, requests: Requests) -> None:
        """Make the next call begin another session: this one is over. Another thread may have ended it already."""
        with self._lock:
            if self._requests is requests:
                self._end_session()

    def _renew_if_ended(self, requests: Requests | None) -> None:
        """Do as `_renew` does if the server has closed the session's connection; that of one thread may fail alone."""
        if requests is not None and not requests.is_open():
            self._renew(requests)

    def leave_if_ending(self) -> None:
        """When the interpreter ends, end this thread silently; only daemon threads are left at that time."""
        if self.ending and threading.current_thread() is not threading.main_thread():
            raise SystemExit

    def _gone(self, connection: ClientConnection, error: BaseException) -> ServerGoneError:
        connection.socket.close()
        self.leave_if_ending()
        self.report_lost(connection)
        self._renew_if_ended(self._requests)
        return ServerGoneError(f"the server at {self.shown} is gone: {str(error or '') or 'it hung up'}")

    def report_lost(self, connection: ClientConnection) -> None:
        """Tell the server that no answer to the last request has come over a connection that has ended. The server
        takes back what the answer would have given; if the request has not come yet, it will have no effect."""
        requests = self._requests
        if requests is not None and connection.begun and connection.epoch == self.epoch:
            requests.tell(0, "lost", (connection.ident, connection.number))

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
        """Send a request and return at once; another thread calls `done(pending)` when the answer is there.

        `thread` names the caller, for an RLock; by default it is the calling thread. Raises ServerGoneError,
        AuthkeyError, the errors of pickling the arguments, and those of `watch`.
        """
        requests = self.open(watch=watch)
        try:
            return requests.begin(ident, method, args, thread or threading.get_ident(), done, watch)
        except ServerGoneError:
            self._renew(requests)
            raise

    # --- whether the server makes progress

    def session_connection(self) -> ClientConnection | None:
        """The connection of the session, if there is one."""
        requests = self._requests
        return None if requests is None else requests.connection

    def sent_so_far(self) -> int:
        """How many messages were sent over the session's connection later, because it had no room at once."""
        requests = self._requests
        return 0 if requests is None else requests.later

    def ping(self) -> None:
        """Make the server send an answer over the session's connection, if it can."""
        requests = self._requests
        if requests is not None:
            with contextlib.suppress(ServerGoneError):
                requests.begin(0, "undone", (), 0, lambda _: None)

    # --- forks

    def before_fork(self, ticket: str) -> None:
        """Make the server keep, for the child, all that this process has open and may close at once. Never waits for
        the server.

        A stopped server reads this when it goes on, before it reads what this process releases.
        """
        requests = self._requests
        if requests is not None:
            self.forking.append(ticket)
            requests.tell_soon(0, "ticket", (ticket, None))

    def in_parent(self, ticket: str) -> None:
        """Note that the child exists: the next request that is answered covers everything that the child has."""
        if ticket in self.forking:
            self.tickets.append(ticket)
            self.forking.remove(ticket)

    def in_child(self, ticket: str) -> None:
        """Close the parent's connections; open a session with its structures, at the latest at the first call."""
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
            self.released.clear()  # the child's session will not contain structures that are not open here
            self._inherited.idents = [each._ident for each in members(self.handles.values()) if each._client is self]
        for connection in members(self._open):
            connection.close()
        self._open = weakref.WeakSet()
        if self._inherited is not None and not COOPERATIVE:  # a fork under gevent has no hub yet
            with contextlib.suppress(Exception):
                self.open(CHILD_PATIENCE)


class _Inherited:
    """The structures of the parent's session that a forked child has open, until the child has its own session."""

    def __init__(self, parent: str, ticket: str) -> None:
        self.parent = parent
        self.ticket = ticket
        self.idents: list[int] = []  # one for each handle that existed at the moment of the fork

    def told(self) -> tuple[str, str, tuple[int, ...]]:
        """The data for the server: the session of the parent, the ticket, and a structure for each handle."""
        return self.parent, self.ticket, tuple(self.idents)


_forking: dict[int, list[tuple[Client, str]]] = {}
"""For each forking thread: the clients, and the tickets that its child may use."""


def _before_fork() -> None:
    mine = _forking[threading.get_ident()] = []
    error: BaseException | None = None
    for client in members(_clients):
        try:
            mine.append((client, secrets.token_hex(8)))
            client.before_fork(mine[-1][1])
        except BaseException as end:  # from a signal handler; the server may not know this ticket
            error = end
    if error is not None:
        raise error


def _after_fork_in_parent() -> None:
    error: BaseException | None = None
    for client, ticket in _forking.pop(threading.get_ident(), []):
        try:
            client.in_parent(ticket)
        except BaseException as end:  # from a signal handler
            client.in_parent(ticket)
            error = end
    if error is not None:
        raise error


def _after_fork_in_child() -> None:
    for client, ticket in _forking.pop(threading.get_ident(), []):
        client.in_child(ticket)
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
