"""Atomic operations on the elements of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conformance.watchdog import in_threads

MakeArray = Callable[..., Any]
pytestmark = pytest.mark.needs("atomics")

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
NUMBERS = [*INTEGERS, "f4", "f8"]


@pytest.mark.parametrize("dtype", NUMBERS)
def test_fetch_add_returns_what_was_there(make_array: MakeArray, dtype: str) -> None:
    a = make_array(3, dtype)
    assert a.fetch_add(1, 5) == 0
    assert a.fetch_add(1, 2) == 5
    assert a.fetch_add(-1, 1) == 0
    assert np.asarray(a).tolist() == [0, 7, 1]


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "f4", "f8"])
def test_fetch_add_takes_negative_numbers(make_array: MakeArray, dtype: str) -> None:
    a = make_array(2, dtype)
    assert a.fetch_add(0, -3) == 0
    assert a.fetch_add(0, 1) == -3
    assert a[0] == -2


def test_fetch_add_takes_fractions_only_for_float_elements(make_array: MakeArray) -> None:
    a = make_array(2, "f8")
    assert a.fetch_add(0, 0.5) == 0
    assert a.fetch_add(0, 0.25) == 0.5
    assert a[0] == 0.75
    b = make_array(2, "i8")
    for wrong in (0.5, "1", None):
        with pytest.raises(TypeError):
            b.fetch_add(0, wrong)
    assert b[0] == 0


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around_as_numpys_do(make_array: MakeArray, dtype: str) -> None:
    a = make_array(1, dtype)
    limits = np.iinfo(dtype)
    a[0] = limits.max
    assert a.fetch_add(0, 1) == limits.max
    assert a[0] == limits.min


@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_number_that_the_dtype_cannot_hold_is_refused(make_array: MakeArray, dtype: str) -> None:
    a = make_array(1, dtype)
    too_large = int(np.iinfo(dtype).max) + 1
    with pytest.raises(OverflowError):
        a.fetch_add(0, too_large)
    with pytest.raises(OverflowError):
        a.compare_exchange(0, 0, too_large)
    assert a[0] == 0


@pytest.mark.parametrize("dtype", NUMBERS)
def test_compare_exchange_says_whether_it_did(make_array: MakeArray, dtype: str) -> None:
    a = make_array(2, dtype)
    assert a.compare_exchange(0, 1, 9) is False
    assert a.compare_exchange(0, 0, 9) is True
    assert a.compare_exchange(-2, 9, 4) is True
    assert np.asarray(a).tolist() == [4, 0]


def test_elements_of_several_axes_have_several_indices(make_array: MakeArray) -> None:
    a = make_array((2, 3), "i4")
    assert a.fetch_add((1, 2), 5) == 0
    assert a.fetch_add((-1, -1), 1) == 5
    assert a.compare_exchange((0, 1), 0, 8) is True
    assert np.asarray(a).tolist() == [[0, 8, 0], [0, 0, 6]]


def test_an_index_out_of_range_is_refused(make_array: MakeArray) -> None:
    a = make_array((2, 3), "i4")
    for key in ((2, 0), (0, 3), (-3, 0), (0, -4), (0, 0, 0), (2**70, 0)):
        with pytest.raises(IndexError):
            a.fetch_add(key, 1)
        with pytest.raises(IndexError):
            a.compare_exchange(key, 0, 1)
    for key in ("0", 1.0, None, (0.5, 0)):
        with pytest.raises((IndexError, TypeError)):
            a.fetch_add(key, 1)
    assert not np.asarray(a).any()


@pytest.mark.parametrize("dtype", ["?", "c16", "S4", [("x", "i4")]], ids=str)
def test_only_numbers_can_be_added(make_array: MakeArray, dtype: Any) -> None:
    a = make_array(2, dtype)
    with pytest.raises(TypeError):
        a.fetch_add(0, 1)
    with pytest.raises(TypeError):
        a.add_at([0], 1)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_add_at_adds_once_for_each_index_even_if_it_is_repeated(make_array: MakeArray, dtype: str) -> None:
    a = make_array(5, dtype)
    assert a.add_at([0, 1, 1, -1, 1], np.array([1, 2, 3, 4, 5], dtype)) is None
    assert np.asarray(a).tolist() == [1, 10, 0, 0, 4]


def test_add_at_broadcasts_one_value(make_array: MakeArray) -> None:
    a = make_array(4, "i8")
    a.add_at([3, 0, 3], 7)
    a.add_at(np.array([2]), np.array([1]))
    a.add_at([], [])
    assert np.asarray(a).tolist() == [7, 0, 1, 14]


def test_add_at_takes_indices_of_any_integer_type(make_array: MakeArray) -> None:
    a = make_array(4, "i8")
    for dtype in ("i1", "u1", "i4", "u4", "i8", "u8"):
        a.add_at(np.array([1, 2], dtype), 1)
    a.add_at(np.arange(8)[::2][:2], 10)
    assert np.asarray(a).tolist() == [10, 6, 16, 0]


def test_add_at_takes_a_tuple_for_several_axes(make_array: MakeArray) -> None:
    a = make_array((2, 3), "f8")
    a.add_at(([0, 1, 1], [2, 0, 0]), [0.5, 1.5, 2.0])
    assert np.asarray(a).tolist() == [[0, 0, 0.5], [3.5, 0, 0]]


@pytest.mark.parametrize("bad", [5, -6, 2**40])
def test_one_index_out_of_range_refuses_the_whole_call(make_array: MakeArray, bad: int) -> None:
    a = make_array(5, "i8")
    with pytest.raises(IndexError):
        a.add_at([0, 1, bad, 2], 1)
    assert not np.asarray(a).any()


def test_values_of_the_wrong_kind_or_number_are_refused(make_array: MakeArray) -> None:
    a = make_array(5, "i8")
    with pytest.raises(TypeError):
        a.add_at([0, 1], [0.5, 1.5])
    with pytest.raises((TypeError, IndexError)):
        a.add_at([0.5], 1)
    with pytest.raises(TypeError):
        a.add_at([0], "1")
    with pytest.raises(ValueError):
        a.add_at([0, 1, 2], [1, 2])
    assert not np.asarray(a).any()


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u8"])
def test_values_that_the_dtype_cannot_hold_are_refused(make_array: MakeArray, dtype: str) -> None:
    a = make_array(2, dtype)
    for too_large in (int(np.iinfo(dtype).max) + 1, 2**100):
        with pytest.raises(OverflowError):
            a.add_at([0, 1], [1, too_large])
    assert not np.asarray(a).any()


@pytest.mark.parametrize("dtype", ["i8", "u4", "i2", "f8", "f4"])
def test_many_threads_lose_no_addition(make_array: MakeArray, dtype: str) -> None:
    a = make_array(4, dtype)
    indices = np.arange(400) % 4

    def one_by_one() -> None:
        for i in range(1000):
            a.fetch_add(i % 4, 1)

    def many() -> None:
        for _ in range(20):
            a.add_at(indices, 1)

    in_threads([one_by_one, many, one_by_one, many])
    assert np.asarray(a).tolist() == [2 * 250 + 2 * 20 * 100] * 4


def test_compare_exchange_lets_one_thread_win_each_step(make_array: MakeArray) -> None:
    a = make_array(1, "i8")

    def work() -> int:
        won = 0
        for _ in range(1500):
            seen = int(a[0])
            won += a.compare_exchange(0, seen, seen + 1)
        return won

    assert sum(in_threads([work] * 4)) == a[0]


def test_the_lock_guards_changes_of_several_steps(make_array: MakeArray) -> None:
    a = make_array(2, "i8")

    def work() -> None:
        for _ in range(800):
            with a.lock:
                a[0] = a[0] + 1
                a[1] = a[1] - 1

    in_threads([work] * 4)
    assert np.asarray(a).tolist() == [3200, -3200]


@pytest.mark.parametrize("values", [3, [1, 2, 3, 4], [[1], [2], [3]], [[5]]], ids=str)
@pytest.mark.parametrize("dtype", ["i2", "i8", "f4"])
def test_add_at_broadcasts_values_to_indices_of_two_dimensions(make_array: MakeArray, dtype: str, values: Any) -> None:
    line, grid = make_array(5, dtype), make_array((3, 4), dtype)
    indices = np.array([[0, 1, 2, 2], [4, 4, 4, 4], [0, 2, 0, 1]])
    rows, columns = np.array([[0], [2], [0]]), np.array([3, 1, 1, 0])
    for _ in range(50):
        line.add_at(indices, values)
        grid.add_at((rows, columns), values)
    spread = np.broadcast_to(values, (3, 4)).ravel()
    expected_line, expected_grid = np.zeros(5), np.zeros((3, 4))
    for place, value in zip(indices.ravel(), spread, strict=True):
        expected_line[place] += 50 * value
    for row, column, value in zip(np.repeat(rows, 4), np.tile(columns, 3), spread, strict=True):
        expected_grid[row, column] += 50 * value
    assert np.asarray(line).tolist() == expected_line.tolist()
    assert np.asarray(grid).tolist() == expected_grid.tolist()
    with pytest.raises(ValueError):
        line.add_at(indices, [1, 2, 3])
    assert np.asarray(line).tolist() == expected_line.tolist()
