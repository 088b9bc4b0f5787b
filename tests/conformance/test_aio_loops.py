"""Effects of event loops on other waiters: loops that end with waits left in them, Ctrl-C, and what remains."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from conformance import children_aio
from conformance.loops import Left, asked, in_loop, run, settle, start
from conformance.watchdog import Child, Task, until

Kit = Any


@pytest.fixture(params=[False, True], ids=["ended", "closed"])
def leave(request: pytest.FixtureRequest) -> Iterator[Callable[..., Left]]:
    made: list[Left] = []

    def left(*coroutines: Coroutine[Any, Any, Any], ready: Callable[[], bool] | None = None) -> Left:
        made.append(Left(request.param, *coroutines, ready=ready))
        return made[-1]

    yield left
    for each in made:
        each.end()
    made.clear()
    gc.collect()


def test_getters_left_behind_keep_no_item(kit: Kit, leave: Callable[..., Left]) -> None:
    q = kit.Queue()
    leave(q.aget(), q.aget(), q.aget_many(), ready=asked(kit, lambda: q.statistics().waiting_getters == 3))
    thread, loop = Task(q.get), in_loop(q.aget)
    until(lambda: q.statistics().waiting_getters is None or q.statistics().waiting_getters >= 2)
    q.put("a")
    q.put("b")
    assert {thread.result(), loop.result()} == {"a", "b"}


@pytest.mark.needs("idle-putters")
def test_putters_left_behind_keep_no_room(kit: Kit, leave: Callable[..., Left]) -> None:
    q = kit.Queue(1)
    q.put("first")
    leave(q.aput("left"), q.aput_many(["left"]), ready=asked(kit, lambda: q.statistics().waiting_putters == 2))
    thread = Task(q.put, "second")
    assert q.get() == "first"
    thread.result()
    assert q.get() == "second"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tasks that never ended
def test_waits_left_behind_keep_no_lock_and_no_permit(kit: Kit, leave: Callable[..., Left]) -> None:
    for held in (kit.Lock(), kit.Semaphore(1), kit.BoundedSemaphore(1)):
        held.acquire()
        there = asked(kit, lambda: held.statistics().waiting == 2)  # noqa: B023
        leave(held.aacquire(), held.aacquire(), ready=there)
        thread, loop = Task(held.acquire), in_loop(held.aacquire)
        held.release()
        until(lambda: thread.done or loop.done)  # noqa: B023
        held.release()
        assert (thread.result(), loop.result()) == (True, True)
        held.release()
        assert held.acquire(False) is True
        held.release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tasks that never ended
def test_a_notification_is_not_lost_to_a_wait_left_behind(kit: Kit, leave: Callable[..., Left]) -> None:
    c = kit.Condition(kit.Lock())

    async def wait() -> None:
        async with c:
            await c.await_()

    def wait_here(holds: threading.Event) -> bool:
        with c:
            holds.set()
            return bool(c.wait(60))

    while True:
        leave(wait(), ready=lambda: c.statistics().waiting == 1)
        holds = threading.Event()
        thread = Task(wait_here, holds)
        assert holds.wait(60)
        with c:  # the thread has released the lock: it waits
            both_wait = c.statistics().waiting == 2
        if both_wait:
            break
        with c:  # too slow: a condition ends the wait of a loop that has not run for 50 ms
            c.notify()
        assert thread.result() is True
    for _ in range(2):  # in shared memory the first may go to the wait that was left behind
        with c:
            c.notify()
    assert thread.result() is True
    assert c.acquire(timeout=60)
    c.release()


def test_an_event_wakes_the_waiters_beside_one_left_behind(kit: Kit, leave: Callable[..., Left]) -> None:
    event = kit.Event()
    leave(event.await_(), ready=asked(kit, lambda: event.statistics().waiting == 1))
    thread, loop = Task(event.wait), in_loop(event.await_)
    event.set()
    assert (thread.result(), loop.result()) == (True, True)


def test_a_barrier_with_a_party_left_behind_works_again_after_a_reset(kit: Kit, leave: Callable[..., Left]) -> None:
    barrier = kit.Barrier(2)
    leave(barrier.await_(), ready=lambda: barrier.n_waiting == 1)
    barrier.reset()
    here, there = Task(barrier.wait), in_loop(barrier.await_)
    assert sorted([here.result(), there.result()]) == [0, 1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # tasks that never ended
def test_a_collected_wait_does_not_release_a_lock_that_another_holds(kit: Kit) -> None:
    """The coroutine is collected while another thread holds the lock that its block would release."""
    c = kit.Condition(kit.Lock())
    ran: list[str] = []

    async def wait() -> None:
        async with c:
            try:
                await c.await_()
            finally:
                ran.append("without the lock")

    left = Left(True, wait(), ready=lambda: c.statistics().waiting == 1)
    with c:
        c.notify()
        left.tasks.clear()
        gc.collect()
        assert not ran
        assert c.acquire(False) is False
    assert c.acquire(timeout=60)
    c.release()


def test_cancelled_readers_and_writers_exclude_no_one(kit: Kit) -> None:
    rw = kit.RWLock()

    def waiting() -> tuple[int, int]:
        snapshot = rw.statistics()
        return snapshot.waiting_readers, snapshot.waiting_writers

    rw.acquire_read()
    Left(False, rw.aacquire_write(), ready=asked(kit, lambda: waiting() == (0, 1))).end()
    assert Task(rw.acquire_read, timeout=60).result() is True
    rw.release_read()
    rw.release_read()
    assert rw.acquire_write(timeout=60) is True
    Left(False, rw.aacquire_read(), rw.aacquire_write(), ready=asked(kit, lambda: waiting() == (1, 1))).end()
    rw.release_write()
    assert rw.acquire_write(timeout=60) is True
    rw.release_write()


def test_a_loop_that_runs_again_gets_what_comes_then(kit: Kit) -> None:
    q, lock, event, s = kit.Queue(), kit.Lock(), kit.Event(), kit.Semaphore(0)
    lock.acquire()

    def wait() -> bool:
        getters = q.statistics().waiting_getters == 2
        return getters and all(each.statistics().waiting == 1 for each in (lock, event, s))

    left = Left(False, q.aget(), q.aget(), lock.aacquire(), event.await_(), s.aacquire(), ready=asked(kit, wait))
    q.put(1)
    assert q.get() == 1
    q.put_many([2, 3])
    lock.release()
    event.set()
    s.release()
    assert left.go_on() == [2, 3, True, True, True]
    left.end()


def test_two_loops_wait_for_one_object_in_two_threads(kit: Kit) -> None:
    q, s = kit.Queue(), kit.Semaphore(0)

    async def wait() -> list[Any]:
        return list(await asyncio.gather(*(q.aget() for _ in range(100)), *(s.aacquire() for _ in range(100))))

    loops = [in_loop(wait), in_loop(wait)]
    for i in range(200):
        q.put(i)
        s.release()
    answers = [each for loop in loops for each in loop.result()]
    assert sorted(each for each in answers if each is not True) == list(range(200))[:1] + list(range(1, 200))
    assert s.get_value() == 0


def test_the_loop_goes_on_while_tasks_wait(kit: Kit) -> None:
    lock = kit.Lock()
    lock.acquire()
    waits = [
        lambda: kit.Queue().aget(),
        lambda: kit.Queue().aget_many(),
        lambda: lock.aacquire(),
        lambda: kit.Semaphore(0).aacquire(),
        lambda: kit.Event().await_(),
        lambda: kit.Barrier(2).await_(),
    ]

    async def main() -> int:
        ticks = 0
        tasks = start(wait() for wait in waits)
        for _ in range(50):
            await asyncio.sleep(0)
            ticks += 1
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return ticks

    assert run(main) == 50


def test_no_thread_remains(kit: Kit) -> None:
    before = threading.active_count()
    q = kit.Queue()

    async def main() -> None:
        tasks = start(q.aget() for _ in range(10))
        await settle()
        q.put_many(range(10))
        await asyncio.gather(*tasks)

    run(main)
    until(lambda: threading.active_count() <= before)


@pytest.mark.needs("found-by-method-alone")
@pytest.mark.parametrize("wait", children_aio.WAITS)
def test_ctrl_c_ends_a_wait(context: Any, wait: str) -> None:
    assert Child("fork", children_aio.interrupted, context.method, wait).result() == "interrupted"


@pytest.mark.needs("found-by-method-alone")
@pytest.mark.parametrize("closed", [False, True], ids=["ended", "closed"])
def test_a_condition_with_a_wait_left_behind_prints_nothing_at_the_interpreters_end(context: Any, closed: bool) -> None:
    program = f"""
import asyncio
import sharedkit as sk

async def wait(c):
    async with c:
        await c.await_()

async def begun():
    while not c.statistics().waiting:
        await asyncio.sleep(0)

if __name__ == "__main__":
    c = sk.get_context({context.method!r}).Condition()
    loop = asyncio.new_event_loop()
    task = loop.create_task(wait(c))
    loop.run_until_complete(begun())
    if {closed}:
        loop.close()
"""
    ended = subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True)
    assert ended.stderr == ""


@pytest.mark.needs("found-by-method-alone")
def test_asyncio_is_imported_only_when_a_task_waits(context: Any) -> None:
    program = f"""
import sys
import sharedkit as sk
kit = sk.get_context({context.method!r})
q, lock, again, s, e, rw = kit.Queue(), kit.Lock(), kit.RLock(), kit.Semaphore(), kit.Event(), kit.RWLock()
q.put(1)
q.get()
for each in (lock, again, s, rw.reader, rw.writer):
    with each:
        pass
e.set()
e.wait()
with kit.Condition() as held, kit.Barrier(1) as b:
    b.wait()
assert "asyncio" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
