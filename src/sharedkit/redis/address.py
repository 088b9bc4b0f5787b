"""Where a server is, and connections to it: no retries, a time limit on each step, one version of the protocol.

redis-py makes the connection (TLS, users, Unix sockets). This module packs the commands, and hiredis reads the answers.
"""

from __future__ import annotations

import copy
import os
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from redis import connection as redis_connection
from redis import exceptions
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.backoff import NoBackoff
from redis.retry import Retry

from sharedkit.errors import AuthkeyError, ServerGoneError, ServerMismatchError
from sharedkit.redis.refusals import Refused, refused_connection
from sharedkit.redis.sentinel import Sentinels
from sharedkit.redis.tls import TlsConnection
from sharedkit.redis.url import SENTINEL, UNREADABLE, Place, without_password

__all__ = ["LOST", "Address", "Command", "Restarted", "pack", "pack_before", "receive", "send"]

OLDEST = (7, 0)
SOME = 1 << 14  # bytes that are read at first, enough for most answers
MORE = 1 << 18  # bytes that are read at once of a long answer
PICKLED = (
    'a pickled handle carries no password: first call get_context("redis", url=...) in this process, with a url that '
    "has the password"
)
FILES = {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
TLS = FILES | {"ssl_password", "ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers"}
OPTIONS = {"db", "username", "password"}
"""The options that a url may have after its question mark; those of TLS with rediss:// only."""
LOST = (exceptions.ConnectionError, exceptions.TimeoutError, OSError, EOFError)
"""The exceptions of a connection that has ended or does not answer in time."""


def pack(*parts: bytes) -> bytes:
    """The bytes of a command in the protocol of Redis."""
    return _form_of(len(parts)) % tuple(chain.from_iterable(zip(map(len, parts), parts, strict=True)))


Command = bytes | tuple[bytes, memoryview, bytes]
"""A packed command; in three pieces, the last part of the command is not copied."""


def pack_before(data: memoryview, *parts: bytes) -> Command:
    """The command of these parts, and of `data`, which are bytes, after them."""
    before = pack(*parts).partition(b"\r\n")[2]
    return b"*%d\r\n%b$%d\r\n" % (len(parts) + 1, before, len(data)), data, b"\r\n"


@cache
def _form_of(count: int) -> bytes:
    """The format of a command with `count` parts: before each part, its length."""
    return b"*%d\r\n" % count + b"$%d\r\n%b\r\n" * count


def _encoded(part: Any) -> bytes:
    """The bytes of a part of a command that redis-py itself sends while it connects, such as AUTH."""
    return part if isinstance(part, bytes) else str(part).encode()


def send(connection: Any, command: Command) -> None:
    """Send a packed command. (redis-py's own method would first reopen a connection that has ended, and not say so.)"""
    its_socket = connection._sock
    if its_socket is None:
        raise exceptions.ConnectionError("the connection was ended")
    if isinstance(command, bytes):
        its_socket.sendall(command)
    else:
        for piece in command:
            its_socket.sendall(piece)


def receive(connection: Any) -> Any:
    """The next answer. Raises ResponseError if it is one. (redis-py's own method takes as long as a system call.)"""
    its_socket, reader = connection._sock, getattr(connection._parser, "_reader", None)
    if its_socket is None or reader is None:  # the connection was ended, or hiredis is not installed
        return connection.read_response(disable_decoding=True)
    answer, size = reader.gets(False), SOME
    while answer is NOT_ENOUGH_DATA:
        data = its_socket.recv(size)
        if not data:
            raise exceptions.ConnectionError("the server has ended the connection")
        reader.feed(data)
        answer, size = reader.gets(False), MORE
    if isinstance(answer, exceptions.RedisError):
        raise answer
    return answer


class Address:
    """One server: how to reach it, and what it said of itself: its run id when it was first reached, the ids of its
    replication when it was last reached."""

    in_cluster = False
    replication: tuple[bytes, bytes] = (b"", b"")
    """The id of what the server writes, and the id of what it wrote until it was made a primary, as a replica."""

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        self.timeout = timeout
        self.public = without_password(url)
        try:
            if self.public.endswith(UNREADABLE):
                raise ValueError
            self._sentinels = Sentinels(url) if urlsplit(url).scheme in SENTINEL else None
            if self._sentinels is not None:
                url = self._sentinels.url_of_primary
            self._options: dict[str, Any] = redis_connection.parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError:
            raise ValueError(
                "the url of a server begins with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://, "
                "its port is a number, and the special characters of a password are written as urllib.parse.quote "
                f"does: {self.public!r}"
            ) from None
        self._kind: Any = self._options.pop("connection_class", redis_connection.Connection)
        self._check_options(url)
        if self._kind is redis_connection.SSLConnection:
            self._kind = TlsConnection
            self._options.setdefault("ssl_password", "")  # without one, OpenSSL would ask for it at the terminal
        if self._kind is not redis_connection.UnixDomainSocketConnection:
            self._options.update(socket_keepalive=True, socket_keepalive_options=_keepalive())
        self.run_id: bytes | None = None
        self._first = threading.Lock()

    def node(self, place: Place) -> Address:
        """The same for a node of a cluster: with the password and the options of this address, which is never used."""
        there = copy.copy(self)
        there.place, there.in_cluster = place, True
        host = f"[{place[0]}]" if ":" in place[0] else place[0]
        scheme = "rediss" if issubclass(self._kind, redis_connection.SSLConnection) else "redis"
        there.public = f"{scheme}://{host}:{place[1]}"
        there._options = self._options | {"host": place[0], "port": place[1]}
        there._first = threading.Lock()
        return there

    place: Place = ("", 0)
    """Host and port of a node of a cluster."""

    def _check_options(self, url: str) -> None:
        allowed = OPTIONS | TLS if self._kind is redis_connection.SSLConnection else OPTIONS
        for each in urlsplit(url).query.split("&"):
            name = unquote_plus(each.partition("=")[0])
            if name and name not in allowed:
                known = ", ".join(sorted(allowed))
                raise ValueError(f"the url {self.public!r} has the option {name!r}, which is none of {known}")
        database = urlsplit(url).path.strip("/")
        if self._kind is not redis_connection.UnixDomainSocketConnection and database and not database.isdecimal():
            raise ValueError(f"the path of the url {self.public!r} is the number of a database, not {database!r}")
        checks = self._options.get("ssl_cert_reqs", "required")
        if checks not in ("none", "optional", "required"):
            raise ValueError(f"ssl_cert_reqs in a url is none, optional or required: {checks!r}")
        for name in sorted(FILES & self._options.keys()):
            if not os.path.exists(self._options[name]):
                raise FileNotFoundError(f"there is no file {self._options[name]!r}, which is {name} of {self.public!r}")

    def connect(self, timeout: float | None = None, is_for_data: bool = True) -> Any:
        """Return a new connection. Raises ServerGoneError, AuthkeyError, ServerMismatchError, or Restarted.

        Unless it `is_for_data`, a replica will do, too.
        """
        there: dict[str, Any] = {}
        if self._sentinels is not None:
            there = self._sentinels.primary(self._open_sentinel, self.public)
        connection = self._open(there | {"client_name": "sharedkit", "socket_timeout": timeout or self.timeout})
        try:
            with self._explained():
                send(connection, pack(b"INFO", b"server", b"memory", b"replication", b"cluster"))
                said = connection.read_response(disable_decoding=True)
            self._check(dict(_lines(said)), is_for_data)
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _open(self, options: dict[str, Any]) -> Any:
        """A new connection with these options beside its own. Raises as `connect` does."""
        connection = self._kind(
            **(
                self._options
                | {
                    "protocol": 2,
                    "legacy_responses": True,
                    "retry": Retry(NoBackoff(), 0),
                    "socket_timeout": self.timeout,
                    "socket_connect_timeout": self.timeout,
                    "command_packer": redis_connection.PythonRespSerializer(6000, _encoded),
                    "driver_info": None,
                }
                | options
            )
        )
        try:
            with self._explained():
                connection.connect()
        except BaseException:
            connection.disconnect()
            raise
        return connection

    def _open_sentinel(self, options: dict[str, Any]) -> Any:
        """The same for a sentinel, which may say only later that it wants a password."""
        connection = self._open(options)
        try:
            with self._explained():
                send(connection, pack(b"PING"))
                connection.read_response(disable_decoding=True)
        except BaseException:
            connection.disconnect()
            raise
        return connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise errors of a connection that is being made as those of sharedkit."""
        try:
            yield
        except exceptions.AuthenticationError as why:
            raise self._refused(why) from why
        except exceptions.ResponseError as why:
            if "NOAUTH" in str(why) or "WRONGPASS" in str(why):
                raise self._refused(why) from why
            raise refused_connection(Refused.of(why), self.public) from why
        except LOST as why:
            if isinstance(why.__cause__, exceptions.AuthenticationError) or "AUTH" in str(why):
                raise self._refused(why) from why
            raise self._unreached(why) from why
        except exceptions.InvalidResponse as why:
            raise self._no_server(str(why)) from why

    def _unreached(self, why: Exception) -> Exception:
        """The exception for a server to which no connection could be made."""
        cause: BaseException | None = why
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ServerMismatchError(
                f"the certificate of the server at {self.public} is not trusted ({cause.verify_message}): the url "
                "names the file of its authority with ?ssl_ca_certs="
            )
        if isinstance(cause, ssl.SSLError) and ("PEM" in str(cause) or "KEY_VALUES" in str(cause)):
            return AuthkeyError(
                f"the files ssl_certfile and ssl_keyfile of {self.public} cannot be used, or ssl_password does not fit "
                f"({cause}); {PICKLED}"
            )
        if isinstance(cause, ssl.SSLEOFError) or (isinstance(cause, ssl.SSLError) and "CERTIFICATE" in str(cause)):
            return ServerGoneError(
                f"the server at {self.public} ends the connection ({why}): it may want a certificate of its client, "
                "which the url names with ?ssl_certfile= and &ssl_keyfile="
            )
        return ServerGoneError(f"no server answers at {self.public}: {why}")

    def _refused(self, why: Exception) -> AuthkeyError:
        return AuthkeyError(f"the server at {self.public} refuses this user or password ({why}); {PICKLED}")

    def _no_server(self, why: str) -> ServerMismatchError:
        return ServerMismatchError(f"what answers at {self.public} is no Redis or Valkey server ({why})")

    def _check(self, said: dict[bytes, bytes], is_for_data: bool) -> None:
        if b"redis_version" not in said:
            raise self._no_server("it does not say its version")
        version = said[b"redis_version"].decode()
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
            raise ServerMismatchError(f"the server at {self.public} is Redis {version}; 7.0 is the oldest that will do")
        is_node = said.get(b"cluster_enabled") == b"1"
        if is_node and not self.in_cluster:
            raise ServerMismatchError(
                f'the server at {self.public} is a node of a cluster: name the cluster, with url="redis+cluster://..."'
            )
        if self.in_cluster and not is_node:
            raise ServerMismatchError(
                f'the server at {self.public} is no node of a cluster: name it alone, with url="redis://..."'
            )
        if not is_for_data:
            return
        if said.get(b"role") == b"slave" and self.in_cluster:
            raise ServerGoneError(f"the node at {self.public} is a replica")
        if said.get(b"role") == b"slave" and self._sentinels is not None:
            raise ServerGoneError(f"the sentinels of {self.public} have not chosen a new primary yet")
        if said.get(b"role") == b"slave":
            raise ServerMismatchError(
                f"the server at {self.public} is a replica, which takes no writes; the url must name its primary"
            )
        policy = said.get(b"maxmemory_policy", b"noeviction").decode()
        if policy != "noeviction":
            raise ServerMismatchError(
                f"the server at {self.public} throws keys away when its memory is full (maxmemory-policy {policy}); "
                "it must be noeviction"
            )
        self.replication = said.get(b"master_replid", b""), said.get(b"master_replid2", b"")
        with self._first:
            found = said.get(b"run_id", b"")
            if self.run_id is None:
                self.run_id = found
            elif self.run_id != found:
                raise Restarted(found)


class Restarted(Exception):
    """The server at the address was restarted or replaced by another one. Internal: no user gets this exception."""

    def __init__(self, run_id: bytes) -> None:
        super().__init__(run_id)
        self.run_id = run_id


def _keepalive() -> dict[int, int]:
    names = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in names.items() if hasattr(socket, name)}


def _lines(said: Any) -> Iterable[tuple[bytes, bytes]]:
    for line in said.splitlines() if isinstance(said, bytes) else ():
        key, colon, value = line.partition(b":")
        if colon:
            yield key, value
