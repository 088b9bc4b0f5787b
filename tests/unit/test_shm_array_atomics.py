"""Atomic operations on the elements of an array in shared memory, compared with NumPy in one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from sharedkit.shm import Array

NUMBERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
SEED = 20261122
LIMIT = 60.0


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


def cases(rng: np.random.Generator, shape: tuple[int, ...]) -> Iterator[Any]:
    """Indices of every kind that NumPy takes, for an array of that shape."""
    several = tuple(rng.integers(-n, n, (4, 5)) for n in shape)
    yield several
    yield tuple(each.astype("i1") for each in several)
    yield tuple(each.tolist() for each in several)
    yield (several[0][:, :1], *several[1:])
    yield several[0]
    yield several[0].astype("i4")[::2, ::-1]
    yield several[0].tolist()
    yield -1
    yield ...
    yield slice(None, None, 2)
    yield rng.integers(0, 2, shape[0]).astype(bool)
    yield rng.integers(0, 2, shape).astype(bool)
    yield []
    yield (slice(1, None), *several[1:]) if len(shape) > 1 else (slice(1, None),)
    yield (None, several[0])
    yield (..., several[-1])


@pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 5)], ids=str)
def test_add_at_takes_every_index_that_numpy_takes(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    for number, index in enumerate(cases(rng, shape)):
        theirs = np.zeros(shape, "i8")
        selected = theirs[index].shape
        for values in (
            3,
            np.arange(int(np.prod(selected))).reshape(selected),
            np.arange(selected[-1]) if selected else 1,
        ):
            with Array(shape, "i8") as ours:
                # NumPy 2.4 reads past the end of `values` if it has to broadcast them to several axes.
                np.add.at(theirs, index, np.array(np.broadcast_to(values, selected)))
                ours.add_at(index, values)
                assert np.array_equal(ours, theirs), (number, index)
                theirs[...] = 0


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("n", [0, 1, 255, 256, 4095, 4096, 20_000])
def test_add_at_agrees_with_numpy_for_few_and_for_many(rng: np.random.Generator, dtype: str, n: int) -> None:
    for size in (1, 3, 1000, 5000):
        indices = rng.integers(-size, size, n)
        values = rng.integers(0, 100, n).astype(dtype)
        theirs = np.arange(size).astype(dtype)
        with Array(size, dtype) as ours:
            ours[:] = theirs
            np.add.at(theirs, indices, values)
            ours.add_at(indices, values)
            assert np.array_equal(ours, theirs)
            np.add.at(theirs, indices, theirs.dtype.type(2))
            ours.add_at(indices, 2)
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("n", [10, 300, 100_000])
def test_an_index_out_of_range_anywhere_adds_nothing(n: int) -> None:
    for size in (5, 50_000):
        with Array(size, "i8") as a:
            for at in (0, 1, n // 2, n - 2, n - 1):
                for bad in (size, -size - 1, 2**62, -(2**62)):
                    indices = np.zeros(n, "i8")
                    indices[at] = bad
                    with pytest.raises(IndexError, match=f"index {bad} is out of bounds .* size {size}"):
                        a.add_at(indices, 1)
            assert not np.asarray(a).any()
            with pytest.raises(IndexError):
                a.add_at(np.array([2**64 - 1], "u8"), 1)
    with Array((3, 4), "i8") as a:
        for key, axis in [(([0, 3], [0, 0]), 0), (([0, 0], [0, -5]), 1), ((0, 4), 1)]:
            with pytest.raises(IndexError, match=f"axis {axis}"):
                a.add_at(key, 1)
        with pytest.raises(IndexError):
            a.add_at((0, 0, 0), 1)
        with pytest.raises(IndexError):
            a.add_at(([0, 1], [0, 1, 2]), 1)
        assert not np.asarray(a).any()


def test_values_that_do_not_fit_or_broadcast_add_nothing() -> None:
    with Array(4, "i4") as a:
        for values, error in [
            ([1, 2**31], OverflowError),
            ([1, -(2**31) - 1], OverflowError),
            ([1, 2**80], OverflowError),
            (np.array([1, 2**63], "u8"), OverflowError),
            ([1, 0.5], TypeError),
            ([1, None], TypeError),
            (["1", "2"], TypeError),
            (np.array([1, 2], "m8[s]"), TypeError),
            ([1j, 2], TypeError),
            ([1, 2, 3], ValueError),
            ([[1, 2], [3, 4]], ValueError),
        ]:
            with pytest.raises(error):
                a.add_at([0, 1], values)  # type: ignore[arg-type]
        assert not np.asarray(a).any()
        a.add_at([0, 1], np.array([2**31 - 1, -(2**31)]))
        a.add_at([2, 3], [True, False])
        assert np.asarray(a).tolist() == [2**31 - 1, -(2**31), 1, 0]
    with Array(2, "f4") as a:
        for wrong in ([1j], ["1"], [None], np.array([1], "M8[s]")):
            with pytest.raises(TypeError):
                a.add_at([0], wrong)
        a.add_at([0, 1], [2**80, True])
        assert np.asarray(a).tolist() == [2.0**80, 1.0]


def test_values_and_indices_may_have_any_memory_layout() -> None:
    raw = np.zeros(8 * 11 + 1, "u1")
    crooked = raw[1:].view("i8")
    crooked[:] = range(11)
    with Array(11, "i8") as a:
        a.add_at(crooked, crooked)
        a.add_at(crooked[::-2], crooked[::2])
        a.add_at(crooked.astype(">i8"), crooked.astype(">i2"))
        a.add_at(np.arange(11), a)
        theirs = np.zeros(11, "i8")
        np.add.at(theirs, crooked, crooked)
        np.add.at(theirs, crooked[::-2], crooked[::2])
        np.add.at(theirs, crooked, crooked)
        assert np.array_equal(a, theirs * 2)


@pytest.mark.parametrize("dtype", ["?", "f2", "g", "c8", "S4", "m8[s]", ">i4", ">f8", [("x", "i4")]], ids=str)
def test_only_native_numbers_can_be_added_to(dtype: Any) -> None:
    with Array(2, dtype) as a:
        with pytest.raises(TypeError, match="atomic addition"):
            a.fetch_add(0, 1)
        with pytest.raises(TypeError, match="atomic addition"):
            a.add_at([0], 1)
        assert a.ndarray.tobytes() == bytes(a.nbytes)


@pytest.mark.parametrize(
    ("dtype", "old", "new"),
    [
        ("?", False, True),
        ("f2", 0, 1.5),
        ("c8", 0, 1 + 2j),
        ("S4", b"", b"abc"),
        ("U1", "", "x"),
        ("M8[s]", 0, np.datetime64("2026-11-22", "s")),
        (">i4", 0, 5),
        (">f8", 0.0, -2.5),
        ("V8", b"", b"12345678"),
        ([("a", "i4"), ("b", "f4")], (0, 0.0), (7, 0.5)),
    ],
    ids=str,
)
def test_compare_exchange_works_on_every_dtype_of_a_words_size(dtype: Any, old: Any, new: Any) -> None:
    with Array((2, 2), dtype) as a:
        assert a.compare_exchange((0, 1), new, new) is False
        assert a.compare_exchange((0, 1), old, new) is True
        assert a.compare_exchange((0, 1), old, new) is False
        theirs = np.zeros((2, 2), dtype)
        theirs[0, 1] = new
        assert np.array_equal(a, theirs)


def test_compare_exchange_compares_bits() -> None:
    with Array(1, "f8") as a:
        assert a.compare_exchange(0, -0.0, 1.0) is False
        assert a.compare_exchange(0, 0.0, float("nan")) is True
        assert a.compare_exchange(0, float("nan"), 2.0) is True
        assert a[0] == 2.0
    for dtype in ("c16", "S3", "g", [("a", "i8"), ("b", "i8")]):
        with Array(1, dtype) as a, pytest.raises(TypeError, match="1, 2, 4 or 8 bytes"):
            a.compare_exchange(0, 0, 0)


def test_numbers_are_taken_from_objects_with_an_index_and_from_floats() -> None:
    with Array(3, "i4") as a:
        assert a.fetch_add(np.int8(1), np.uint16(3)) == 0
        assert a.fetch_add(True, True) == 3
        assert type(a.fetch_add(1, 1)) is int
        for wrong in (1.0, np.float32(1), "1", None):
            with pytest.raises(TypeError):
                a.fetch_add(0, wrong)  # type: ignore[arg-type]
        for far in (2**31, -(2**31) - 1, 2**64, 2**200):
            with pytest.raises(OverflowError):
                a.fetch_add(0, far)
        assert np.asarray(a).tolist() == [0, 5, 0]
    with Array(3, "f4") as a:
        assert a.fetch_add(1, np.float64(0.5)) == 0.0
        assert type(a.fetch_add(1, 2)) is float
        for wrong in ("1", None, 1j):
            with pytest.raises(TypeError):
                a.fetch_add(0, wrong)  # type: ignore[arg-type]
        assert np.asarray(a).tolist() == [0, 2.5, 0]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_threads_that_add_one_by_one_and_in_batches_lose_nothing(dtype: str) -> None:
    few = np.tile(np.arange(3), 100)
    many = np.tile(np.arange(3), 2000)  # enough additions for each element that they are summed up first
    rounds = 3 if dtype in ("i1", "u1", "i2", "u2") else 25
    with Array(3, dtype) as a:

        def work() -> None:
            for i in range(3 * rounds):
                a.fetch_add(i % 3, 1)
            for _ in range(rounds):
                a.add_at(few, 1)
                a.add_at(many, 1)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        expected = np.array([4 * rounds * (1 + 100 + 2000)]).astype(dtype)
        assert np.asarray(a).tolist() == expected.tolist() * 3


def test_indices_that_change_during_the_call_are_never_followed_out_of_the_array() -> None:
    indices = np.zeros(200_000, "i8")
    done = threading.Event()
    with Array(60_000, "i8") as a:  # few additions for each element, so that each is done directly

        def spoil() -> None:
            while not done.is_set():
                indices[100_000:] = 1 << 40
                indices[100_000:] = 0

        thread = threading.Thread(target=spoil, daemon=True)
        thread.start()
        refused = 0
        for _ in range(60):
            try:
                a.add_at(indices, 1)
            except IndexError:
                refused += 1
        done.set()
        thread.join(LIMIT)
        assert not thread.is_alive()
        assert int(a[0]) >= (60 - refused) * 200_000
        assert not np.asarray(a)[1:].any()
