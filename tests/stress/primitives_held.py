"""Trials of locks, reader-writer locks and semaphores, which processes hold."""

from __future__ import annotations

import random
from abc import abstractmethod
from typing import Any

from stress.ledger import SLOTS, shared_words
from stress.place import sk
from stress.trial import Books, Trial

PERMITS = 2


def takes(take: Any, rng: random.Random) -> bool:
    """Take it: mostly without a timeout, else with a short one or without blocking. Return whether it was taken."""
    how = rng.randrange(8)
    if how == 0:
        return bool(take(blocking=False))
    return bool(take(timeout=0.0005) if how == 1 else take())


class Guarding(Trial):
    """The lock guards two words that agree; the second follows the first. If they differ, a death must be reported.

    `told` counts the reports of deaths: each death inside is reported, and none is reported twice.
    """

    def __init__(self, books: Books, name: str) -> None:
        super().__init__(books, name)
        self.pair, self.written = shared_words(2), shared_words(SLOTS)
        self.died_writing = 0

    def write(self, slot: int) -> None:
        """Change both words; the caller holds the lock."""
        board, pair = self.board, self.pair
        died = self.handle.owner_died
        board.told[slot] += died
        board.inside[slot] = 1
        board.torn[slot] += board.inside_alive() > 1
        if pair[0] != pair[1]:
            board.torn[slot] += not died
            pair[1] = pair[0]
        pair[0] += 1
        self.written[slot] += 1
        board.done[slot] += 1
        pair[1] += 1
        board.torn[slot] += pair[0] != pair[1]
        board.inside[slot] = 0

    def recover(self, slot: int) -> None:
        self.died_writing += int(self.board.inside[slot])
        super().recover(slot)

    def settle(self) -> None:
        super().settle()
        books, written, there = self.books, int(self.written.sum()), int(self.pair[0])
        books.lost += max(written - there, 0) + max(self.died_writing - books.told, 0)
        books.duplicated += max(there - written - books.kills, 0) + max(books.told - books.kills, 0)


class LockTrial(Guarding):
    def make(self) -> Any:
        return sk.Lock(name=self.name)

    def work(self, slot: int, rng: random.Random) -> None:
        while not self.board.stop[0]:
            if takes(self.handle.acquire, rng):
                self.write(slot)
                self.handle.release()


class ReentrantTrial(Guarding):
    def make(self) -> Any:
        return sk.RLock(name=self.name)

    def work(self, slot: int, rng: random.Random) -> None:
        while not self.board.stop[0]:
            if takes(self.handle.acquire, rng):
                self.board.torn[slot] += not self.handle.acquire(blocking=False)
                self.write(slot)
                self.handle.release()
                self.handle.release()


class ReadWriteTrial(Guarding):
    """Every process reads three times out of four. No reader is beside a writer, and none sees half of a write."""

    def __init__(self, books: Books, name: str) -> None:
        super().__init__(books, name)
        self.reading = shared_words(SLOTS)

    def make(self) -> Any:
        return sk.RWLock(name=self.name)

    def work(self, slot: int, rng: random.Random) -> None:
        while not self.board.stop[0]:
            if rng.randrange(4) == 0:
                if takes(self.handle.acquire_write, rng):
                    self.board.torn[slot] += self.board.inside_alive(self.reading) > 0
                    self.write(slot)
                    self.handle.release_write()
            elif takes(self.handle.acquire_read, rng):
                self.read(slot)
                self.handle.release_read()

    def read(self, slot: int) -> None:
        self.reading[slot] = 1
        self.board.torn[slot] += self.board.inside_alive() > 0
        first, second = self.pair
        self.board.torn[slot] += first != second and not self.handle.owner_died
        self.board.torn[slot] += int(self.pair[0] != first)
        self.board.done[slot] += 1
        self.reading[slot] = 0

    def recover(self, slot: int) -> None:
        self.books.holding += int(self.reading[slot])
        self.reading[slot] = 0
        super().recover(slot)


class Permits(Trial):
    """There are never more inside than there are permits, and when all rest, the living hold no permit."""

    OUT, ASKING, IN, GIVING = range(4)

    def __init__(self, books: Books, name: str) -> None:
        super().__init__(books, name)
        self.step = shared_words(SLOTS)
        self.dead_was = self.OUT

    @abstractmethod
    def count(self, dead_was: int) -> None:
        """While all rest, check how many permits there are after the death of a process that was at this step."""

    def more(self, rng: random.Random) -> bool:
        """Take one more permit, if the trial has that."""
        return False

    def work(self, slot: int, rng: random.Random) -> None:
        board, step = self.board, self.step
        while board.rest(slot):
            step[slot] = self.ASKING
            if not takes(self.handle.acquire, rng):
                step[slot] = self.OUT
                continue
            n = 1 + self.more(rng)
            step[slot] = self.IN
            board.inside[slot] = n
            board.torn[slot] += board.inside_alive() > PERMITS and self.crowded()
            board.done[slot] += 1
            board.inside[slot] = 0
            step[slot] = self.GIVING
            self.handle.release(n)
            step[slot] = self.OUT

    def crowded(self) -> bool:
        """Whether too many are inside at one moment, and did not come and go while they were counted: the words are the
        same before and after the count."""
        board = self.board
        before = board.inside.copy(), board.done.copy()
        too_many = board.inside_alive() > PERMITS
        return too_many and bool((before[0] == board.inside).all() and (before[1] == board.done).all())

    def recover(self, slot: int) -> None:
        self.dead_was = int(self.step[slot])
        self.step[slot] = self.OUT
        self.books.holding += int(self.dead_was == self.IN)
        self.board.inside[slot] = 0

    def after(self, slot: int, survivors: list[int]) -> None:
        super().after(slot, survivors)
        self.come_to_rest(survivors)
        self.count(self.dead_was)
        self.go_on()


class SemaphoreTrial(Permits):
    """A permit of a Semaphore has no owner: the permits of a dead process are lost; the harness releases them again.
    Until then the survivors go on with the remaining ones."""

    def make(self) -> Any:
        return sk.Semaphore(PERMITS, name=self.name)

    def count(self, dead_was: int) -> None:
        most = PERMITS - (dead_was == self.IN)
        least = PERMITS - (dead_was != self.OUT)
        there = self.handle.get_value()
        self.books.duplicated += max(there - most, 0)
        self.books.lost += max(least - there, 0)
        if there < PERMITS:
            self.handle.release(PERMITS - there)


class BoundedTrial(Permits):
    """All permits of a dead process come back. Some processes take two."""

    def make(self) -> Any:
        return sk.BoundedSemaphore(PERMITS, name=self.name)

    def more(self, rng: random.Random) -> bool:
        return rng.randrange(3) == 0 and bool(self.handle.acquire(blocking=False))

    def count(self, dead_was: int) -> None:
        there = self.handle.get_value()
        self.books.lost += max(PERMITS - there, 0)
        self.books.duplicated += max(there - PERMITS, 0)
        had = 0
        while self.handle.acquire(blocking=False):
            had += 1
        self.books.torn += int(had != PERMITS)
        self.handle.release(had)
        try:
            self.handle.release()
        except ValueError:
            return
        self.books.duplicated += 1
