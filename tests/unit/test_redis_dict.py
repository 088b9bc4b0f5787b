"""Dicts and sets in a Redis server: snapshots in pages, numbers, and what is refused."""

from __future__ import annotations

import gc
import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import until
from redis_server import ABSENT, Server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))
CHILDREN = Path(__file__).with_name("redis_children.py")
MANY = 2600  # keys: three pages


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="dicts") as context:
        yield context
    assert server.ask("KEYS", "{dicts:*") == []


def left_of_snapshots(server: Server, d: Any) -> list[Any]:
    """What the server keeps for snapshots."""
    base = d._base.decode()
    return [
        server.ask("EXISTS", base + suffix)
        for suffix in (":readers", ":kept", ":old", ":order0", ":values0", ":firsts0")
    ]


@pytest.mark.parametrize("seed", range(6))
def test_a_snapshot_in_pages_is_that_of_the_moment_it_was_taken(ctx: Any, server: Server, seed: int) -> None:
    chance = random.Random(seed)
    with ctx.Dict({(n, 1.0) if n % 3 else n: n for n in range(MANY)}) as d:
        plain = d.as_dict()
        snapshots: list[tuple[Any, list[Any], list[Any]]] = []

        def change() -> None:
            key = chance.choice([*plain, "new"]) if plain else "new"
            what = chance.randrange(8)
            if what == 0:
                d[key] = plain[key] = chance.random()
            elif what == 1 and key in plain:
                assert d.pop(key) == plain.pop(key)
            elif what == 2 and plain:
                assert d.popitem() == plain.popitem()
            elif what == 3 and key in plain:
                plain[key] = plain[key] + 2
                assert d.add(key, 2) == plain[key]
            elif what == 4 and key in plain:
                plain[key] = plain.pop(key)
                d[key] = d.pop(key)
            elif what == 5:
                more = {chance.randrange(10_000): -1 for _ in range(20)}
                d.update(more)
                plain.update(more)
            elif what == 6 and key in plain:
                assert d.compare_exchange(key, plain[key], 3)
                plain[key] = 3
            else:
                assert d.setdefault((key, "s"), 7) == plain.setdefault((key, "s"), 7)

        for turn in range(120):
            change()
            if turn % 20 == 10:
                how = chance.choice(["keys", "values", "items"])
                snapshots.append((iter(getattr(d, how)()), list(getattr(plain, how)()), []))
            for reader, _, got in snapshots:
                for _ in range(chance.randrange(120)):
                    got.extend([each] if (each := next(reader, None)) is not None else [])
            if turn in (60, 64, 100) and seed % 2:
                d.clear()
                plain.clear()
                more = {(n, 1.0) if n % 2 else n: n for n in range(1500)}
                d.update(more)
                plain.update(more)
        for reader, expected, got in snapshots:
            assert [*got, *reader] == expected
        assert list(d.items()) == list(plain.items())
        until(lambda: left_of_snapshots(server, d) == [0] * 6)


def test_a_snapshot_ends_with_its_iterator(ctx: Any, server: Server) -> None:
    with ctx.Dict.fromkeys(range(MANY), 0) as d:
        readers = [iter(d), iter(d.items()), iter(d.values())]
        next(readers[1])
        assert left_of_snapshots(server, d) == [1, *[0] * 5]
        for key in range(1500, MANY):
            d.pop(key)
        assert left_of_snapshots(server, d) == [1, 1, 1, 0, 0, 0]
        del readers[1:]
        readers.clear()
        gc.collect()
        until(lambda: left_of_snapshots(server, d) == [0] * 6)


def test_a_clear_while_snapshots_are_read_copies_nothing(ctx: Any, server: Server) -> None:
    plain = {(n, 1.0): n for n in range(MANY)}
    with ctx.Dict(plain) as d:
        reader, keys = iter(d.items()), iter(d)
        d.pop((5, 1.0))
        d.clear()
        assert (len(d), left_of_snapshots(server, d)) == (0, [1] * 6)
        assert server.ask("HLEN", d._base + b":old") == 3  # of the one key that was removed
        d["new"] = 1
        assert dict(reader) == plain and list(keys) == list(plain)
        until(lambda: left_of_snapshots(server, d) == [0] * 6)
        assert d == {"new": 1}


def test_a_snapshot_ends_with_the_process_that_reads_it(server: Server) -> None:
    """A heartbeat of another process ends it."""
    with (
        sk.get_context("redis", url=server.url, prefix="dicts", lease=1.0) as ctx,
        ctx.Dict.fromkeys(range(MANY), "x") as d,
        subprocess.Popen(
            [sys.executable, CHILDREN, "read_until_killed", server.url, d.name, "dicts"],
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        assert child.stdout is not None and child.stdout.readline() == "0 x\n"
        for key in range(1000, MANY):
            del d[key]
        assert left_of_snapshots(server, d) == [1, 1, 1, 0, 0, 0]
        child.kill()
        until(lambda: left_of_snapshots(server, d) == [0] * 6)
        assert len(d) == 1000


def test_pages_are_bounded_by_bytes_as_well(ctx: Any, server: Server) -> None:
    large = b"x" * 3_000_000
    with ctx.Dict(dict.fromkeys(range(4), large)) as d:
        reader = iter(d.items())
        assert left_of_snapshots(server, d) == [1, *[0] * 5]
        del d[3]
        assert [key for key, value in reader if value == large] == [0, 1, 2, 3]


def test_a_snapshot_that_the_server_has_lost_is_gone(ctx: Any, server: Server) -> None:
    with ctx.Set(range(MANY)) as s:
        reader = iter(s)
        server.ask("DEL", s._base.decode() + ":readers")
        with pytest.raises(sk.GoneError, match="has lost the snapshot"):
            list(reader)


def test_numbers_add_up_as_in_python(ctx: Any) -> None:
    values: list[Any] = [
        0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**30, 0.1, 0.2, -0.0, 1e308, 5e-324, math.inf, True,
        3.0, 2**64 + 0.0,
    ]  # fmt: skip
    with ctx.Dict() as d:
        for one in values:
            for other in values:
                d["n"] = one
                after, expected = d.add("n", other), one + other
                assert (type(after), repr(after)) == (type(expected), repr(expected)), (one, other)
                assert repr(d["n"]) == repr(expected)
        for n in values:
            assert repr(d.add(("missing", repr(n)), n)) == repr(n)
        d["text"] = "a"
        assert d.add("text", "b") == "ab" and d["text"] == "ab"
        with pytest.raises(TypeError):
            d.add("text", 1)
        assert d["text"] == "ab"


def test_a_value_or_key_that_no_server_takes_is_refused_before_it_is_sent(
    ctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharedkit.redis import items

    monkeypatch.setattr(items, "LARGEST", 1000)
    with ctx.Dict(a=1) as d:
        with pytest.raises(ValueError, match="a value has 2019 bytes, and a Redis server takes 1000"):
            d["b"] = b"x" * 2000
        with pytest.raises(ValueError, match="a key has 2001 bytes"):
            d["x" * 2000] = 1
        with pytest.raises(ValueError, match="a value has"):
            d.update({"c": 1, "d": b"x" * 2000})
        assert d == {"a": 1}


def test_without_memory_nothing_is_half_written_and_what_frees_some_works(ctx: Any, server: Server) -> None:
    name = "full"
    with ctx.Dict(dict.fromkeys(range(1500), b"x" * 1000)) as d, ctx.Set(range(5)) as s:
        server.ask("CONFIG", "SET", "maxmemory", "1")
        try:
            for call in (lambda: d.update(dict.fromkeys(range(500), "y")), lambda: d.setdefault("new", 1)):
                with pytest.raises(sk.OutOfSharedMemory, match="is out of memory"):
                    call()
            with pytest.raises(sk.OutOfSharedMemory, match="is out of memory"):
                s.add("new")
            with pytest.raises(sk.OutOfSharedMemory):
                ctx.Dict({1: 2}, name=name, persist=True)
            assert len(d) == 1500 and d[7] == b"x" * 1000 and list(s) == list(range(5))
            assert d.pop(3) == b"x" * 1000 and d.popitem()[0] == 1499
            s.discard(1)
            d.clear()
        finally:
            server.ask("CONFIG", "SET", "maxmemory", "0")
        assert (len(d), list(s)) == (0, [0, 2, 3, 4])
        with pytest.raises(FileNotFoundError):
            ctx.attach(name)


def test_contents_that_come_to_an_end_leave_no_persistent_dict(ctx: Any, server: Server) -> None:
    """The first thousand keys are in the server when the memory is full."""
    from sharedkit.redis.dict import Dict

    calls = []

    class Fails(ctx.Dict):  # type: ignore[name-defined,misc]
        def _call(self, method: bytes, *args: bytes, shrinks: bool = False) -> Any:
            calls.append(method)
            if calls.count(b"set_many") == 2:
                raise sk.OutOfSharedMemory("full")
            return Dict._call(self, method, *args, shrinks=shrinks)

    with pytest.raises(sk.OutOfSharedMemory, match="full"):
        Fails({n: n for n in range(1500)}, name="half", persist=True)
    assert calls.count(b"set_many") == 2
    with pytest.raises(FileNotFoundError):
        ctx.attach("half")


def test_a_large_value_that_was_taken_is_not_left_in_the_server(ctx: Any, server: Server) -> None:
    large = b"x" * 1_000_000
    with ctx.Dict(a=large, b=large, c=large) as d:
        for take in (lambda: d.pop("a"), lambda: d.popitem()[1], lambda: d.setdefault("b", 1)):
            assert take() == large
            assert sum(map(len, server.ask("HVALS", d._base))) < 1000
