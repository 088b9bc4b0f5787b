"""Operations of conditions: a dead waiter's notification goes to the next, and dead waiters delay no notifier."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from stress.ledger import shared_words
from stress.operations import STUCK_AFTER, Operation, Outcome, Stuck, newcomer, path_of
from stress.operations_sync import Primitive

from sharedkit import shm as sk

NOT_NOTIFIED = 1.0  # seconds, twenty slices: by then a waiter would have got the notification of a dead one
CAME = b"c"


class ConditionOperation(Primitive):
    """Has child processes that wait for the condition; a child ends with 0 if it is notified."""

    def make(self) -> Any:
        return sk.Condition(name=self.name)

    def start_waiter(self) -> int:
        """Start a child that waits. After this returns, any holder of the lock finds the child among the waiters."""
        was = self.handle.statistics().waiting
        pid = self.start(lambda: self.wait(2 * STUCK_AFTER))
        while self.handle.statistics().waiting == was:
            time.sleep(0.0005)
        with self.handle:
            return pid

    def wait(self, seconds: float) -> bool:
        with self.handle:
            return bool(self.handle.wait(seconds))

    def ends(self, pid: int) -> None:
        """Check that a child was notified and has ended."""
        if (ended := self.end_of(pid, STUCK_AFTER)) != 0:
            raise Stuck(f"wait: {ended}")

    def notify_the_rest(self, handle: Any, n: int | None = None) -> None:
        """Notify the remaining waiters."""
        if not handle.acquire(timeout=STUCK_AFTER):
            raise Stuck("acquire")
        if n is None:
            handle.notify_all()
        else:
            handle.notify(n)
        handle.release()
        for pid in list(self.children):
            self.ends(pid)

    def nothing_is_left(self, outcome: Outcome, handle: Any) -> None:
        """Check that there is no waiter, and that a new waiter is notified by one notification."""
        there = handle.statistics()
        outcome.torn += there.waiting + there.notified
        self.start_waiter()
        self.notify_the_rest(handle, 1)
        outcome.torn += int(handle.lock.owner_died)


class Notify(ConditionOperation):
    """Two children wait. One instruction notifies the first of them, which then needs nothing more from the victim."""

    commits_once = True
    most = 1

    def prepare(self) -> None:
        super().prepare()
        self.first = self.start_waiter()
        self.second = self.start_waiter()

    def enter(self) -> None:
        self.handle.acquire()

    def act(self) -> None:
        self.handle.notify()

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(sk.Condition, self.name)
        told = 2 - other.statistics().waiting
        outcome = Outcome(committed=told, duplicated=max(told - self.most, 0))
        for pid in (self.first, self.second)[:told]:
            self.ends(pid)
        self.notify_the_rest(other if k % 2 else self.handle)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        self.nothing_is_left(outcome, other)
        other.close()
        return outcome


class NotifyAll(Notify):
    commits_once = False  # one waiter after the other
    most = 2

    def act(self) -> None:
        self.handle.notify_all()


class NotifyPastTheDead(ConditionOperation):
    """The first waiter has died: the next is notified."""

    commits_once = True

    def prepare(self) -> None:
        super().prepare()
        dead = self.start_waiter()
        self.start_waiter()
        os.kill(dead, signal.SIGKILL)
        self.end_of(dead, STUCK_AFTER)

    def enter(self) -> None:
        self.handle.acquire()
        self.handle.statistics()  # opens the probe descriptor, so that all victims take the same way

    def act(self) -> None:
        self.handle.notify()

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.Condition, self.name)
        outcome = Outcome(committed=1 - other.statistics().waiting)
        if outcome.committed:
            self.ends(self.children[0])
        self.notify_the_rest(other if k % 2 else self.handle, 1)
        self.nothing_is_left(outcome, other)
        other.close()
        return outcome


class Wait(ConditionOperation):
    """A wait without a notification: release the lock, spin, park, give up, take the lock. The next one is notified."""

    def enter(self) -> None:
        self.handle.acquire()

    def act(self) -> None:
        self.handle.wait(0.002)

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.Condition, self.name)
        outcome = Outcome(committed=0)
        began = time.perf_counter()
        self.start_waiter()
        self.notify_the_rest(other if k % 2 else self.handle, 1)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        self.nothing_is_left(outcome, other)
        other.close()
        return outcome


class CallingLock(sk.RLock):
    """A lock that calls `call` after each release for a wait: then a second process waits, and a third one notifies."""

    def _release_save(self) -> Any:
        saved = super()._release_save()
        if self.call is not None:
            self.call()
        return saved

    call: Any = None


class WaitNotified(ConditionOperation):
    """The victim is notified and takes the lock. There is one notification: the victim has used it up, or else it goes
    to the second waiter, which came later."""

    commits_once = True

    def make(self) -> Any:
        self.lock = CallingLock(name=f"{self.name}-lock")
        return sk.Condition(self.lock, name=self.name)

    def prepare(self) -> None:
        super().prepare()
        self.notified = shared_words(1)
        gate, back = os.pipe(), os.pipe()
        self.come, self.came = gate[1], back[0]
        self.second = self.start(lambda: self._come_second(gate[0], back[1]))
        os.close(gate[0])
        os.close(back[1])

    def _come_second(self, gate: int, back: int) -> bool:
        """When the victim waits, wait too; before that, fork a third process, which notifies when both wait."""
        os.close(self.come)
        if os.read(gate, 1) != CAME:
            return False
        if os.fork() == 0:
            until = time.monotonic() + STUCK_AFTER
            while self.handle.statistics().waiting < 2 and time.monotonic() < until:
                time.sleep(0.0005)
            with self.handle:
                self.handle.notify()
            self.notified[0] = 1
            os.write(back, CAME)
            os._exit(0)
        return self.wait(2 * STUCK_AFTER)

    def _call(self) -> None:
        os.write(self.come, CAME)
        os.read(self.came, 1)

    def enter(self) -> None:
        self.lock.call = self._call
        self.handle.acquire()

    def act(self) -> None:
        self.handle.wait()

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.Condition, self.name)
        outcome = Outcome(committed=0)
        began = time.perf_counter()
        self._hang_up()
        ended = self.end_of(self.second, NOT_NOTIFIED if self._notified() else STUCK_AFTER)
        if ended is None:
            if not other.acquire(timeout=STUCK_AFTER):
                raise Stuck("acquire")
            # Not 1 if the second was notified and is only slow. If the victim was done, it died with the lock.
            outcome.committed = int(other.lock.owner_died and other.statistics().waiting == 1)
            other.notify(outcome.committed)
            other.release()
            self.ends(self.second)
        elif ended == 1:  # the victim had not begun to wait
            self.start_waiter()
            self.notify_the_rest(other if k % 2 else self.handle, 1)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        self.nothing_is_left(outcome, other)
        other.close()
        return outcome

    def _notified(self) -> bool:
        """Whether the third process has notified. Waits for that if the second process was started by the victim."""
        until = time.monotonic() + STUCK_AFTER
        while not self.notified[0] and time.monotonic() < until:
            if os.waitid(os.P_PID, self.second, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return False  # the victim did not call it
            time.sleep(0.0005)
        return bool(self.notified[0])

    def _hang_up(self) -> None:
        for end in (self.come, self.came):
            if end >= 0:
                os.close(end)
        self.come = self.came = -1

    def finish(self) -> int:
        self._hang_up()
        left = super().finish()
        self.lock.close()
        return left + int(path_of(f"{self.name}-lock").exists())


class PassOn(ConditionOperation):
    """A notified waiter has died. Of the running waiters the victim has waited longest, so it passes the notification
    on to the second waiter, which is stopped meanwhile and must be notified in any case."""

    def prepare(self) -> None:
        super().prepare()
        dead = self.start_waiter()
        self.second = self.start_waiter()
        os.kill(self.second, signal.SIGSTOP)
        os.waitpid(self.second, os.WUNTRACED)
        with self.handle:
            self.handle.notify()
            os.kill(dead, signal.SIGKILL)
            self.end_of(dead, STUCK_AFTER)

    def enter(self) -> None:
        self.handle.acquire()

    def act(self) -> None:
        self.handle.wait(0.06)  # longer than one slice

    def survive(self, k: int) -> Outcome:
        other = newcomer(sk.Condition, self.name)
        outcome = Outcome(committed=1 - other.statistics().waiting)
        began = time.perf_counter()
        os.kill(self.second, signal.SIGCONT)
        self.ends(self.second)
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        self.nothing_is_left(outcome, other if k % 2 else self.handle)
        other.close()
        return outcome


CONDITION: dict[str, type[Operation]] = {
    "Condition.wait": Wait,
    "Condition.wait, notified": WaitNotified,
    "Condition.wait, passing on": PassOn,
    "Condition.notify": Notify,
    "Condition.notify, past the dead": NotifyPastTheDead,
    "Condition.notify_all": NotifyAll,
}
