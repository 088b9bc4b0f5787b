"""A wrong argument, name or server raises an error whose text names it, and nothing is half written."""

from __future__ import annotations

import asyncio
import pickle
import re
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from redis_server import ABSENT, Server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="mistakes") as context:
        yield context
    assert server.ask("KEYS", "{mistakes:*") == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(sk.ServerGoneError, match=f"no server answers at unix://{tmp_path}/none"):
        sk.get_context("redis", url=f"unix://{tmp_path}/none").Counter()


def test_a_wrong_password_is_named_and_never_shown() -> None:
    with Server("--requirepass", "right-one") as server:
        for password in ("wrong-one", ""):
            url = f"unix://:{password}@{server.path}" if password else server.url
            with pytest.raises(sk.AuthkeyError, match="refuses this user or password") as caught:
                sk.get_context("redis", url=url, prefix="secret").Counter()
            assert "wrong-one" not in str(caught.value)
        with sk.get_context("redis", url=f"unix://:right-one@{server.path}", prefix="secret") as ctx:
            counter = ctx.Counter(3)
            for secret in (pickle.dumps(counter), pickle.dumps(ctx), repr(counter).encode(), ctx.url.encode()):
                assert b"right-one" not in secret
            assert pickle.loads(pickle.dumps(counter)).add() == 4
            assert pickle.loads(pickle.dumps(ctx)).attach(counter.name).value == 4


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hush/hush@host",
        "redis://user:12/hush@host",
        "redis://user:hush#hush@host",
        "redis://user:12?hush@host",
        "redis://host?password=hush&x=1",
        "redis://host?p%61ssword=hush&x=1",
        "rediss://host?ssl_password=hush&x=1",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="the url ") as caught:
        sk.get_context("redis", url=url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_throws_keys_away_is_refused() -> None:
    with (
        Server("--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(sk.ServerMismatchError, match=r"maxmemory-policy allkeys-lru.*must be noeviction"),
    ):
        sk.get_context("redis", url=server.url).Counter()


def info(*lines: bytes) -> Callable[[bytes], bytes]:
    """What a server with this INFO answers."""
    body = b"\r\n".join(lines)
    return lambda asked: b"$%d\r\n%b\r\n" % (len(body), body) if b"INFO" in asked else b"+OK\r\n"


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (info(b"redis_version:6.2.14"), sk.ServerMismatchError, r"is Redis 6\.2\.14; 7\.0 is the oldest that will do"),
        (info(b"redis_version:7.2.4", b"cluster_enabled:1"), sk.ServerMismatchError, "a node of a cluster"),
        (info(b"role:master"), sk.ServerMismatchError, "is no Redis or Valkey server .*does not say its version"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", sk.ServerMismatchError, "is no Redis or Valkey server"),
        (lambda _: b"-LOADING the dataset is in memory soon\r\n", sk.ServerGoneError, "no server answers .*soon"),
        (lambda _: b"", sk.ServerGoneError, "no server answers at redis://127.0.0.1:.*Timeout"),
    ],
    ids=["old", "cluster", "no version", "HTTP", "loading", "silent"],
)
def test_what_is_no_such_server_is_refused(
    answer: Callable[[bytes], bytes], error: type[Exception], words: str
) -> None:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while asked := self.request.recv(1 << 16):
                self.request.sendall(answer(asked))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            with pytest.raises(error, match=words):
                sk.get_context("redis", url=f"redis://127.0.0.1:{server.server_address[1]}", timeout=0.3).Counter()
        finally:
            server.shutdown()


def test_a_replica_is_refused() -> None:
    with (
        Server("--replicaof", "127.0.0.1", "1") as replica,
        pytest.raises(sk.ServerMismatchError, match=f"{replica.url} is a replica, .* must name its primary"),
    ):
        sk.get_context("redis", url=replica.url).Counter()


@pytest.mark.parametrize("value", [("SET", "text"), ("RPUSH", "item"), ("SET", "sharedkit")], ids=str)
def test_a_key_of_something_else_is_left_alone(ctx: Any, server: Server, value: tuple[str, str]) -> None:
    server.ask(value[0], "{mistakes:theirs}", value[1])
    try:
        with pytest.raises(sk.ServerMismatchError, match=r"'\{mistakes:theirs\}'.* was not made by sharedkit"):
            ctx.Counter(name="theirs", exist_ok=True)
        with pytest.raises(sk.ServerMismatchError, match=r"\{mistakes:theirs\}|'theirs'"):
            ctx.attach("theirs")
        assert server.ask("TYPE", "{mistakes:theirs}") == (b"string" if value[0] == "SET" else b"list")
    finally:
        server.ask("DEL", "{mistakes:theirs}")


SUFFIXES = {
    "": "hash", ":sessions": "zset", ":granted": "hash", ":line": "list", ":items": "list",
    ":second": "list", ":data": "string", ":order": "zset", ":values": "hash", ":kept": "zset",
}  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_key_of_a_structure_that_another_program_has_written_is_named(ctx: Any, server: Server, suffix: str) -> None:
    """Nothing is written, whoever makes, attaches or unpickles the structure."""
    queue = ctx.Queue(name="spoiled", persist=True)
    queue.put("item")
    pickled, base = pickle.dumps(queue), queue._base.decode()
    queue.close()
    key, wanted = base + suffix, SUFFIXES[suffix]
    server.ask("DEL", key)
    server.ask("RPUSH", key, "x") if wanted != "list" else server.ask("SET", key, "x")
    found = "list" if wanted != "list" else "string"
    before = dump_of(server)
    calls: tuple[Callable[[], object], ...] = (
        lambda: ctx.Queue(name="spoiled", exist_ok=True, persist=True),
        lambda: ctx.attach("spoiled"),
        lambda: pickle.loads(pickled),
        lambda: ctx.Queue(name="spoiled"),
    )
    try:
        for call in calls:
            with pytest.raises(sk.ServerMismatchError) as caught:
                call()
            assert f"the key {key!r} in the server" in str(caught.value)
            assert f"is a {found}, but 'spoiled' keeps a {wanted} there" in str(caught.value)
            assert dump_of(server) == before
    finally:
        server.ask("DEL", *before)


def dump_of(server: Server) -> dict[bytes, bytes]:
    """All keys of the prefix, and their values."""
    return {key: server.ask("DUMP", key) for key in sorted(server.ask("KEYS", "{mistakes:*"))}


def test_a_key_that_is_spoiled_while_it_is_used_is_told_as_such(ctx: Any, server: Server) -> None:
    queue = ctx.Queue(name="later spoiled")
    queue.put("item")
    server.ask("DEL", queue._base.decode() + ":items")
    server.ask("SET", queue._base.decode() + ":items", "x")
    with pytest.raises(sk.ServerMismatchError, match=r"another program has written to .*'\{mistakes:later spoiled\}:"):
        queue.get_nowait()


@pytest.mark.parametrize(
    ("write", "error", "words"),
    [
        (("HSET", "layout", "9"), sk.LayoutError, r"'it' was made by a release .*\(version 9\)"),
        (("HDEL", "layout"), sk.ServerMismatchError, r"key '\{mistakes:it\}:\w+' in the server .* not made by"),
    ],
)
def test_a_pickled_handle_of_another_layout_is_refused(
    ctx: Any, server: Server, write: tuple[str, ...], error: type[Exception], words: str
) -> None:
    counter = ctx.Counter(3, name="it", persist=True)
    pickled, base = pickle.dumps(counter), counter._base
    counter.close()
    server.ask(write[0], base, *write[1:])
    before = dump_of(server)
    try:
        for call in (lambda: pickle.loads(pickled), lambda: ctx.attach("it"), lambda: ctx.Counter(name="it")):
            with pytest.raises(error, match=words):
                call()
            assert dump_of(server) == before
    finally:
        server.ask("DEL", *before)


def test_each_key_of_a_structure_has_a_type() -> None:
    from sharedkit.redis.scripts import library

    text = library("queue").decode()
    suffixes, types = (
        re.findall(r"'(:?\w*)'", text.partition(f"local {what} = ")[2].partition("}")[0])
        for what in ("SUFFIXES", "TYPES")
    )
    assert sorted(suffixes) == sorted(types[::2]) and len(suffixes) > 10
    assert set(types[1::2]) == {"hash", "list", "string", "zset"}


def test_keys_of_another_layout_are_left_alone(ctx: Any, server: Server) -> None:
    server.ask("SET", "{mistakes:later}", "sharedkit 99 abc Counter")
    try:
        for call in (lambda: ctx.Counter(name="later", exist_ok=True), lambda: ctx.attach("later")):
            with pytest.raises(sk.LayoutError, match=r"'later' was made by a release .*\(version 99\)"):
                call()
    finally:
        server.ask("DEL", "{mistakes:later}")


def test_an_item_that_cannot_be_pickled_puts_nothing(ctx: Any) -> None:
    with ctx.Queue() as queue:
        for put in (
            lambda: queue.put(threading.Lock()),
            lambda: queue.put_many([1, threading.Lock()]),
            lambda: asyncio.run(queue.aput(threading.Lock())),
        ):
            with pytest.raises(TypeError, match="pickle"):
                put()
        assert queue.qsize() == 0


def test_an_item_that_no_server_takes_is_refused_before_it_is_sent(ctx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from sharedkit.redis import items

    assert items.LARGEST < 512 << 20
    monkeypatch.setattr(items, "LARGEST", 1000)
    with ctx.Queue() as queue:
        with pytest.raises(ValueError, match="an item has 2018 bytes, and a Redis server takes 1000"):
            queue.put(b"x" * 2000)
        assert queue.qsize() == 0


def test_a_key_or_value_that_no_server_takes_is_refused_before_anything_is_set(
    ctx: Any, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharedkit.redis import items

    monkeypatch.setattr(items, "LARGEST", 1000)
    large = "x" * 2000
    with ctx.Dict() as shared:
        for call in (
            lambda: shared.update({1: 1, 2: large}),
            lambda: shared.update({1: 1, large: 2}),
            lambda: shared.setdefault(1, large),
        ):
            with pytest.raises(ValueError, match=r"a (key|value) has 20\d\d bytes, and a Redis server takes 1000"):
                call()
        assert len(shared) == 0
        with pytest.raises(TypeError, match="pickle"):
            shared.update({1: 1, 2: threading.Lock()})
        assert len(shared) == 0
    for make in (lambda: ctx.Dict({1: large}), lambda: ctx.Set([large])):
        with pytest.raises(ValueError, match="and a Redis server takes 1000"):
            make()
    assert server.ask("KEYS", "*") == []


def test_a_large_item_comes_whole_with_and_without_a_wait(ctx: Any) -> None:
    from conformance.watchdog import Task, until

    large = bytes(range(256)) * 40_000
    with ctx.Queue() as queue:
        queue.put(large)
        assert queue.get() == large
        wait = Task(queue.get)
        until(lambda: queue.statistics().waiting_getters == 1)
        queue.put(large)
        assert wait.result() == large


@pytest.mark.parametrize("name", ["LifoQueue", "PriorityQueue"])
def test_a_class_that_is_not_there_is_refused_with_a_sentence(name: str) -> None:
    from sharedkit import redis

    for owner in (sk.get_context("redis", url="redis://nowhere"), redis):
        with pytest.raises(AttributeError, match=f'there is no {name} in the placement "redis" yet'):
            getattr(owner, name)
    with pytest.raises(ImportError, match=f'there is no {name} in the placement "redis" yet'):
        exec(f"from sharedkit.redis import {name}", {})
    with pytest.raises(AttributeError, match="the placement \"redis\" has no attribute 'Counterr'"):
        _ = sk.get_context("redis", url="redis://nowhere").Counterr


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"url": "http://x"}, ValueError, r"begins with redis://, rediss://, unix://, redis\+sentinel"),
        ({"url": "redis://host:port"}, ValueError, "its port is a number"),
        ({"url": "redis://host?socket_timeout=3"}, ValueError, "option 'socket_timeout', which is none of db, pass"),
        ({"url": "redis://host?ssl_ca_certs=/x"}, ValueError, "option 'ssl_ca_certs', which is none of db, pass"),
        ({"url": "rediss://host?ssl_ca_certs=/none"}, FileNotFoundError, "no file '/none', which is ssl_ca_certs of"),
        ({"url": "rediss://host?ssl_cert_reqs=x"}, ValueError, "is none, optional or required: 'x'"),
        ({"url": "redis://host/shop"}, ValueError, "is the number of a database, not 'shop'"),
        ({"url": 5}, TypeError, "url of a server is a str, not int"),
        ({"prefix": "a:b"}, ValueError, "prefix has 1 to 100 bytes"),
        ({"prefix": ""}, ValueError, "prefix has 1 to 100 bytes"),
        ({"prefix": 5}, TypeError, "a prefix is a str"),
        ({"lease": 0.1}, ValueError, "lease is from 0.5 to 86400 seconds: 0.1"),
        ({"lease": "x"}, TypeError, "lease is a number of seconds, not str"),
        ({"timeout": -1}, ValueError, "timeout is from 0.01"),
        ({"address": "x"}, ValueError, 'for get_context\\("manager"\\)'),
    ],
    ids=str,
)
def test_arguments_that_cannot_be(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        sk.get_context("redis", **options)


def test_arguments_of_this_placement_are_no_others() -> None:
    with pytest.raises(ValueError, match=r'are for get_context\("redis"\)'):
        sk.get_context("shm", url="redis://x")  # type: ignore[call-overload]


def test_ack_is_one_of_two(ctx: Any) -> None:
    with pytest.raises(ValueError, match="ack must be 'auto' or 'on-get': 'never'"):
        ctx.Queue(ack="never")
    with ctx.Queue(ack="on-get", name="a"), pytest.raises(ValueError, match="with ack on-get, not auto"):
        ctx.Queue(name="a", exist_ok=True)


def test_a_closed_context_closes_its_handles_and_begins_anew(server: Server) -> None:
    ctx = sk.get_context("redis", url=server.url, prefix="closed")
    counter = ctx.Counter()
    ctx.close()
    ctx.close()
    with pytest.raises(sk.GoneError, match="this context was closed"):
        counter.add()
    with ctx, ctx.Counter() as another:
        assert another.add() == 1
    assert server.ask("KEYS", "{closed:*") == []


def test_a_fence_grows_and_is_there_while_the_lock_is_held(ctx: Any) -> None:
    lock, other = ctx.Lock(), ctx.RLock()
    fences = []
    assert lock.fence is None
    for _ in range(3):
        with lock:
            fences.append(lock.fence)
        assert lock.fence is None
    assert fences == sorted(set(fences)) and type(fences[0]) is int
    with other:
        outer = other.fence
        with other:
            assert other.fence == outer
        assert other.fence == outer
    lock.close()
    other.close()
