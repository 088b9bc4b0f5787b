"""Calls that the tests of executors submit. They are importable, since calls are pickled by name."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import resource
import select
import signal
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import sharedkit as sk

LONG = 120.0  # seconds; no test waits for it


def double(x: Any) -> Any:
    return 2 * x


def add_one(counter: Any) -> int:
    return int(counter.add())


def refuse(x: int) -> NoReturn:
    raise ZeroDivisionError(f"refused {x}")  # a comment to be found


def whoami(*_: object) -> int:
    return os.getpid()


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave(code: int) -> None:
    os._exit(code)


def begin_and_sleep(path: str) -> None:
    """Report in a file that the call has begun, then sleep for a long time."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(LONG)


def begin_and_sleep_through(path: str, ignored: int) -> None:
    """Do as `begin_and_sleep` does, but ignore that signal."""
    signal.signal(ignored, signal.SIG_IGN)
    begin_and_sleep(path)


def end_when_told(path: str) -> str:
    """Wait for a SIGTERM and return."""
    told, teller = os.pipe()
    os.set_blocking(teller, False)
    signal.set_wakeup_fd(teller)  # a handler could run after `select` only
    signal.signal(signal.SIGTERM, lambda *_: None)
    Path(path).touch()
    return "told" if select.select([told], [], [], LONG)[0] else "forgotten"


def pass_gate(event: Any) -> bool:
    """Wait for the event."""
    return bool(event.wait(LONG))


def mark(path: str) -> None:
    """Append one byte to a file."""
    with open(path, "ab") as file:
        file.write(b"x")


def mark_and_end_parent(path: str) -> None:
    """Append one byte to a file, and kill the process in whose child the call runs."""
    mark(path)
    os.kill(multiprocessing.parent_process().pid, signal.SIGKILL)  # type: ignore[union-attr, arg-type]
    time.sleep(LONG)


def count_running(counter: Any) -> int:
    """How many of these calls run now."""
    running = int(counter.add())
    time.sleep(0.05)
    counter.add(-1)
    return running


def incremented(array: Any) -> Any:
    """The array itself, one added to each element."""
    array += 1
    return array


def know_server(url: str, prefix: str) -> None:
    """Let this process use a Redis server by its whole url, with the password."""
    sk.get_context("redis", url=url, prefix=prefix)


def ones(count: int) -> Any:
    return np.ones(count)


def total(array: Any) -> float:
    return float(array.sum())


def big_pickle(size: int) -> Any:
    """An array whose data must not be in the pickle; the test checks the size of the pickle."""
    return np.arange(size, dtype="u1")


class Awkward(Exception):
    """Cannot be unpickled: its `args` are not the arguments of its constructor."""

    def __init__(self, left: int, right: int) -> None:
        super().__init__(f"{left} {right}")


class Sealed(Exception):
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("not to be opened")


class Stubborn:
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> Any:
        return refuse_arrival, ()


def refuse_arrival() -> NoReturn:
    raise LookupError("no arrival")


def fail_sealed() -> NoReturn:
    raise Sealed


def awkward() -> None:
    raise Awkward(1, 2)


def unpicklable() -> Any:
    return threading.Lock()


state = "untouched"


def touch(what: str) -> None:
    global state
    state = what


def touched() -> str:
    return state


def fail_to_start() -> None:
    raise LookupError("no start today")


def sleep_then(seconds: float, value: Any) -> Any:
    time.sleep(seconds)
    return value


def double_through(executor: Any, start: int) -> list[int]:
    """Submit calls from a client."""
    ahead = [executor.submit(double, x) for x in range(start, start + 50)]
    return [future.result(LONG) for future in ahead]


def submit_marks(executor: Any, folder: str, count: int) -> None:
    """Submit calls from a client that will be killed."""
    for x in range(count):
        executor.submit(mark, f"{folder}/{x}")
    time.sleep(LONG)


def ended(pid: int) -> bool:
    """Whether the process has ended; a zombie counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """Refuses a `__cause__` that is set in the usual way."""


class NoError(Exception):
    """Is unpickled as something else."""

    def __reduce__(self) -> Any:
        return str, ("no error",)


def fail_frozen() -> NoReturn:
    raise Frozen


def fail_as_text() -> NoReturn:
    raise NoError


class Uncooperative(Exception):
    """Raises, when pickled, something that is not an Exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> NoReturn:
        raise self.error


def fail_uncooperatively(kind: type[BaseException]) -> NoReturn:
    raise Uncooperative(kind())


def come_back_twice() -> tuple[int, int]:
    """Fork, and return in both processes."""
    child = os.fork()
    return os.getpid(), child


def have_a_child(path: str) -> None:
    """Sleep for a long time, with a child process that does the same."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(LONG,), daemon=True)
    child.start()
    Path(path).write_text(str(child.pid))
    time.sleep(LONG)


def die_unless_first(path: str) -> None:
    """An initializer: the first worker lives, each later one ends."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        os._exit(9)


def ask_for_little(megabytes: int) -> None:
    """An initializer: limits the memory that the worker can still allocate."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
