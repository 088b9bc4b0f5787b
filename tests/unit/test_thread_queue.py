"""The queue of the thread placement where it differs from the standard library's: counting waiters, leaving a wait."""

from __future__ import annotations

import asyncio
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
    """Raised in a wait, as KeyboardInterrupt is by Ctrl-C."""


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


def test_no_waiter_is_counted_after_its_wait_ended() -> None:
    q: Queue[int] = Queue(1)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.01)
    s = q.statistics()
    assert (s.waiting_getters, s.waiting_putters) == (0, 0)


@pytest.mark.parametrize("side", ["getters", "putters"])
def test_a_wait_that_ends_by_an_exception_passes_its_notification_on(side: str) -> None:
    """Two threads wait; the notification for one of them arrives just as it is interrupted. Then the second gets it."""

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
                time.sleep(LIMIT)  # until the signal comes
            except Interrupt:
                interrupted = getattr(q.statistics(), f"waiting_{side}") <= 1
            assert interrupted
            _join(timer)
            if stayer.is_alive():  # the first took it, or the notification is on its way to the second
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


def test_a_batch_that_is_shut_down_says_how_many_items_it_has_put() -> None:
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


def test_the_finalizer_of_a_discarded_item_may_use_the_queue() -> None:
    """The finalizers of items discarded at a shutdown run when no lock is held."""
    q: Queue[object] = Queue()
    sizes: list[int] = []

    class Thing:
        def __del__(self) -> None:
            sizes.append(q.qsize())

    q.put_many([Thing() for _ in range(3)])
    q.shutdown(immediate=True)
    assert sizes == [0, 0, 0]


def test_finalizers_may_use_the_queue_when_the_collector_runs_inside_it() -> None:
    """Before Python 3.12 the collector runs whenever a list is made, for example the list of a ring that grows."""
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


class Finalizer:
    """Does something when the collector finds it."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act
        self.me = self

    def __del__(self) -> None:
        self.act()


@contextlib.contextmanager
def _collecting_after(allocations: int) -> Any:
    """Let the collector run after about `allocations` allocations, as it ran inside the queue before Python 3.12."""
    threshold = gc.get_threshold()
    gc.set_threshold(gc.get_count()[0] + allocations, *threshold[1:])
    gc.enable()
    try:
        yield
    finally:
        gc.disable()
        gc.set_threshold(*threshold)


@pytest.fixture
def quiet() -> Any:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _drain(q: Queue[int], into: list[int]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            into.append(q.get_nowait())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("allocations", range(1, 12))
class TestCollectorInTheMidst:
    """Making a list inside the queue may start the collector; a finalizer may use the queue, or let others use it."""

    def test_of_get_many(self, allocations: int) -> None:
        q: Queue[int] = Queue()
        q.put_many(range(10))
        taken: list[int] = []
        Finalizer(lambda: _drain(q, taken))
        with _collecting_after(allocations):
            got = []
            with contextlib.suppress(queue.Empty):
                got = q.get_many(block=False)
        gc.collect()
        assert sorted(got + taken) == list(range(10))
        assert q.qsize() == 0

    def test_of_growing(self, allocations: int) -> None:
        q: Queue[int] = Queue()
        q.put_many(range(16))
        Finalizer(lambda: [q.put(i) for i in range(100, 200)])
        with _collecting_after(allocations):
            q.put(16)
        gc.collect()
        assert sorted(q.get_many()) == [*range(17), *range(100, 200)]

    def test_of_shrinking(self, allocations: int) -> None:
        q: Queue[int] = Queue()
        q.put_many(range(5000))
        q.get_many(4999)
        Finalizer(lambda: [q.put(i) for i in range(100, 105)])
        with _collecting_after(allocations):
            last = q.get()
        gc.collect()
        assert [last, *q.get_many()] == [4999, *range(100, 105)]


def test_a_handler_that_raises_while_get_waits_for_the_gil_takes_no_item_with_it() -> None:
    """Earlier, signals were handled only after the woken getter had taken an item; half of the handlers lost the item.
    Now only a handler that runs in the statement after `get` can lose an item."""
    armed = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise Interrupt

    q: Queue[int] = Queue(1)
    stop = threading.Event()
    put = got = raised = 0

    def produce() -> None:
        nonlocal put
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                q.put(put, timeout=0.01)
                put += 1

    def burn() -> None:
        while not stop.is_set():
            sum(range(50))

    threads = [_thread(produce), _thread(burn)]
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0023)
    try:
        while raised < 300:
            try:
                armed = True
                q.get()
                armed = False
                got += 1
            except Interrupt:
                raised += 1
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        for thread in threads:
            _join(thread)
        signal.signal(signal.SIGALRM, before)
    assert put - got - q.qsize() <= raised // 10


def test_a_put_after_the_bound_is_lifted_does_not_overtake_tasks_in_the_wait_queue() -> None:
    async def put() -> list[int]:
        q: Queue[int] = Queue(1)
        q.put(0)
        tasks = [asyncio.ensure_future(q.aput(i)) for i in range(1, 4)]
        while q.statistics().waiting_putters == 0:
            await asyncio.sleep(0.001)
        q.maxsize = 0
        await q.aput(4)
        await asyncio.gather(*tasks)
        return q.get_many()

    assert asyncio.run(put()) == [0, 1, 2, 3, 4]
