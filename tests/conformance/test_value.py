"""A single value with the interface of `multiprocessing.Value`, and without its lock that of `RawValue`."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conformance import children
from conformance.loops import run
from conformance.subjects import METHODS
from conformance.watchdog import Task, in_children, in_threads, until

import sharedkit as sk
from sharedkit import segments
from sharedkit.shm import _array
from sharedkit.shm.value import KIND_VALUE

MakeValue = Callable[..., Any]
VALUES = [
    ("b", 100, -100),
    ("B", 200, 0),
    ("h", -232, 234),
    ("H", 65535, 1),
    ("i", 4343, -24234),
    ("I", 1 << 31, 5),
    ("l", -(1 << 62), 1 << 62),
    ("L", (1 << 64) - 1, 0),
    ("q", 1 << 33, -(1 << 34)),
    ("Q", 1 << 63, 1),
    ("f", 3.5, -0.25),
    ("d", 3.625, 1e300),
    ("c", b"x", b"\0"),
    ("u", "x", "\U0001f600"),
    (ctypes.c_bool, True, False),
    (ctypes.c_int, 5, 6),
    (ctypes.c_int8, -5, 6),
    (ctypes.c_double, 5.5, math.inf),
    (ctypes.c_char, b"a", b"b"),
    (ctypes.c_wchar, "a", "ß"),
    (ctypes.c_size_t, 5, 6),
]


@pytest.mark.parametrize(("kind", "first", "then"), VALUES, ids=lambda each: getattr(each, "__name__", repr(each)))
@pytest.mark.parametrize("lock", [True, False])
def test_a_value_is_read_as_it_was_written(make_value: MakeValue, kind: Any, first: Any, then: Any, lock: bool) -> None:
    v = make_value(kind, first, lock=lock)
    assert (v.value, type(v.value)) == (first, type(first))
    v.value = then
    assert (v.value, type(v.value)) == (then, type(then))


@pytest.mark.parametrize(("kind", "zero"), [("i", 0), ("d", 0.0), ("c", b"\0"), ("u", ""), (ctypes.c_bool, False)])
def test_it_begins_at_zero(make_value: MakeValue, kind: Any, zero: Any) -> None:
    v = make_value(kind)
    assert v.value == (ctypes.c_wchar().value if kind == "u" else zero)


def test_numbers_wrap_and_wrong_types_are_refused_as_ctypes_does(make_value: MakeValue) -> None:
    v = make_value("B", 300)
    assert v.value == 44
    v.value = -1
    assert v.value == 255
    for bad in (1.5, "1", None, b"1"):
        with pytest.raises(TypeError):
            v.value = bad
    assert v.value == 255
    d = make_value("d", 3)
    assert (d.value, type(d.value)) == (3.0, float)
    c = make_value("c")
    for bad in (b"", b"ab", "a", 1.5):
        with pytest.raises((TypeError, ValueError)):
            c.value = bad
    with pytest.raises(TypeError):
        make_value("i", 1.5)
    with pytest.raises(TypeError):
        make_value("i", 1, 2)


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int)]


@pytest.mark.needs("numbers-alone")
@pytest.mark.parametrize(
    "kind",
    [
        *("z", "ii", "O", 5, None, int, Point, ctypes.c_int * 2, ctypes.c_char_p, ctypes.c_void_p, ctypes.py_object),
        *(ctypes.POINTER(ctypes.c_int), ctypes.c_longdouble, ctypes.c_int.__ctype_be__),
    ],
    ids=str,
)
def test_only_numbers_bools_and_characters_are_taken(make_value: MakeValue, kind: Any) -> None:
    with pytest.raises(TypeError, match=r"a Value is one of .* go into an Array"):
        make_value(kind)


# --- the lock


def test_it_comes_with_a_reentrant_lock(make_value: MakeValue) -> None:
    v = make_value("i", 5)
    with v as entered, v.get_lock():
        assert entered is True
        assert v.acquire() is True
        v.value += 1
        v.release()
        assert Task(v.acquire, False).result() is False
    assert v.value == 6
    assert v.acquire(False) is True
    v.release()


@pytest.mark.parametrize("way", ["read", "write"])
def test_reading_and_writing_wait_for_the_lock(make_value: MakeValue, way: str) -> None:
    v = make_value("i", 1)
    with v.get_lock():
        v.value = 2
        task = Task(lambda: v.value) if way == "read" else Task(setattr, v, "value", 5)
        # sharedkit's lock counts its waiters. For the others, the result of the task shows that it has waited.
        if hasattr(v.get_lock(), "statistics"):
            until(lambda: v.get_lock().statistics().waiting == 1)
        assert not task.done
        v.value = 3
    assert task.result() == (3 if way == "read" else None)
    assert v.value == (3 if way == "read" else 5)


def test_additions_under_the_lock_add_up(make_value: MakeValue) -> None:
    v = make_value("q")

    def add() -> None:
        for _ in range(300):
            with v.get_lock():
                v.value += 1

    in_threads([add] * 4)
    assert v.value == 1200


@pytest.mark.needs("lock-attribute")
def test_every_name_of_the_lock_is_the_same_lock(make_value: MakeValue) -> None:
    v = make_value("i")
    v.lock.acquire()
    assert v.get_lock().locked()
    assert v.statistics().lock_owner is not None
    v.release()
    assert not v.lock.locked()


@pytest.mark.parametrize("given", [None, True])
def test_without_a_lock_argument_it_has_a_lock_of_its_own(make_value: MakeValue, given: Any) -> None:
    v = make_value("i", 5, lock=given)
    with v.get_lock():
        assert v.value == 5


def test_a_lock_that_is_given_is_used(context: Any) -> None:
    with context.Event() as _:
        lock = context.RLock()
        v = context.Value("i", 5, lock=lock)
        assert v.get_lock() is lock
        lock.acquire()
        task = Task(lambda: v.value)
        until(lambda: lock.statistics().waiting == 1)
        v.value = 7
        lock.release()
        assert task.result() == 7
        with v:
            assert lock.locked()
        v.close()
        with pytest.raises(sk.ClosedError):
            v.get_lock()
        assert not lock.locked()
        lock.close()


def test_a_lock_argument_that_is_no_lock_is_an_attribute_error(make_value: MakeValue) -> None:
    with pytest.raises(AttributeError, match="acquire"):
        make_value("i", 5, lock="navalue")


def test_a_raw_value_has_no_lock(make_value: MakeValue) -> None:
    v = make_value("i", 5, lock=False)
    for name in ("get_lock", "get_obj", "acquire", "release"):
        assert not hasattr(v, name)
    v.value += 1
    assert v.value == 6


def test_with_lock_false_it_is_a_raw_value(context: Any) -> None:
    with context.Value("i", 5, lock=False) as v, context.RawValue("i", 5) as raw:
        assert type(v) is type(raw) is context.RawValue
        assert not isinstance(v, context.Value)
        with context.attach(v.name) as again:
            again.value = 9
            assert type(again) is context.RawValue
        assert v.value == 9


@pytest.mark.needs("get_obj")
def test_the_ctypes_object_is_the_memory_itself(make_value: MakeValue) -> None:
    v = make_value("i", 5)
    cell = v.get_obj()
    assert type(cell) is ctypes.c_int
    cell.value = 8
    assert v.value == 8
    v.value = 9
    assert cell.value == 9


def test_an_existing_value_is_kept(context: Any) -> None:
    name = "conformance-value"
    one = context.Value("i", 5, name=name)
    two = context.Value("i", 6, name=name, exist_ok=True)
    assert two.value == 5
    two.value = 7
    assert one.value == 7
    for kind in ("I", "d", ctypes.c_bool):
        with pytest.raises(ValueError, match="is a Value with"):
            context.Value(kind, name=name, exist_ok=True)
    with pytest.raises(ValueError, match="is a Value, not a RawValue"):
        context.RawValue("i", name=name, exist_ok=True)
    one.close()
    two.close()


@pytest.mark.needs("tasks")
def test_tasks_take_its_lock(make_value: MakeValue) -> None:
    v = make_value("i")

    async def main() -> None:
        async with v as entered:
            assert entered is True
            v.value += 1
            assert await v.aacquire()
            v.release()
        assert not v.lock.locked()

    run(main)
    assert v.value == 1


# --- processes


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", METHODS)
def test_processes_add_up_under_the_lock(make_value: MakeValue, start_method: str) -> None:
    v = make_value("q")
    in_children(start_method, children.add_to_value, [(v, 200)] * 3)
    assert v.value == 600


@pytest.mark.needs("processes", "close")
@pytest.mark.parametrize("start_method", METHODS)
def test_a_lock_that_was_given_travels_with_the_value(context: Any, start_method: str) -> None:
    lock = context.RLock()
    v = context.Value("q", lock=lock)
    with lock:
        (taken,) = in_children(start_method, children.try_lock_of_value, [(v,)])
    assert taken is False
    (taken,) = in_children(start_method, children.try_lock_of_value, [(v,)])
    assert taken is True
    v.close()
    lock.close()


@pytest.mark.parametrize(
    ("shape", "dtype"), [((), "c16"), ((), ">i4"), ((), "S2"), ((), "M8[s]"), ((1,), "i4"), ((), "U2")]
)
def test_a_segment_whose_type_no_value_has_is_refused(shape: Any, dtype: str) -> None:
    """The segment was made by a program that knows the format."""
    plan = _array.blueprint(shape, np.dtype(dtype), None, KIND_VALUE)
    segment = segments.create(plan, None, False, False, 8, None, None)
    with pytest.raises(sk.CorruptSegmentError, match="no value has the shape"):
        sk.attach(segment.name)


def test_listings_say_what_the_value_is() -> None:
    with sk.RawValue("i", 5) as v:
        (found,) = [each for each in sk.segments.live() if each.name == v.name]
        assert (found.kind, found.state) == ("RawValue", "c_int(5)")
