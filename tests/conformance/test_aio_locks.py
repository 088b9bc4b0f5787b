"""Locks, permits, readers and writers, taken by tasks, threads and loops at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from conformance.loops import cancelled, in_loop, perhaps, run, settle, start
from conformance.watchdog import Task

import sharedkit as sk

Kit = Any
NOTHING = object()

EXCLUSIVE: dict[str, Callable[[Kit], Any]] = {
    "Lock": lambda kit: kit.Lock(),
    "RLock": lambda kit: kit.RLock(),
    "Array.lock": lambda kit: kit.Array(1).lock,
    "Condition": lambda kit: kit.Condition(),
    "Condition over a Lock": lambda kit: kit.Condition(kit.Lock()),
    "Semaphore": lambda kit: kit.Semaphore(1),
    "BoundedSemaphore": lambda kit: kit.BoundedSemaphore(1),
    "RWLock.writer": lambda kit: kit.RWLock().writer,
}
each_exclusive = pytest.mark.parametrize("kind", EXCLUSIVE)


class Number:
    """Counts in two steps, between which other tasks or threads could run."""

    def __init__(self) -> None:
        self.value = 0
        self.inside = 0

    def begin(self) -> int:
        self.inside += 1
        assert self.inside == 1, "two are inside"
        return self.value

    def end(self, seen: int) -> None:
        self.value = seen + 1
        self.inside -= 1


@each_exclusive
def test_tasks_loops_and_threads_exclude_each_other(kit: Kit, kind: str) -> None:
    held, number, times = EXCLUSIVE[kind](kit), Number(), 40

    async def take_turns() -> None:
        async def one() -> None:
            for _ in range(times):
                async with held:
                    seen = number.begin()
                    await asyncio.sleep(0)
                    number.end(seen)

        await asyncio.gather(*(one() for _ in range(4)))

    def take_turns_here() -> None:
        for _ in range(times):
            with held:
                number.end(number.begin())

    for each in [in_loop(take_turns), in_loop(take_turns), Task(take_turns_here), Task(take_turns_here)]:
        each.result()
    assert number.value == 10 * times


@each_exclusive
def test_tasks_get_the_lock_in_order_of_arrival(kit: Kit, kind: str) -> None:
    held = EXCLUSIVE[kind](kit)
    order: list[int] = []

    async def take(i: int) -> None:
        async with held:
            order.append(i)

    async def main() -> None:
        await held.aacquire()
        tasks = start(take(i) for i in range(50))
        await settle()
        held.release()
        await asyncio.gather(*tasks)

    run(main)
    assert order == list(range(50))


@each_exclusive
def test_a_cancelled_wait_takes_nothing_and_loses_nothing(kit: Kit, kind: str) -> None:
    held, number = EXCLUSIVE[kind](kit), Number()

    async def main() -> None:
        async def one(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(40):
                if await perhaps(chance, held.aacquire, NOTHING) is NOTHING:
                    continue
                seen = number.begin()
                await asyncio.sleep(0)
                number.end(seen)
                held.release()

        await asyncio.gather(*(one(seed) for seed in range(10)))
        assert await held.aacquire(timeout=60) is True
        held.release()

    def meanwhile() -> None:
        for _ in range(200):
            with held:
                number.end(number.begin())

    thread = Task(meanwhile)
    run(main)
    thread.result()
    assert number.inside == 0
    assert held.acquire(False) is True
    held.release()


@each_exclusive
def test_a_thread_gets_the_lock_that_a_cancelled_task_was_notified_of(kit: Kit, kind: str) -> None:
    async def take(held: Any) -> None:
        await held.aacquire()

    async def main() -> None:
        held = EXCLUSIVE[kind](kit)
        for _ in range(30):
            await held.aacquire()
            (task,) = start([take(held)])
            await settle()
            thread = Task(lambda: held.acquire() and held.release())
            await asyncio.sleep(0.001)
            held.release()  # the loop does not run between this and the next line
            task.cancel()
            await asyncio.to_thread(thread.result)
            await asyncio.wait([task])
            assert task.cancelled()

    run(main)


def test_any_task_or_thread_may_release_a_lock(kit: Kit) -> None:
    lock = kit.Lock()

    async def main() -> None:
        await lock.aacquire()
        await asyncio.to_thread(lock.release)
        await asyncio.to_thread(lock.acquire)
        lock.release()
        with pytest.raises(sk.errors.NotLockedError):
            lock.release()

    run(main)


def test_a_task_owns_what_it_took_and_may_take_it_again(kit: Kit) -> None:
    lock = kit.RLock()

    async def other() -> None:
        assert await lock.aacquire(False) is False
        assert await lock.aacquire(timeout=0.01) is False
        assert lock.acquire(False) is False
        with pytest.raises(RuntimeError):
            lock.release()

    async def main() -> None:
        async with lock:
            assert await lock.aacquire() is True
            assert lock.acquire() is True
            assert lock._is_owned()
            assert lock._recursion_count() == 3
            await asyncio.gather(*start([other()]))
            assert await asyncio.to_thread(lock.acquire, False) is False
            with pytest.raises(RuntimeError):
                await asyncio.to_thread(lock.release)
            lock.release()
            lock.release()
            assert lock.statistics().count == 1
        assert not lock.locked()
        with pytest.raises(RuntimeError):
            lock.release()

    run(main)


def test_two_tasks_of_a_thread_exclude_each_other_from_an_rlock(kit: Kit) -> None:
    lock, seen = kit.RLock(), []

    async def one(i: int) -> None:
        async with lock, lock:
            seen.append(i)
            await settle()
            seen.append(i)

    async def main() -> None:
        await asyncio.gather(*(one(i) for i in range(10)))

    run(main)
    assert seen == [i for i in range(10) for _ in range(2)]


def test_the_task_that_calls_aacquire_is_the_owner_whichever_task_awaits(kit: Kit) -> None:
    lock, condition = kit.RLock(), kit.Condition()

    async def main() -> None:
        assert await asyncio.wait_for(lock.aacquire(), 60) is True
        assert await asyncio.wait_for(condition.aacquire(), 60) is True
        lock.release()
        condition.release()

    run(main)


def test_the_owner_is_determined_when_the_wait_is_awaited(kit: Kit) -> None:
    lock = kit.RLock()
    taken, go = asyncio.Event(), asyncio.Event()

    async def other() -> None:
        async with lock:
            taken.set()
            await go.wait()

    async def main() -> None:
        async with lock:
            late = lock.aacquire(timeout=0.01)
        task = asyncio.create_task(other())
        await taken.wait()
        assert await late is False
        go.set()
        await task
        early = lock.aacquire(timeout=60)
        async with lock:
            assert await early is True
            lock.release()
        assert await asyncio.gather(lock.aacquire(), lock.aacquire()) == [True, True]
        assert lock.statistics().count == 2
        lock.release()
        lock.release()
        assert not lock.locked()

    run(main)


def test_a_lock_that_the_thread_owns_is_not_owned_by_its_tasks(kit: Kit) -> None:
    lock = kit.RLock()

    async def main() -> None:
        lock.acquire()  # the loop's thread
        try:
            assert await lock.aacquire(False) is False
            assert await lock.aacquire(timeout=0.01) is False
            assert lock.acquire() is True
            lock.release()
        finally:
            lock.release()
        assert await lock.aacquire() is True
        lock.release()

    run(main)


@pytest.mark.parametrize("cls", ["Semaphore", "BoundedSemaphore"])
def test_permits_come_back_from_cancelled_waits(kit: Kit, cls: str) -> None:
    s, most = getattr(kit, cls)(3), 0

    async def main() -> None:
        inside = 0

        async def one(seed: int) -> None:
            nonlocal inside, most
            chance = random.Random(seed)
            for _ in range(40):
                if await perhaps(chance, s.aacquire, NOTHING) is not NOTHING:
                    inside += 1
                    most = max(most, inside)
                    await asyncio.sleep(chance.random() * 0.001)
                    inside -= 1
                    s.release()

        await asyncio.gather(*(one(seed) for seed in range(12)))

    run(main)
    assert most <= 3
    assert s.get_value() == 3


def test_one_release_of_many_permits_lets_as_many_in(kit: Kit) -> None:
    s = kit.Semaphore(0)

    async def main() -> None:
        tasks = start(s.aacquire() for _ in range(20))
        threads = [Task(s.acquire) for _ in range(5)]
        await settle()
        s.release(25)
        assert await asyncio.gather(*tasks) == [True] * 20
        for thread in threads:
            assert await asyncio.to_thread(thread.result) is True

    run(main)
    assert s.get_value() == 0


def test_readers_go_together_and_writers_alone(kit: Kit) -> None:
    rw, writing, reading = kit.RWLock(), 0, 0
    most = 0

    async def take_turns(seed: int) -> None:
        nonlocal writing, reading, most
        for i in range(15):
            if (i + seed) % 3:
                async with rw.reader:
                    reading += 1
                    most = max(most, reading)
                    assert writing == 0
                    await asyncio.sleep(0.001)
                    reading -= 1
            else:
                async with rw.writer:
                    writing += 1
                    assert (writing, reading) == (1, 0)
                    await asyncio.sleep(0)
                    writing -= 1

    async def main() -> None:
        await asyncio.gather(*(take_turns(seed) for seed in range(9)))

    run(main)
    assert most > 1
    assert rw.acquire_write(False)


def test_a_task_that_waits_to_write_goes_before_new_readers(kit: Kit) -> None:
    rw = kit.RWLock()

    async def main() -> None:
        await rw.aacquire_read()
        (writer,) = start([rw.aacquire_write()])
        await settle()
        assert await rw.aacquire_read(False) is False
        reader, here = start([rw.aacquire_read()])[0], Task(rw.acquire_read)
        await settle()
        rw.release_read()
        assert await writer is True
        assert not reader.done()
        rw.release_write()
        assert await reader is True
        assert await asyncio.to_thread(here.result) is True
        rw.release_read()
        rw.release_read()

    run(main)


def test_a_writer_that_is_cancelled_keeps_no_reader_out(kit: Kit) -> None:
    rw = kit.RWLock()

    async def main() -> None:
        await rw.aacquire_read()
        (writer,) = start([rw.aacquire_write()])
        await settle()
        reader, here = start([rw.aacquire_read()])[0], Task(rw.acquire_read)
        await asyncio.sleep(0.002)
        assert not reader.done() and not here.done
        assert await cancelled(writer)
        assert await reader is True
        assert await asyncio.to_thread(here.result) is True
        assert await rw.aacquire_write(timeout=0.01) is False
        assert await rw.aacquire_read() is True
        for _ in range(4):
            rw.release_read()

    run(main)


def test_cancelled_waits_release_both_sides(kit: Kit) -> None:
    rw = kit.RWLock()

    async def main() -> None:
        async def one(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(30):
                side = rw.writer if chance.randrange(3) == 0 else rw.reader
                if await perhaps(chance, side.aacquire, NOTHING) is not NOTHING:
                    await asyncio.sleep(chance.random() * 0.001)
                    side.release()

        await asyncio.gather(*(one(seed) for seed in range(12)))

    run(main)
    assert rw.acquire_write(False) is True
    rw.release_write()
