"""A user of the server who has the permissions that docs/placements.md lists can do everything; one who lacks any of
them gets an error that names it, and nothing is written."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_server import ABSENT, Cluster, Server

import sharedkit as sk

if ABSENT is None:
    from sharedkit.redis.scripts import commands

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))

DOCS = Path(__file__).parents[2] / "docs" / "placements.md"
OF_CLIENTS = {"fcall", "function|load", "info", "ping", "subscribe", "client|setname"}
IN_CLUSTER = {"cluster|nodes", "cluster|slots", "ssubscribe", "sunsubscribe"}
PARTS = {"prelude", "life", "epilogue", "one_server", "cluster"}


def rules(number: int = 0) -> list[str]:
    """The words after ACL SETUSER in the docs; number 1 are those that a cluster needs in addition."""
    found = re.findall(r"^redis-cli ACL SETUSER (worker (?:.*\\\n)*.*)$", DOCS.read_text("utf-8"), re.M)
    assert len(found) == 2
    return shlex.split(found[number].replace("\\\n", " "))


@pytest.fixture
def worker(server: Server) -> Iterator[str]:
    """The url of the user that the docs make. Nothing of the prefix is left behind, and no function."""
    server.ask("ACL", "SETUSER", *rules())
    server.ask("FUNCTION", "FLUSH")
    yield f"unix://worker:PASSWORD@{server.path}"
    assert server.ask("KEYS", "*") == []
    server.ask("ACL", "DELUSER", "worker")


def test_the_docs_list_the_commands_that_are_used_and_no_others() -> None:
    folder = files("sharedkit.redis") / "scripts"
    structures = {path.name.removesuffix(".lua") for path in folder.iterdir()} - PARTS
    used = {command.lower() for structure in structures for command in commands(structure)} | OF_CLIENTS
    assert {word[1:] for word in rules() if word[0] == "+"} == used
    more = {command.lower() for structure in structures for command in commands(structure, True)} | IN_CLUSTER
    assert {word[1:] for word in rules(1) if word[0] == "+"} == more - used
    assert used - more - OF_CLIENTS == {"publish", "pubsub|numsub"}


def test_such_a_user_can_count_wait_and_lock(worker: str) -> None:
    with sk.get_context("redis", url=worker, prefix="shop", lease=0.5) as ctx:
        counter, queue, lock = ctx.Counter(), ctx.Queue(), ctx.Lock()
        assert counter.add(3) == 3
        wait = Task(queue.get)
        until(lambda: queue.statistics().waiting_getters == 1)
        queue.put("item")
        assert wait.result() == "item"
        lock.acquire()
        wait = Task(lock.acquire)
        until(lambda: lock.statistics().waiting == 1)
        time.sleep(1.5)  # three leases: the heartbeat works, too
        assert not wait.done
        lock.release()
        assert wait.result() is True
        lock.release()

        async def work() -> Any:
            async with asyncio.TaskGroup() as group:
                got = group.create_task(queue.aget())
                await queue.aput("another")
            return got.result()

        assert asyncio.run(work()) == "another"


def test_such_a_user_can_make_every_structure(worker: str) -> None:
    with sk.get_context("redis", url=worker, prefix="shop") as ctx:
        for kind, *args in (
            ("Counters", ["a"]), ("RLock",), ("Semaphore",), ("BoundedSemaphore",), ("RWLock",), ("Event",),
            ("Condition",), ("Barrier", 1), ("Dict", {1: 2}), ("Set", [1]), ("Value", "q", 1), ("RawValue", "q", 1),
        ):  # fmt: skip
            getattr(ctx, kind)(*args).close()
        large = np.arange(3 << 20, dtype=np.uint8)
        array = ctx.Array.from_array(large)
        assert (array[:] == large).all()
        array[:] = large[::-1]
        assert array[0] == large[-1]


@pytest.mark.parametrize(
    ("lacks", "named"),
    [
        ("-fcall", "'fcall' command"),
        ("-function|load", "'function|load' command"),
        ("-info", "'info' command"),
        ("-ping", "'ping' command"),
        ("-subscribe", "'subscribe' command"),
        ("-client|setname", "'client|setname' command"),
        ("resetchannels", "for the channel sharedkit:session:*"),
        ("resetkeys", "{shop:it}"),
        ("-hset", "HSET on '{shop:it}'"),
        ("-publish", "PUBLISH on '{shop:it}'"),
        ("-pubsub|numsub", "PUBSUB|NUMSUB on '{shop:it}'"),
        ("-rpush", "RPUSH on '{shop:it}'"),
    ],
)
def test_who_lacks_a_permission_learns_which_and_writes_nothing(
    worker: str, server: Server, lacks: str, named: str
) -> None:
    server.ask("ACL", "SETUSER", "worker", lacks)
    ctx = sk.get_context("redis", url=worker, prefix="shop")
    with pytest.raises(sk.ServerMismatchError, match=r"does not permit its user what .*ACL SETUSER") as caught, ctx:
        ctx.Queue(name="it")
    assert named in str(caught.value)
    assert "PASSWORD" not in str(caught.value)
    assert server.ask("KEYS", "*") == []


def test_a_key_outside_of_the_prefix_is_named(worker: str, server: Server) -> None:
    with sk.get_context("redis", url=worker, prefix="other") as ctx:
        for call in (lambda: ctx.Counter(name="it"), lambda: ctx.attach("it"), lambda: ctx.Array(1 << 22, name="it")):
            with pytest.raises(sk.ServerMismatchError, match=r"what 'it' needs .*'\{other:it\}'.*ACL SETUSER"):
                call()
    assert server.ask("KEYS", "*") == []


def test_in_a_cluster_such_a_user_can_wait_and_lock_and_learns_what_is_missing() -> None:
    needless = ("-subscribe", "-publish", "-pubsub|numsub", "resetchannels", "&{shop:*")
    with Cluster() as cluster:
        for node in cluster.nodes:
            node.ask("ACL", "SETUSER", *rules())
            node.ask("ACL", "SETUSER", *rules(1), *needless)
        url = cluster.url.replace("://", "://worker:PASSWORD@")
        with sk.get_context("redis", url=url, prefix="shop") as ctx:
            for number in range(9):
                queue, lock = ctx.Queue(name=f"q{number}"), ctx.Lock()
                wait = Task(queue.get)
                until(lambda queue=queue: queue.statistics().waiting_getters == 1)  # type: ignore[misc]
                queue.put("item")
                assert wait.result() == "item"
                with lock:
                    pass
            for lacks, named in (
                ("-cluster|slots", "'cluster|slots' command"),
                ("-cluster|nodes", "'cluster|nodes' command"),
                ("-ssubscribe", "'ssubscribe' command"),
                ("resetchannels", "channel"),
                ("-spublish", "SPUBLISH on '{shop:it}'"),
            ):
                for node in cluster.nodes:
                    node.ask("ACL", "SETUSER", "worker", lacks)
                with (
                    pytest.raises(
                        sk.ServerMismatchError, match=r"does not permit its user what .*ACL SETUSER"
                    ) as caught,
                    sk.get_context("redis", url=url, prefix="shop", lease=9.0) as other,
                ):
                    other.Queue(name="it")
                assert named in str(caught.value)
                assert "PASSWORD" not in str(caught.value)
                for node in cluster.nodes:
                    node.ask("ACL", "SETUSER", *rules(1))
        assert cluster.ask("KEYS", "*") == []


@pytest.mark.parametrize("how", ["thread", "task"])
def test_a_refusal_to_load_the_functions_again_is_told(worker: str, server: Server, how: str) -> None:
    with sk.get_context("redis", url=worker, prefix="shop") as ctx:
        queue = ctx.Queue()
        server.ask("ACL", "SETUSER", "worker", "-function|load")
        server.ask("FUNCTION", "FLUSH")
        for _ in range(2):
            with pytest.raises(sk.ServerMismatchError, match=r"'function\|load' command.*ACL SETUSER"):
                queue.put(1) if how == "thread" else asyncio.run(queue.aput(1))
        server.ask("ACL", "SETUSER", "worker", "+function|load")
        queue.put(2)
        assert queue.get() == 2


def test_a_command_that_is_taken_away_later_is_named(worker: str, server: Server) -> None:
    with sk.get_context("redis", url=worker, prefix="shop") as ctx:
        counter = ctx.Counter()
        server.ask("ACL", "SETUSER", "worker", "-hmget")
        with pytest.raises(sk.ServerMismatchError, match=r"does not permit its user what 'redis-\w+' needs"):
            counter.add()
        server.ask("ACL", "SETUSER", "worker", "+hmget")
        assert counter.add() == 1
