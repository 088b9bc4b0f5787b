"""One server and the classes that are bound to it, in a process that started it or that connects to it."""

from __future__ import annotations

import atexit
import os
import pickle
import secrets
import subprocess
import sys
import threading
import weakref
from hmac import compare_digest
from multiprocessing import current_process
from operator import index
from typing import TYPE_CHECKING, Any

from sharedkit._core.stopped_processes import is_stopped
from sharedkit._core.weak_sets import members
from sharedkit.errors import ServerGoneError, ServerMismatchError
from sharedkit.manager.client import Client
from sharedkit.segments import checked_name

if TYPE_CHECKING:
    import ssl

__all__ = ["ALIASES", "KINDS", "Placement", "arrive", "at"]

LONGEST_END = 3.0  # seconds that a server has to end cleanly; more than server.END_SECONDS
KINDS: dict[str, type[Any]] = {}
ALIASES: dict[str, str] = {}  # further names of these classes
_known: dict[Any, list[Placement]] = {}  # by address; one for each authkey, the one that was requested last at the end
_placements: weakref.WeakSet[Placement] = weakref.WeakSet()
_lock = threading.RLock()


def at(address: Any, authkey: bytes | None = None, tls: ssl.SSLContext | None = None) -> Placement:
    """The placement of the server at `address`. A process has one for each address, `authkey` and `tls`.

    So no caller uses a connection that was opened with another authkey. Without an authkey, the result is a placement
    whose authkey a server has accepted, else the one that was requested last. Without `tls`, the result may be one
    with TLS. Raises TypeError, ValueError if an argument is not an address, an authkey or a context for clients.
    """
    address = _checked_address(address)
    if tls is not None:
        from sharedkit.manager.tls import checked_context

        tls = checked_context(tls, address)
    if authkey is not None and not isinstance(authkey, bytes | bytearray | memoryview):
        raise TypeError(f"an authkey is bytes, as of the server's --authkey-file, not {type(authkey).__name__}")
    with _lock:
        known = _known.setdefault(address, [])
        fit = [each for each in known if tls is None or each.client().tls is tls]
        if authkey is None:
            found = next((each for each in reversed(fit) if each.client().proven), fit[-1] if fit else None)
        else:
            key = bytes(authkey)
            found = next((each for each in reversed(fit) if compare_digest(each.client().authkey, key)), None)
            if found is not None:
                known.remove(found)
                known.append(found)
        if found is None:
            found = Placement(Client(address, authkey, tls))
            known.append(found)
        return found


def _checked_address(address: Any) -> Any:
    """A path, or (host, port), in plain types, with which other processes will connect."""
    if isinstance(address, os.PathLike | bytes):
        address = os.fsdecode(address)
    if isinstance(address, str):
        if not address:
            raise ValueError("the address of a server must not be empty")
        return str.__str__(address)
    if not isinstance(address, tuple | list) or len(address) != 2 or not isinstance(address[0], str):
        raise TypeError(f"the address of a server is the path of its socket, or (host, port), not {address!r:.80}")
    host, port = address
    try:
        port = index(port)
    except TypeError:
        raise TypeError(f"the port of a server is an int, not {port!r:.80}: {address!r:.80}") from None
    if not 0 < port < 1 << 16:
        raise ValueError(f"the port of a server is from 1 to {(1 << 16) - 1}: {port}")
    return str.__str__(host), int(port)


def arrive(address: Any, kind: str, name: str, ident: int, ticket: str | None, encrypted: bool = False) -> Any:
    """The pickled handle, opened in this process. Raises GoneError, ServerGoneError, AuthkeyError, and
    ServerMismatchError for the handle of an `encrypted` server to which this process has no context."""
    here = at(address)
    client = here.client()
    if encrypted and client.tls is None:
        with _lock:
            if not client.proven and here in _known[address]:  # it can never connect
                _known[address].remove(here)
        raise ServerMismatchError(
            f"the server at {client.shown} wants TLS, and a handle carries no ssl.SSLContext: call "
            "get_context('manager', address=..., authkey=..., ssl=...) in this process before the first handle arrives "
            "(in a worker of an Executor, by its initializer)"
        )
    released = client.released
    client.call(0, "arrive", ident, name, ticket)
    return here.classes[kind]._of(client, released, name, ident)


class Placement:
    """The classes of one server. If `client` is None, their first use starts a server that ends with this process."""

    def __init__(self, client: Client | None = None) -> None:
        self._client = client
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._starting = threading.RLock()  # reentrant: a signal handler may use the server, too
        self.classes: dict[str, type[Any]] = {}
        for name, cls in KINDS.items():
            members = {"__doc__": cls.__doc__, "__module__": cls.__module__, "__qualname__": name, "home": self}
            self.classes[name] = type(name, (cls,), members)
        _placements.add(self)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["classes"][ALIASES.get(name, name)]
        except KeyError:
            raise AttributeError(name) from None

    def client(self) -> Client:
        """The client of the server, which is started if necessary."""
        if self._client is not None and self._client.ended:
            self._client.leave_if_ending()
            raise ServerGoneError("this context has ended its server; get another by get_context('manager')")
        if self._client is None:
            with self._starting:
                if self._client is None:
                    self._start()
        assert self._client is not None
        return self._client

    def attach(self, name: str) -> Any:
        """A new handle on the server's structure of that name. Raises FileNotFoundError."""
        name = checked_name(name)
        client = self.client()
        released = client.released
        kind, ident = client.call(0, "attach", name)
        return self.classes[kind]._of(client, released, name, ident)

    def _start(self) -> None:
        """Start the server. Raises as `starting.start` does, and ServerGoneError if it ends before it listens."""
        from sharedkit.manager.starting import start

        address = f"\0sharedkit-{secrets.token_hex(12)}"  # a socket without a file, so no file is left behind
        authkey = bytes(current_process().authkey)
        output = _output()
        listening, listens = os.pipe()  # not the standard output, because modules may print when they are imported
        try:
            process = start(address, authkey, listens, output)
        except BaseException:
            os.close(listening)
            raise
        finally:
            os.close(output)
            os.close(listens)
        try:
            with os.fdopen(listening, "rb") as answer:
                try:
                    pickle.load(answer)
                except EOFError:
                    raise ServerGoneError(
                        f"the server ended with {process.wait()} before it listened{_hint(process)}"
                    ) from None
            client, owner = Client(address, authkey), os.getpid()
            with _lock:
                _known[address] = [self]
            atexit.register(self._end_at_exit)
            if self._client is None:  # no signal handler runs between this step and the next
                self._process, self._owner, self._client = process, owner, client
            else:  # a signal handler has started a server first
                process.kill()
                process.wait()
        except BaseException:  # Ctrl-C, for example
            process.kill()
            process.wait()
            raise

    def end(self) -> None:
        """End the server if this process has started it, otherwise its session. Calling this again does nothing."""
        if self._client is None:
            return
        owned = self._process if self._owner == os.getpid() else None
        if owned is not None:
            self._client.ended = True
        self._client.close()
        if owned is not None:
            _end(owned)
            with _lock:
                _known.pop(self._client.address, None)
            atexit.unregister(self._end_at_exit)
            self._process = None  # the last step: a call that a signal handler has interrupted can be made again

    def _end_at_exit(self) -> None:
        if self._client is not None:
            self._client.ending = True
        self.end()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server: cleanly, so that the workers of its executors leave nothing; by SIGKILL if it does not react."""
    try:
        if not is_stopped(process.pid):
            process.terminate()
            process.wait(LONGEST_END)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()
        process.wait()


def _after_fork_in_child() -> None:
    """Replace the locks in a child: threads that do not exist in the child may have held them."""
    global _lock
    _lock = threading.RLock()
    for each in members(_placements):
        each._starting = threading.RLock()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _output() -> int:
    """A descriptor of this process's standard output, for the server's workers; of the null device if it is closed."""
    try:
        return os.dup(1)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _hint(process: subprocess.Popen[bytes]) -> str:
    """Advice for a server that did not start."""
    if getattr(sys, "frozen", False):
        return "; a frozen program must call multiprocessing.freeze_support() first of all in its main module"
    args: Any = process.args
    return f"; it was started as {os.fsdecode(args[0])!r}, which multiprocessing.set_executable(...) changes"
