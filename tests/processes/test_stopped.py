"""A process is stopped in the middle of an operation. Calls that do not block return, calls with a timeout end in time,
and the error names the stopped process. A process that runs, however long it copies, makes no call fail.

The victims spend nearly all of their time inside the operation. Each is stopped again until `statistics()`, or a call
that cannot succeed, shows that it was stopped there.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from conformance.watchdog import Task, in_threads, until
from processes.programs import Program, is_stopped

import sharedkit as sk

LARGE = 64 << 20
TRIES = 500

VICTIM = """
    import signal, sys
    import sharedkit as sk
    signal.alarm(120)
    there = sk.attach(sys.argv[1])
    print("ready", flush=True)
    {body}
"""
COPIES = "large = bytes(64 << 20)\n    while True: there.put(large); there.get()"


@contextmanager
def victim(name: str, body: str) -> Iterator[Program]:
    with Program(VICTIM.format(body=body), name) as program:
        assert program.line() == "ready"
        yield program


@contextmanager
def stopped(program: Program, where: Callable[[], bool]) -> Iterator[int]:
    """Stop the program where `where` holds; let it continue at the end of the block."""
    pid = program.pid
    for _ in range(TRIES):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid))
        if where():
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(random.random() / 50)  # let it reach another place before it is stopped again
    else:
        raise AssertionError(f"not where it should be in {TRIES} tries")
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def large_queue() -> Iterator[sk.Queue[object]]:
    with sk.Queue[object]() as q:
        q.put(bytes(LARGE))  # from now on the ring is large enough
        q.get()
        yield q


def test_a_call_that_does_not_block_names_the_process_that_is_stopped_inside_put(large_queue: sk.Queue[object]) -> None:
    q = large_queue
    with victim(q.name, COPIES) as program, stopped(program, lambda: q.statistics().put_owner == program.pid) as pid:
        puts: list[Callable[[], object]] = [
            lambda: q.put_nowait(1),
            lambda: q.put(1, block=False),
            lambda: q.put(1, timeout=0.2),
            lambda: q.put_many([1, 2], block=False),
            lambda: q.put_many([1, 2], timeout=0.2),
            lambda: asyncio.run(q.aput(1, block=False)),
            lambda: asyncio.run(q.aput(1, timeout=0.2)),
            lambda: asyncio.run(q.aput_many([1], block=False)),
        ]
        for put in puts:
            with pytest.raises(queue.Full, match=rf"pid {pid} is stopped inside put\(\)"):
                Task(put).result()
        assert q.qsize() <= 1 and not q.full() and q.statistics().put_owner == pid
    q.put(1, timeout=60)  # the stopped process continues, and so do all others


def test_a_call_that_does_not_block_names_the_process_that_is_stopped_inside_get(large_queue: sk.Queue[object]) -> None:
    q = large_queue
    with victim(q.name, COPIES) as program, stopped(program, lambda: q.statistics().get_owner == program.pid) as pid:
        gets: list[Callable[[], object]] = [
            q.get_nowait,
            lambda: q.get(block=False),
            lambda: q.get(timeout=0.2),
            lambda: q.get_many(block=False),
            lambda: q.get_many(timeout=0.2),
            lambda: asyncio.run(q.aget(block=False)),
            lambda: asyncio.run(q.aget(timeout=0.2)),
            lambda: asyncio.run(q.aget_many(block=False)),
        ]
        for get in gets:
            with pytest.raises(queue.Empty, match=rf"pid {pid} is stopped inside get\(\)"):
                Task(get).result()
        assert q.qsize() == 1 and q.unfinished_tasks > 0
        q.put_nowait(1)  # the put side is free
        q.task_done()
        with pytest.raises(queue.Full, match=rf"pid {pid} is stopped inside get\(\)"):
            Task(q.put_nowait, bytes(2 * LARGE)).result()  # the ring would have to grow, which needs both locks
        waits = Task(q.get)
        assert not waits.done
    waits.result()  # a call that blocks waits until the stopped process continues


def test_a_holder_that_runs_makes_no_call_fail(large_queue: sk.Queue[object]) -> None:
    q = large_queue
    with victim(q.name, COPIES):
        for i in range(20):
            Task(q.put_nowait, i).result()


def test_mere_contention_makes_no_call_fail() -> None:
    with sk.Queue[int]() as q:

        def put() -> None:
            for i in range(3000):
                q.put_nowait(i)

        def get() -> int:
            taken = 0
            while taken < 3000:
                try:
                    q.get_nowait()
                    taken += 1
                except queue.Empty as empty:
                    assert not str(empty)
            return taken

        assert sum(taken or 0 for taken in in_threads([put, put, get, get])) == 6000


def test_a_bounded_semaphore_returns_in_time_although_a_process_is_stopped_inside() -> None:
    permits = sk.BoundedSemaphore(9)

    def is_inside() -> bool:
        """There are permits, but none can be taken: so the victim was stopped with the lock."""
        if not permits.acquire(False):
            return True
        permits.release()
        return False

    with victim(permits.name, "while True: there.acquire(); there.release()") as program:
        with stopped(program, is_inside):
            assert Task(permits.acquire, False).result() is False
            assert Task(permits.acquire, timeout=0.2).result() is False
            assert Task(lambda: asyncio.run(permits.aacquire(False))).result() is False
            assert Task(lambda: asyncio.run(permits.aacquire(timeout=0.2))).result() is False
            assert permits.get_value() in (8, 9)
            waits = Task(permits.acquire)
            assert not waits.done
        assert waits.result() is True
        permits.release()
    permits.close()


def test_a_dict_is_read_while_a_writer_is_stopped_and_writes_wait_for_it() -> None:
    with sk.Dict({"small": -1, "large": bytes(LARGE)}) as d:
        pending: list[Task] = []

        def is_inside() -> bool:
            pending.append(Task(d.__setitem__, "small", len(pending)))
            threading.Event().wait(0.05)  # a write takes microseconds; if it is only late, it is tried again
            return not pending[-1].done

        with victim(d.name, "large = bytes(64 << 20)\n    while True: there['large'] = large") as program:
            with stopped(program, is_inside):
                for _ in range(3):
                    assert Task(d.__getitem__, "small").result() == len(pending) - 2
                assert "large" in d and len(d) == 2
            pending[-1].result()
            assert d["small"] == len(pending) - 1


def test_a_writer_that_is_stopped_while_it_waits_keeps_no_reader_out() -> None:
    with sk.RWLock() as lock:
        lock.acquire_write()
        with victim(lock.name, "there.acquire_write()") as program:
            until(lambda: lock.statistics().waiting_writers == 1)
            with stopped(program, lambda: True):
                lock.release_write()
                for _ in range(3):
                    assert Task(lock.acquire_read).result() is True
                    assert Task(lambda: asyncio.run(lock.aacquire_read())).result() is True
                    assert lock.acquire_write(False) is False
                    lock.release_read()
                    lock.release_read()
                assert Task(lock.acquire_write, timeout=60).result() is True
                lock.release_write()


def test_the_next_round_of_a_barrier_times_out_although_a_party_is_stopped_in_the_last_one() -> None:
    with sk.Barrier(2) as barrier, victim(barrier.name, "there.wait(); there.wait()") as program:
        until(lambda: barrier.n_waiting == 1)
        with stopped(program, lambda: True):
            Task(barrier.wait).result()
            with pytest.raises(threading.BrokenBarrierError):
                Task(barrier.wait, 0.2).result()
            assert barrier.broken


def test_a_stopped_waiter_delays_no_notifier() -> None:
    condition = sk.Condition()
    with victim(condition.name, "there.acquire(); there.wait()") as program:
        until(lambda: condition.statistics().waiting == 1)
        with stopped(program, lambda: True), condition:
            condition.notify()
            assert condition.statistics().notified == 1
            assert condition.wait(timeout=0.05) is False
    condition.close()


def test_a_semaphore_and_an_event_have_no_inner_lock() -> None:
    semaphore, event = sk.Semaphore(1), sk.Event()
    with victim(semaphore.name, "while True: there.acquire(); there.release()") as program:
        for _ in range(20):
            with stopped(program, lambda: True):
                held = semaphore.get_value() == 0
                assert Task(semaphore.acquire, False).result() is not held
                Task(semaphore.release).result()  # one permit more if the victim held one: it is not bounded
    with victim(event.name, "while True: there.set(); there.clear()") as program:
        for _ in range(20):
            with stopped(program, lambda: True):
                event.set()
                assert Task(event.wait).result() is True
    semaphore.close()
    event.close()
