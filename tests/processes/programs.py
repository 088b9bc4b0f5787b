"""Small programs, each in a new process with a watchdog; tests read their output, and end them in any case."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

LIMIT = 60.0


def path_of(name: str) -> Path:
    """The path of the segment of that name."""
    return Path(f"/dev/shm/sk_{name}")


def run(source: str, *args: object, **environment: str) -> str:
    """Run a program and return what it prints; it must end by itself, with status 0 and nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(source), *map(str, args)],
        capture_output=True, text=True, timeout=LIMIT, env={**os.environ, **environment},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), f"{done.returncode}: {done.stderr}"
    return done.stdout.strip()


class Program:
    """A Python program in a new session. On exit the context manager kills everything of it that still runs."""

    def __init__(self, source: str, *args: object, folder: Path | None = None) -> None:
        text = textwrap.dedent(source)
        if folder is None:
            command = [sys.executable, "-c", text]
        else:  # children of `spawn` and `forkserver` import the program, so it must be a file
            script = folder / "program.py"
            script.write_text(text)
            command = [sys.executable, str(script)]
        self._process = subprocess.Popen(
            [*command, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._said = b""

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next line that it prints; AssertionError if it prints none."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + LIMIT
        while b"\n" not in self._said:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            more = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            assert more, f"no line within {LIMIT} s; stderr: {self.end_now()}"
            self._said += more
        line, self._said = self._said.split(b"\n", 1)
        return line.decode()

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def close_stdin(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill_group(self) -> None:
        """Send SIGKILL to every process of its session, and wait for the first of them."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(LIMIT)

    def result(self) -> tuple[int, str, str]:
        """Exit status, rest of stdout, and stderr, after it and all processes that hold its pipes have ended."""
        if self._process.stdin is not None and self._process.stdin.closed:
            self._process.stdin = None
        try:
            out, err = self._process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {LIMIT} s; stderr: {self.end_now()}") from None
        return self._process.returncode, (self._said + out).decode(), err.decode()

    def end_now(self) -> str:
        """Send SIGABRT (for a traceback), then SIGKILL; return what it wrote to stderr."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)
            time.sleep(0.2)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            return self._process.communicate(timeout=5)[1].decode()
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(LIMIT)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def await_that(condition: Callable[[], bool], what: str) -> None:
    """Return as soon as the condition holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not within {LIMIT} s: {what}"
        time.sleep(0.001)


def asleep_in_a_futex(pid: int) -> bool:
    """Whether the process's main thread is parked."""
    with contextlib.suppress(OSError):
        return "futex" in Path(f"/proc/{pid}/wchan").read_text()
    return False


def is_stopped(pid: int) -> bool:
    """Whether the process is stopped by SIGSTOP."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


def await_sleep(pid: int) -> None:
    """Return when the process is seen parked a few times in a row."""
    deadline, seen = time.monotonic() + LIMIT, 0
    while seen < 5:
        assert time.monotonic() < deadline, f"process {pid} does not come to rest"
        seen = seen + 1 if asleep_in_a_futex(pid) else 0
        time.sleep(0.002)
