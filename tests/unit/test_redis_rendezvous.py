"""Conditions, barriers and RWLocks in a Redis server, while processes die, stop and are interrupted, and replies are
lost: no notification is lost, no barrier is passed by fewer than its parties, no dead process keeps others out."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_peers import Child, Proxy, ended, forked
from redis_server import ABSENT, Server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))
KILLS = 30
OVERS: dict[str, Callable[[Any], Any]] = {
    "its own RLock": lambda ctx: ctx.Condition(),
    "a Lock": lambda ctx: ctx.Condition(ctx.Lock()),
    "an RLock": lambda ctx: ctx.Condition(ctx.RLock()),
}
each_lock = pytest.mark.parametrize("over", OVERS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    """A context whose keys all expire or are removed."""
    with sk.get_context("redis", url=server.url, prefix="faults") as context:
        yield context
    assert [key for key in server.ask("KEYS", "*") if server.ask("PTTL", key) == -1] == []


@pytest.fixture
def quiet() -> Iterator[None]:
    """Threads may get an OwnerDiedWarning or not: it depends on when a process dies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sk.OwnerDiedWarning)
        yield


def alone(handle: Any) -> bool:
    """Whether the server knows that no other process is there."""
    return bool(handle.statistics().attached == (os.getpid(),))


# --- conditions


def wait_for(condition: Any) -> bool:
    with condition:
        return bool(condition.wait())


def tells(condition: Any) -> Callable[[int], None]:
    def work(writes: int) -> None:
        with condition:
            condition.wait()
            os.write(writes, b"t")
            time.sleep(60)

    return work


def waiting(condition: Any) -> int:
    return int(condition.statistics().waiting)


@pytest.mark.usefixtures("quiet")
@each_lock
def test_a_notification_for_a_client_that_is_killed_as_it_comes_goes_to_the_next_waiter(ctx: Any, over: str) -> None:
    chance = random.Random(3)
    conditions = [OVERS[over](ctx) for _ in range(KILLS)]
    children = [forked(tells(each)) for each in conditions]
    for each in conditions:
        until(lambda each=each: waiting(each) == 1)  # type: ignore[misc]
    others = [Task(wait_for, each) for each in conditions]
    for each in conditions:
        until(lambda each=each: waiting(each) == 2)  # type: ignore[misc]
    returned = []
    for each, child in zip(conditions, children, strict=True):
        with each:
            each.notify()
        time.sleep(chance.random() * 0.003)
        returned.append(ended(*child))
    for each, other, has_returned in zip(conditions, others, returned, strict=True):
        if has_returned:  # from `wait`; the next waiter may get the notification, too
            with each:
                each.notify()
        assert other.result() is True


@pytest.mark.usefixtures("quiet")
@each_lock
def test_a_client_that_is_killed_while_it_waits_swallows_no_notification(ctx: Any, over: str) -> None:
    condition = OVERS[over](ctx)
    child = forked(tells(condition))
    until(lambda: waiting(condition) == 1)
    other = Task(wait_for, condition)
    until(lambda: waiting(condition) == 2)
    assert ended(*child) == b""
    with condition:
        condition.notify()
    assert other.result() is True
    until(lambda: waiting(condition) == 0)


@each_lock
def test_a_client_that_is_killed_after_its_notification_and_before_it_has_the_lock_passes_it_on(
    ctx: Any, over: str
) -> None:
    condition = OVERS[over](ctx)
    child = forked(tells(condition))
    until(lambda: waiting(condition) == 1)
    other = Task(wait_for, condition)
    until(lambda: waiting(condition) == 2)
    with condition:
        condition.notify()
        assert (condition.statistics().waiting, condition.statistics().notified) == (1, 1)
        assert ended(*child) == b""
        until(lambda: condition.statistics().attached == (os.getpid(),))
        until(lambda: waiting(condition) == 0)
        assert condition.statistics().notified == 1
    assert other.result() is True
    assert condition.statistics().lock.owner_died is False


@each_lock
def test_notifications_of_one_condition_wake_no_waiter_of_another_over_the_same_lock(ctx: Any, over: str) -> None:
    lock = ctx.Lock() if over == "a Lock" else ctx.RLock()
    one, other = ctx.Condition(lock), ctx.Condition(lock)
    tasks = [Task(wait_for, one), Task(wait_for, other)]
    until(lambda: waiting(one) == waiting(other) == 1)
    with lock:
        one.notify_all()
        assert (waiting(one), waiting(other), one.statistics().notified, other.statistics().notified) == (0, 1, 1, 0)
    assert tasks[0].result() is True
    with other:
        other.notify(5)
    assert tasks[1].result() is True


def test_a_condition_whose_lock_has_gone_leaves_its_name(ctx: Any) -> None:
    for _ in range(2):
        lock = ctx.Lock()
        ctx.Condition(lock, name="left", persist=True).close()
        lock.close()
        with pytest.raises(FileNotFoundError):
            ctx.attach("left")
    ctx.Condition(name="left", exist_ok=True).close()


def test_a_waiter_that_comes_back_to_a_poisoned_lock_holds_it(ctx: Any) -> None:
    lock = ctx.Lock(on_owner_died="raise")
    condition = ctx.Condition(lock)

    def die_as_holder(writes: int) -> None:
        with condition:
            condition.notify()
            os.write(writes, b"n")
            time.sleep(60)

    def wait() -> tuple[bool, bool]:
        with condition:
            return condition.wait(), lock.owner_died

    waiter = Task(wait)
    until(lambda: waiting(condition) == 1)
    pid, reads = forked(die_as_holder)
    assert os.read(reads, 1) == b"n"
    refused = Task(lock.acquire)
    until(lambda: lock.statistics().waiting == 2)
    ended(pid, reads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sk.OwnerDiedWarning)
        assert waiter.result() == (True, True)
    with pytest.raises(sk.OwnerDiedError):
        refused.result()


# --- barriers


def test_a_party_that_is_killed_while_it_waits_breaks_the_barrier(ctx: Any) -> None:
    for also in (False, True):  # a thread of this process waits before the death, too
        barrier = ctx.Barrier(3)
        child = forked(lambda _, barrier=barrier: barrier.wait())  # type: ignore[misc]
        until(lambda barrier=barrier: barrier.n_waiting == 1)  # type: ignore[misc]
        tasks = [Task(barrier.wait)] if also else []
        until(lambda barrier=barrier, n=1 + also: barrier.n_waiting == n)  # type: ignore[misc]
        ended(*child)
        until(lambda barrier=barrier: alone(barrier))  # type: ignore[misc]
        tasks += [Task(barrier.wait) for _ in range(2 - also)]
        for task in tasks:
            with pytest.raises(BrokenBarrierError):
                task.result()
        barrier.reset()
        assert sorted(task.result() for task in [Task(barrier.wait) for _ in range(3)]) == [0, 1, 2]


def test_a_party_that_is_killed_after_it_has_passed_breaks_nothing(ctx: Any) -> None:
    chance = random.Random(5)

    def party(barrier: Any) -> Callable[[int], None]:
        def work(writes: int) -> None:
            os.write(writes, b"%d" % barrier.wait())
            time.sleep(60)

        return work

    barriers = [ctx.Barrier(2) for _ in range(KILLS)]
    children = [forked(party(each)) for each in barriers]
    for each, child in zip(barriers, children, strict=True):
        until(lambda each=each: each.n_waiting == 1)  # type: ignore[misc]
        assert each.wait() == 1
        time.sleep(chance.random() * 0.003)
        assert ended(*child) in (b"", b"0")
    for each in barriers:
        assert sorted(task.result() for task in [Task(each.wait) for _ in range(2)]) == [0, 1]


def test_a_party_that_is_killed_in_the_action_breaks_the_barrier(ctx: Any) -> None:
    acted: list[int] = []

    def act() -> None:
        os.write(acted[0], b"a")
        time.sleep(60)

    barrier = ctx.Barrier(2, act)

    def work(writes: int) -> None:
        acted.append(writes)
        barrier.wait()

    first = Task(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    pid, reads = forked(work)
    assert os.read(reads, 1) == b"a"
    assert barrier.statistics().state == "acting"
    late = Task(barrier.wait)
    ended(pid, reads)
    for each in (first, late):
        with pytest.raises(BrokenBarrierError):
            each.result()


def test_a_reset_while_the_action_runs_is_an_error_for_all_parties(ctx: Any) -> None:
    barrier = ctx.Barrier(2, lambda: barrier.reset())
    first = Task(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    with pytest.raises(BrokenBarrierError):
        first.result()
    assert (barrier.n_waiting, barrier.broken) == (0, False)


# --- RWLocks


def holds(acquire: Callable[[], Any]) -> Callable[[int], None]:
    def work(writes: int) -> None:
        acquire()
        os.write(writes, b"h")
        time.sleep(60)

    return work


def test_the_read_lock_of_a_killed_client_is_free(ctx: Any) -> None:
    rw = ctx.RWLock()
    pid, reads = forked(holds(rw.acquire_read))
    assert os.read(reads, 1) == b"h"
    assert rw.acquire_write(False) is False
    writer = Task(rw.acquire_write)
    until(lambda: rw.statistics().waiting_writers == 1)
    ended(pid, reads)
    assert writer.result() is True
    assert rw.owner_died is False
    rw.release_write()


def test_the_death_of_a_writer_is_told_until_another_has_written(ctx: Any) -> None:
    rw = ctx.RWLock()
    pid, reads = forked(holds(rw.acquire_write))
    assert os.read(reads, 1) == b"h"
    ended(pid, reads)
    for acquire, release in ((rw.acquire_read, rw.release_read), (rw.acquire_write, lambda: None)):
        with pytest.warns(sk.OwnerDiedWarning, match=rw.name):
            assert acquire(timeout=30) is True
        assert rw.owner_died is True
        release()
    rw.release_write()
    assert rw.owner_died is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rw.acquire_read() and rw.reader.locked()
        rw.release_read()


def test_a_warning_that_is_an_error_leaves_the_lock_free(ctx: Any) -> None:
    rw = ctx.RWLock()
    pid, reads = forked(holds(rw.acquire_write))
    assert os.read(reads, 1) == b"h"
    ended(pid, reads)

    async def write() -> None:
        await rw.aacquire_write()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for acquire in (rw.acquire_read, rw.acquire_write, lambda: asyncio.run(write())):
            with pytest.raises(sk.OwnerDiedWarning):
                acquire()
            s = rw.statistics()
            assert (s.writer, dict(s.readers)) == (None, {})


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("side", ["read", "write"])
def test_sides_of_clients_that_are_killed_in_acquire_come_to_the_next(ctx: Any, side: str) -> None:
    chance = random.Random(4)
    locks = [ctx.RWLock() for _ in range(KILLS)]
    for rw in locks:
        rw.acquire_write()
    children = [forked(holds(getattr(rw, f"acquire_{side}"))) for rw in locks]
    for rw in locks:
        until(lambda rw=rw: rw.statistics().waiting_readers + rw.statistics().waiting_writers == 1)  # type: ignore[misc]
    for rw, child in zip(locks, children, strict=True):
        rw.release_write()
        time.sleep(chance.random() * 0.003)
        ended(*child)
    for rw in locks:
        assert Task(rw.acquire_write, timeout=30).result() is True
        rw.release_write()
        s = rw.statistics()
        assert (s.writer, dict(s.readers), s.waiting_readers, s.waiting_writers) == (None, {}, 0, 0)


def test_a_writer_that_is_killed_while_it_waits_keeps_no_reader_out(ctx: Any) -> None:
    rw = ctx.RWLock()
    rw.acquire_read()
    child = forked(holds(rw.acquire_write))
    until(lambda: rw.statistics().waiting_writers == 1)
    reader = Task(rw.acquire_read)
    until(lambda: rw.statistics().waiting_readers == 1)
    assert ended(*child) == b""
    assert reader.result() is True


# --- stopped, interrupted and cancelled clients


def test_clients_that_were_stopped_past_their_lease_are_taken_for_dead_and_told(ctx: Any, server: Server) -> None:
    condition, barrier = ctx.Condition(name="notice"), ctx.Barrier(2, name="party")
    read, written = ctx.RWLock(name="reads"), ctx.RWLock(name="writes")
    children = {what: Child("kept", server.url, what, what, "1") for what in ("notice", "party", "reads", "writes")}
    try:
        for child in children.values():
            assert child.says() == "begins"
        until(lambda: (waiting(condition), barrier.n_waiting) == (1, 1))
        other = Task(wait_for, condition)
        until(lambda: waiting(condition) == 2)
        for child in children.values():
            child.process.send_signal(signal.SIGSTOP)
        until(lambda: waiting(condition) == 1)
        with condition:
            condition.notify()
        assert other.result() is True
        until(lambda: barrier.broken)  # by a heartbeat, as nobody waits
        with pytest.raises(BrokenBarrierError):
            barrier.wait()
        assert read.acquire_write(timeout=30) and read.owner_died is False
        with pytest.warns(sk.OwnerDiedWarning, match="writes"):
            assert written.acquire_read(timeout=30)
        for child in children.values():
            child.process.send_signal(signal.SIGCONT)
            child.go_on()
            assert child.says() == "LeaseLostError"
        assert (read.statistics().writer, written.owner_died) == (os.getpid(), True)
    finally:
        for child in children.values():
            child.__exit__()


@pytest.mark.parametrize("what", ["notice", "party", "reading", "writing"])
def test_ctrl_c_ends_a_wait_that_has_taken_nothing(server: Server, what: str) -> None:
    with Child("interrupted_rendezvous", server.url, what) as child:
        for _ in range(3):
            assert child.says() == "waits"
            time.sleep(0.05)
            child.process.send_signal(signal.SIGINT)
            assert child.says() == "interrupted"
        assert child.says() == "left 0 0 0 0 0 0 False"
        assert child.says() == "done"
        assert child.process.wait(60) == 0


def test_a_second_ctrl_c_ends_the_wait_for_the_lock_too(ctx: Any, server: Server) -> None:
    condition = ctx.Condition(name="twice")
    with Child("interrupted_twice", server.url, "twice") as child:
        assert child.says() == "waits"
        until(lambda: waiting(condition) == 1)
        with condition:
            child.process.send_signal(signal.SIGINT)
            until(lambda: condition.statistics().lock.waiting == 1)
            child.process.send_signal(signal.SIGINT)
            assert child.says() == "KeyboardInterrupt"
            until(lambda: condition.statistics().lock.waiting == 0)
    assert condition.acquire(timeout=30)
    condition.release()


@each_lock
def test_a_task_that_is_cancelled_at_any_moment_of_a_wait_holds_the_lock_and_keeps_no_notification(
    ctx: Any, over: str
) -> None:
    condition = OVERS[over](ctx)

    async def wait(told: list[bool]) -> None:
        async with condition:
            try:
                await condition.await_()
                told.append(True)
            finally:
                condition.notify(0)  # RuntimeError if this task does not hold the lock

    async def main() -> None:
        for step in range(60):
            told: tuple[list[bool], list[bool]] = [], []
            first, second = (asyncio.create_task(wait(each)) for each in told)
            while waiting(condition) < 2:
                await asyncio.sleep(0.001)
            async with condition:
                condition.notify()
            for _ in range(step):
                await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait([first])
            if told[0]:
                async with condition:
                    condition.notify()
            await asyncio.wait_for(second, 60)
            assert told[1] == [True]
            s = condition.statistics()
            assert (s.waiting, s.notified, s.lock.count) == (0, 0, 0)

    asyncio.run(main())


@each_lock
def test_a_condition_wait_whose_coroutine_is_closed_keeps_neither_lock_nor_notification(ctx: Any, over: str) -> None:
    condition = OVERS[over](ctx)

    async def main() -> None:
        await condition.aacquire()
        wait = condition.await_()
        wait.send(None)
        while waiting(condition) < 1:
            await asyncio.sleep(0.001)
        wait.close()
        while waiting(condition) or condition.locked():
            await asyncio.sleep(0.001)

    Task(asyncio.run, main()).result()
    other = Task(wait_for, condition)
    until(lambda: waiting(condition) == 1)
    with condition:
        condition.notify()
    assert other.result() is True


# --- lost replies


def test_a_call_whose_reply_is_lost_at_any_byte_is_run_once(server: Server) -> None:
    proxy = Proxy(server)
    with sk.get_context("redis", url=proxy.url, prefix="proxied") as ctx:
        acted: list[int] = []
        rw, barrier, pair, condition = (
            ctx.RWLock(),
            ctx.Barrier(1),
            ctx.Barrier(2, lambda: acted.append(1)),
            ctx.Condition(),
        )
        for turn in range(12):
            for side, name in ((rw.reader, b"read"), (rw.writer, b"write")):
                proxy.armed = (b"acquire_" + name, turn)
                assert side.acquire() and sum(rw.statistics().readers.values()) == (name == b"read")
                proxy.armed = (b"release_" + name, turn)
                side.release()
                assert (side.locked(), proxy.armed) == (False, None)
            proxy.armed = (b"$4\r\nwait", turn)
            assert (barrier.wait(), barrier.n_waiting, proxy.armed) == (0, 0, None)
            first = Task(pair.wait)
            until(lambda: pair.n_waiting == 1)
            proxy.armed = (b"$5\r\nacted", turn)
            assert [pair.wait(), first.result(), len(acted), proxy.armed] == [1, 0, turn + 1, None]
            proxy.armed = (b"$4\r\nwait", turn)
            waiter = Task(wait_for, condition)
            until(lambda: waiting(condition) == 1)
            with condition:
                proxy.armed = (b"$6\r\nnotify", turn)
                condition.notify()
                assert (condition.statistics().notified, proxy.armed) == (1, None)
            assert waiter.result() is True
            assert condition.statistics().lock.count == 0
    proxy.close()
