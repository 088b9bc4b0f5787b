"""Trials of conditions, events and barriers, at which processes wait for each other."""

from __future__ import annotations

import os
import random
import signal
import time
from threading import BrokenBarrierError
from typing import Any

from stress.ledger import SLOTS, shared_words
from stress.place import sk
from stress.trial import STUCK_AFTER, Books, Hung, Trial

FIRST = (0, 1, 2)  # slots that consume or wait
LAST = 3  # the slot that produces or sets
A_MOMENT = 0.03  # seconds: enough for three parties to arrive at a barrier if the fourth lets them


class ConditionTrial(Trial):
    """Three processes take tokens, and wait without a timeout for more; one puts tokens and notifies for each of them.

    After a kill the producer rests; the surviving consumers must take all tokens by the notifications already made.
    Only if the dead process held the lock, it may have died between put and notify: so a process that finds the lock's
    owner dead notifies all.
    """

    def __init__(self, books: Books, name: str) -> None:
        super().__init__(books, name)
        self.tokens, self.puts, self.takes = shared_words(1), shared_words(SLOTS), shared_words(SLOTS)

    def make(self) -> Any:
        return sk.Condition(name=self.name)

    def balance(self) -> int:
        return int(self.puts.sum() - self.takes.sum())

    def mend(self) -> bool:
        """With the lock held: if its owner has died, repair the tokens and notify all. Return whether it had died."""
        if not self.handle.lock.owner_died:
            return False
        self.tokens[0] = self.balance()
        self.handle.notify_all()
        return True

    def come_in(self, slot: int) -> None:
        """Check the state; the caller has just taken the lock."""
        board = self.board
        board.told[slot] += self.mend()
        board.inside[slot] = 1
        board.torn[slot] += int(board.inside_alive() > 1 or self.tokens[0] != self.balance())

    def work(self, slot: int, rng: random.Random) -> None:
        if slot == LAST:
            self.produce(slot, rng)
        else:
            self.consume(slot)

    def consume(self, slot: int) -> None:
        board = self.board
        while not board.stop[0]:
            with self.handle:
                self.come_in(slot)
                while self.tokens[0] == 0 and not board.stop[0]:
                    board.inside[slot] = 0
                    self.handle.wait()
                    self.come_in(slot)
                if self.tokens[0] > 0:
                    self.takes[slot] += 1
                    self.tokens[0] -= 1
                    board.done[slot] += 1
                board.inside[slot] = 0

    def produce(self, slot: int, rng: random.Random) -> None:
        board = self.board
        while board.rest(slot):
            with self.handle:
                self.come_in(slot)
                if self.tokens[0] < 6:
                    n = rng.choice((1, 1, 1, 2))
                    self.puts[slot] += n
                    self.tokens[0] += n
                    board.done[slot] += 1
                    if rng.randrange(8) == 0:
                        self.handle.notify_all()
                    else:
                        self.handle.notify(n)
                board.inside[slot] = 0

    def look(self) -> None:
        """Take the lock, as the next process would, and repair the state after a death."""
        if not self.handle.acquire(timeout=STUCK_AFTER):
            raise Hung("acquire")
        self.books.told += int(self.mend())
        self.handle.release()

    def after(self, slot: int, survivors: list[int]) -> None:
        if slot != LAST:
            self.come_to_rest([LAST])
        self.look()
        self.until("tokens are left, and no waiter was notified", lambda: self.tokens[0] == 0)
        if slot != LAST:
            self.go_on()
            self.await_progress(survivors)

    def release(self) -> None:
        super().release()
        self.look()
        with self.handle:
            self.handle.notify_all()

    def settle(self) -> None:
        super().settle()
        self.books.torn += int(self.tokens[0] != self.balance())
        self.books.duplicated += max(self.books.told - self.books.kills, 0)


class EventTrial(Trial):
    """Three wait; one clears and sets. Half of the waiters that are killed are parked, beside others that are."""

    def __init__(self, books: Books, name: str) -> None:
        super().__init__(books, name)
        self.asleep = False

    def make(self) -> Any:
        return sk.Event(name=self.name)

    def work(self, slot: int, rng: random.Random) -> None:
        board = self.board
        if slot == LAST:
            while board.rest(slot):
                self.handle.clear()
                if rng.randrange(2):
                    time.sleep(rng.random() * 0.0005)
                self.handle.set()
                board.done[slot] += 1
        else:
            while not board.stop[0]:
                board.torn[slot] += not self.handle.wait()
                board.done[slot] += 1

    def fall_asleep(self, slots: list[int]) -> None:
        """Make the waiters park. The event is set until each of them has passed it, so none is parked from before.
        Then it is cleared, and none passes once all are parked."""
        self.await_progress(slots)
        self.handle.clear()
        self.until("they do not sleep", lambda: self.handle.statistics().waiting == len(slots))

    def before(self, slot: int, rng: random.Random) -> None:
        self.asleep = slot != LAST and rng.randrange(2) == 0
        if self.asleep:
            self.come_to_rest([LAST])
            self.handle.set()
            self.fall_asleep(list(FIRST))
            self.was = self.board.done.copy()

    def after(self, slot: int, survivors: list[int]) -> None:
        waiters = [each for each in survivors if each != LAST]
        if self.asleep:
            self.books.holding += 1
            self.until("the rest do not sleep", lambda: self.handle.statistics().waiting == len(waiters))
            self.books.torn += sum(int(self.board.done[each] != self.was[each]) for each in waiters)  # it was not set
        elif slot != LAST:
            self.await_progress(survivors)
            self.come_to_rest([LAST])
        elif not self.handle.is_set():
            self.handle.set()
        for _ in range(2):
            if not self.handle.is_set():
                self.handle.set()
            self.fall_asleep(waiters)
        self.handle.set()
        self.await_progress(waiters)
        if slot != LAST:
            self.go_on()
            self.await_progress(survivors)

    def release(self) -> None:
        super().release()
        self.handle.set()


class BarrierTrial(Trial):
    """Four processes pass the barrier round after round. A death inside breaks it for the others; after a death outside
    they keep waiting. Reset repairs it, and all agree on the rounds done. About half of the deaths are inside."""

    def __init__(self, books: Books, name: str) -> None:
        self.rounds, self.mine, self.broke = shared_words(SLOTS), shared_words(SLOTS), shared_words(SLOTS)
        self.resets, self.acted = shared_words(1), shared_words(1)
        self.late = -1  # the process that is stopped outside while the others wait, or -1
        super().__init__(books, name)

    def make(self) -> Any:
        return sk.Barrier(SLOTS, self.act, name=self.name)

    def act(self) -> None:
        """The barrier's action, run by the last to arrive, while all are inside."""
        self.board.torn[0] += len(set(self.mine.tolist())) != 1
        self.acted[0] += 1

    def work(self, slot: int, rng: random.Random) -> None:
        board, done = self.board, int(self.rounds[slot])
        while not board.stop[0]:
            resets = int(self.resets[0])
            self.mine[slot] = done + 1
            try:
                self.handle.wait()
            except BrokenBarrierError:
                self.broke[slot] = resets + 1
                while self.resets[0] == resets and not board.stop[0]:
                    time.sleep(0.0002)
                continue
            done += 1
            self.rounds[slot] = done
            board.done[slot] += 1
            board.torn[slot] += not set(self.mine.tolist()) <= {done, done + 1}

    def before(self, slot: int, rng: random.Random) -> None:
        everybody = list(range(SLOTS))
        self.await_progress(everybody)
        late = rng.choice([each for each in everybody if each != slot])
        if rng.randrange(2):
            self.stop_outside(late)
        if self.late < 0:
            time.sleep(rng.random() * 0.001)

    def stop_outside(self, late: int) -> None:
        """Stop one process while the others wait inside; give up if it is itself inside or about to enter."""
        others = [each for each in range(SLOTS) if each != late]
        os.kill(int(self.board.pids[late]), signal.SIGSTOP)
        end = time.monotonic() + A_MOMENT
        while not self.all_wait(others):
            if time.monotonic() > end:
                os.kill(int(self.board.pids[late]), signal.SIGCONT)
                return
        self.late = late

    def all_broke(self, slots: list[int]) -> bool:
        return all(self.broke[slot] == self.resets[0] + 1 for slot in slots)

    def all_wait(self, slots: list[int]) -> bool:
        there = self.handle.statistics()
        return there.state == "filling" and sorted(there.owners) == sorted(self.board.pids[slot] for slot in slots)

    def after(self, slot: int, survivors: list[int]) -> None:
        if self.late >= 0:
            self.books.holding += 1
            inside = [each for each in survivors if each != self.late]
            # Do not poll the barrier here, which would break it: the processes inside must notice the death.
            self.until("they do not hear", lambda: self.all_broke(inside))
            os.kill(int(self.board.pids[self.late]), signal.SIGCONT)
            self.until("the late one does not notice", lambda: self.all_broke(survivors))
            self.late = -1
        self.until("they neither wait nor hear", lambda: self.all_broke(survivors) or self.all_wait(survivors))
        done = {int(self.rounds[each]) for each in survivors}
        self.books.torn += int(len(done) != 1)
        if self.all_broke(survivors):
            self.books.told += 1
            self.books.torn += int(not self.handle.broken)
            self.handle.reset()
            self.books.torn += int(self.handle.broken)
            self.resets[0] += 1
        self.rounds[slot] = max(done)

    def release(self) -> None:
        super().release()
        self.handle.abort()

    def settle(self) -> None:
        super().settle()
        rounds, acted = int(self.rounds.max()), int(self.acted[0])
        self.books.lost += max(rounds - acted, 0)
        self.books.duplicated += max(acted - rounds - self.books.kills - 1, 0)
