"""Arrays in shared memory: elements, views and their lifetime, descriptions, and refusals."""

from __future__ import annotations

import gc
import itertools
import os
import pickle
import struct
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharedkit import errors, segments
from sharedkit.shm import Array, Counter, attach

DTYPES: list[Any] = [
    "?",
    "i1",
    ">i4",
    "u8",
    "f2",
    "f8",
    "g",
    "c8",
    "c16",
    "S3",
    "U2",
    "V5",
    "M8[us]",
    "m8[D]",
    [("id", "u2"), ("where", "f4", (2, 3)), ("tag", "S3")],
    [("outer", [("inner", "i1"), ("other", "f8")]), ("last", "u1")],
    np.dtype([("small", "i1"), ("large", "f8")], align=True),
    np.dtype({"names": ["a", "b"], "formats": ["i4", "u2"], "offsets": [0, 2], "itemsize": 16}),
    np.dtype({"names": ["b", "a"], "formats": ["i1", "i1"], "offsets": [9, 3], "itemsize": 12}),
    np.dtype([(("a title", "name"), "i4"), ("plain", "i4")]),
    np.dtype((np.record, [("x", "f4")])),
    [],
]


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    mine = f"sk_array-{os.getpid()}-"
    yield
    gc.collect()
    assert [each for each in os.listdir("/dev/shm") if each.startswith(mine)] == []


def fresh(label: str = "a") -> str:
    return f"array-{os.getpid()}-{label}"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_is_kept(dtype: Any) -> None:
    wanted = np.dtype(dtype)
    with Array((2, 3), dtype, name=fresh()) as a, attach(a.name) as b:
        assert b.dtype == wanted
        assert b.dtype.type is wanted.type
        assert b.dtype.isalignedstruct == wanted.isalignedstruct
        assert b.dtype.fields == wanted.fields
        assert b.shape == (2, 3)
        assert b.nbytes == 6 * wanted.itemsize
        assert np.asarray(b).dtype == wanted
        assert np.asarray(b).dtype.type is wanted.type
        assert wanted.itemsize == 0 or np.shares_memory(np.asarray(b), a.ndarray)
        assert b.ndarray.tobytes() == bytes(b.nbytes)
        again = pickle.loads(pickle.dumps(a))
        assert again.dtype == wanted


def test_flexible_dtypes_and_sub_arrays_are_as_in_numpy_zeros() -> None:
    for dtype in ("S", "U", ("f4", (2, 2))):
        theirs = np.zeros((3,), dtype)
        with Array(3, dtype, name=fresh()) as a:
            assert (a.shape, a.dtype) == (theirs.shape, theirs.dtype)
            assert attach(a.name).dtype == theirs.dtype


@pytest.mark.parametrize("shape", [(), 0, (0, 5), (5, 0), 1, (1, 1, 1), (2, 3, 4), (4, 2), (np.int32(3), 2)], ids=str)
def test_every_shape_is_kept(shape: Any) -> None:
    theirs = np.zeros(shape, "i2")
    with Array(shape, "i2", name=fresh()) as a, attach(a.name) as b:
        assert b.shape == a.shape == theirs.shape
        assert b.size == theirs.size
        assert np.array_equal(b, theirs)
        b[...] = 7
        assert np.array_equal(a, theirs + 7)


def test_elements_of_a_page_or_more_begin_on_a_page_and_others_on_a_line() -> None:
    for size in (1, 7, 511, 512, 513, 100_000):
        with Array(size, "f8") as a, attach(a.name) as b:
            for handle in (a, b):
                assert handle.ndarray.ctypes.data % (4096 if size >= 512 else 64) == 0
            a[0] = a[-1] = 3.0
            assert b[0] == b[-1] == 3.0
            assert a.lock.locked() is False


def test_a_single_element_without_axes_is_indexed_by_nothing() -> None:
    with Array((), "i8") as a:
        a[()] = 5
        assert a.fetch_add((), 2) == 5
        a.add_at((), 3)
        assert a.compare_exchange((), 10, 11)
        assert int(a[...]) == 11
        with pytest.raises(IndexError):
            a.fetch_add(0, 1)


def test_bad_shapes_and_dtypes_are_refused_and_make_nothing() -> None:
    before = set(os.listdir("/dev/shm"))
    for shape, error in [
        (-1, ValueError),
        ((3, -1), ValueError),
        ("3", TypeError),
        (2.0, TypeError),
        (None, TypeError),
    ]:
        with pytest.raises(error):
            Array(shape, name=fresh())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dimension"):
        Array((1,) * 65, name=fresh())
    with pytest.raises(TypeError, match="object"):
        Array(3, "O", name=fresh())
    with pytest.raises(TypeError, match="object"):
        Array(3, [("fine", "i4"), ("not", "O")], name=fresh())
    if hasattr(np.dtypes, "StringDType"):
        with pytest.raises(TypeError):
            Array(3, np.dtypes.StringDType(), name=fresh())
    with pytest.raises(ValueError, match="seats"):
        Array(3, seats=0, name=fresh())
    assert {each for each in os.listdir("/dev/shm") if each.startswith(f"sk_{fresh('')}")} <= before


def test_an_array_that_is_too_large_is_out_of_shared_memory_at_once() -> None:
    room = os.statvfs("/dev/shm")
    free = room.f_bavail * room.f_frsize
    for shape in (free + (1 << 20), 1 << 40, 1 << 62, 1 << 70, (1 << 40, 1 << 40)):
        with pytest.raises(errors.OutOfSharedMemory, match="bytes were asked for"):
            Array(shape, "u1", name=fresh())
    assert not Path(f"/dev/shm/sk_{fresh()}").exists()


def test_an_equal_array_is_opened_and_a_different_one_refused() -> None:
    with Array((2, 3), "i4", name=fresh()) as a:
        a[1, 1] = 4
        with Array((2, 3), np.int32, name=fresh(), exist_ok=True) as b:
            assert b[1, 1] == 4
        for shape, dtype, seats in [((3, 2), "i4", 192), ((2, 3), "u4", 192), ((2, 3), ">i4", 192), ((2, 3), "i4", 9)]:
            with pytest.raises(ValueError, match="is an Array"):
                Array(shape, dtype, name=fresh(), exist_ok=True, seats=seats)
        with pytest.raises(ValueError, match="is an Array"):
            Counter(name=fresh(), exist_ok=True)
        with pytest.raises(FileExistsError):
            Array((2, 3), "i4", name=fresh())


def holders(name: str) -> list[Any]:
    """A handle, and everything that may outlive it."""
    a = Array((600, 2), "i8", name=name)
    a[:] = np.arange(1200).reshape(600, 2)
    return [a, a.ndarray, a.ndarray[5:, 1], memoryview(a), np.asarray(a), iter(a), a.lock]


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("shift", range(6))
def test_the_segment_lives_until_the_last_view_is_gone_in_any_order(shift: int, closing: bool) -> None:
    held = holders(fresh())
    if closing:
        held.pop(0).close()
    held = held[shift:] + held[:shift]
    while held:
        assert Path(f"/dev/shm/sk_{fresh()}").exists()
        if any(isinstance(each, np.ndarray) and each.shape == (595,) for each in held):
            part = next(each for each in held if isinstance(each, np.ndarray) and each.shape == (595,))
            assert part[0] == 11
            del part
        held.pop(0)
        gc.collect()
    assert not Path(f"/dev/shm/sk_{fresh()}").exists()


def test_views_in_a_cycle_with_their_handle_are_collected() -> None:
    class Box:
        pass

    box = Box()
    box.array, box.view, box.self = (a := Array(10, name=fresh())), a.ndarray, box  # type: ignore[attr-defined]
    told = weakref.ref(box)
    del box, a
    gc.collect()
    assert told() is None
    assert not Path(f"/dev/shm/sk_{fresh()}").exists()


def test_a_closed_array_refuses_everything_but_its_views_work() -> None:
    a = Array(5, "i4", name=fresh())
    view, lock, memory = a.ndarray, a.lock, memoryview(a)
    a.close()
    a.close()
    for use in (
        len,
        iter,
        memoryview,
        np.asarray,
        lambda h: h.lock,
        lambda h: h[0],
        lambda h: h.add_at([0], 1),
        lambda h: h.dtype,
    ):
        with pytest.raises(errors.ClosedError):
            use(a)  # type: ignore[operator]
    view[2] = 8
    assert memory[2] == 8
    with lock:
        assert lock.locked()
    assert repr(a) == "<Array closed>"


def test_the_view_of_one_caller_is_not_the_view_of_another() -> None:
    with Array((2, 6), "i4") as a:
        mine = a.ndarray
        mine.flags.writeable = False
        a[1, 5] = 1
        assert a.ndarray.flags.writeable
        assert mine[1, 5] == 1


def test_array_copies_only_when_asked() -> None:
    with Array(3, "i4") as a:
        assert np.shares_memory(a.__array__(), a.ndarray)
        assert np.shares_memory(a.__array__(np.dtype("i4"), copy=False), a.ndarray)
        assert not np.shares_memory(a.__array__(copy=True), a.ndarray)
        assert a.__array__("f8").dtype == np.float64
        with pytest.raises(ValueError, match="without a copy"):
            a.__array__("f8", copy=False)
    with Array(3, "M8[s]") as a:  # NumPy exports no buffer for dates
        with pytest.raises((ValueError, BufferError)):
            memoryview(a)
        assert np.shares_memory(np.asarray(a), a.ndarray)


def test_a_handle_equals_only_itself() -> None:
    with Array(3) as a, attach(a.name) as b:
        assert a == a
        assert a != b
        assert len({a, b}) == 2
        assert np.array_equal(a, b)


def test_statistics_and_the_listing_tell_geometry_and_holder() -> None:
    with Array((2, 3), "u2", name=fresh()) as a:
        assert "uint16 (2, 3), unlocked" in [each.state for each in segments.live() if each.name == a.name]
        with a.lock:
            told = a.statistics()
            assert (told.kind, told.shape, told.dtype, told.nbytes) == ("Array", (2, 3), "uint16", 12)
            assert told.lock_owner == os.getpid()
            (state,) = [each.state for each in segments.live() if each.name == a.name]
            assert state.endswith(f"locked by pid {os.getpid()}")


# --- damaged segments ----------------------------------------------------------------------------------

OFFSET_OF = {"meta": 32, "meta_len": 40, "body": 48, "param": 56, "meta_check": 112, "check": 152}


def fnv(of: bytes) -> int:
    total = 0xCBF29CE484222325
    for byte in of:
        total = ((total ^ byte) * 0x100000001B3) & (1 << 64) - 1
    return total


def signed(header: bytearray) -> bytearray:
    """The page with correct checksums, as a program that knows the format could write it."""
    meta, length = struct.unpack_from("<2Q", header, OFFSET_OF["meta"])
    struct.pack_into("<Q", header, OFFSET_OF["meta_check"], fnv(bytes(header[meta : meta + length])))
    struct.pack_into("<Q", header, OFFSET_OF["check"], fnv(bytes(header[8 : OFFSET_OF["check"]])))
    return header


@pytest.fixture
def page() -> Iterator[tuple[Path, bytearray]]:
    Array((3, 4), "i4", name=fresh("page"), persist=True).close()
    path = Path(f"/dev/shm/sk_{fresh('page')}")
    try:
        yield path, bytearray(path.read_bytes())
    finally:
        path.unlink()


def test_the_checksum_of_this_test_is_the_headers(page: tuple[Path, bytearray]) -> None:
    _, was = page
    assert signed(bytearray(was)) == was


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("value", [0, 1, 2**16, 2**40, 2**63, 2**64 - 1])
def test_numbers_with_a_correct_checksum_that_reach_out_of_the_file_are_corrupt(
    page: tuple[Path, bytearray], number: int, value: int
) -> None:
    path, header = page
    struct.pack_into("<Q", header, OFFSET_OF["param"] + 8 * number, value)
    path.write_bytes(signed(header))
    with pytest.raises(errors.CorruptSegmentError):
        attach(fresh("page"))


@pytest.mark.parametrize(
    "told",
    [
        b'{"shape":[3,5],"dtype":"<i4"}',
        b'{"shape":[3,4],"dtype":"<i8"}',
        b'{"shape":[-3,-4],"dtype":"<i4"}',
        b'{"shape":[12.0],"dtype":"<i4"}',
        b'{"shape":12,"dtype":"<i4"}',
        b'{"shape":[3,4],"dtype":"|O"}',
        b'{"shape":[3,4],"dtype":7}',
        b'{"shape":[3,4],"dtype":{}}',
        b'{"shape":[3,4]}',
        b"[]",
        b"\xff\xfe",
        b"[" * 29,
    ],
    ids=repr,
)
def test_a_senseless_description_with_a_correct_checksum_is_corrupt(page: tuple[Path, bytearray], told: bytes) -> None:
    path, header = page
    meta, length = struct.unpack_from("<2Q", header, OFFSET_OF["meta"])
    header[meta : meta + length] = told.ljust(length)[:length]
    assert len(told) <= length + 8
    path.write_bytes(signed(header))
    with pytest.raises(errors.CorruptSegmentError):
        attach(fresh("page"))


def test_any_flipped_bit_of_header_or_description_is_noticed(page: tuple[Path, bytearray]) -> None:
    path, header = page
    meta, length = struct.unpack_from("<2Q", header, OFFSET_OF["meta"])
    for at in itertools.chain(range(OFFSET_OF["check"] + 8), range(meta, meta + length)):
        header[at] ^= 1 << at % 8
        path.write_bytes(header)
        header[at] ^= 1 << at % 8
        with pytest.raises(errors.CorruptSegmentError):
            attach(fresh("page"))
