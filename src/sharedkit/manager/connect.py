"""Connecting to a server: both sides prove that they have the authkey, in the same way as in multiprocessing."""

from __future__ import annotations

import errno
import pickle
import socket
import struct
from multiprocessing import AuthenticationError
from multiprocessing.connection import answer_challenge, deliver_challenge
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from sharedkit.errors import AuthkeyError, ServerGoneError, ServerMismatchError
from sharedkit.manager.gevent_support import COOPERATIVE, check_patches
from sharedkit.manager.protocol import PROTOCOL, frame
from sharedkit.manager.sockets import End, tune

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sharedkit.manager.stopped_server import Watch
    from sharedkit.manager.tls import Relay

__all__ = ["SessionEnded", "connect"]

HANDSHAKE_SECONDS = 10  # the time limit for the whole handshake
LONGEST = 1 << 20  # limit of the server's first answer, in bytes
SLICE = 0.02  # seconds of one wait if a watch is checked between waits

T = TypeVar("T")


class SessionEnded(Exception):
    """Raised if a server does not know the session: it is another server, or it has ended the session."""


class _Strange(Exception):
    """Raised for an answer that does not follow the protocol."""


def connect(
    address: Any,
    authkey: bytes,
    method: str,
    *args: Any,
    patience: float | None = None,
    watch: Watch | None = None,
    tls: ssl.SSLContext | None = None,
) -> tuple[End, Any]:
    """A new connection that serves `method`, and the server's answer, within `patience` seconds if given, and
    `HANDSHAKE_SECONDS` otherwise. With `tls`, it is encrypted from its first byte.

    Raises AuthkeyError, ServerMismatchError, also if TLS fails, SessionEnded, ServerGoneError if no sharedkit server
    answers, RuntimeError as `check_patches` does, and the errors of the `watch` of a call with a time limit.
    """
    check_patches()
    shown = repr(address)
    end = End(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    end.settimeout(None)  # a time from `socket.setdefaulttimeout` would make it non-blocking
    talk = _Talk(end, HANDSHAKE_SECONDS if patience is None else patience, watch)
    relay: Relay | None = None
    try:
        talk.connect(address)
        if tls is not None:
            from sharedkit.manager.tls import Relay

            relay = Relay(end, tls, host=address[0])
            end = talk.begin_tls(relay)
        kind, result = _shake_hands(talk, authkey, (None, method, (PROTOCOL, *args), {}))
        if kind == "#REFUSED":
            raise ServerMismatchError(f"the server at {shown} does not serve this process: {result}")
        if kind == "#ENDED":
            raise SessionEnded
        if kind != "#RETURN":
            raise _Strange(result)
        talk.limit(0)
        tune(end)
    except BaseException as error:
        end.close()
        refused = error if relay is None or relay.error is None else relay.error
        if tls is not None and _is_of_tls(refused):
            raise ServerMismatchError(f"no TLS with what listens at {shown}: {refused}") from error
        if isinstance(error, AuthenticationError) and not isinstance(error, AuthkeyError):
            raise AuthkeyError(
                f"the server at {shown} has another authkey ({error}); call get_context('manager', address=..., "
                "authkey=...) with the key of the server, in this process and before the first handle arrives"
            ) from None
        if isinstance(error, BlockingIOError | TimeoutError):
            raise ServerGoneError(
                f"what listens at {shown} gives no valid answer for {talk.seconds} seconds: it is not a sharedkit "
                f"server, or it is stopped{'' if isinstance(address, str) or tls else ', or it wants TLS (ssl=...)'}"
            ) from error
        if isinstance(error, EOFError) or (isinstance(error, OSError) and error.errno is not None):
            if not talk.connected:
                raise ServerGoneError(f"no server answers at {shown}: {error}") from error
            raise ServerGoneError(f"what listens at {shown} hung up: {error or 'end of file'}") from error
        if isinstance(error, _Strange):
            raise ServerGoneError(f"what listens at {shown} is not a sharedkit server: {error}") from error
        raise
    return end, result


def _shake_hands(talk: Any, authkey: bytes, request: object) -> tuple[str, Any]:
    try:
        answer_challenge(talk, authkey)
        deliver_challenge(talk, authkey)
        talk.send_bytes(pickle.dumps(request))
        kind, result = pickle.loads(talk.recv_bytes(LONGEST))
    except (AssertionError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise _Strange(str(error)) from error
    return kind, result


def _is_of_tls(error: BaseException) -> bool:
    import ssl

    return isinstance(error, ssl.SSLError)


class _Talk:
    """The connection during multiprocessing's handshake, with one time limit for all of it, including the connecting;
    BlockingIOError when the time is over.

    The operating system measures the limit: with a timeout of Python's socket, connecting to a Unix socket would fail
    at once if many clients connect.
    """

    def __init__(self, end: End, seconds: float, watch: Watch | None) -> None:
        self.connected = False
        self.seconds = seconds
        self._end = end
        self._watch = watch
        self._until = monotonic() + seconds

    def limit(self, seconds: float) -> None:
        """Limit each later read and write to that many seconds; 0: no limit."""
        if COOPERATIVE:
            self._end.settimeout(seconds or None)
            return
        whole = int(seconds)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._end.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, int((seconds - whole) * 1e6)))

    def _limit_to_rest(self) -> None:
        rest = self._until - monotonic()
        if rest < 1e-6:
            raise BlockingIOError(errno.EAGAIN, "time is over")
        self.limit(rest if self._watch is None else min(rest, SLICE))

    def _patiently(self, step: Callable[[], T]) -> T:
        while True:
            self._limit_to_rest()
            try:
                return step()
            except (BlockingIOError, TimeoutError):
                if self._watch is None:
                    raise
                self._watch.look(end=self._end)

    def connect(self, address: Any) -> None:
        """Do what `socket.connect` does."""
        if isinstance(address, str):
            self._patiently(lambda: self._end.connect(address))
        else:  # a TCP connect continues by itself, and must not be started again
            self.limit(self.seconds)
            self._end.connect(address)
        self.connected = True

    def begin_tls(self, relay: Relay) -> End:
        """Do TLS's handshake; from then on, talk through the end that this returns."""
        relay.shake_hands(
            lambda most: self._patiently(lambda: self._end.recv(most)),
            lambda data: self._patiently(lambda: self._end.send(data)),
        )
        self._end = relay.start()
        return self._end

    def send_bytes(self, message: bytes) -> None:
        """Do what `Connection.send_bytes` does."""
        rest = frame(message)
        while rest:
            rest = rest[self._patiently(lambda: self._end.send(rest)) :]  # noqa: B023

    def recv_bytes(self, maxlength: int) -> bytes:
        """Do what `Connection.recv_bytes` does."""
        (length,) = struct.unpack("!i", self._exactly(4))
        if not 0 <= length <= maxlength:
            raise _Strange("bad message length")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        came = b""
        while len(came) < length:
            more = self._patiently(lambda: self._end.recv(length - len(came)))  # noqa: B023
            if not more and came:
                raise _Strange("got end of file during message")
            if not more:
                raise EOFError
            came += more
        return came
