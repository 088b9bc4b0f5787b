"""Processes die, stop and are interrupted, replies are lost, servers lose their data and end: no item is lost, no call
runs twice, and a process that was silent for too long gets an error."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_peers import Child, Proxy, ended, forked
from redis_server import ABSENT, Server

import sharedkit as sk

if ABSENT is None:
    from sharedkit.redis.operation import Operation
    from sharedkit.redis.tasks import acall

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    """A context whose keys all expire or are removed. (After a fork some stay for a minute, for the child.)"""
    with sk.get_context("redis", url=server.url, prefix="faults") as context:
        yield context
    assert [key for key in server.ask("KEYS", "*") if server.ask("PTTL", key) == -1] == []


KILLS = 50


def test_of_items_for_clients_that_are_killed_in_get_none_is_lost(ctx: Any) -> None:
    queue, chance = ctx.Queue(), random.Random(1)
    seen: list[int] = []
    put = 0

    def consume(writes: int) -> None:
        os.write(writes, b"r\n")
        while True:
            os.write(writes, b"%d\n" % queue.get())

    for _ in range(KILLS):
        pid, reads = forked(consume)
        before = os.read(reads, 2)
        until(lambda: queue.statistics().waiting_getters >= 1)
        for _ in range(3):
            queue.put(put)
            put += 1
        time.sleep(chance.random() * 0.003)
        seen += map(int, (before + ended(pid, reads)).split()[1:])
    left = []
    with suppress(Empty):
        while True:
            left.append(queue.get(timeout=3))
    assert set(seen) | set(left) == set(range(put))
    twice = len(seen) + len(left) - put
    assert len(left) == len(set(left)) and twice <= KILLS * 3


def test_on_get_nothing_comes_twice(ctx: Any) -> None:
    queue, seen, put = ctx.Queue(ack="on-get"), list[int](), 0

    def consume(writes: int) -> None:
        os.write(writes, b"r\n")
        while True:
            os.write(writes, b"%d\n" % queue.get())

    for _ in range(10):
        pid, reads = forked(consume)
        before = os.read(reads, 2)
        until(lambda: queue.statistics().waiting_getters >= 1)
        queue.put_many([put, put + 1, put + 2])
        put += 3
        time.sleep(0.001)
        seen += map(int, (before + ended(pid, reads)).split()[1:])
    with suppress(Empty):
        while True:
            seen.append(queue.get(timeout=2.5))
    assert len(seen) == len(set(seen))
    assert queue.qsize() == 0


def test_an_item_that_a_client_took_before_it_closed_the_queue_does_not_come_again(ctx: Any, server: Server) -> None:
    queue = ctx.Queue(name="taken")
    queue.put_many(["a", "b", "c"])
    with Child("take_and_close", server.url, "taken") as child:
        assert child.says() == "a"
        child.process.wait(60)
    assert queue.get_many() == ["b", "c"]


def test_locks_of_clients_that_are_killed_in_acquire_come_to_the_next(ctx: Any) -> None:
    chance = random.Random(2)
    locks = [ctx.Lock() for _ in range(KILLS)]
    for lock in locks:
        lock.acquire()

    def take(lock: Any) -> Callable[[int], None]:
        def work(writes: int) -> None:
            lock.acquire()
            os.write(writes, b"t")
            time.sleep(60)

        return work

    children = [forked(take(lock)) for lock in locks]
    for lock in locks:
        until(lambda lock=lock: lock.statistics().waiting == 1)  # type: ignore[misc]
    taken = 0
    for lock, child in zip(locks, children, strict=True):
        lock.release()
        time.sleep(chance.random() * 0.003)
        taken += bool(ended(*child))
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert all(Task(lock.acquire, timeout=30).result() for lock in locks)
    assert time.monotonic() - began < 30
    assert len([each for each in warned if each.category is sk.OwnerDiedWarning]) >= taken
    fences = [lock.fence for lock in locks]
    assert None not in fences
    for lock in locks:
        lock.release()
        assert lock.owner_died is False


def test_what_a_dead_process_held_is_free_again_and_its_item_is_in_front(ctx: Any, server: Server) -> None:
    lock, permits, items = ctx.Lock(name="d lock"), ctx.BoundedSemaphore(1, name="d permits"), ctx.Queue(name="d items")
    items.put_many(["first", "second"])
    with Child("die_at_once", server.url, "d") as child:
        assert child.says() == "holds"
        child.process.wait()
        with pytest.warns(sk.OwnerDiedWarning, match="d lock"):
            assert lock.acquire(timeout=30)
        assert permits.acquire(timeout=30)
        until(lambda: items.qsize() == 2)  # by a heartbeat, as nobody waits
        assert items.get_many() == ["first", "second"]
    lock.release()
    permits.release()


def test_a_client_that_was_stopped_past_its_lease_is_fenced_and_told(ctx: Any, server: Server) -> None:
    lock, counter = ctx.Lock(name="s"), ctx.Counter(name="s counter")
    with Child("hold", server.url, "s", "1") as child:
        theirs = int(child.says())
        child.process.send_signal(signal.SIGSTOP)
        with pytest.warns(sk.OwnerDiedWarning):
            assert lock.acquire(timeout=30)
        assert lock.fence > theirs
        child.process.send_signal(signal.SIGCONT)
        child.go_on()
        for _ in range(3):
            assert child.says().startswith("LeaseLostError the lease of this process at unix://")
        assert child.says() == "1"  # attached anew
    assert lock.owner == os.getpid()
    lock.release()
    assert counter.value == 1


@pytest.mark.parametrize(
    "what",
    [
        "get", "get_many", "put", "put_many", "acquire", "acquire an RLock", "permit", "bounded permit", "wait", "join",
        "lock of an array", "lock of a value", "value",
    ],
)  # fmt: skip
def test_ctrl_c_ends_a_wait_that_has_taken_nothing(server: Server, what: str) -> None:
    with Child("interrupted", server.url, what) as child:
        for _ in range(3):
            assert child.says() == "waits"
            time.sleep(0.05)
            child.process.send_signal(signal.SIGINT)
            assert child.says() == "interrupted"
        assert child.says() == "left 0 0 0 0 0 0 0 0 0"
        assert child.says() == "done"
        assert child.process.wait(60) == 0


def test_tasks_that_are_cancelled_anywhere_lose_nothing(server: Server) -> None:
    with Child("cancelled", server.url) as child:
        put, got, different, locked, permits, waiting = child.says().split()
        assert put == got == different
        assert (locked, permits, waiting) == ("False", "2", "0")


def test_a_wait_whose_coroutine_is_closed_is_taken_back(ctx: Any) -> None:
    queue, lock = ctx.Queue(), ctx.Lock()
    lock.acquire()

    async def main() -> None:
        waits = [queue.aget(), lock.aacquire()]
        for wait in waits:
            wait.send(None)
        while queue.statistics().waiting_getters + lock.statistics().waiting < 2:
            await asyncio.sleep(0.001)
        for wait in waits:
            wait.close()

    asyncio.run(main())
    until(lambda: queue.statistics().waiting_getters + lock.statistics().waiting == 0)
    queue.put("it")
    lock.release()
    assert (queue.get(timeout=30), lock.acquire(timeout=30)) == ("it", True)
    lock.release()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    between = Proxy(server)
    yield between
    between.close()


def test_a_call_whose_reply_is_lost_at_any_byte_is_run_once(proxy: Proxy) -> None:
    with sk.get_context("redis", url=proxy.url, prefix="proxied") as ctx:
        counter, queue, lock, permits = ctx.Counter(), ctx.Queue(), ctx.Lock(), ctx.BoundedSemaphore(3)
        for turn in range(12):
            proxy.armed = (b"$3\r\nadd", turn)
            assert counter.add(1) == turn + 1
            proxy.armed = (b"$3\r\nput", turn)
            queue.put(turn)
            proxy.armed = (b"$3\r\nget", turn * 3)
            assert queue.get() == turn
            assert queue.qsize() == 0
            proxy.armed = (b"$7\r\nacquire", turn)
            assert lock.acquire() and lock.statistics().count == 1
            proxy.armed = (b"$7\r\nrelease", turn)
            lock.release()
            proxy.armed = (b"$7\r\nacquire", turn)
            assert permits.acquire() and permits.get_value() == 2
            proxy.armed = (b"$7\r\nrelease", turn)
            permits.release()
            assert permits.get_value() == 3
            assert proxy.armed is None


def test_a_change_of_data_whose_reply_is_lost_at_any_byte_is_made_once(proxy: Proxy) -> None:
    import numpy as np

    large = np.arange(200_000)
    with sk.get_context("redis", url=proxy.url, prefix="proxied") as ctx:
        d, s, array, value, elements = (
            ctx.Dict(n=0),
            ctx.Set(),
            ctx.Array(2, "i8"),
            ctx.Value("i"),
            ctx.Array(200_000, "i8"),
        )
        for turn in range(12):
            for method, call, expected in (
                (b"add", lambda turn: d.add("n"), turn + 1),
                (b"setdefault", lambda turn: d.setdefault("k", turn), turn),
                (b"swap", lambda turn: d.compare_exchange("k", turn, "swapped"), True),
                (b"pop", lambda turn: d.pop("k"), "swapped"),
                (b"set_many", lambda turn: d.update({"a": turn, "b": turn}), None),
                (b"popitem", lambda turn: d.popitem(), ("b", turn)),
                (b"set", lambda turn: s.insert(turn), True),
                (b"discard", lambda turn: s.remove(turn), None),
                (b"fetch_add", lambda turn: array.fetch_add(0, 1), turn),
                (b"add_at", lambda turn: array.add_at([1, 1], 1), None),
                (b"swap", lambda turn: array.compare_exchange(1, 2 * turn + 2, 2 * turn + 2), True),
                (b"store", lambda turn: setattr(value, "value", turn), None),
                (b"replace", lambda turn: elements.__setitem__(..., large + turn), None),
            ):
                proxy.armed = (b"$%d\r\n%b\r\n" % (len(method), method), turn)
                assert call(turn) == expected, method
                assert proxy.armed is None, method
            assert (d, s, array[1], value.value) == ({"n": turn + 1, "a": turn}, set(), 2 * turn + 2, turn)
            assert np.array_equal(elements, large + turn)
        value.close()


def test_tasks_whose_replies_are_lost_are_asked_for_again(proxy: Proxy) -> None:
    import asyncio

    async def main(ctx: Any) -> None:
        queue, lock = ctx.Queue(), ctx.Lock()
        for turn in range(12):
            proxy.armed = (b"$3\r\nput", turn)
            await asyncio.gather(*(queue.aput(n) for n in range(5)))
            assert queue.qsize() == 5
            proxy.armed = (b"$3\r\nget", turn)
            assert sorted(await asyncio.gather(*(queue.aget() for _ in range(5)))) == list(range(5))
            proxy.armed = (b"$7\r\nacquire", turn)
            async with lock:
                assert lock.statistics().count == 1
            assert not lock.locked()

    with sk.get_context("redis", url=proxy.url, prefix="proxied") as ctx:
        asyncio.run(main(ctx))


def test_waits_outlive_the_connection_of_their_wakes(ctx: Any, server: Server) -> None:
    queue, lock = ctx.Queue(), ctx.Lock()
    lock.acquire()
    waits = [Task(queue.get), Task(lock.acquire)]
    until(lambda: queue.statistics().waiting_getters == 1 and lock.statistics().waiting == 1)
    server.ask("CLIENT", "KILL", "TYPE", "pubsub")
    queue.put("item")
    lock.release()
    assert [wait.result() for wait in waits] == ["item", True]
    lock.release()


def test_an_operation_that_another_has_overtaken_is_made_all_the_same(ctx: Any) -> None:
    """Numbers are drawn before lanes are taken: two threads, or two event loops, may do so in any order."""
    with ctx.Counter() as c:
        c.add(1)
        session = c._session
        early = [Operation(c.lua, c._base, next(session.numbers), False) for _ in range(2)]
        c.add(1)  # in the lane that the others will find free
        asyncio.run(acall(session, c.lua, c._base, b"add", b"v", b"0"))  # in the tasks' lane
        assert session._ask(early[0], (b"add", b"v", b"1"))[0] == b"3"
        answer: SimpleQueue[Any] = SimpleQueue()
        session.line.submit(early[1], (b"add", b"v", b"1"), answer.put)
        assert answer.get(timeout=60) == b"4"


def test_a_server_that_forgets_its_functions_is_given_them_again(ctx: Any, server: Server) -> None:
    import asyncio

    counter, queue = ctx.Counter(), ctx.Queue()
    waits = [Task(queue.get) for _ in range(3)]
    until(lambda: queue.statistics().waiting_getters == 3)
    for turn in range(3):
        server.ask("FUNCTION", "FLUSH")
        assert counter.add() == turn + 1
        server.ask("FUNCTION", "FLUSH")
        queue.put(turn)
    assert sorted(wait.result() for wait in waits) == [0, 1, 2]

    async def main() -> list[int]:
        server.ask("FUNCTION", "FLUSH")
        tasks = [asyncio.create_task(queue.aget()) for _ in range(5)]
        await asyncio.sleep(0.01)
        server.ask("FUNCTION", "FLUSH")
        for n in range(5):
            await queue.aput(n)
        return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == list(range(5))


def test_a_server_without_memory_refuses_what_grows_and_lets_go_of_the_rest(ctx: Any, server: Server) -> None:
    queue, lock = ctx.Queue(), ctx.Lock()
    queue.put("before")
    lock.acquire()
    try:
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(sk.OutOfSharedMemory, match=f"out of memory, and '{queue.name}' is unchanged"):
            queue.put("more")
        with pytest.raises(sk.OutOfSharedMemory):
            ctx.Counter()
        assert queue.qsize() == 1
        assert queue.get() == "before"
        lock.release()
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")
    queue.put("after")
    assert queue.get() == "after"


def test_after_a_restart_holders_are_told_and_what_persisted_is_there() -> None:
    with (
        Server("--appendonly", "yes", "--appendfsync", "always") as server,
        sk.get_context("redis", url=server.url, prefix="r") as ctx,
    ):
        lock, kept = ctx.Lock(), ctx.Counter(5, name="kept", persist=True)
        kept.add()
        lock.acquire()
        wait = Task(lock.acquire)
        until(lambda: lock.statistics().waiting == 1)
        server.stop(signal.SIGKILL)
        server.start()
        with pytest.raises(sk.LeaseLostError, match="restarted"):
            wait.result()
        for call in (lock.release, kept.add, lambda: lock.fence):
            with pytest.raises(sk.LeaseLostError):
                call()
        assert ctx.attach("kept").add() == 7


def test_a_server_that_ended_is_an_error_in_time() -> None:
    with Server() as other:
        ctx = sk.get_context("redis", url=other.url, prefix="r", lease=1.0, timeout=1.0)
        queue, counter = ctx.Queue(), ctx.Counter()
        wait = Task(queue.get)
        until(lambda: queue.statistics().waiting_getters == 1)
        other.stop(signal.SIGKILL)
        with pytest.raises(sk.ServerGoneError, match="unix://"):
            counter.add()
        with pytest.raises((sk.ServerGoneError, sk.LeaseLostError)):
            wait.result()
        ctx.close()
