"""Arrays and values in a Redis server: every index of NumPy, large arrays in pieces, and what is refused."""

from __future__ import annotations

import asyncio
import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import Task, until
from redis_server import ABSENT, Server

import sharedkit as sk

pytestmark = pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT))
RECORD = np.dtype([("id", "i4"), ("where", "f8", (3,)), ("tag", "S4")], align=True)
CHILDREN = Path(__file__).with_name("redis_children.py")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def ctx(server: Server) -> Iterator[Any]:
    with sk.get_context("redis", url=server.url, prefix="arrays") as context:
        yield context
    assert server.ask("KEYS", "{arrays:*") == []


def same(one: Any, other: Any) -> bool:
    """Whether both are arrays, or both are not, of one type, shape and contents."""
    return (
        isinstance(one, np.ndarray) == isinstance(other, np.ndarray)
        and (np.shape(one), np.asarray(one).dtype) == (np.shape(other), np.asarray(other).dtype)
        and repr(np.asarray(one).tolist()) == repr(np.asarray(other).tolist())
    )


def an_index(chance: random.Random, length: int) -> Any:
    """Any index of one axis."""

    def number() -> int:
        return chance.randrange(-length, length)

    what = chance.randrange(9)
    if what == 0:
        return number()
    if what == 1:
        return np.int16(number())
    if what < 5:
        parts = [chance.choice([None, chance.randrange(-length - 2, length + 2)]) for _ in range(2)]
        return slice(*parts, chance.choice([None, 1, 2, 3, -1, -2]))
    if what == 5:
        return [number() for _ in range(3)]
    if what == 6:
        return np.array([[number()], [number()]])
    if what == 7:
        return np.array([chance.random() < 0.4 for _ in range(length)])
    return np.array(number())


@pytest.mark.parametrize("dtype", ["i4", ">i2", "u1", "f8", "c16", "S3", "M8[s]", "?", RECORD], ids=str)
def test_every_index_chooses_what_it_chooses_in_numpy(ctx: Any, dtype: Any) -> None:
    chance = random.Random(str(dtype))
    shape = (4, 5, 3)
    plain = np.zeros(shape, dtype)
    with ctx.Array(shape, dtype) as array:
        start = np.arange(60).reshape(shape)
        if dtype is RECORD:
            for each in (plain, array):
                each["id"] = start
                each[["id", "tag"]] = np.array((7, b"x"), RECORD[["id", "tag"]])
                each["where"] = start[..., None] + np.arange(3)
        else:
            plain[...] = start.astype(dtype)
            array[...] = start.astype(dtype)
        assert same(np.asarray(array), plain)
        refused = 0
        for turn in range(300):
            key: Any = tuple(an_index(chance, shape[axis]) for axis in range(chance.randrange(4)))
            if chance.random() < 0.2:
                key = (*key[: chance.randrange(3)], chance.choice([..., None]), *key[3:])
            if len(key) == 1 and chance.random() < 0.5:
                key = key[0]
            try:
                expected = plain[key]
            except IndexError:
                refused += 1
                with pytest.raises(IndexError):
                    array[key]
                with pytest.raises(IndexError):
                    array[key] = 0
                continue
            found = array[key]
            assert same(found, expected), key
            assert not isinstance(found, np.ndarray) or not found.flags.writeable
            value = np.roll(np.asarray(expected).reshape(-1), 1).reshape(np.shape(expected))
            if turn % 3 == 0 and dtype is not RECORD:
                value = plain[turn % 4, turn % 5, turn % 3]
            plain[key] = value
            array[key] = value
            assert same(np.asarray(array), plain), key
        assert refused < 200
        for key in ("id", "where", ["id", "tag"]) if dtype is RECORD else (True, False, (..., True)):
            assert same(array[key], plain[key]), key
        for bad in (1.5, "no such field", (0, "id"), (..., ...), [1.5]):
            with pytest.raises((IndexError, ValueError)):
                array[bad]


def test_an_array_without_axes_has_the_indices_of_numpys(ctx: Any) -> None:
    plain = np.array(5)
    with ctx.Array.from_array(plain) as array:
        for key in ((), ..., (...,), None, (None, ...), True, False, np.array([True])):
            try:
                expected = plain[key]
            except IndexError:
                with pytest.raises(IndexError):
                    array[key]
            else:
                assert same(array[key], expected), key
        array[()] = 7
        assert array[()] == 7
        array[...] = 8
        assert array[...] == 8 and array.fetch_add((), 2) == 8 and int(np.asarray(array)) == 10


@pytest.mark.parametrize("megabytes", [0.9, 3.3])
def test_a_large_array_goes_in_and_out_in_pieces(ctx: Any, server: Server, megabytes: float) -> None:
    size = int(megabytes * (1 << 20)) // 8
    plain = np.random.default_rng(1).integers(0, 1 << 62, size)
    with ctx.Array.from_array(plain, name="large") as array:
        assert np.array_equal(array, plain)
        array[...] = plain[::-1]
        assert np.array_equal(array[:], plain[::-1])
        for key in (slice(3, size - 5), slice(None, None, 3), slice(None, None, 5000), slice(size - 1, None, -7)):
            array[key] = plain[key]
            expected = np.array(array)
            assert np.array_equal(array[key], plain[key]) and np.array_equal(expected[key], plain[key])
        chosen = np.random.default_rng(2).integers(0, size, 3000)
        array[chosen] = 5
        assert np.array_equal(array[chosen], np.full(3000, 5)) and np.count_nonzero(array.ndarray == 5) == len(
            set(chosen.tolist())
        )
        with ctx.Array.from_array(np.zeros(size, "i8"), name="large", exist_ok=True) as again:
            assert np.array_equal(again, array)
        with pytest.raises(FileExistsError):
            ctx.Array.from_array(plain, name="large")
        left = {key.rpartition(b":")[2] for key in server.ask("KEYS", array._base + b":*")}
        assert left == {b"sessions", b"data"}


def test_a_large_array_takes_the_name_of_one_whose_processes_have_all_died(ctx: Any, server: Server) -> None:
    old, plain = ctx.Array.from_array(np.zeros(300_000), name="again"), np.arange(300_000.0)
    server.ask("DEL", old._base + b":sessions")
    with ctx.Array.from_array(plain, name="again") as array:
        assert np.array_equal(array, plain)
        with pytest.raises(sk.GoneError):
            old[0]
    old.close()


def test_the_keys_of_a_large_array_expire_exactly_if_it_does_not_persist(ctx: Any, server: Server) -> None:
    plain = np.ones(300_000)
    for persist in (False, True):
        array = ctx.Array.from_array(plain, persist=persist)
        for _ in range(2):
            ends = server.ask("PEXPIRETIME", array._base + b":data")
            assert ends == (server.ask("PEXPIRETIME", array._base) if not persist else -1)
            array[...] = plain + 1
        array.unlink()
        array.close()


def test_integers_are_exact_in_either_order_of_bytes(ctx: Any) -> None:
    chance = random.Random(5)
    for dtype in ("i8", ">i8", "u8", ">u8", ">u4", ">i2", ">f8", ">f4", "f2", "g", ">f2"):
        plain = np.zeros(3, dtype)
        with ctx.Array(3, dtype) as array:
            limits = np.iinfo(dtype) if plain.dtype.kind in "iu" else None
            for _ in range(60):
                n = chance.randrange(int(limits.min), int(limits.max) + 1) if limits else chance.randrange(-50, 50) / 4
                before = plain[1].item()
                with np.errstate(over="ignore"):
                    plain[1] += plain.dtype.type(n)
                assert array.fetch_add(1, n) == before
                assert np.array_equal(array, plain), (dtype, n)
            array.add_at([0, 0, 2], 3)
            assert np.asarray(array)[[0, 2]].tolist() == [6, 3]
            now = plain[1].item()
            assert array.compare_exchange(1, now, 1) and not array.compare_exchange(1, now, 2) and array[1] == 1


def test_floats_are_compared_as_numbers(ctx: Any) -> None:
    with ctx.Array(2, "f8") as array:
        assert array.compare_exchange(0, -0.0, float("nan"))
        assert not array.compare_exchange(0, float("nan"), 1.0)


def test_add_at_takes_slices_and_masks(ctx: Any) -> None:
    plain = np.zeros((3, 4))
    with ctx.Array((3, 4)) as array:
        for key in (slice(1, None), (slice(None), [1, 1, 2]), plain == 0, (..., 2), (np.array([[0], [2]]), [3, 3])):
            np.add.at(plain, key, 1.5)
            array.add_at(key, 1.5)
            assert np.array_equal(array, plain)


def test_too_many_bytes_are_refused_before_anything_is_made(ctx: Any, server: Server) -> None:
    with pytest.raises(ValueError, match=r"has 536870920 bytes, and a Redis server takes 536870912"):
        ctx.Array(((512 << 20) // 8 + 1,), "f8")
    assert server.ask("KEYS", "{arrays:*") == []


def test_without_memory_a_large_array_is_refused_and_an_old_one_unchanged(ctx: Any, server: Server) -> None:
    plain = np.arange(400_000)
    with ctx.Array.from_array(plain, name="old") as array:
        server.ask("CONFIG", "SET", "maxmemory", str(server_memory(server) + 1_000_000))
        try:
            for call in (
                lambda: ctx.Array(400_000, "i8"),
                lambda: ctx.Array.from_array(plain, name="new", persist=True),
                lambda: array.__setitem__(..., 0),
            ):
                with pytest.raises(sk.OutOfSharedMemory, match=r"3,200,000 bytes were asked for, [\d,]+ are free"):
                    call()
            server.ask("CONFIG", "SET", "maxmemory", "1")
            assert np.array_equal(array, plain)
            array[5] = 1
            array.add_at([5, 6], 1)
            assert array[5:7].tolist() == [2, 7]
        finally:
            server.ask("CONFIG", "SET", "maxmemory", "0")
        with pytest.raises(FileNotFoundError):
            ctx.attach("new")


def server_memory(server: Server) -> int:
    """The bytes that the server uses."""
    return int(server.ask("INFO", "memory")["used_memory"])


def test_elements_that_are_gone_are_an_error(ctx: Any, server: Server) -> None:
    with ctx.Array(400_000, "i8") as array:
        server.ask("DEL", array._base + b":data")
        with pytest.raises(sk.ServerGoneError, match="has lost"):
            array[3]
        with pytest.raises(sk.ServerGoneError, match="has lost"):
            array.ndarray  # noqa: B018


def test_the_locks_of_arrays_and_values_are_for_tasks_too_and_travel(ctx: Any) -> None:
    with ctx.Array(2) as array:
        value = ctx.Value("i", 5)

        async def main() -> None:
            async with array.lock, value.lock:
                assert array.lock.locked() and value.lock.locked()
                value.value += 1
                async with value:
                    assert value.statistics().lock_owner == os.getpid()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await array.lock.aacquire()
            assert not array.lock.locked() and not value.lock.locked()

        asyncio.run(main())
        again = pickle.loads(pickle.dumps(array.lock))
        with again:
            assert array.lock.locked() and not array.lock.acquire(timeout=0.01)
        assert value.value == 6
        value.close()


def test_a_value_whose_lock_died_with_its_holder_is_read_with_a_warning(ctx: Any, server: Server) -> None:
    value = ctx.Value("d", 2.5, name="of the dead")
    with subprocess.Popen(
        [sys.executable, CHILDREN, "lock_until_killed", server.url, value.name, "arrays"],
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert [child.stdout.readline() for _ in range(2)] == ["ready\n", "taken\n"]
        task = Task(lambda: value.value)
        until(lambda: value.lock.statistics().waiting == 1)
        child.send_signal(signal.SIGKILL)
        with pytest.warns(sk.OwnerDiedWarning):
            assert task.result() == 2.5
    assert not value.lock.locked()
    value.close()
