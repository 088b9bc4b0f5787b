"""Trials of where processes meet: conditions, events, barriers."""

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

FIRST = (0, 1, 2)  # who consume or wait
LAST = 3  # who produces or sets
A_MOMENT = 0.03  # seconds in which three come to a barrier, if the fourth lets them


class ConditionTrial(Trial):
    """Three take tokens and wait without a timeout for more; one puts tokens and notifies as many as it puts.

    After a kill the producer rests, and the surviving consumers must find all tokens by what has been notified already.
    Only where the dead one had the lock, it could have died between putting and notifying: whoever is told of that
    death notifies all.
    """

    def __init__(self, books: Books, name: str) -> None:
        super().__init__(books, name)
        self.tokens, self.puts, self.takes = shared_words(1), shared_words(SLOTS), shared_words(SLOTS)

    def make(self) -> Any:
        return sk.Condition(name=self.name)

    def balance(self) -> int:
        return int(self.puts.sum() - self.takes.sum())

    def mend(self) -> bool:
        """With the lock: after a death put right what it guards. Whether there was one."""
        if not self.handle.lock.owner_died:
            return False
        self.tokens[0] = self.balance()
        self.handle.notify_all()
        return True

    def come_in(self, slot: int) -> None:
        """The lock is taken."""
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
        """Take the lock, as whoever comes next would."""
        if not self.handle.acquire(timeout=STUCK_AFTER):
            raise Hung("acquire")
        self.books.told += int(self.mend())
        self.handle.release()

    def after(self, slot: int, survivors: list[int]) -> None:
        if slot != LAST:
            self.come_to_rest([LAST])
        self.look()
        self.until("tokens are left, and nobody was told", lambda: self.tokens[0] == 0)
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
    """Three wait, one clears and sets. Half of those who wait are killed asleep, beside others who are."""

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
        """The event is up and stays so until all of them have gone through: nobody is parked. Then it goes down, and
        they go through no more once all are parked."""
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
            self.books.torn += sum(int(self.board.done[each] != self.was[each]) for each in waiters)  # nothing was set
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
    """Four go round after round. A death inside breaks it for the three others, a death outside keeps them waiting;
    reset mends it, and all agree on which rounds they have done. Half of the deaths are inside for certain."""

    def __init__(self, books: Books, name: str) -> None:
        self.rounds, self.mine, self.broke = shared_words(SLOTS), shared_words(SLOTS), shared_words(SLOTS)
        self.resets, self.acted = shared_words(1), shared_words(1)
        self.late = -1  # who is stopped outside while the others wait
        super().__init__(books, name)

    def make(self) -> Any:
        return sk.Barrier(SLOTS, self.act, name=self.name)

    def act(self) -> None:
        """The last to come, while all are inside."""
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
        """Stop one while the others wait inside, if it is not inside or on its way, itself."""
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
            # Without a look from here, which would break it: those inside must see by themselves who died beside them.
            self.until("they do not hear", lambda: self.all_broke(inside))
            os.kill(int(self.board.pids[self.late]), signal.SIGCONT)
            self.until("the late one does not hear", lambda: self.all_broke(survivors))
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
