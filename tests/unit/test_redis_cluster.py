"""A cluster of three primaries: structures are where their slots are. Slots move while they are used, and replicas take
the place of primaries: nothing runs twice, waits end in time, and who may have lost something is told."""

from __future__ import annotations

import asyncio
import pickle
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_peers import ended, forked
from redis_server import ABSENT, Cluster, Node, Server, free_port

import sharedkit as sk

if ABSENT is None:
    from redis.crc import key_slot

    from sharedkit.redis.cluster import slot_of

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture
def ctx(cluster: Cluster) -> Iterator[Any]:
    """A context whose keys all expire or are removed. (After a fork some stay for a minute, for the child.)"""
    with sk.get_context("redis", url=cluster.url, prefix="c") as context:
        yield context
    left = [key for node in cluster.primaries for key in node.ask("KEYS", "*") if node.ask("PTTL", key) == -1]
    assert (left, cluster.ask("PUBSUB", "SHARDCHANNELS")) == ([], [])


def key_of(handle: Any) -> str:
    return f"{{c:{handle.name}}}"


class Move:
    """The move of one slot from the primary that serves it to the next one, in its steps."""

    def __init__(self, cluster: Cluster, key: str) -> None:
        self.slot = cluster.nodes[0].ask("CLUSTER", "KEYSLOT", key)
        self.source = cluster.owner(key)
        primaries = cluster.primaries
        self.target = primaries[(primaries.index(self.source) + 1) % 3]

    def begin(self) -> None:
        self.target.ask("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.ident())
        self.source.ask("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.ident())

    def move_keys(self, most: int = 1 << 30) -> int:
        keys = self.source.ask("CLUSTER", "GETKEYSINSLOT", self.slot, most)
        if keys:
            self.source.ask("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "KEYS", *keys)
        return len(keys)

    def end(self) -> None:
        """Give the slot to the target, which has all keys. A key that was written meanwhile is moved first."""
        while self.move_keys():
            pass
        for node in (self.target, self.source):
            node.ask("CLUSTER", "SETSLOT", self.slot, "NODE", self.target.ident())

    def abandon(self) -> None:
        for node in (self.target, self.source):
            node.ask("CLUSTER", "SETSLOT", self.slot, "STABLE")

    def make(self) -> None:
        self.begin()
        self.end()


def test_the_slot_of_a_key_is_that_of_redis() -> None:
    for key in (b"a", b"{a}b", b"{c:it}:0f:line", b"{}a", b"{a", b"}{a}", b"{{a}}", b""):
        assert slot_of(key) == key_slot(key), key


def test_structures_are_spread_over_the_nodes_and_a_process_has_a_session_with_each(ctx: Any, cluster: Cluster) -> None:
    counters = [ctx.Counter(name=f"n{i}") for i in range(30)]
    for counter in counters:
        counter.add(2)
        assert pickle.loads(pickle.dumps(counter)).add() == 3
    assert len({cluster.owner(key_of(counter)).port for counter in counters}) == 3
    assert len(ctx.server._sessions) == 3
    assert ctx.attach("n7").value == 3


def test_a_condition_and_its_lock_may_be_on_different_nodes(ctx: Any, cluster: Cluster) -> None:
    lock = ctx.RLock(name="its lock")
    names = (f"condition {i}" for i in range(100))
    name = next(name for name in names if cluster.owner(f"{{c:{name}}}") is not cluster.owner(key_of(lock)))
    condition = ctx.Condition(lock, name=name)

    with lock:
        assert condition.acquire(False)  # both handles are of one session
        assert lock.statistics().count == 2
        condition.release()

    def wait() -> bool:
        with condition:
            return bool(condition.wait(60))

    waiting = Task(wait)
    until(lambda: condition.statistics().waiting == 1)
    with condition:
        condition.notify()
    assert waiting.result() is True
    condition.close()
    lock.close()


def test_a_node_that_is_asked_alone_is_refused_with_a_sentence(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    with pytest.raises(sk.ServerMismatchError, match=r"is a node of a cluster: .*redis\+cluster://"):
        sk.get_context("redis", url=f"redis://127.0.0.1:{node.port}", prefix="c").Counter()
    with Server(port=True) as alone:
        url = f"redis+cluster://127.0.0.1:{alone.port}"
        with pytest.raises(sk.ServerMismatchError, match=r"is no node of a cluster: .*redis://"):
            sk.get_context("redis", url=url, prefix="c").Counter()


def test_one_host_that_answers_will_do(cluster: Cluster) -> None:
    dead, alive = free_port(), cluster.nodes[2].port
    url = f"redis+cluster://127.0.0.1:{dead},127.0.0.1:{alive}/0"
    with sk.get_context("redis", url=url, prefix="c") as ctx:
        assert [ctx.Counter().add() for _ in range(20)] == [1] * 20


def test_what_is_wrong_with_a_url_is_said_without_its_password() -> None:
    for url in ("redis+cluster://:hush@host/1", "redis+cluster://:hush@", "redis+cluster://:hush@host:x"):
        with pytest.raises(ValueError, match=r"the url of a cluster is redis\+cluster://") as caught:
            sk.get_context("redis", url=url)
        assert "hush" not in str(caught.value)
    with pytest.raises(sk.ServerGoneError, match=r"no node of the cluster at redis\+cluster://127") as gone:
        sk.get_context("redis", url=f"redis+cluster://:hush@127.0.0.1:{free_port()}", prefix="c").Counter()
    assert "hush" not in str(gone.value)


# --- a slot moves


def test_a_slot_moves_while_many_threads_and_tasks_use_it_and_nothing_runs_twice(ctx: Any, cluster: Cluster) -> None:
    counter, queue = ctx.Counter(name="moving"), ctx.Queue(name="{c:moving}")
    lock = ctx.Lock(name="moving lock")
    over, seen = threading.Event(), list[int]()
    asked = [0, 0]

    def count(number: int) -> None:
        while not over.is_set():
            counter.add()
            asked[number] += 1

    def hold() -> None:
        while not over.is_set():
            with lock:
                held = lock.statistics()
                assert held.count == 1 and not held.owner_died

    async def put_and_get() -> None:
        while not over.is_set():
            await asyncio.gather(*(queue.aput(n) for n in range(10)))
            seen.extend(await asyncio.gather(*(queue.aget() for _ in range(10))))

    tasks = [Task(count, 0), Task(count, 1), Task(hold), Task(hold), Task(lambda: asyncio.run(put_and_get()))]
    try:
        for _ in range(4):
            for handle in (counter, queue, lock):
                move = Move(cluster, key_of(handle))
                move.begin()
                while move.move_keys(1):
                    time.sleep(0.002)
                move.end()
                time.sleep(0.1)
    finally:
        over.set()
    for task in tasks:
        task.result()
    assert counter.value == sum(asked)
    assert len(seen) % 10 == 0 and all(seen.count(n) == len(seen) // 10 for n in range(10))
    assert queue.qsize() == 0


def test_waits_and_locks_outlive_a_move(ctx: Any, cluster: Cluster) -> None:
    """A holder and its waiters listen at the new node before the others take them for dead."""
    lock, queue, event = ctx.Lock(name="m lock"), ctx.Queue(name="m queue"), ctx.Event(name="m event")
    lock.acquire()
    waits = [Task(lock.acquire), Task(queue.get), Task(event.wait), Task(lambda: asyncio.run(queue.aget()))]
    until(lambda: lock.statistics().waiting == 1 and queue.statistics().waiting_getters == 2)
    until(lambda: event.statistics().waiting == 1)
    fence = lock.fence
    for handle in (lock, queue, event):
        Move(cluster, key_of(handle)).make()
    time.sleep(2.5)  # the keeper has looked at the waits twice, and who does not listen would be dead
    assert (lock.fence, lock.statistics().owner_died) == (fence, False)
    lock.release()
    queue.put_many(["first", "second"])
    event.set()
    assert [wait.result() for wait in waits[::2]] == [True, True]
    assert {waits[1].result(), waits[3].result()} == {"first", "second"}
    lock.release()


def test_a_process_that_only_holds_a_lock_keeps_it_when_the_slot_moves(ctx: Any, cluster: Cluster) -> None:
    lock = ctx.Lock(name="held by another")

    def hold(writes: int) -> None:
        import os

        with lock:
            os.write(writes, b"held\n")
            time.sleep(60)

    pid, reads = forked(hold)
    until(lock.locked)
    wait = Task(lock.acquire)
    until(lambda: lock.statistics().waiting == 1)
    Move(cluster, key_of(lock)).make()
    time.sleep(2.5)
    assert not wait.done
    with pytest.warns(sk.OwnerDiedWarning):
        ended(pid, reads)
        assert wait.result() is True  # its death is seen at the new node
    lock.release()


def test_a_slot_that_moves_in_one_step_is_followed_too(ctx: Any, cluster: Cluster) -> None:
    """Valkey 9 moves a slot as a whole: the nodes answer MOVED, and never TRYAGAIN."""
    lock = ctx.Lock(name="at once")
    move = Move(cluster, key_of(lock))
    try:
        lock.acquire()
        wait = Task(lock.acquire)
        until(lambda: lock.statistics().waiting == 1)
        slots = ("SLOTSRANGE", move.slot, move.slot, "NODE", move.target.ident())
        try:
            move.source.ask("CLUSTER", "MIGRATESLOTS", *slots)
        except Exception as why:
            assert "unknown subcommand" in str(why).lower()
            pytest.skip("this server moves slots key by key")
        until(lambda: cluster.owner(key_of(lock)).port == move.target.port)
        time.sleep(1.5)
        assert (lock.statistics().owner_died, wait.done) == (False, False)
    finally:
        lock.release()
    assert wait.result() is True
    lock.release()


def test_elements_that_are_written_while_the_slot_moves_are_whole(ctx: Any, cluster: Cluster) -> None:
    large = np.arange(1_000_000)
    array = ctx.Array(large.shape, large.dtype, name="m array")
    over, written = threading.Event(), [0]

    def write() -> None:
        while not over.is_set():
            written[0] += 1
            array[:] = large + written[0]

    task = Task(write)
    for _ in range(3):
        until(lambda before=written[0]: written[0] > before)  # type: ignore[misc]
        Move(cluster, key_of(array)).make()
    over.set()
    task.result()
    assert np.array_equal(array, large + written[0])


@pytest.mark.parametrize("how", ["thread", "task"])
def test_a_call_waits_a_lease_for_a_move_that_does_not_end(cluster: Cluster, how: str) -> None:
    with sk.get_context("redis", url=cluster.url, prefix="c", lease=1.5) as ctx:
        queue, other = ctx.Queue(name=f"stuck {how}", persist=True), ctx.Counter()
        move = Move(cluster, key_of(queue))
        move.begin()
        began = time.monotonic()
        try:
            with pytest.raises(sk.ServerGoneError, match=f"serves 'stuck {how}' now, .* not made: TRYAGAIN"):
                queue.put(1) if how == "thread" else asyncio.run(queue.aput(1))
            assert time.monotonic() - began >= 1.5
            assert other.add() == 1
        finally:
            move.abandon()
        with pytest.raises(sk.LeaseLostError):  # nobody could prolong it meanwhile
            until(lambda: queue.qsize() < 0)
        again = ctx.attach(f"stuck {how}")
        assert again.qsize() == 0
        again.unlink()


def test_a_short_wait_for_a_move_ends_with_it(ctx: Any, cluster: Cluster) -> None:
    queue = ctx.Queue(name="short")
    move = Move(cluster, key_of(queue))
    move.begin()
    tasks = [Task(queue.put, 1), Task(lambda: asyncio.run(queue.aput(2)))]
    time.sleep(0.3)
    assert not any(task.done for task in tasks)
    move.end()
    for task in tasks:
        task.result()
    assert sorted(queue.get_many()) == [1, 2]


def test_a_move_that_has_moved_some_keys_lets_no_function_begin(ctx: Any, cluster: Cluster) -> None:
    """Otherwise it would end at the first key that is not there, with the half of its changes made."""
    queue = ctx.Queue(name="half")
    queue.put("before")
    move = Move(cluster, key_of(queue))
    move.begin()
    while move.move_keys(1):
        task = Task(queue.put, "meanwhile")
        time.sleep(0.05)
        assert not task.done
        break
    move.end()
    task.result()
    assert queue.get_many() == ["before", "meanwhile"]


# --- a replica takes the place of a primary


@contextmanager
def small(replicas: int = 1) -> Iterator[tuple[Cluster, Any]]:
    """A cluster that sees deaths soon, and a context with a long lease."""
    with Cluster(replicas, timeout=1000) as cluster:
        ctx = sk.get_context("redis", url=cluster.url, prefix="c", lease=30.0, timeout=2.0)
        try:
            yield cluster, ctx
        finally:
            ctx.close()


def on(cluster: Cluster, node: Node, what: str) -> str:
    """A name whose slot that node serves."""
    return next(name for i in range(1000) if cluster.owner(f"{{c:{(name := f'{what} {i}')}}}") is node)


def replicated(primary: Node, replica: Node) -> bool:
    """Whether the replica has all that the primary has written."""
    wrote, has = (node.ask("INFO", "replication") for node in (primary, replica))
    return bool(wrote["master_repl_offset"] == has["slave_repl_offset"])


def lost(call: Callable[[], Any]) -> bool:
    """Whether the call raises LeaseLostError. As long as there is no new primary, it raises ServerGoneError."""
    try:
        call()
    except sk.LeaseLostError as why:
        assert re.search(r"the lease of this process at redis://127.0.0.1:\d+ is over", str(why))
        return True
    except sk.ServerGoneError:
        return False
    raise AssertionError("the handle works on a server that it does not know")


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_after_a_failover_who_used_the_node_is_told_and_others_are_not(how: str) -> None:
    with small() as (cluster, ctx):
        first, second = cluster.nodes[:2]
        name = on(cluster, first, "gone")
        gone = ctx.Counter(7, name=name, persist=True)
        lock = ctx.Lock(name=on(cluster, first, "lock"))
        kept = ctx.Lock(name=on(cluster, second, "kept"))
        lock.acquire()
        kept.acquire()
        wait = Task(lock.acquire)
        until(lambda: lock.statistics().waiting == 1)
        until(lambda: replicated(first, cluster.nodes[3]))
        first.process.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)  # type: ignore[union-attr]
        with pytest.raises(sk.LeaseLostError, match="has taken the place of redis://127"):
            wait.result()
        until(lambda: lost(gone.add))
        for call in (lock.release, lambda: lock.fence, lambda: asyncio.run(lock.aacquire())):
            with pytest.raises(sk.LeaseLostError):
                call()
        assert kept.fence is not None
        kept.release()
        again = ctx.attach(name)
        assert again.add() == 8
        again.unlink()
        first.process.send_signal(signal.SIGCONT)  # type: ignore[union-attr]


def test_after_a_failover_in_order_who_used_the_node_is_told_at_once() -> None:
    with small() as (cluster, ctx):
        name = on(cluster, cluster.nodes[0], "it")
        counter = ctx.Counter(7, name=name, persist=True)
        queue = ctx.Queue(name=on(cluster, cluster.nodes[0], "queue"))
        wait = Task(lambda: asyncio.run(queue.aget()))
        until(lambda: queue.statistics().waiting_getters == 1)
        cluster.nodes[3].ask("CLUSTER", "FAILOVER")
        with pytest.raises(sk.LeaseLostError, match="has taken the place of"):
            wait.result()
        with pytest.raises(sk.LeaseLostError):
            counter.add()
        assert ctx.attach(name).add() == 8


def test_a_primary_that_restarts_before_its_replica_takes_over_has_lost_the_sessions() -> None:
    with Cluster(timeout=60000) as cluster:
        ctx = sk.get_context("redis", url=cluster.url, prefix="c")
        node = cluster.nodes[0]
        counter, other = (
            ctx.Counter(name=on(cluster, node, "it")),
            ctx.Counter(name=on(cluster, cluster.nodes[1], "other")),
        )
        node.stop(signal.SIGKILL)
        node.start()
        until(lambda: lost(counter.add))
        until(lambda: cluster.nodes[1].knows("cluster_state:ok"))
        assert other.add() == 1
        until(lambda: node.knows("cluster_state:ok"))
        assert ctx.Counter(name=on(cluster, node, "it")).add() == 1
        ctx.close()


def test_without_a_replica_the_other_nodes_go_on_and_the_call_fails_in_time() -> None:
    with small(0) as (cluster, ctx):
        for node in cluster.nodes:
            node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
        gone = ctx.Counter(name=on(cluster, cluster.nodes[0], "gone"))
        permits = ctx.Semaphore(1, name=on(cluster, cluster.nodes[0], "permits"))
        kept = ctx.Counter(name=on(cluster, cluster.nodes[1], "kept"))
        cluster.nodes[0].stop(signal.SIGKILL)
        with pytest.raises(sk.ServerGoneError, match=r"no server answers at redis://127"):
            gone.add()
        with pytest.raises(sk.ServerGoneError):
            asyncio.run(permits.aacquire())
        for _ in range(20):
            kept.add()
            time.sleep(0.1)
        assert kept.value == 20
