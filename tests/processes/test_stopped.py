"""A process that is stopped in the midst of an operation: whoever does not block is not kept, timeouts hold, and it is
said who stands there; a process that runs, however long its copy takes, makes nobody's call fail.

The victims spend nearly all of their time inside; each is stopped until `statistics()`, or what cannot be done, says
that it stands where it should.
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
    """The program stands still where it should; it goes on afterwards."""
    pid = program.pid
    for _ in range(TRIES):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: is_stopped(pid))
        if where():
            break
        os.kill(pid, signal.SIGCONT)
        time.sleep(random.random() / 50)  # it has to get somewhere else before it is stopped again
    else:
        raise AssertionError(f"not where it should be in {TRIES} tries")
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def large_queue() -> Iterator[sk.Queue[object]]:
    with sk.Queue[object]() as q:
        q.put(bytes(LARGE))  # the ring is large enough from now on
        q.get()
        yield q


def test_who_does_not_block_is_told_who_is_stopped_inside_put(large_queue: sk.Queue[object]) -> None:
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
    q.put(1, timeout=60)  # it goes on, and so does everybody


def test_who_does_not_block_is_told_who_is_stopped_inside_get(large_queue: sk.Queue[object]) -> None:
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
        q.put_nowait(1)  # the other side is free
        q.task_done()
        with pytest.raises(queue.Full, match=rf"pid {pid} is stopped inside get\(\)"):
            Task(q.put_nowait, bytes(2 * LARGE)).result()  # the ring would have to grow, which wants both
        waits = Task(q.get)
        assert not waits.done
    waits.result()  # who blocks waits until it goes on


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


def test_a_bounded_semaphore_answers_and_keeps_its_time() -> None:
    permits = sk.BoundedSemaphore(9)

    def is_inside() -> bool:
        """There are permits, and yet none is to be had: it stands there with the lock."""
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
            threading.Event().wait(0.05)  # a write takes microseconds; one that is only late is tried again
            return not pending[-1].done

        with victim(d.name, "large = bytes(64 << 20)\n    while True: there['large'] = large") as program:
            with stopped(program, is_inside):
                for _ in range(3):
                    assert Task(d.__getitem__, "small").result() == len(pending) - 2
                assert "large" in d and len(d) == 2
            pending[-1].result()
            assert d["small"] == len(pending) - 1


def test_a_process_that_is_stopped_while_it_wants_to_write_keeps_no_reader_out() -> None:
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


def test_a_party_that_is_stopped_on_its_way_out_keeps_the_time_of_the_next_round() -> None:
    with sk.Barrier(2) as barrier, victim(barrier.name, "there.wait(); there.wait()") as program:
        until(lambda: barrier.n_waiting == 1)
        with stopped(program, lambda: True):
            Task(barrier.wait).result()
            with pytest.raises(threading.BrokenBarrierError):
                Task(barrier.wait, 0.2).result()
            assert barrier.broken


def test_a_waiter_that_is_stopped_holds_no_notifier_up() -> None:
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
                Task(semaphore.release).result()  # a permit more where it held one; it is no bounded one
    with victim(event.name, "while True: there.set(); there.clear()") as program:
        for _ in range(20):
            with stopped(program, lambda: True):
                event.set()
                assert Task(event.wait).result() is True
    semaphore.close()
    event.close()
