"""The other clients of a Redis server, which tests kill, stop and interrupt, and a connection that loses replies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from redis_server import Server

__all__ = ["Child", "Proxy", "ended", "forked"]

CHILDREN = Path(__file__).with_name("unit") / "redis_children.py"


class Child:
    """A process that runs a function of redis_children.py, and what it prints."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(CHILDREN), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """A child of this process that writes to a pipe: its pid, and the end to read from."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        with suppress(BaseException):
            os.close(reads)
            work(writes)
        os._exit(1)
    os.close(writes)
    return pid, reads


def ended(pid: int, reads: int) -> bytes:
    """Kill a child; return what it had written."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with os.fdopen(reads, "rb") as pipe:
        return pipe.read()


class Proxy:
    """Stands between clients and a server. If `armed` with a mark and a number: of the reply to the next command that
    contains the mark, it passes on that number of bytes, and then ends both connections."""

    def __init__(self, server: Server) -> None:
        self.path = os.path.join(server.folder, f"proxy-{id(self)}")
        self.url = f"unix://{self.path}"
        self._to = server.path
        self.armed: tuple[bytes, int] | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._to)
                cut: list[int] = []
                threading.Thread(target=self._requests, args=(client, server, cut), daemon=True).start()
                threading.Thread(target=self._replies, args=(server, client, cut), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, cut: list[int]) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self.armed is not None and self.armed[0] in data:
                    cut.append(self.armed[1])
                    self.armed = None
                server.sendall(data)
        server.close()

    def _replies(self, server: socket.socket, client: socket.socket, cut: list[int]) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data[: cut[0]] if cut else data)
                if cut:
                    break
        for each in (client, server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
