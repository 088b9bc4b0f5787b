"""Random SIGKILLs of processes that add to one word: `python kills_words.py KIND KILLS SEED`.

Each process counts the additions that it has begun and those that are done. At the end the value is the sum of those
done; of a killed process's addition in flight, either nothing or all is included.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from stress.ledger import SLOTS, Ledger
from stress.place import sk
from stress.worker import leftover_segments, start

STUCK_AFTER = 20.0
STEP = (1 << 33) + 1  # changes both halves of the word


@dataclass
class Subject:
    """How to make the structure, add to it, and read it."""

    make: Callable[[str], Any]
    add: Callable[[Any], None]
    read: Callable[[Any], int]


def add_locked(array: Any) -> None:
    """Three steps, which only the lock makes atomic."""
    with array.lock:
        array[1] = int(array[1]) + STEP


SUBJECTS = {
    "Counter": Subject(lambda name: sk.Counter(name=name), lambda c: c.add(STEP), lambda c: c.value),
    "Counter, striped": Subject(
        lambda name: sk.Counter(name=name, striped=True), lambda c: c.add(STEP), lambda c: c.value
    ),
    "Array.fetch_add": Subject(
        lambda name: sk.Array(4, "i8", name=name), lambda a: a.fetch_add(1, STEP), lambda a: int(a.ndarray[1])
    ),
    "Array.add_at": Subject(
        lambda name: sk.Array(4, "i8", name=name), lambda a: a.add_at([1], STEP), lambda a: int(a.ndarray[1])
    ),
    "Array.lock": Subject(lambda name: sk.Array(4, "i8", name=name), lambda a: add_locked(a), lambda a: int(a[1])),
    "Counters": Subject(
        lambda name: sk.Counters(["a", "b"], name=name), lambda c: c.add("b", STEP), lambda c: c["b"].value
    ),
}


@dataclass
class Books:
    subject: str
    kills: int = 0
    additions: int = 0
    hung: int = 0
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    left: int = 0
    recovery_ms: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.hung or self.lost or self.duplicated or self.torn or self.left)


def work(subject: Subject, handle: Any, ledger: Ledger, slot: int) -> None:
    n = 0
    while not ledger.stop[0]:
        n += 1
        ledger.begun[slot] = n
        subject.add(handle)
        ledger.done[slot] = n


class Soak:
    """Four processes that add; one after the other is killed and replaced."""

    def __init__(self, name: str) -> None:
        self.books, self.subject, self.ledger = Books(name), SUBJECTS[name], Ledger()
        self.name = f"kills-{os.getpid()}"
        self.handle = self.subject.make(self.name)
        self.pids = [0] * SLOTS
        self.begun = self.done = 0

    def start(self, slot: int) -> None:
        self.ledger.clear(slot)
        self.pids[slot] = start(
            lambda: work(self.subject, self.handle, self.ledger, slot), self.handle, self.books.kills
        )

    def close_books(self, slot: int) -> None:
        self.begun += int(self.ledger.begun[slot])
        self.done += int(self.ledger.done[slot])

    def await_progress(self, slots: list[int]) -> None:
        began = time.monotonic()
        for slot in slots:
            since = int(self.ledger.done[slot])
            while int(self.ledger.done[slot]) == since:
                if time.monotonic() - began > STUCK_AFTER:
                    self.books.hung += 1
                    raise TimeoutError(f"process {slot} stands still at {since}")
                time.sleep(0.0001)
        self.books.recovery_ms = max(self.books.recovery_ms, (time.monotonic() - began) * 1e3)

    def run(self, kills: int, seed: int) -> Books:
        rng = random.Random(seed)
        for slot in range(SLOTS):
            self.start(slot)
        for _ in range(kills):
            slot = rng.randrange(SLOTS)
            time.sleep(rng.random() * 0.003)  # a random moment
            os.kill(self.pids[slot], signal.SIGKILL)
            os.waitpid(self.pids[slot], 0)
            self.close_books(slot)
            self.books.kills += 1
            self.await_progress([each for each in range(SLOTS) if each != slot])
            self.start(slot)
        self.ledger.stop[0] = 1
        for slot in range(SLOTS):
            os.waitpid(self.pids[slot], 0)
            self.close_books(slot)
        return self.settle()

    def settle(self) -> Books:
        value, books = self.subject.read(self.handle), self.books
        books.torn = int(value % STEP != 0)
        books.additions = value // STEP
        books.lost = max(self.done - books.additions, 0)
        books.duplicated = max(books.additions - self.begun, 0)
        self.handle.close()
        books.left = leftover_segments(self.name)
        return books


def main() -> None:
    books = Soak(sys.argv[1]).run(int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(asdict(books) | {"clean": books.clean}), flush=True)


if __name__ == "__main__":
    main()
