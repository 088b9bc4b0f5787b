"""The common part of all trials under random kills: shared words, totals, and waiting with a limit."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stress.ledger import SLOTS, shared_words

STUCK_AFTER = 20.0


class Hung(Exception):
    """A living process does not go on."""


@dataclass
class Books:
    """Totals of all kills. `holding`: how many of the killed were certainly inside; `told`: how often a survivor
    noticed a death, by `owner_died` or a broken barrier."""

    primitive: str
    kills: int = 0
    work: int = 0
    holding: int = 0
    told: int = 0
    hung: int = 0
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    left: int = 0
    recovery_ms: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.hung or self.lost or self.duplicated or self.torn or self.left)


class Board:
    """Words that the processes share, most by slot. Stores are aligned: a SIGKILL leaves the old or the new value."""

    def __init__(self) -> None:
        self.done = shared_words(SLOTS)  # rounds done; a replacement goes on counting
        self.begun = shared_words(SLOTS)
        self.inside = shared_words(SLOTS)  # 1 only while the process holds it
        self.torn = shared_words(SLOTS)  # impossible states seen
        self.told = shared_words(SLOTS)  # deaths noticed
        self.paused = shared_words(SLOTS)  # number of the pause in which the process rests
        self.pause = shared_words(1)  # even: work; odd: rest
        self.stop = shared_words(1)
        self.pids = shared_words(SLOTS)
        self.killing = shared_words(1)
        self.victim = shared_words(1)

    def inside_alive(self, words: Any = None) -> int:
        """How many of the living are inside; 0 if a kill came during the count, which is unreliable then."""
        words = self.inside if words is None else words
        before = int(self.killing[0])
        dying = int(self.victim[0]) if before % 2 else -1
        n = sum(int(words[slot]) for slot in range(SLOTS) if slot != dying)
        return n if int(self.killing[0]) == before else 0

    def rest(self, slot: int) -> bool:
        """In a worker, between two rounds of work: rest during a pause. Return whether to go on."""
        if self.pause[0] % 2:
            self.paused[slot] = self.pause[0]
            while self.pause[0] == self.paused[slot] and not self.stop[0]:
                time.sleep(0.0002)
        return not self.stop[0]


class Trial(ABC):
    """One primitive: what its workers do, and what must hold after each kill."""

    def __init__(self, books: Books, name: str) -> None:
        self.books, self.name, self.board = books, name, Board()
        self.handle: Any = self.make()

    @abstractmethod
    def make(self) -> Any:
        """Make the structure."""

    @abstractmethod
    def work(self, slot: int, rng: random.Random) -> None:
        """In a worker: use the structure until `stop`."""

    def before(self, slot: int, rng: random.Random) -> None:  # noqa: B027, most are killed as they are
        """In the harness, just before a kill: prepare a certain state, if the trial needs one."""

    def recover(self, slot: int) -> None:
        """Correct the words of the dead process."""
        self.books.holding += int(self.board.inside[slot])
        self.board.inside[slot] = 0

    def after(self, slot: int, survivors: list[int]) -> None:
        """After a kill, without a replacement: check that the survivors go on. Raises Hung."""
        self.await_progress(survivors)

    def release(self) -> None:
        """Let all processes end."""
        self.board.stop[0] = 1

    def settle(self) -> None:
        """After the end of all processes: check the totals."""
        self.books.torn += int(self.board.torn.sum())
        self.books.told += int(self.board.told.sum())
        self.books.work += int(self.board.done.sum())

    # --- for the trials ------------------------------------------------------------------------------

    def until(self, what: str, true: Callable[[], bool]) -> None:
        """Wait until `true()` holds. Raises Hung."""
        end = time.monotonic() + STUCK_AFTER
        while not true():
            if time.monotonic() > end:
                raise Hung(what)
            time.sleep(0.0001)

    def await_progress(self, slots: list[int]) -> None:
        since = self.board.done.copy()
        for slot in slots:
            self.until(f"process {slot} stands still", lambda slot=slot: self.board.done[slot] != since[slot])

    def come_to_rest(self, slots: list[int]) -> None:
        """Wait until each of them rests between two rounds of work; they rest until `go_on`."""
        self.board.pause[0] += 1
        asked = int(self.board.pause[0])
        for slot in slots:
            self.until(f"process {slot} does not rest", lambda slot=slot: self.board.paused[slot] == asked)

    def go_on(self) -> None:
        self.board.pause[0] += 1
