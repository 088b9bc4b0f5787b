"""Arrays: NumPy's interface to shared elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

MakeArray = Callable[..., Any]

DTYPES = [
    "?",
    "i1",
    "u1",
    "i2",
    "u2",
    "i4",
    "u4",
    "i8",
    "u8",
    "f2",
    "f4",
    "f8",
    "c8",
    "c16",
    "S5",
    "U3",
    "M8[s]",
]
RECORD = np.dtype([("id", "i4"), ("where", "f8", (3,)), ("tag", "S4")])


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_starts_with_zeros_of_any_dtype(make_array: MakeArray, dtype: str) -> None:
    a = make_array((3, 4), dtype)
    assert a.dtype == np.dtype(dtype)
    assert np.array_equal(np.asarray(a), np.zeros((3, 4), dtype))


@pytest.mark.parametrize("shape", [1, 7, (5,), (2, 3), (2, 1, 4), (), (2, 2)], ids=str)
def test_shape_strides_and_sizes_are_as_in_numpy(make_array: MakeArray, shape: Any) -> None:
    a, theirs = make_array(shape, "i2"), np.zeros(shape, "i2")
    assert a.shape == theirs.shape
    assert a.ndim == theirs.ndim
    assert a.size == theirs.size
    assert a.nbytes == theirs.nbytes
    assert a.dtype == theirs.dtype


def test_the_default_dtype_is_f8(make_array: MakeArray) -> None:
    assert make_array(3).dtype == np.float64


@pytest.mark.parametrize("shape", [0, (0, 3), (3, 0)], ids=str)
def test_an_array_may_be_empty(make_array: MakeArray, shape: Any) -> None:
    a = make_array(shape, "i4")
    assert a.size == 0
    assert a.nbytes == 0
    assert np.asarray(a).tolist() == np.zeros(shape).tolist()
    with pytest.raises(IndexError):
        a[(0,) * a.ndim]


def test_indexing_reads_and_writes_elements(make_array: MakeArray) -> None:
    a = make_array((3, 4), "i4")
    a[1, 2] = 5
    a[-1, -1] = 9
    a[0] = [1, 2, 3, 4]
    assert a[1, 2] == 5
    assert a[1][2] == 5
    assert a[2, 3] == 9
    assert list(a[0]) == [1, 2, 3, 4]
    a[:, 1] = 7
    assert a[::2, 1].tolist() == [7, 7]
    a[a[:] == 7] = 0
    assert np.asarray(a).tolist() == [[1, 0, 3, 4], [0, 0, 5, 0], [0, 0, 0, 9]]
    a[...] = -1
    assert set(np.asarray(a).ravel().tolist()) == {-1}


def test_an_index_out_of_range_is_an_index_error(make_array: MakeArray) -> None:
    a = make_array((3, 4))
    for key in (3, -4, (0, 4), (0, -5), (0, 0, 0)):
        with pytest.raises(IndexError):
            a[key]
        with pytest.raises(IndexError):
            a[key] = 1
    assert not np.asarray(a).any()


def test_length_and_iteration_are_over_the_first_axis(make_array: MakeArray) -> None:
    a = make_array((3, 2), "i4")
    a[:] = [[1, 2], [3, 4], [5, 6]]
    assert len(a) == 3
    assert [row.tolist() for row in a] == [[1, 2], [3, 4], [5, 6]]
    b = make_array(3, "i4")
    b[:] = [7, 8, 9]
    assert list(b) == [7, 8, 9]
    assert 8 in b
    with pytest.raises(TypeError):
        len(make_array(()))


@pytest.mark.needs("names", "view")
def test_the_view_is_no_copy(make_array: MakeArray) -> None:
    a = make_array((2, 3), "f4")
    view = a.ndarray
    assert isinstance(view, np.ndarray)
    assert view.flags.writeable
    assert view.flags.c_contiguous
    view[1, 1] = 2.5
    assert a[1, 1] == 2.5
    a[0, 0] = 1.5
    assert view[0, 0] == 1.5
    assert np.shares_memory(np.asarray(a), view)


@pytest.mark.needs("view")
def test_asarray_shares_the_elements_and_array_copies_them(make_array: MakeArray) -> None:
    a = make_array(3, "i4")
    shared, copied, converted = np.asarray(a), np.array(a), np.asarray(a, dtype="f8")
    a[0] = 5
    assert shared[0] == 5
    assert copied[0] == 0
    assert converted.dtype == np.float64
    assert converted[0] == 0
    assert (np.asarray(a) + 1).tolist() == [6, 1, 1]
    assert np.add(a, 1).tolist() == [6, 1, 1]


@pytest.mark.needs("buffer")
def test_it_exports_its_buffer(make_array: MakeArray) -> None:
    a = make_array((2, 3), "i4")
    with memoryview(a) as memory:
        assert memory.shape == (2, 3)
        assert memory.itemsize == 4
        assert memory.nbytes == 24
        assert not memory.readonly
        memory[1, 2] = 77
    assert a[1, 2] == 77
    assert len(bytes(a)) == 24


@pytest.mark.needs("view")
def test_records_have_fields(make_array: MakeArray) -> None:
    a = make_array((4,), RECORD)
    a[1] = (7, (1.0, 2.0, 3.0), b"abc")
    a["id"][3] = 9
    assert a[1]["id"] == 7
    assert a[1]["where"].tolist() == [1.0, 2.0, 3.0]
    assert a["tag"].tolist() == [b"", b"abc", b"", b""]
    assert a["id"].tolist() == [0, 7, 0, 9]
    assert a.dtype == RECORD
    assert a.nbytes == 4 * RECORD.itemsize


@pytest.mark.needs("checks-dtype")
@pytest.mark.parametrize("dtype", ["O", [("a", "i4"), ("b", "O")]], ids=str)
def test_python_objects_are_refused(make_array: MakeArray, dtype: Any) -> None:
    with pytest.raises(TypeError):
        make_array(3, dtype)


def test_a_wrong_geometry_is_refused(make_array: MakeArray) -> None:
    for shape in (-1, (2, -3)):
        with pytest.raises(ValueError):
            make_array(shape)
    for shape in (1.5, "3", (2, None)):
        with pytest.raises(TypeError):
            make_array(shape)
    with pytest.raises(TypeError):
        make_array(3, "no such type")


@pytest.mark.needs("close", "view")
def test_a_view_outlives_its_handle(make_array: MakeArray) -> None:
    a = make_array(1000, "i8")
    a[:] = np.arange(1000)
    view = a.ndarray
    part = view[10:20]
    a.close()
    del a, view
    assert part.tolist() == list(range(10, 20))
    part[0] = 5
    assert part[0] == 5


@pytest.mark.needs("lock")
def test_the_lock_is_one_and_the_same_and_no_operation_takes_it(make_array: MakeArray) -> None:
    a = make_array(2, "i8")
    with a.lock:
        assert a.lock.locked()
        a[0] = 1
        assert a.fetch_add(0, 1) == 1
        a.add_at([0, 1], 1)
    assert not a.lock.locked()
    assert np.asarray(a).tolist() == [3, 1]
