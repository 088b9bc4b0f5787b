"""The server process: a `multiprocessing.managers.Server` whose connections are served by one loop.

multiprocessing's own code listens, checks the authkey and reads the first request, in a thread for each connection and
within a short time limit. The loop handles all later messages.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import select
import signal
import socket
import threading
import time
import traceback
from functools import partial
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from multiprocessing.managers import BaseManager
from multiprocessing.managers import Server as BaseServer
from typing import TYPE_CHECKING, Any

from sharedkit._core.background import background
from sharedkit._core.process_start import begun, has_ended
from sharedkit.manager.arguments import check_first
from sharedkit.manager.loop import Loop, report
from sharedkit.manager.object_registry import ObjectRegistry
from sharedkit.manager.protocol import FAULTS, PROTOCOL, frame
from sharedkit.manager.server_connection import ServerConnection
from sharedkit.manager.sessions import Session
from sharedkit.manager.sockets import socket_of, tune
from sharedkit.manager.states.executor import end_workers

if TYPE_CHECKING:
    import ssl

__all__ = ["Manager", "end_with"]

HANDSHAKE_SECONDS = 10.0  # seconds for a new connection to show the authkey and send its first request
END_SECONDS = 2.0  # seconds for the workers of executors to end, when the server ends
LOOK_SECONDS = 0.1  # seconds between two checks of the owner, if the system does not report its end
OURS = ("kit_session", "kit_calls")


class _Guest:
    """A connection that has not shown the authkey yet. It is closed when its time limit is over."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._done = False

    def done(self) -> None:
        with self._lock:
            self._done = True

    def turn_away(self) -> None:
        self.done()
        with contextlib.suppress(OSError):
            self.connection.close()

    def begin_tls(self, context: ssl.SSLContext) -> None:
        """Go on over TLS. Raises ssl.SSLError, EOFError, OSError."""
        from sharedkit.manager.tls import Relay

        tcp = socket.socket(fileno=os.dup(self.connection.fileno()))
        try:
            relay = Relay(tcp, context, server_side=True)
            relay.shake_hands(tcp.recv, tcp.send)
            end = relay.start()
        except BaseException:
            tcp.close()
            raise
        with self._lock:  # from here on, `expire` ends the relay
            self.connection.close()
            self.connection = Connection(end.detach())

    def expire(self) -> None:
        """Shut the connection down, so that the thread that reads from it sees its end."""
        with self._lock, contextlib.suppress(OSError):  # the client may have reset the connection
            if not self._done:
                with socket_of(self.connection.fileno()) as end:
                    end.shutdown(socket.SHUT_RDWR)


class Server(BaseServer):
    """Serves sharedkit's connections in the thread that calls `serve_forever`, multiprocessing's proxies as usual."""

    listener: Any
    authkey: bytes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.registry = ObjectRegistry()
        self.loop = Loop()
        self.tls: ssl.SSLContext | None = None

    def serve_forever(self) -> None:
        """Run until an exception, usually KeyboardInterrupt, or a `shutdown` ends it."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each thread of each client has a connection
        self.stop_event = threading.Event()
        background(self.accepter).start()
        self.loop.run()

    def accepter(self) -> None:
        """Give each connection to a thread, as multiprocessing does, but do not spin if no resources are left."""
        while True:
            try:
                guest = _Guest(self.listener.accept())
            except OSError:  # no descriptor is left, or the client has disconnected
                time.sleep(0.01)
                continue
            self.loop.soon(partial(self._limit, guest))
            try:
                background(self._receive, args=(guest,)).start()
            except (RuntimeError, MemoryError):  # no thread can be started now, but perhaps for the next connection
                guest.turn_away()
                time.sleep(0.01)

    def _receive(self, guest: _Guest) -> None:
        try:
            if self.tls is not None:
                guest.begin_tls(self.tls)
            connection = guest.connection
            # Nothing is unpickled before the authkey is shown, and no message before that is longer than 256 bytes.
            deliver_challenge(connection, self.authkey)
            answer_challenge(connection, self.authkey)
            _, method, args, kwds = connection.recv()
        except FAULTS:  # a client without the authkey; it needs no further answer
            guest.turn_away()
            return
        guest.done()
        if method in OURS:
            self.loop.soon(partial(self._admit, connection, method, args))
        else:
            self._serve_as_ever(connection, method, args, kwds)

    def _serve_as_ever(self, connection: Connection, method: str, args: Any, kwds: Any) -> None:
        """Serve the requests of `BaseManager` and its proxies."""
        with contextlib.suppress(SystemExit), connection:
            try:
                if method not in self.public:
                    raise AttributeError(f"a server has no method {method!r}")
                connection.send(("#RETURN", getattr(self, method)(connection, *args, **kwds)))
            except OSError:
                pass
            except FAULTS:
                with contextlib.suppress(OSError):
                    connection.send(("#TRACEBACK", traceback.format_exc()))

    def shutdown(self, c: Connection) -> None:
        """Serve the request of `BaseManager.shutdown`."""
        c.send(("#RETURN", None))
        self.loop.soon(self.loop.stop)

    # --- in the loop

    def _limit(self, guest: _Guest) -> None:
        self.loop.timers.at(time.monotonic() + HANDSHAKE_SECONDS, guest.expire)

    def _admit(self, connection: Connection, method: str, args: Any) -> None:
        try:
            self._let_in(connection, method, *args)
        except FAULTS:  # a client with the authkey sends nonsense, or has disconnected
            report()
            connection.close()

    def _let_in(self, connection: Connection, method: str, protocol: int, *args: Any) -> None:
        """Begin a session, or open a further connection of one."""
        refusal: tuple[str, str] | None = None
        if type(protocol) is not int:
            raise TypeError(f"a protocol has a number, not {type(protocol).__name__}")
        if protocol != PROTOCOL:
            words = f"it speaks protocol {PROTOCOL}, and this process {protocol}: they are of different releases"
            refusal = "#REFUSED", words
        elif check_first(method, args) and method == "kit_calls" and args[0] not in self.registry.sessions:
            refusal = "#ENDED", "the session of this process"
        if refusal is not None:
            with contextlib.suppress(OSError), connection:
                connection.send(refusal)
            return
        with socket_of(connection.fileno()) as end:
            tune(end)
        if method == "kit_calls":
            channel = ServerConnection(self.registry, self.loop, connection, self.registry.sessions[args[0]])
            answer: Any = channel.ident
        else:
            pid, inherited = args
            session = Session(pid)
            channel = session.life = ServerConnection(self.registry, self.loop, connection, session)
            if inherited is not None:
                self.registry.redeem(session, inherited)
            self.registry.sessions[session.ident] = session
            answer = session.ident
        channel.send(frame(pickle.dumps(("#RETURN", answer))))


class Manager(BaseManager):
    """multiprocessing's manager with sharedkit's server."""

    _Server = Server

    def get_server(self, ssl: ssl.SSLContext | None = None) -> Server:
        """sharedkit's server, listening; the method of multiprocessing would make multiprocessing's own.

        With `ssl`, a context for servers, it serves only clients that come over TLS. Raises TypeError, ValueError if
        that context or the address is not fit for TLS, and OSError if the server cannot listen.
        """
        inner: Any = self
        if ssl is not None:
            from sharedkit.manager.tls import checked_context

            checked_context(ssl, inner._address, server_side=True)
        server = Server(inner._registry, inner._address, inner._authkey, inner._serializer)
        server.tls = ssl
        return server


def end_with(owner: int) -> None:
    """End this process when the process `owner`, which has started it, has ended in any way, or sends it SIGTERM. The
    executors' workers end first, so that they leave nothing in shared memory."""
    here = os.getpid()

    def end() -> None:
        ending = background(end_workers)
        ending.start()
        ending.join(END_SECONDS)

    def terminate(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() == here:  # a forked worker inherits the handler
            end()
        os.kill(os.getpid(), number)

    def watch() -> None:
        _await_end_of(owner)
        end()
        os._exit(0)

    signal.signal(signal.SIGTERM, terminate)
    background(watch).start()


def _await_end_of(owner: int) -> None:
    """Wait for the owner's end; without a pidfd (before Linux 5.3, gVisor, an old seccomp profile), by polling."""
    since = begun(owner)
    child = os.getppid() == owner  # false if a launcher stands between, as with one-file programs
    with contextlib.suppress(OSError, AttributeError):
        watched = os.pidfd_open(owner)
        if not has_ended(owner, since):
            select.select([watched], [], [])
            return
    while os.getppid() == owner if child else not has_ended(owner, since):
        time.sleep(LOOK_SECONDS)
