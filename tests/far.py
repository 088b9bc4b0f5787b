"""A Python process that a test runs elsewhere, in a network namespace for example, and tells what to do.

As a program, it reads lines: each is an expression, or an assignment `name = expression`. It answers a line with the
result, or with the class and the text of the exception.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

__all__ = ["CALLS", "HELD", "Far"]

LIMIT = 60.0

HELD: dict[str, tuple[str, str]] = {
    "Lock": ("Lock({})", "acquire()"),
    "RLock": ("RLock({})", "acquire()"),
    "BoundedSemaphore": ("BoundedSemaphore(1, {})", "acquire()"),
    "RWLock": ("RWLock({})", "acquire_write()"),
    "Condition": ("Condition({})", "acquire()"),
}
"""What a client can hold, so that others get it after its death: constructors with a place for keywords, and calls."""

CALLS: dict[str, tuple[str, str]] = HELD | {
    "Queue": ("Queue({})", "put(1)"),
    "Semaphore": ("Semaphore(1, {})", "release()"),
    "Event": ("Event({})", "set()"),
    "Barrier": ("Barrier(2, {})", "abort()"),
    "Counter": ("Counter(0, {})", "add(1)"),
    "Counters": ("Counters(['a'], {})", "add('a')"),
    "Dict": ("Dict({})", "update(a=1)"),
    "Set": ("Set({})", "add(1)"),
    "Array": ("Array(2, 'i8', {})", "fetch_add(0, 1)"),
    "Value": ("Value('i', {})", "acquire()"),
    "RawValue": ("RawValue('i', {})", "__setattr__('value', 3)"),
}
"""A constructor and a call for each class of the placement `redis`."""


class Far:
    """The process; `before` is what its command line begins with."""

    def __init__(self, *before: str) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answers: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line.strip())

    def ask(self, line: str) -> None:
        """Send a line, without waiting for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self, limit: float = LIMIT) -> str:
        """The answer to the first line that has not been answered yet; AssertionError if there is none in time."""
        try:
            return self._answers.get(timeout=limit)
        except Empty:
            raise AssertionError(f"no answer after {limit} s") from None

    def do(self, line: str) -> str:
        self.ask(line)
        return self.answer()

    def __enter__(self) -> Far:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.communicate()


def main() -> None:
    import sharedkit as sk

    names: dict[str, Any] = {"sk": sk}
    for line in sys.stdin:
        name, equals, rest = line.strip().partition(" = ")
        assigns = bool(equals) and name.isidentifier()
        try:
            found = eval(rest if assigns else line.strip(), names)
        except BaseException as why:
            print(type(why).__name__, str(why).replace("\n", " "), flush=True)
            continue
        if assigns:
            names[name] = found
        print("ok" if assigns else found, flush=True)


if __name__ == "__main__":
    main()
