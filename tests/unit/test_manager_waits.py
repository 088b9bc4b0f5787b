"""Waiting in a server: in order, without a thread of the server for each wait, and left without a loss."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from types import FrameType
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until

import sharedkit as sk
from sharedkit.manager import queue
from sharedkit.manager.protocol import unpack

SOURCE = str(Path(sk.__file__).parent)


def threads_of_server(ctx: Any) -> int:
    return len(os.listdir(f"/proc/{ctx.server._process.pid}/task"))


def run(main: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main(), LIMIT))


async def until_true(true: Callable[[], bool]) -> None:
    """Do as `until` does, but in a thread, so that the loop runs."""
    await asyncio.to_thread(until, true)


def aget(q: Any) -> asyncio.Future[list[bytes]]:
    return asyncio.ensure_future(q._acall("get_many", 1, True, None))


def test_ten_thousand_waits_of_tasks_take_no_threads(ctx: Any) -> None:
    before, there = threading.active_count(), threads_of_server(ctx)

    async def main() -> list[Any]:
        with ctx.Queue() as q:
            waits = [aget(q) for _ in range(10_000)]
            await until_true(lambda: q.statistics().waiting_getters == 10_000)
            assert threading.active_count() <= before + 3
            assert threads_of_server(ctx) <= there + 2
            await asyncio.to_thread(q.put_many, range(10_000))
            return [unpack(*await wait) for wait in waits]

    assert run(main) == list(range(10_000))


def test_a_cancelled_wait_takes_nothing(ctx: Any) -> None:
    async def main() -> None:
        with ctx.Queue() as q:
            first, second = aget(q), aget(q)
            await until_true(lambda: q.statistics().waiting_getters == 2)
            first.cancel()
            await until_true(lambda: q.statistics().waiting_getters == 1)
            q.put("kept")
            assert unpack(*await second) == "kept"

    run(main)


def test_an_item_given_to_a_cancelled_wait_goes_back(ctx: Any) -> None:
    """The item arrives before the loop, which does not run meanwhile, has sent the cancellation to the server."""

    async def main() -> None:
        with ctx.Queue() as q:
            waits = [aget(q) for _ in range(50)]
            await until_true(lambda: q.statistics().waiting_getters == 50)
            q.put_many(range(50))
            for wait in waits:
                wait.cancel()
            ends = await asyncio.gather(*waits, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ends)
            await until_true(lambda: q.qsize() == 50)
            assert sorted(q.get_many()) == list(range(50))
            assert q.unfinished_tasks == 50

    run(main)


@pytest.mark.parametrize("cls", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_a_lock_given_to_a_cancelled_acquire_is_free(ctx: Any, cls: str) -> None:
    async def main() -> None:
        thing = getattr(ctx, cls)()
        thing.acquire()
        arguments = (True, None) if "Semaphore" in cls else (True, -1)
        wait = asyncio.ensure_future(thing._acall("acquire", *arguments, thread=-7))
        await until_true(lambda: thing.statistics().waiting == 1)
        thing.release()
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        assert await asyncio.to_thread(thing.acquire, timeout=LIMIT)

    run(main)


def test_a_cancelled_wait_for_a_condition_takes_the_lock_and_passes_the_notification_on(ctx: Any) -> None:
    async def main() -> None:
        condition, freed = ctx.Condition(ctx.Lock()), asyncio.Event()

        async def first() -> None:
            async with condition:
                try:
                    await condition.await_()
                finally:
                    assert condition.lock.locked()
                    freed.set()

        async def second() -> bool:
            async with condition:
                return bool(await condition.await_())

        waits: list[asyncio.Task[Any]] = []
        for wait in (first, second):
            waits.append(asyncio.create_task(wait()))
            await until_true(lambda: condition.statistics().waiting == len(waits))
        condition.acquire()
        condition.notify()
        waits[0].cancel()  # it was notified, and now waits for the lock, which this task holds
        condition.release()
        with pytest.raises(asyncio.CancelledError):
            await waits[0]
        assert freed.is_set()
        assert await waits[1] is True

    run(main)


def test_waiters_are_served_in_order_of_arrival(ctx: Any) -> None:
    waiters = 200
    q, served = ctx.Queue(), []

    async def main() -> None:
        async def one(number: int) -> None:
            served.append((unpack(*await q._acall("get_many", 1, True, None)), number))

        tasks = [asyncio.ensure_future(one(number)) for number in range(waiters)]
        await until_true(lambda: q.statistics().waiting_getters == waiters)
        await asyncio.to_thread(lambda: [q.put(item) for item in range(waiters)])
        await asyncio.gather(*tasks)

    run(main)
    assert served == [(n, n) for n in range(waiters)]


def test_a_put_of_many_keeps_its_place(ctx: Any) -> None:
    """Two batches that do not fit do not mix: the first is put completely before the second begins."""
    q = ctx.Queue(2)
    first = Task(q.put_many, [f"a{n}" for n in range(10)])
    until(lambda: q.statistics().waiting_putters == 1)
    second = Task(q.put_many, [f"b{n}" for n in range(10)])
    until(lambda: q.statistics().waiting_putters == 2)
    got = [q.get(timeout=LIMIT) for _ in range(20)]
    first.result(), second.result()
    assert got == [f"a{n}" for n in range(10)] + [f"b{n}" for n in range(10)]


def test_a_waiter_that_times_out_leaves_the_wait_queue_alone(ctx: Any) -> None:
    q = ctx.Queue()
    impatient = [Task(_get, q, 0.02 + n / 1000) for n in range(5)]
    patient = Task(q.get)
    assert [task.result() for task in impatient] == ["empty"] * 5
    assert q.statistics().waiting_getters == 1
    q.put(1)
    assert patient.result() == 1


def _get(q: Any, timeout: float) -> Any:
    try:
        return q.get(timeout=timeout)
    except Empty:
        return "empty"


def test_closing_a_handle_ends_the_waits_of_this_process_for_it(ctx: Any) -> None:
    q = ctx.Queue()
    waiter = Task(q.get)
    until(lambda: q.statistics().waiting_getters == 1)
    q.close()
    with pytest.raises(sk.ClosedError):
        waiter.result()


class Interrupted(BaseException):
    pass


def _interrupt_calls(number: int, frame: FrameType | None) -> None:
    """Raise only inside a method of the queue; after its return, the item could be lost without the method's fault.

    A finalizer that runs there, or the hook that reports its exception, cannot raise: its code is none of sharedkit's.
    """
    while frame is not None and frame.f_code.co_filename.startswith(SOURCE):
        if frame.f_code.co_filename == queue.__file__:
            raise Interrupted
        frame = frame.f_back


def test_the_handler_of_the_next_test_raises_in_no_finalizer(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []
    ignored: list[Any] = []

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGUSR1)
            ended.append(True)

    q = ctx.Queue()
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    monkeypatch.setattr(q, "_call", lambda *_: len([Finalized()]))
    before = signal.signal(signal.SIGUSR1, _interrupt_calls)
    try:
        assert q.qsize() == 1
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (ended, ignored) == ([True], [])


@pytest.mark.parametrize("size", [1, 100_000])
def test_signals_during_calls_lose_nothing(ctx: Any, size: int) -> None:
    """The signals come while a request is sent, while it waits, and while its answer is received."""
    q, total, got = ctx.Queue(), 300, []
    ended, main, interrupts = threading.Event(), threading.get_ident(), 0
    before = signal.signal(signal.SIGUSR1, _interrupt_calls)

    def disturb() -> None:
        while not ended.wait(0.0005):
            signal.pthread_kill(main, signal.SIGUSR1)

    def feed() -> None:
        for n in range(total):
            q.put(np.full(size, n))
            ended.wait(0.0003)

    helpers = [Task(feed), Task(disturb)]
    end = time.monotonic() + LIMIT
    try:
        while len(got) < total and time.monotonic() < end:
            try:
                item = q.get(timeout=1)
                assert (item == item[0]).all()
                got.append(item[0])
            except Interrupted:
                interrupts += 1
            except Empty:
                break
    finally:
        ended.set()
        for helper in helpers:
            helper.result()
        signal.signal(signal.SIGUSR1, before)
    assert interrupts
    assert sorted(got) == list(range(total))


def test_a_large_item_that_arrives_in_pieces_delays_no_other_client(ctx: Any) -> None:
    q, counter = ctx.Queue(), ctx.Counter()
    large = os.urandom(1 << 20) * 24
    putting = Task(q.put, large)
    for n in range(1, 50):
        assert counter.add() == n
    putting.result()
    assert q.get() == large


def test_a_client_that_does_not_read_delays_no_other_client(ctx: Any) -> None:
    """The answers to that client wait in the server."""
    requests = ctx.server.client()
    q = ctx.Queue()
    q.put_many([bytes(1 << 20)] * 40)
    gate = threading.Event()
    first = requests.begin(q._ident, "get_many", (1, True, None), lambda _: gate.wait(LIMIT))
    rest = [requests.begin(q._ident, "get_many", (1, True, None), lambda _: None) for _ in range(39)]
    assert ctx.Counter(3).value == 3
    assert q.qsize() == 0
    gate.set()
    until(lambda: all(each.over for each in [first, *rest]))
    assert sum(len(unpack(*each.result())) for each in [first, *rest]) == 40 << 20


def test_an_invalid_timeout_leaves_a_condition_unchanged(ctx: Any) -> None:
    condition = ctx.Condition()
    with condition:
        for no_time, error in (("soon", TypeError), (1e30, OverflowError)):
            with pytest.raises(error):
                condition.wait(no_time)
        condition.notify()  # needs the lock
