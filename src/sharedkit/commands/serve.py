"""`sharedkit serve`: a server for programs that connect by `get_context("manager", address=..., authkey=...)`."""

from __future__ import annotations

import errno
import multiprocessing
import os
import secrets
import signal
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sharedkit.commands.text import CommandError, say
from sharedkit.manager.server import Manager

if TYPE_CHECKING:
    import ssl

__all__ = ["serve"]


@click.command()
@click.option("--address", required=True, metavar="HOST:PORT|PATH", help="Where to listen: TCP, or a Unix socket.")
@click.option(
    "--authkey-file",
    type=click.Path(path_type=Path),
    help="Holds the authkey, byte for byte. If missing, it is created, readable only by its owner.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    help="The server's certificate and its chain, as PEM: the server then serves only clients that come over TLS.",
)
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key, as PEM, if not in the same file.")
def serve(address: str, authkey_file: Path | None, tls_cert: Path | None, tls_key: Path | None) -> None:
    """Keep structures for clients until Ctrl-C or SIGTERM. The authkey may also come in SHAREDKIT_AUTHKEY.

    Anyone who has the authkey can make this process run any code: keep it secret. Without --tls-cert, what is sent is
    not encrypted: then do not listen where untrusted computers can connect.
    """
    where = listening_address(address)
    tls = _tls(where, tls_cert, tls_key)
    authkey = _authkey(authkey_file)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    multiprocessing.current_process().authkey = authkey  # the workers of an executor inherit it
    try:
        _clear(where)
        server: Any = Manager(where, authkey).get_server(tls)
    except OSError as error:
        raise CommandError(f"cannot listen at {address}: {say(error)}") from None
    try:
        shown = server.address if isinstance(server.address, str) else ":".join(map(str, server.address))
        click.echo(f"serving at {shown}")
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):  # a second signal has no effect
            signal.signal(number, signal.SIG_IGN)
        server.registry.close()
        server.listener.close()


def _clear(where: Any) -> None:
    """Remove the socket of a server that was killed. OSError if the socket, or another file of that name, is in use."""
    if not isinstance(where, str) or not os.path.lexists(where):
        return
    if not stat.S_ISSOCK(os.lstat(where).st_mode):
        raise FileExistsError(errno.EEXIST, "there is a file, and it is no socket")
    with socket.socket(socket.AF_UNIX) as knock:
        try:
            knock.connect(where)
        except ConnectionRefusedError:
            os.unlink(where)


def listening_address(text: str) -> Any:
    """`(host, port)` for "host:port", which is IPv4 as in multiprocessing; else the path of a socket."""
    host, colon, port = text.rpartition(":")
    if not colon or "/" in text:
        return text
    if not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"the port must be a number up to 65535: {port!r}", param_hint="--address")
    return host or "127.0.0.1", int(port)


def _tls(where: Any, cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise click.UsageError("--tls-key needs --tls-cert")
        return None
    if isinstance(where, str):
        raise click.UsageError("--tls-cert is for HOST:PORT: what goes through a Unix socket stays on this machine")
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:  # also ssl.SSLError, for files that are not PEM or do not match
        raise CommandError(f"--tls-cert {cert}{'' if key is None else f' --tls-key {key}'}: {say(error)}") from None
    return context


def _authkey(path: Path | None) -> bytes:
    if path is None:
        given = os.environ.get("SHAREDKIT_AUTHKEY", "")
        if not given:
            raise click.UsageError("give an authkey: --authkey-file FILE, or the variable SHAREDKIT_AUTHKEY")
        return given.encode()
    try:
        authkey = _read_or_made(path)
    except OSError as error:
        raise CommandError(f"--authkey-file {path}: {say(error)}") from None
    if not authkey:
        raise click.UsageError(f"{path} is empty")
    return authkey


def _read_or_made(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # every byte: clients read the file in the same way, and random bytes may look like blanks
        return path.read_bytes()
    authkey = secrets.token_hex(32).encode()
    with os.fdopen(descriptor, "wb") as file:
        file.write(authkey)
    return authkey
