"""Random SIGKILLs of an executor's workers: `python kills_executor.py METHOD KILLS SEED`.

METHOD is the start method of workers in shared memory, or "manager" for the workers of a server.

Some calls are always submitted; at random moments one worker is killed. Each call writes its number to one log when it
begins and to another when it has ended; the system appends a record wholly or not at all. Then the logs are compared
with the futures: no call begins twice, a call with a result has ended, and a death breaks at most one call.
"""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from concurrent import futures
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from stress.trial import STUCK_AFTER, Hung

import sharedkit as sk
from sharedkit import segments

WINDOW = 60  # calls submitted and not yet waited for
LONGEST = 0.01  # seconds between two kills
WORKERS = 3


@dataclass
class Books:
    """Totals of all kills. `broken`: calls that failed with their worker; `wrong`: calls that failed otherwise."""

    method: str
    kills: int = 0
    calls: int = 0
    broken: int = 0
    hung: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    left: int = 0
    recovery_ms: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.hung or self.lost or self.duplicated or self.wrong or self.left)


def call(begun: str, ended: str, number: int) -> int:
    """In a worker: append a record before and after, with enough work between them to be killed there now and then."""
    _append(begun, number)
    until = time.monotonic() + number % 5 * 1e-4
    while time.monotonic() < until:
        pass
    _append(ended, number)
    return -number


def _append(path: str, number: int) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(log, number.to_bytes(8, "little"))
    os.close(log)


def _records(path: Path) -> Counter[int]:
    log = path.read_bytes()
    return Counter(int.from_bytes(log[at : at + 8], "little") for at in range(0, len(log), 8))


class Soak:
    """One executor with calls in it."""

    def __init__(self, books: Books, folder: Path, rng: random.Random) -> None:
        self.books, self.rng = books, rng
        self.logs = folder / "begun", folder / "ended"
        for log in self.logs:
            log.touch()
        self.context: Any = None
        if books.method == "manager":
            self.context = sk.get_context("manager")
            self.executor: Any = self.context.Executor(WORKERS)
        else:
            start: Any = multiprocessing.get_context(books.method)
            self.executor = sk.Executor(WORKERS, start)
        self.all: list[futures.Future[int]] = []
        self.window: deque[futures.Future[int]] = deque()
        self.killed: set[int] = set()

    def feed(self) -> None:
        """Wait for the oldest calls, and submit new ones until the window is full."""
        while len(self.window) >= WINDOW:
            self._wait_for_first()
        while len(self.window) < WINDOW:
            number = len(self.all)
            future = self.executor.submit(call, *map(str, self.logs), number)
            self.all.append(future)
            self.window.append(future)

    def _wait_for_first(self) -> None:
        first = self.window.popleft()
        if not futures.wait([first], STUCK_AFTER).done:
            raise Hung(f"call {len(self.all) - len(self.window) - 1} is not done after {STUCK_AFTER} s")

    def kill(self) -> bool:
        workers = self.executor.statistics().workers
        if not workers:
            return False
        pid = self.rng.choice(workers)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        if pid in self.killed:  # it was sent the signal before and has not been reaped yet
            return False
        self.killed.add(pid)
        return True

    def run(self, kills: int) -> None:
        while self.books.kills < kills:
            self.feed()
            until = time.monotonic() + self.rng.random() * LONGEST  # a random moment
            while time.monotonic() < until:
                self.feed()
                self._wait_for_first()
            if self.kill():
                self.books.kills += 1
                began = time.monotonic()
                self._wait_for_first()
                self.books.recovery_ms = max(self.books.recovery_ms, (time.monotonic() - began) * 1e3)
        while self.window:
            self._wait_for_first()
        self.executor.shutdown()

    def settle(self) -> None:
        """Compare the futures with the records of the workers."""
        books = self.books
        begun, ended = map(_records, self.logs)
        books.calls = len(self.all)
        books.duplicated = sum(count - 1 for count in (begun | ended).values())
        deaths: Counter[int] = Counter()
        for number, future in enumerate(self.all):
            error = future.exception(0)
            if isinstance(error, sk.WorkerDied):
                books.broken += 1
                deaths[error.pid] += 1
                books.wrong += error.pid not in self.killed or error.exitcode != -signal.SIGKILL
            elif error is not None or future.result(0) != -number:
                books.wrong += 1
            else:
                books.lost += ended[number] != 1
        books.wrong += sum(count - 1 for count in deaths.values())
        mine = {os.getpid()}
        if self.context is not None:
            mine.add(self.context.server._process.pid)
            self.executor.close()
            self.context.close()
        books.left = sum(bool(mine & set(each.attached)) for each in segments.live())
        books.left += len(multiprocessing.active_children())


def main() -> None:
    method, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    books = Books(method)
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(books, Path(folder), random.Random(seed))
        try:
            soak.run(kills)
        except Hung as why:
            books.hung += 1
            print(json.dumps({"hung": str(why), "statistics": str(soak.executor.statistics())}), flush=True)
            soak.executor.shutdown(wait=False, cancel_futures=True)
        else:
            soak.settle()
    print(json.dumps(asdict(books) | {"clean": books.clean}), flush=True)


if __name__ == "__main__":
    main()
