"""`sharedkit.wait` and `sharedkit.await_`: the first of several structures, in threads, processes and tasks."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from unit.shm_waiting_children import crew, kill, signalled_when, until

import sharedkit as sk

WATCHDOG = 60.0

Wait = Callable[..., "list[Any]"]


def waits_in_a_task(things: Any, timeout: float | None = None) -> list[Any]:
    async def main() -> list[Any]:
        async with asyncio.timeout(WATCHDOG):
            return await sk.await_(things, timeout)

    return asyncio.run(main())


@pytest.fixture(params=["thread", "shm"])
def ctx(request: pytest.FixtureRequest) -> Any:
    return sk.get_context(request.param)


@pytest.fixture(params=[sk.wait, waits_in_a_task], ids=["in a thread", "in a task"])
def wait(request: pytest.FixtureRequest) -> Wait:
    chosen: Wait = request.param
    return chosen


def in_thread(call: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def empty_queue(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    q = ctx.Queue()
    return q.get, lambda: q.put(1)


def ended_queue(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    q = ctx.Queue()
    return q.get, q.shutdown


def full_queue(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    q = ctx.Queue(1)
    q.put(1)
    return q.put, q.get


def unfinished_queue(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    q = ctx.Queue(1)
    q.put(1)
    return q.join, q.task_done


def event(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    e = ctx.Event()
    return e, e.set


def lock(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing = ctx.Lock()
    thing.acquire()
    return thing, thing.release


def rlock(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing, taken, go = ctx.RLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with thing:
            taken.set()
            go.wait(WATCHDOG)

    in_thread(hold)
    assert taken.wait(WATCHDOG)
    return thing.acquire, go.set


def semaphore(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing = ctx.Semaphore(0)
    return thing, thing.release


def bounded(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing = ctx.BoundedSemaphore(1)
    thing.acquire()
    return thing.acquire, thing.release


def read(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing = ctx.RWLock()
    thing.acquire_write()
    return thing.acquire_read, thing.release_write


def write_after_read(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing = ctx.RWLock()
    thing.acquire_read()
    return thing.writer, thing.release_read


def write_after_write(ctx: Any) -> tuple[Any, Callable[[], Any]]:
    thing = ctx.RWLock()
    thing.acquire_write()
    return thing.acquire_write, thing.release_write


CASES = (
    empty_queue, ended_queue, full_queue, unfinished_queue, event, lock, rlock, semaphore, bounded, read,
    write_after_read, write_after_write,
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_thing_is_ready_when_a_call_would_not_wait(ctx: Any, wait: Wait, case: Any) -> None:
    thing, change = case(ctx)
    assert wait([thing], 0) == []
    assert wait([thing], 0.01) == []
    change()
    assert wait([thing]) == [thing]
    assert wait([thing], 0) == [thing], "the first wait took it"


@pytest.mark.parametrize("case", CASES)
def test_a_change_wakes_a_wait_for_several(ctx: Any, wait: Wait, case: Any) -> None:
    thing, change = case(ctx)
    others = [ctx.Event(), ctx.Queue().get, ctx.Semaphore(0)]
    changer = in_thread(lambda: (time.sleep(0.02), change()))
    assert wait([others[0], thing, *others[1:]]) == [thing]
    changer.join(WATCHDOG)


def test_all_that_are_ready_are_listed_in_the_given_order(ctx: Any, wait: Wait) -> None:
    events = [ctx.Event() for _ in range(5)]
    for i in (4, 1, 2):
        events[i].set()
    assert wait(events) == [events[1], events[2], events[4]]
    assert wait(iter(events), 5) == [events[1], events[2], events[4]]


def test_nothing_at_all_is_ready_at_once(wait: Wait) -> None:
    assert wait([]) == []


@pytest.mark.parametrize("n", [130, 300])
def test_any_number_of_things_can_be_waited_for(ctx: Any, wait: Wait, n: int) -> None:
    events = [ctx.Event() for _ in range(n)]
    for chosen in (events[-1], events[0]):
        setter = in_thread(lambda chosen=chosen: (time.sleep(0.02), chosen.set()))
        assert wait(events) == [chosen]
        chosen.clear()
        setter.join(WATCHDOG)
    assert wait(events, 0.01) == []


def test_placements_can_be_mixed(wait: Wait) -> None:
    here, there = sk.get_context("thread").Queue(), sk.Queue()
    putter = in_thread(lambda: (time.sleep(0.02), here.put(1)))
    assert wait([there.get, here.get]) == [here.get]
    putter.join(WATCHDOG)


def test_an_unused_wake_up_goes_to_a_thread_that_waits_itself(ctx: Any) -> None:
    q, got = ctx.Queue(), []
    waiting = in_thread(lambda: sk.wait([q.get, ctx.Event()]))
    getter = in_thread(lambda: got.append(q.get()))
    q.put("item")
    getter.join(WATCHDOG)
    assert got == ["item"]
    q.put("another")  # ends the first wait, if the getter was faster
    waiting.join(WATCHDOG)
    assert not waiting.is_alive()
    assert q.get(timeout=WATCHDOG) == "another"


def test_many_wait_for_one_queue_and_every_item_is_taken_once(ctx: Any) -> None:
    q, stop, got, n = ctx.Queue(), ctx.Event(), [], 2000

    def consume() -> None:
        while True:
            ready = sk.wait([q.get, stop])
            if q.get in ready:
                try:
                    got.append(q.get_nowait())
                except queue.Empty:
                    continue
            elif stop in ready:
                return

    async def aconsume() -> None:
        while True:
            ready = await sk.await_([q.get, stop])
            if q.get in ready:
                try:
                    got.append(q.get_nowait())
                except queue.Empty:
                    continue
            elif stop in ready:
                return

    consumers = [in_thread(consume), in_thread(consume), in_thread(lambda: asyncio.run(aconsume()))]
    for i in range(n):
        q.put(i)
        if i % 50 == 0:
            until(q.empty)
    until(q.empty)
    stop.set()
    for each in consumers:
        each.join(WATCHDOG)
        assert not each.is_alive()
    assert sorted(got) == list(range(n))


def puts(q: Any, e: Any) -> None:
    q.put("from another process")
    e.wait()
    e.clear()
    q.put("again")


def test_another_process_makes_a_thing_ready(wait: Wait) -> None:
    q, e, others = sk.Queue(), sk.Event(), [sk.Event() for _ in range(7)]
    with crew(puts, q, e, n=1):
        assert wait([*others, q.get]) == [q.get]
        assert q.get() == "from another process"
        e.set()
        assert wait([*others, q.get]) == [q.get]
        assert q.get() == "again"


def holds(thing: Any, held: Any) -> None:
    thing.acquire()
    held.set()
    time.sleep(WATCHDOG)


@pytest.mark.parametrize("make", [sk.Lock, sk.RLock, sk.BoundedSemaphore, lambda: sk.RWLock().writer])
@pytest.mark.parametrize("settled", [False, True], ids=["at once", "after a while"])
def test_a_lock_is_ready_when_its_holder_has_died(wait: Wait, make: Any, settled: bool) -> None:
    thing, held = make(), sk.Event()
    with crew(holds, thing, held, n=1) as children:
        assert held.wait(WATCHDOG)
        assert wait([thing], 0) == []
        killer = in_thread(lambda: (time.sleep(0.3 * settled), kill(*children)))
        assert wait([sk.Event(), thing]) == [thing]
        killer.join(WATCHDOG)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sk.OwnerDiedWarning)
            assert thing.acquire(timeout=WATCHDOG)


def test_a_lock_that_the_thread_holds_is_ready_if_it_may_take_it_again(ctx: Any, wait: Wait) -> None:
    again, never = ctx.RLock(), ctx.Lock()
    with never:
        assert wait([never], 0) == []
    if wait is sk.wait:  # a task is another holder
        with again:
            assert wait([again], 0) == [again]


def test_a_value_is_ready_when_its_lock_is_free(wait: Wait) -> None:
    value = sk.Value("i", 0)
    assert wait([value]) == [value]


def test_a_signal_handler_ends_a_wait(ctx: Any) -> None:
    begun = threading.Event()

    def handler(number: int, frame: Any) -> None:
        raise KeyError(number)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with signalled_when(begun.is_set, signal.SIGUSR1), pytest.raises(KeyError):
            begun.set()
            sk.wait([ctx.Event(), ctx.Queue().get])
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_cancelled_wait_has_taken_nothing(ctx: Any) -> None:
    async def main() -> None:
        q, e = ctx.Queue(), ctx.Event()
        task = asyncio.ensure_future(sk.await_([q.get, e]))
        await asyncio.sleep(0.01)
        q.put(1)
        task.cancel()
        await asyncio.wait([task])
        assert await asyncio.wait_for(q.aget(), WATCHDOG) == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        (lambda ctx: ctx.Condition(), "cannot wait for a Condition beside other things"),
        (lambda ctx: ctx.Condition().wait, "cannot wait for a Condition beside other things"),
        (lambda ctx: ctx.Barrier(2), "whoever waits for it takes part in it"),
        (lambda ctx: ctx.Queue(), r"a Queue itself: name a method, \.get"),
        (lambda ctx: ctx.Queue().qsize, r"Queue\.qsize: only for \.get"),
        (lambda ctx: ctx.RWLock(), r"a RWLock itself: name a method, \.acquire_read"),
        (lambda ctx: ctx.Dict(), "cannot wait for"),
        (lambda _: print, "cannot wait for"),
        (lambda _: 5, "cannot wait for 5"),
    ],
)
def test_what_cannot_be_waited_for_is_refused_with_a_sentence(ctx: Any, wait: Wait, thing: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        wait([ctx.Event(), thing(ctx)])


def test_a_structure_behind_a_server_is_refused_with_a_sentence(wait: Wait) -> None:
    with sk.get_context("manager") as ctx:
        for thing in (ctx.Queue().get, ctx.Event(), ctx.Lock(), ctx.RWLock().reader, ctx.Value("i", 0)):
            with pytest.raises(TypeError, match="behind a server"):
                wait([thing])


def test_a_closed_handle_is_refused(ctx: Any, wait: Wait) -> None:
    for thing in (ctx.Event(), ctx.Lock(), ctx.RLock(), ctx.Semaphore(1)):
        thing.close()
        with pytest.raises(sk.ClosedError):
            wait([thing])
    q = ctx.Queue()
    q.close()
    with pytest.raises(sk.ClosedError):
        wait([q.get])


@pytest.mark.parametrize(
    ("timeout", "error"), [("1", TypeError), (float("nan"), ValueError), (1e20, OverflowError), (True, None)]
)
def test_a_timeout_is_a_number_of_seconds(wait: Wait, timeout: Any, error: Any) -> None:
    e = sk.Event()
    if error is None:
        e.set()
        assert wait([e], timeout) == [e]
    else:
        with pytest.raises(error):
            wait([e], timeout)


def test_the_child_of_a_fork_waits_for_itself(ctx: Any) -> None:
    e = ctx.Event()
    assert sk.wait([e], 0.01) == []
    child = os.fork()
    if child == 0:
        e.set()
        os._exit(0 if sk.wait([e]) == [e] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
