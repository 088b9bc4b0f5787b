"""Signal handlers raise while threads use one object: `interrupted.py WORK KIND PLACEMENT SIGNALS`.

A thread sends signals at random moments, until handlers have raised SIGNALS times while the main thread used the
object. Then nothing is left locked, lost or duplicated. The program prints nothing and ends with status 0.

CPython 3.11 to 3.14 let handlers run between the end of a call and the store of its result, so `item = q.get()` may
lose an item whatever `get` does. So here C code makes the call and C code stores the result: see `exactly`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain, starmap
from queue import Empty, Full
from types import FrameType
from typing import Any

from sharedkit import NotLockedError

LIMIT = 90.0  # seconds for the whole program
HELPERS = 2


class Interrupted(Exception):
    """The exception that the handler raises."""


class Storm:
    """Sends signals to the main thread until `wanted` handlers have raised while `act` ran."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.raised = wanted, 0
        self.over = False  # no Event: a handler that interrupts another one inside `Event.set` would deadlock
        self._code: Any = None

    def run(
        self, act: Callable[[], object], *helps: Callable[[], object], finish: Callable[[], object] | None = None
    ) -> None:
        """Call `act` again and again, and meanwhile each of `helps` in a new thread; call `finish` at the end."""
        self._code = act.__code__

        def helping(help_: Callable[[], object]) -> None:
            try:
                while not self.over:
                    help_()
            except BaseException:  # end the process: the main thread may be waiting for this one
                traceback.print_exc()
                os._exit(1)

        threads = [threading.Thread(target=helping, args=(each,)) for each in helps]
        threads.append(threading.Thread(target=self._send, args=(threading.get_ident(),)))
        signal.signal(signal.SIGUSR1, self._handle)
        for thread in threads:
            thread.start()
        while not self.over:
            with contextlib.suppress(Interrupted):
                act()
        if finish is not None:
            finish()
        for thread in threads:
            thread.join()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code is self._code:
                self.raised += 1
                if self.raised >= self.wanted:
                    self.over = True
                raise Interrupted
            frame = frame.f_back

    def _send(self, to: int) -> None:
        rng = random.Random(1)
        while not self.over:
            time.sleep(rng.random() * 300e-6)
            if rng.random() < 0.5:
                signal.pthread_kill(to, signal.SIGUSR1)
            else:
                os.kill(os.getpid(), signal.SIGUSR1)


def exactly(answers: list[Any], function: Callable[..., Any], *args: Any) -> None:
    """Call the function and store its result. No handler can run between the two."""
    deque(map(answers.append, starmap(function, (args,))), maxlen=0)


def lockables(place: Any) -> dict[str, tuple[Any, Callable[[], Any]]]:
    """For each kind: the handle with the statistics, and a function that returns an object with a Lock's interface."""
    lock, rlock, semaphore, bounded = place.Lock(), place.RLock(), place.Semaphore(1), place.BoundedSemaphore(1)
    rwlock, condition, array = place.RWLock(), place.Condition(), place.Array(4)
    return {
        "Lock": (lock, lambda: lock),
        "RLock": (rlock, lambda: rlock),
        "Semaphore": (semaphore, lambda: semaphore),
        "BoundedSemaphore": (bounded, lambda: bounded),
        "writer": (rwlock, lambda: rwlock.writer),
        "reader": (rwlock, lambda: rwlock.reader),
        "Condition": (condition, lambda: condition),
        "Array.lock": (array, lambda: array.lock),
    }


def free_again(kind: str, handle: Any, lock: Any) -> None:
    """Check that the lock has no holder and no waiter."""
    assert not lock.locked(), f"{kind} is left locked"
    assert lock.acquire(False), f"{kind} is left taken"
    lock.release()
    counts = handle.statistics()
    for name in ("waiting", "waiting_readers", "waiting_writers"):
        assert getattr(counts, name, 0) == 0, counts
    if kind in ("Semaphore", "BoundedSemaphore"):
        assert counts.value == 1, counts


def blocks(place: Any, storm: Storm, kind: str) -> None:
    """All threads use `with lock:`; one thread at a time is inside."""
    handle, get = lockables(place)[kind]
    lock = get()
    other = handle.writer if kind == "reader" else lock
    done, own = [0], [0] * HELPERS

    def act() -> None:
        with lock:
            before = done[0]
            for _ in range(20):  # at each jump back a handler may run
                pass
            if done[0] != before:
                raise AssertionError(f"{kind}: another thread was inside")

    def help_(i: int) -> None:
        with other:
            done[0] += 1  # would lose an addition if two threads were inside
        own[i] += 1

    storm.run(act, *[lambda i=i: help_(i) for i in range(HELPERS)])
    assert done[0] == sum(own)
    free_again(kind, handle, lock)


def pairs(place: Any, storm: Storm, kind: str) -> None:
    """An acquire() that raised has not taken the lock; a release() that raised has not released it."""
    handle, get = lockables(place)[kind]
    lock = get()
    other = handle.writer if kind == "reader" else lock
    taken: list[bool] = []
    given: list[None] = []

    def act() -> None:
        if len(taken) == len(given):
            exactly(taken, lock.acquire)
        exactly(given, lock.release)

    def help_() -> None:
        if other.acquire(timeout=0.01):
            other.release()

    storm.run(act, *[help_] * HELPERS)
    assert all(taken)
    if len(taken) > len(given):
        lock.release()
    free_again(kind, handle, lock)


def queued(place: Any, storm: Storm, kind: str) -> None:
    """Each item that was put comes exactly once, and no other item comes."""
    queue = getattr(place, kind)(4)
    put: list[list[Any]] = [[] for _ in range(HELPERS + 1)]
    got: list[list[Any]] = [[] for _ in range(HELPERS + 1)]
    returned: list[None] = []

    def act() -> None:
        if len(returned) <= len(got[0]):
            exactly(returned, queue.put, (0, len(returned)))
        exactly(got[0], queue.get)

    def help_(i: int) -> None:
        item = (i, len(put[i]))
        with contextlib.suppress(Full):
            queue.put(item, timeout=0.001)
            put[i].append(item)
        with contextlib.suppress(Empty):
            got[i].append(queue.get(timeout=0.001))

    storm.run(act, *[lambda i=i: help_(i) for i in range(1, HELPERS + 1)])
    put[0] = [(0, n) for n in range(len(returned))]
    while not queue.empty():
        got[0].append(queue.get(timeout=1))
    wanted, found = sorted(chain(*put)), sorted(chain(*got))
    assert wanted == found, (set(wanted) ^ set(found), len(wanted), len(found))
    counts = queue.statistics()
    assert (counts.qsize, counts.waiting_getters or 0, counts.waiting_putters or 0) == (0, 0, 0), counts


def counted(place: Any, storm: Storm, kind: str) -> None:
    """Each addition that returned is counted exactly once."""
    counter = place.Counter(striped=kind == "striped")
    mine: list[Any] = []
    others = [0] * HELPERS

    def act() -> None:
        exactly(mine, counter.add, 1)

    def help_(i: int) -> None:
        counter.add(1)
        others[i] += 1

    storm.run(act, *[lambda i=i: help_(i) for i in range(HELPERS)])
    assert counter.value == len(mine) + sum(others)


def mapped(place: Any, storm: Storm, kind: str) -> None:
    """If `d[k] = v` returns, k is set; if it raises, k is as before. Each `add` that returned is counted once."""
    table = place.Dict(n=0)
    added: list[Any] = []
    kept: list[None] = []
    begun, others = [0], [0] * HELPERS

    def act() -> None:
        exactly(added, table.add, "n")
        begun[0] += 1
        exactly(kept, table.__setitem__, begun[0], bytes(begun[0] % 400))

    def help_(i: int) -> None:
        table.add("n")
        others[i] += 1
        table[f"key {i}"] = i

    storm.run(act, *[lambda i=i: help_(i) for i in range(HELPERS)])
    assert table["n"] == len(added) + sum(others)
    assert len(table) == 1 + len(kept) + HELPERS


def members(place: Any, storm: Storm, kind: str) -> None:
    """If `insert` returns, the member is in the set. (If it raises, the member may be in the set, too: a Set is Python
    code over a Dict, so a handler may raise after the insertion and before the return.)"""
    group = place.Set()
    answers: list[bool] = []
    begun, others = [0], [0] * HELPERS

    def act() -> None:
        begun[0] += 1
        exactly(answers, group.insert, begun[0])

    def help_(i: int) -> None:
        assert group.insert(f"{i} {others[i]}")
        others[i] += 1

    storm.run(act, *[lambda i=i: help_(i) for i in range(HELPERS)])
    assert all(answers)
    assert 0 <= len(group) - len(answers) - sum(others) <= storm.raised


def notified(place: Any, storm: Storm, kind: str) -> None:
    """A notification that arrives together with a signal goes to the next waiter.

    If a second handler raises while `wait` takes the lock again, the lock is not taken, and the end of the `with` block
    raises NotLockedError.
    """
    condition = place.Condition()
    told: list[bool] = []
    tokens, seen, eaten = [0], [0], [0]

    def consume() -> None:
        with condition:
            while not tokens[0] and not storm.over:
                assert condition.wait(LIMIT / 2) or not tokens[0] or storm.over, "a notification was lost"
            if tokens[0]:
                tokens[0] -= 1
                eaten[0] += 1

    def act() -> None:
        with contextlib.suppress(NotLockedError), condition:
            if len(told) == seen[0] and not tokens[0]:
                exactly(told, condition.wait, LIMIT / 2)
            if tokens[0]:
                tokens[0] -= 1
            seen[0] = len(told)  # the last step: if a handler raises before it, the next `act` takes the token first

    def produce() -> None:
        with condition:
            if tokens[0] < 2:
                tokens[0] += 1
                condition.notify()

    def finish() -> None:
        with condition:
            condition.notify_all()

    storm.run(act, consume, produce, finish=finish)
    assert eaten[0]
    assert all(told)
    free_again(kind, condition, condition)


def raised(place: Any, storm: Storm, kind: str) -> None:
    """A wait for an event ends by the event or by a handler; afterwards no waiter is counted."""
    event = place.Event()

    def act() -> None:
        event.wait(0.01)

    def help_() -> None:
        event.set()
        time.sleep(0.0002)
        event.clear()
        event.wait(0.0005)

    storm.run(act, *[help_] * HELPERS)
    assert event.statistics().waiting == 0
    event.set()
    assert event.wait(10)


WORKS: dict[str, Callable[[Any, Storm, str], None]] = {
    "queued": queued, "counted": counted, "mapped": mapped, "members": members, "notified": notified, "raised": raised,
    "blocks": blocks, "pairs": pairs,
}  # fmt: skip


def subjects(placement: str) -> Iterator[tuple[str, str]]:
    """The pairs of a work and a kind that this placement has."""
    for kind in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "writer", "reader", "Condition", "Array.lock"):
        yield "blocks", kind
        yield "pairs", kind
    yield from [("counted", "plain"), ("counted", "striped"), ("mapped", "Dict"), ("members", "Set")]
    yield from [("notified", "Condition"), ("raised", "Event"), ("queued", "Queue"), ("queued", "JoinableQueue")]
    if placement == "thread":
        yield from [("queued", "LifoQueue"), ("queued", "PriorityQueue")]


def main() -> None:
    faulthandler.enable()
    work, kind, placement, signals = sys.argv[1:]
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    sys.setswitchinterval(1e-5)  # with a GIL: a signal is handled only when the main thread has the GIL
    WORKS[work](importlib.import_module(f"sharedkit.{placement}"), Storm(int(signals)), kind)


if __name__ == "__main__":
    main()
