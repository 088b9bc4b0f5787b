"""What the servers of `sharedkit serve` have in common: where they listen, the files of their secrets, their end."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import stat
from pathlib import Path
from typing import Any

import click

__all__ = ["clear", "listening_address", "read_or_made"]


def clear(where: Any) -> None:
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


def read_or_made(path: Path) -> bytes:
    """The contents of the file. If missing, it is created with a random secret, readable only by its owner. OSError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # every byte: clients read the file in the same way, and random bytes may look like blanks
        return path.read_bytes()
    authkey = secrets.token_hex(32).encode()
    with os.fdopen(descriptor, "wb") as file:
        file.write(authkey)
    return authkey
