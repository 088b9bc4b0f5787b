"""TLS for connections over TCP: a relay in this process between the TCP socket and a socket pair.

The compiled code reads and writes descriptors itself, without the GIL, and OpenSSL's objects cannot be reached from
there. So it gets one end of a socket pair, and everything that it does with a socket stays as it is: polling,
interrupted reads, half-closed connections, time limits. A thread moves the bytes between the other end and TLS. This
costs a thread and three descriptors for each connection, and two more switches of threads for each message.

The thread holds back, too: it reads from one side only when the other side has taken what came before, so a peer that
does not read is noticed as over TCP alone. At most `CHUNK` bytes wait in each direction, besides the system's buffers.

- The end of TCP's stream is the end of the messages; no `close_notify` is sent. So a connection can be half-closed, as
  TCP can and TLS 1.2 cannot. An attacker on the line who forges the end gains what cutting the line gains: each message
  has its length, so a shortened one is noticed, and both sides treat the end as the death of the other.
- When the server has ended a connection, the client's relay ends at once. A client may still read after its last word.
- When this process closes its end, all that it has written before is still sent; then the TCP socket is closed.
- Keepalive and TCP_USER_TIMEOUT are set for the TCP socket. When they end it, the relay ends the socket pair.
- A forked child closes its copies of the sockets, so that the end of the parent ends the connection.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from sharedkit._core.background import background
from sharedkit._core.weak_sets import members
from sharedkit.manager.gevent_support import COOPERATIVE
from sharedkit.manager.sockets import RelayedEnd, tune

__all__ = ["Relay", "checked_context"]

CHUNK = 1 << 18  # bytes that are read at once
RECORD = 1 << 14  # bytes of the largest TLS record

_relays: weakref.WeakSet[Relay] = weakref.WeakSet()


def checked_context(context: Any, address: Any, server_side: bool = False) -> ssl.SSLContext:
    """The context for connections of that side. Raises TypeError, ValueError if `context` or `address` is not fit for
    TLS, and RuntimeError under gevent."""
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl is an ssl.SSLContext, not {type(context).__name__}")
    if not isinstance(address, tuple | list):
        raise ValueError(f"ssl is for a server over TCP, whose address is (host, port), not {address!r:.80}")
    other, name = (
        (ssl.PROTOCOL_TLS_CLIENT, "ssl.PROTOCOL_TLS_CLIENT")
        if server_side
        else (ssl.PROTOCOL_TLS_SERVER, "ssl.PROTOCOL_TLS_SERVER")
    )
    if context.protocol == other:
        raise ValueError(f"this ssl.SSLContext is for the other side of a connection: its protocol is {name}")
    if COOPERATIVE:
        raise RuntimeError("a connection with ssl does not work under gevent: use a process that is not patched")
    return context


class Relay:
    """One connection over TLS: `tcp` is its socket, and `near` this process's end of the socket pair.

    Owns both sockets. First `shake_hands`, then `start`.
    """

    def __init__(
        self, tcp: socket.socket, context: ssl.SSLContext, server_side: bool = False, host: str | None = None
    ) -> None:
        self._tcp = tcp
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=host)
        self._near: socket.socket | None = None
        self._to_tcp = memoryview(b"")  # encrypted
        self._to_near = memoryview(b"")  # decrypted
        self._tcp_over = self._near_over = False  # whether that side has said its last
        self._near_closed = self._tcp_closed = False  # whether the system says that this socket is of no more use
        self._half_closes = server_side  # whether the other side may have more to read after its last word
        self._pid = os.getpid()
        self.error: ssl.SSLError | None = None
        _relays.add(self)

    def shake_hands(self, receive: Callable[[int], bytes], send: Callable[[bytes], int]) -> None:
        """Do TLS's handshake by these functions, which receive up to so many bytes, and send a first part.

        Raises ssl.SSLError, EOFError if the other side hangs up, and what the functions raise.
        """
        while True:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                with suppress(OSError):  # the alert, which tells the other side why
                    send(self._outgoing.read())
                raise
            rest = self._outgoing.read()
            while rest:
                rest = rest[send(rest) :]
            if done:
                return
            came = receive(CHUNK)
            if not came:
                raise EOFError
            self._incoming.write(came)

    def start(self) -> RelayedEnd:
        """Start the thread. Returns the other end of the socket pair. Raises OSError, RuntimeError."""
        tune(self._tcp)
        self._tcp.setblocking(False)
        near, end = socket.socketpair()
        self._near = near
        try:
            near.setblocking(False)
            background(self._run, name="sharedkit TLS").start()
            return RelayedEnd(fileno=end.detach())
        except BaseException:
            end.close()
            self.close()
            raise

    def close(self) -> None:
        """Close this process's sockets of the relay."""
        self._tcp.close()
        if self._near is not None:
            self._near.close()

    # --- in the thread

    def _run(self) -> None:
        try:
            self._decrypt()  # what came together with the end of the handshake
            self._send_near()
            while not self._is_over():
                self._wait()
        except ssl.SSLError as error:
            self.error = error
            with suppress(OSError):
                self._to_tcp = memoryview(self._outgoing.read())
                self._send_tcp()
        except OSError:
            pass
        finally:
            with suppress(OSError):
                self._send_near()
            self.close()

    def _is_over(self) -> bool:
        if self._tcp_over and not self._to_near and not self._half_closes:
            return True
        if self._to_tcp:
            return False
        return self._near_over and (self._near_closed or (self._tcp_over and not self._to_near))

    def _wait(self) -> None:
        """Wait until there is something to move, and move it. Raises OSError if a side is gone."""
        assert self._near is not None
        poll = select.poll()
        tcp_events = near_events = 0
        if self._to_tcp:
            tcp_events |= select.POLLOUT
        elif not self._near_over:
            near_events |= select.POLLIN
        if self._to_near:
            near_events |= select.POLLOUT
        elif not self._tcp_over and not self._near_closed:
            tcp_events |= select.POLLIN
        if tcp_events or not self._tcp_closed:  # an end that is known already would be reported again and again
            poll.register(self._tcp, tcp_events)
        if not self._near_closed:
            poll.register(self._near, near_events)
        ready = dict(poll.poll())
        near = ready.get(self._near.fileno(), 0)
        tcp = ready.get(self._tcp.fileno(), 0)
        if near & (select.POLLHUP | select.POLLERR):
            self._near_closed = True
            self._to_near = memoryview(b"")  # nobody reads it
        if tcp & select.POLLHUP:
            self._tcp_closed = True
        if tcp & select.POLLERR and not tcp_events & select.POLLIN:
            raise ConnectionResetError
        if tcp & select.POLLOUT:
            self._send_tcp()
        if near & select.POLLOUT and not self._near_closed:
            self._send_near()
        if not self._to_tcp and not self._near_over and (near & select.POLLIN or self._near_closed):
            self._from_near()
        if tcp & ~select.POLLOUT and tcp_events & select.POLLIN and not self._near_closed:
            self._from_tcp()

    def _from_near(self) -> None:
        assert self._near is not None
        data = self._near.recv(CHUNK)
        if not data:
            self._near_over = True
            if not self._near_closed:
                self._tcp.shutdown(socket.SHUT_WR)
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._to_tcp = memoryview(self._outgoing.read())
        self._send_tcp()

    def _from_tcp(self) -> None:
        data = self._tcp.recv(CHUNK)
        if data:
            self._incoming.write(data)
            self._decrypt()
        else:
            self._tcp_over = True
        self._send_near()

    def _decrypt(self) -> None:
        parts = []
        try:
            while True:
                part = self._tls.read(RECORD)
                if not part:  # a close_notify
                    self._tcp_over = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        finally:
            self._to_near = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        if self._outgoing.pending:  # TLS answers by itself, as for new keys
            self._to_tcp = memoryview(bytes(self._to_tcp) + self._outgoing.read())
            self._send_tcp()

    def _send_tcp(self) -> None:
        with suppress(BlockingIOError):
            self._to_tcp = self._to_tcp[self._tcp.send(self._to_tcp) :] if self._to_tcp else self._to_tcp

    def _send_near(self) -> None:
        assert self._near is not None
        if self._to_near:
            with suppress(BlockingIOError):
                self._to_near = self._to_near[self._near.send(self._to_near) :]
        if self._tcp_over and not self._to_near:
            self._near.shutdown(socket.SHUT_WR)


def _after_fork_in_child() -> None:
    for each in members(_relays):
        if each._pid != os.getpid():  # the child may have connected already
            each.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
