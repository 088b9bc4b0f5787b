"""The dict in shared memory: what it has beyond the interface of a mapping."""

from __future__ import annotations

import multiprocessing
import pickle
import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sharedkit.shm._dict import Dict

KEYS: list[Any] = [
    0,
    -1,
    2**63 - 1,
    2**70,
    "",
    "a",
    "\ud800",
    b"",
    b"a",
    None,
    0.5,
    (1, ("x", 2.0)),
    frozenset({1, "b"}),
]
VALUES: list[Any] = [None, True, 7, 2**80, 0.25, b"bytes" * 500, "text", [1, {"a": (2,)}], "x" * 200_000]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: "frozenset" if isinstance(key, frozenset) else repr(key))
def test_any_hashable_key_is_returned_unchanged(key: Any) -> None:
    with Dict() as d:
        d[key] = "value"
        assert d[key] == "value" and key in d and list(d) == [key]
        assert type(next(iter(d))) is type(key)
        del d[key]
        assert key not in d and len(d) == 0


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_any_picklable_value_is_returned_unchanged(value: Any) -> None:
    with Dict() as d:
        d["k"] = value
        assert d["k"] == value and type(d["k"]) is type(value)
        assert d.pop("k") == value


def test_an_array_comes_back_with_its_dtype_and_shape() -> None:
    with Dict() as d:
        for value in (np.arange(12, dtype="u2").reshape(3, 4), np.ones((400, 500)), np.zeros(0)):
            d["k"] = value
            assert d["k"].dtype == value.dtype
            np.testing.assert_array_equal(d["k"], value)


FRAME = np.arange(1080 * 300 * 3, dtype="u1").reshape(1080, 300, 3)
LARGE: list[Any] = [
    FRAME,
    np.asfortranarray(FRAME[:, :, 0]),
    FRAME[::2, ::3],
    np.arange(9000).astype("M8[s]"),
    (1, FRAME, {"also": FRAME[:10].copy()}),
    [FRAME, bytearray(b"a" * 70_001), b"b" * 70_003],
    np.zeros(2000, [("a", "u1"), ("b", "f8")]),
    np.array(["text", None] * 1000, object),
    b"c" * 1_000_001,
    "\N{SNOWMAN}" * 500_001,
    {f"key {i}": [i] * (i % 7) for i in range(3000)},
]


def same(one: Any, other: Any) -> bool:
    """Whether they are equal, including types, dtypes and all elements."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.parametrize("value", LARGE, ids=lambda value: type(value).__name__)
def test_a_large_value_comes_back_whole_and_can_be_written_to(value: Any) -> None:
    with Dict() as d:
        for key in ("k", "a key of another length", (1, "of two parts"), np.int8(5)):
            d[key] = value
            d[key] = value
        assert all(same(each, value) for each in d.values()) and same(d.get("k"), value)
        if isinstance(value, np.ndarray):
            d["k"][0] = 0  # it is a copy
        assert same(d["k"], value) and same(d.pop("k"), value) and same(d.popitem()[1], value)
        assert not d.compare_exchange("missing", 0, value) and same(d.setdefault("new", value), value)


def test_a_large_value_stored_over_and_over_does_not_grow_the_dict() -> None:
    frame = np.zeros(1_500_000, "u1")
    with Dict(small=1) as d:
        for _turn in range(8):
            d["frame"] = frame
        held = d._segment().memory
        for turn in range(60):
            frame[:] = turn
            d["frame"] = frame
            assert d["frame"][turn] == turn
        assert d._segment().memory == held <= 8 * frame.nbytes
        assert list(d) == ["small", "frame"] and d["small"] == 1


def test_a_reader_sees_one_of_many_large_values_whole() -> None:
    """The values have different kinds, shapes and lengths."""
    kinds: list[Callable[[int], Any]] = [
        lambda n: np.full((n, 100), n, "u2"),
        lambda n: np.full((100, n), n, "u2"),
        lambda n: np.full((n, 50), n, "u4"),
        lambda n: (n, np.full(n * 200, n % 256, "u1")),
        lambda n: bytes([n % 256]) * n * 200,
        lambda n: n,
    ]
    done = threading.Event()
    with Dict(v=kinds[0](9)) as d:

        def write() -> None:
            for turn in range(3000):
                d["v"] = kinds[turn % 6](9 + turn % 2)
                d["other"] = b"o" * 30_000  # moves everything now and then
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            value = d["v"]
            flat = (
                np.frombuffer(value, "u1")
                if isinstance(value, bytes)
                else np.asarray(value[-1:][0]).reshape(-1)
                if isinstance(value, tuple)
                else np.asarray(value).reshape(-1)
            )
            assert (flat == flat[0]).all() and flat[0] in (9, 10)
        writer.join(60)


def test_each_dict_has_its_own_hash_seed() -> None:
    with Dict() as one, Dict() as other:
        assert one._segment().params[1] != other._segment().params[1]
        assert one._segment().params[3] != other._segment().params[3]


def test_numbers_that_are_equal_are_one_key() -> None:
    with Dict() as d:
        d[1] = "int"
        d[1.0] = "float"
        d[True] = "bool"
        d[(1, 2.0)] = "tuple"
        d[(1.0, 2)] = "other tuple"
        assert d.as_dict() == {1: "bool", (1, 2): "other tuple"}


def test_a_key_that_cannot_be_hashed_is_refused() -> None:
    with Dict() as d:
        for call in (lambda: d.__setitem__([], 1), lambda: d[{}], lambda: d.get([]), lambda: d.pop(set())):
            with pytest.raises(TypeError, match="unhashable"):
                call()


def test_a_value_that_cannot_be_pickled_leaves_the_dict_as_it_was() -> None:
    with Dict(a=1) as d:
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            d["a"] = lambda: None
        assert d.as_dict() == {"a": 1}


def test_random_operations_leave_what_a_plain_dict_has() -> None:
    seed = random.Random(7)
    model: dict[Any, Any] = {}
    with Dict() as d:
        for turn in range(20_000):
            key = seed.choice([seed.randrange(100), f"k{seed.randrange(100)}", (seed.randrange(20), "t")])
            value = seed.choice([seed.randrange(1 << 40), "v" * seed.randrange(80), b"b" * seed.randrange(900), None])
            match seed.randrange(6):
                case 0 | 1:
                    d[key] = model[key] = value
                case 2:
                    assert d.get(key, "none") == model.get(key, "none")
                case 3:
                    assert d.pop(key, "none") == model.pop(key, "none")
                case 4:
                    assert d.setdefault(key, value) == model.setdefault(key, value)
                case 5 if turn % 50 == 0:
                    assert list(d.items()) == list(model.items()) and len(d) == len(model)
                case _:
                    assert (key in d) == (key in model)
        assert d == model and list(d) == list(model) and list(reversed(d)) == list(reversed(model))


def test_a_hundred_thousand_overwrites_do_not_grow_it() -> None:
    with Dict() as d:
        for i in range(200):
            d[i] = "v" * 20
        for turn in range(20_000):
            d[turn % 200] = "w" * (turn % 40)
        held = d._segment().memory
        for turn in range(100_000):
            d[turn % 200] = "w" * (turn % 40)
        assert d._segment().memory == held


def test_add_counts_past_64_bits_and_in_floats() -> None:
    with Dict(big=2**63 - 1, real=0.5) as d:
        assert d.add("big") == 2**63 and d["big"] == 2**63
        assert d.add("real", 0.25) == 0.75 and d.add("new", 3) == 3
        with pytest.raises(TypeError):
            d.add("real", "text")


def test_compare_exchange_wants_an_equal_value() -> None:
    with Dict(a=[1, 2], n=5) as d:
        assert not d.compare_exchange("a", [1], 0) and not d.compare_exchange("missing", None, 0)
        assert d.compare_exchange("a", [1, 2], "done") and d["a"] == "done"
        assert d.compare_exchange("n", 5, 6) and not d.compare_exchange("n", 5, 7) and d["n"] == 6


def test_popitem_takes_the_entry_that_was_inserted_last() -> None:
    with Dict(a=1, b=2) as d:
        d["a"] = 3
        assert d.popitem() == ("b", 2) and d.popitem() == ("a", 3)
        with pytest.raises(KeyError):
            d.popitem()


def _count(d: Any, times: int) -> None:
    for i in range(times):
        d.add("count")
        d.setdefault(i, i)
        d[f"own {i % 7}"] = "x" * (i % 50)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_lose_no_addition(method: str) -> None:
    context = multiprocessing.get_context(method)
    with Dict() as d:
        team = [context.Process(target=_count, args=(d, 3000)) for _ in range(3)]
        for each in team:
            each.start()
        for each in team:
            each.join(60)
        assert [each.exitcode for each in team] == [0, 0, 0]
        assert d["count"] == 9000 and all(d[i] == i for i in range(3000))


def test_readers_see_whole_values_while_the_dict_is_moved() -> None:
    stop = threading.Event()
    faults: list[Any] = []
    with Dict() as d, Dict._of(d._segment()) as mine:
        d["k"] = b"\0" * 900

        def read() -> None:
            while not stop.is_set():
                value = mine["k"]
                if len(set(value)) != 1 or len(value) != 900:
                    faults.append(value)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for each in readers:
            each.start()
        for turn in range(20_000):
            d["k"] = bytes([turn % 256]) * 900
        stop.set()
        for each in readers:
            each.join(60)
    assert not faults


def test_a_handle_travels_and_is_found_by_name() -> None:
    with Dict(a=1, name=f"dict-{random.getrandbits(60):x}") as d, pickle.loads(pickle.dumps(d)) as other:
        other["b"] = 2
        assert d.as_dict() == {"a": 1, "b": 2}
        with pytest.raises(FileExistsError):
            Dict(name=d.name)
        with Dict(name=d.name, exist_ok=True) as third:
            assert third == d


def test_statistics_count_entries_and_bytes() -> None:
    with Dict(a=1, b="two") as d:
        told = d.statistics()
        assert (told.length, told.kind, told.lock_owner) == (2, "Dict", None)
        assert told.buckets is not None and told.buckets >= 4 and (told.used_bytes or 0) > 0
    with pytest.raises(ValueError, match="closed"):
        d["a"]
