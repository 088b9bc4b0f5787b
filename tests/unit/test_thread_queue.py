"""The queue of the thread placement where it differs from the standard library's: counted waiters, leaving a wait."""

from __future__ import annotations

import contextlib
import gc
import queue
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from sharedkit.thread import Queue

LIMIT = 60.0


class Interrupt(BaseException):
    """Comes in a wait, as Ctrl-C does."""


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _thread(target: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def _join(thread: threading.Thread) -> None:
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_nobody_is_counted_as_waiting_after_a_wait_ended() -> None:
    q: Queue[int] = Queue(1)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.01)
    s = q.statistics()
    assert (s.waiting_getters, s.waiting_putters) == (0, 0)


@pytest.mark.parametrize("side", ["getters", "putters"])
def test_who_leaves_a_wait_by_an_exception_hands_on_its_notification(side: str) -> None:
    """Two wait; something comes for one of them just as the first is interrupted. Then it is the second's."""

    def interrupt(number: int, frame: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for n in range(200):
            q: Queue[int] = Queue(1)
            if side == "putters":
                q.put(0)
            wait = q.get if side == "getters" else lambda: q.put(1)  # noqa: B023
            stayer = _thread(wait)
            _until(lambda: getattr(q.statistics(), f"waiting_{side}") == 1)  # noqa: B023
            timer = threading.Timer(0.003, (lambda: q.put(7)) if side == "getters" else q.get)  # noqa: B023
            timer.start()
            interrupted = False
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.002 + n % 20 * 1e-4)
                wait()
                time.sleep(LIMIT)  # it is still to come
            except Interrupt:
                interrupted = getattr(q.statistics(), f"waiting_{side}") <= 1
            assert interrupted
            _join(timer)
            if stayer.is_alive():  # the first had it before it was interrupted, or it is on its way to the second
                with contextlib.suppress(queue.Full, queue.Empty):
                    q.put(8, False) if side == "getters" else q.get(False)
            _join(stayer)
            s = q.statistics()
            assert (s.waiting_getters, s.waiting_putters) == (0, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_raising_maxsize_lets_waiting_putters_in() -> None:
    q: Queue[int] = Queue(1)
    q.put(0)
    putters = [_thread(lambda i=i: q.put(i)) for i in (1, 2, 3)]  # type: ignore[misc]
    _until(lambda: q.statistics().waiting_putters == 3)
    q.maxsize = 0
    for putter in putters:
        _join(putter)
    assert sorted(q.get_many()) == [0, 1, 2, 3]


def test_a_batch_says_how_far_it_came_when_it_is_shut_down() -> None:
    q: Queue[int] = Queue(2)
    errors: list[BaseException] = []

    def put() -> None:
        try:
            q.put_many(range(5))
        except BaseException as error:
            errors.append(error)

    putter = _thread(put)
    _until(lambda: q.statistics().waiting_putters == 1)
    q.shutdown()
    _join(putter)
    assert vars(errors[0])["put"] == 2


def test_a_queue_in_itself_is_collected() -> None:
    class Thing:
        pass

    q: Queue[object] = Queue()
    thing = Thing()
    seen = weakref.ref(thing)
    q.put(q)
    q.put(thing)
    del q, thing
    gc.collect()
    assert seen() is None


def test_it_keeps_no_item_that_was_taken() -> None:
    class Thing:
        pass

    q: Queue[object] = Queue()
    things = [Thing() for _ in range(100)]
    seen = [weakref.ref(each) for each in things]
    q.put_many(things)
    del things
    assert len(q.get_many(40)) == 40
    assert [each() is None for each in seen] == [True] * 40 + [False] * 60
    q.shutdown(immediate=True)
    assert all(each() is None for each in seen)


def test_what_an_item_does_when_it_is_dropped_may_use_the_queue() -> None:
    """Items thrown away at a shutdown run their finalizers when nothing is held any more."""
    q: Queue[object] = Queue()
    sizes: list[int] = []

    class Thing:
        def __del__(self) -> None:
            sizes.append(q.qsize())

    q.put_many([Thing() for _ in range(3)])
    q.shutdown(immediate=True)
    assert sizes == [0, 0, 0]


def test_finalizers_may_use_the_queue_while_the_collector_runs_inside() -> None:
    """Before Python 3.12 the collector runs where a list is made, also the list of a ring that grows."""
    q: Queue[object] = Queue()
    seen: list[object] = []

    class Thing:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            q.put(-1)
            seen.extend(q.get_many(2, False))

    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1)
    put = 0
    try:
        for size in (40, 5000, 3):
            for _ in range(size):
                Thing()
                q.put(put)
                put += 1
            while not q.empty():
                Thing()
                with contextlib.suppress(queue.Empty):
                    seen.extend(q.get_many(7, False))
    finally:
        gc.set_threshold(*before)
    gc.collect()
    seen.extend(q.get_many(None, False) if not q.empty() else [])
    assert None not in seen
    assert [each for each in seen if each != -1] == list(range(put))
    assert q.qsize() == 0


def test_order_is_kept_while_the_ring_grows_and_shrinks() -> None:
    q: Queue[int] = Queue()
    put = taken = 0
    for size in (1, 15, 16, 17, 100, 5000, 3, 20000):
        for _ in range(size):
            q.put(put)
            put += 1
        half = q.qsize() // 2
        assert q.get_many(half) == list(range(taken, taken + half))
        taken += half
    assert q.get_many() == list(range(taken, put))
