"""One client process and one server: a connection a thread, and one more whose end tells the server of our death.

Connections are opened when they are first needed, and again in a child that was forked, which is a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import weakref
from collections import deque
from multiprocessing import AuthenticationError, current_process
from multiprocessing.connection import Client, Connection
from typing import Any

from sharedkit.errors import AuthkeyError, ServerGoneError
from sharedkit.manager.wire import Answer, RemoteTraceback, Request

__all__ = ["Link"]

PATIENCE = 0.1  # seconds that who leaves a wait gives the server to say what became of it
_links: weakref.WeakSet[Link] = weakref.WeakSet()


class _Calls(threading.local):
    """The connection of each thread; `epoch` says of which session it is."""

    connection: Connection | None = None
    epoch = -1


class Link:
    """The way from this process to the server at `address`."""

    def __init__(self, address: Any, authkey: bytes | None) -> None:
        self.address = address
        self.authkey = bytes(current_process().authkey if authkey is None else authkey)
        self.epoch = 0
        self.ticket: str | None = None
        self.released: deque[int] = deque()
        self._lock = threading.Lock()
        self._session: Connection | None = None
        self._ident = ""
        self._calls = _Calls()
        self._open: weakref.WeakSet[Connection] = weakref.WeakSet()
        _links.add(self)

    # --- connections

    def _connect(self, method: str, *args: Any) -> tuple[Connection, Any]:
        """A new connection that serves `method`, and what the server answered to it."""
        try:
            connection = Client(self.address, authkey=self.authkey)
        except AuthenticationError as error:
            raise AuthkeyError(
                f"the server at {self.shown} has another authkey ({error}); give get_context('manager', address=..., "
                "authkey=...) the one that it was started with, once in this process before the first handle comes"
            ) from None
        except (OSError, EOFError) as error:
            raise ServerGoneError(f"no server answers at {self.shown}: {error}") from error
        self._open.add(connection)
        try:
            connection.send((None, method, args, {}))
            kind, result = connection.recv()
        except (OSError, EOFError) as error:
            connection.close()
            raise ServerGoneError(f"the server at {self.shown} hung up: {error or 'end of file'}") from error
        if kind != "#RETURN":
            connection.close()
            raise ServerGoneError(f"what listens at {self.shown} is no server of the kit: {result}")
        return connection, result

    @property
    def shown(self) -> str:
        """The address, for messages."""
        return repr(self.address)

    def open(self) -> None:
        """See that this process has a session. Raises ServerGoneError, AuthkeyError."""
        with self._lock:
            if self._session is None:
                self._session, self._ident = self._connect("kit_session", os.getpid(), self.ticket)
                self.ticket = None

    def _connection(self) -> Connection:
        calls = self._calls
        if calls.connection is None or calls.epoch != self.epoch:
            self.open()
            epoch = self.epoch
            calls.connection, _ = self._connect("kit_calls", self._ident, threading.get_ident())
            calls.epoch = epoch
        return calls.connection

    def close(self) -> None:
        """End the session of this process, and with it all that its handles hold."""
        with self._lock:
            self.epoch += 1
            for connection in list(self._open):
                with contextlib.suppress(OSError):
                    connection.close()
            self._session = None

    # --- calls

    def call(self, ident: int, method: str, *args: Any, patience: float | None = PATIENCE) -> Any:
        """The result of `method` in the server, or its exception, with the traceback it had there as the cause.

        Who leaves with an exception of a signal handler leaves nothing behind: the wait is ended, and what the server
        had done by then is taken back, as long as it answers within `patience` seconds (None: for ever).
        """
        connection = self._connection()
        released = self._forgotten()
        try:
            connection.send(Request(ident, method, args, released))
        except (OSError, EOFError) as error:
            raise self._gone(error) from error
        except BaseException:
            self.released.extend(released)
            raise
        try:
            answer: Answer = connection.recv()
        except (OSError, EOFError) as error:
            raise self._gone(error) from error
        except BaseException:
            self._leave(connection, patience)
            raise
        if answer.error is not None:
            raise answer.error from RemoteTraceback(answer.trace)
        return answer.result

    def flush(self) -> None:
        """Tell the server of the handles that were closed; a server that is gone has forgotten them anyway."""
        released = self._forgotten()
        if released and self._session is not None:
            with contextlib.suppress(ServerGoneError):
                self.call(0, "release", released)

    def _forgotten(self) -> tuple[int, ...]:
        released = []
        while self.released:
            with contextlib.suppress(IndexError):
                released.append(self.released.popleft())
        return tuple(released)

    def _gone(self, error: BaseException) -> ServerGoneError:
        self._drop()
        return ServerGoneError(f"the server at {self.shown} is gone: {error or 'it hung up'}")

    def _drop(self) -> None:
        connection, self._calls.connection = self._calls.connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()

    def _leave(self, connection: Connection, patience: float | None) -> None:
        """End the wait of this thread in the server, and undo what was done before that reached it."""
        try:
            with self._lock:
                if self._session is not None:
                    self._session.send(threading.get_ident())
            if not connection.poll(patience):
                raise TimeoutError
            answer: Answer = connection.recv()
            if not answer.cancelled and answer.error is None:
                connection.send(Request(0, "undo", (), ()))
                connection.recv()
        except BaseException:  # the first exception is the one to see; a connection in doubt is given up
            self._drop()

    # --- forks

    def before_fork(self) -> None:
        """Keep alive for the child what this process has open."""
        if self._session is not None:
            ticket = secrets.token_hex(8)
            with contextlib.suppress(Exception):
                self.call(0, "ticket", ticket, None)
                self.ticket = ticket
        self._lock.acquire()

    def after_fork(self, child: bool) -> None:
        """Go on in the parent; in the child, leave the parent's connections and open a session with what it had."""
        if not child:
            self.ticket = None
            self._lock.release()
            return
        had = self._session is not None
        self._lock = threading.Lock()
        self.close()
        self._open = weakref.WeakSet()
        if had:
            with contextlib.suppress(Exception):
                self.open()


_forking: list[Link] = []


def _before_fork() -> None:
    _forking[:] = list(_links)
    for link in _forking:
        link.before_fork()


def _after_fork_in_parent() -> None:
    for link in _forking:
        link.after_fork(False)
    _forking.clear()


def _after_fork_in_child() -> None:
    for link in _forking:
        link.after_fork(True)
    _forking.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
