"""What a stream promises: every message to every reader, whole and in order; what a reader missed is counted."""

from __future__ import annotations

import asyncio
import gc
import pickle
import queue
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from conformance.subjects import METHODS
from conformance.watchdog import Child, Task, in_threads, until

import sharedkit as sk

Make = Callable[..., Any]
each_method = pytest.mark.parametrize("start_method", METHODS)


def test_every_reader_gets_every_message_in_order(make_stream: Make) -> None:
    s = make_stream(slots=10)
    readers = [s.reader() for _ in range(3)]
    for i in range(10):
        s.put(i)
    for r in readers:
        assert [r.get() for _ in range(10)] == list(range(10))
        assert r.lost == 0 and r.position == 10
        with pytest.raises(queue.Empty):
            r.get_nowait()


@pytest.mark.parametrize(
    "message",
    [None, True, 5, -(2**80), 1.5, "text", b"bytes", b"x" * 5000, "y" * 10_000, {"a": [1, (2,)]}, frozenset({1})],
    ids=lambda message: f"{type(message).__name__}{len(str(message))}",
)
def test_any_object_is_a_message(make_stream: Make, message: object) -> None:
    s = make_stream(slots=2)
    r = s.reader()
    s.put(message)
    assert r.get() == message
    s.put(message)
    assert r.latest() == message
    s.put(message)
    with r.read() as view:
        assert view == message


def test_arrays_are_messages_of_a_stream_of_objects(make_stream: Make) -> None:
    s = make_stream(slots=3)
    r = s.reader()
    for shape, order in (((3,), "C"), ((4, 5), "F"), ((100, 100), "C"), ((), "C"), ((0, 3), "C")):
        array = np.asarray(np.random.default_rng(1).random(shape), order=order)  # type: ignore[call-overload]
        s.put(array)
        assert np.array_equal(r.get(), array)
        s.put(array)
        with r.read() as view:
            assert view.shape == shape and np.array_equal(view, array)


@pytest.mark.parametrize("dtype", ["i4", "f8", ">i2", "M8[ns]", "U3", "?", "c16", [("a", "i4"), ("b", "f8")]])
def test_a_stream_of_arrays_carries_every_plain_dtype(make_stream: Make, dtype: Any) -> None:
    s = make_stream((2, 3), dtype, slots=4)
    r = s.reader()
    array = np.zeros((2, 3), dtype)
    array.view("u1").reshape(-1)[::7] = 1
    s.put(array)
    s.put(array[::-1][::-1])
    got = r.get()
    assert got.dtype == array.dtype == s.dtype and got.shape == s.shape == r.shape == (2, 3)
    assert got.tobytes() == array.tobytes()
    with r.read() as view:
        assert view.dtype == array.dtype and view.tobytes() == array.tobytes()


def test_a_slow_reader_loses_the_oldest_messages_and_knows_how_many(make_stream: Make) -> None:
    s = make_stream(slots=4)
    slow, other = s.reader(), s.reader()
    for i in range(3):
        s.put(i)
    assert slow.get() == 0 and slow.lost == 0
    for i in range(3, 20):
        s.put(i)
    assert slow.lost == 15 and len(slow) == 4
    assert [slow.get() for _ in range(4)] == [16, 17, 18, 19]
    assert slow.lost == 15
    assert other.lost == 16 and other.get() == 16


def test_a_reader_begins_where_it_says(make_stream: Make) -> None:
    s = make_stream(slots=3)
    assert s.reader("latest").position == s.reader("oldest").position == s.reader().position == 0
    for i in range(5):
        s.put(i)
    oldest, latest, following = s.reader("oldest"), s.reader("latest"), s.reader("next")
    assert (oldest.position, latest.position, following.position) == (2, 4, 5)
    s.put(5)
    assert (latest.get(), following.get()) == (4, 5)
    assert oldest.lost == 1 and oldest.get() == 3
    with pytest.raises(ValueError, match="'sometimes'"):
        s.reader("sometimes")


def test_latest_skips_to_the_newest_and_repeats_it(make_stream: Make) -> None:
    s = make_stream((2,), "i8", slots=2)
    r = s.reader()
    with pytest.raises(queue.Empty):
        r.latest(block=False)
    with pytest.raises(queue.Empty):
        r.latest(timeout=0.01)
    for i in range(7):
        s.put(np.array([i, -i]))
    assert r.latest().tolist() == r.latest().tolist() == [6, -6]
    assert r.lost == 0 and r.position == 7
    s.shutdown()
    with pytest.raises(sk.ShutDown):
        r.latest()


def test_out_receives_the_copy(make_stream: Make) -> None:
    s = make_stream((3,), "f4")
    r = s.reader()
    s.put(np.arange(3, dtype="f4"))
    out = np.zeros(3, "f4")
    assert r.get(out=out) is out and out.tolist() == [0, 1, 2]
    s.put(np.ones(3, "f4"))
    assert r.latest(out=out) is out and out.tolist() == [1, 1, 1]
    for wrong, error in (
        ([0, 0, 0], TypeError),
        (np.zeros(4, "f4"), ValueError),
        (np.zeros(3, "f8"), ValueError),
        (np.zeros(6, "f4")[::2], ValueError),
    ):
        with pytest.raises(error):
            r.get(out=wrong)
    with pytest.raises(TypeError, match="out="):
        make_stream().reader().get(out=out)


# --- views ----------------------------------------------------------------------------------------------


def test_a_view_stays_as_it_is_while_the_stream_goes_on(make_stream: Make) -> None:
    s = make_stream((1000,), "i4", slots=2)
    r = s.reader()
    s.put(np.full(1000, 1, "i4"))
    with r.read() as view:
        assert not view.flags.writeable
        for i in range(2, 40):
            s.put(np.full(1000, i, "i4"))
        assert (view == 1).all() and len(s) == 2
        kept = view[10:20]
        copied = view.copy()
        raised = view + 1
    assert type(kept) is type(copied) is type(raised) is np.ndarray
    for i in range(40):
        s.put(np.full(1000, 100 + i, "i4"))
    assert (kept == 1).all() and (copied == 1).all() and (raised == 2).all()
    assert r.latest()[0] == 139


def test_a_view_behind_its_block_raises(make_stream: Make) -> None:
    s = make_stream((4,), "i4", slots=2)
    r = s.reader()
    s.put(np.arange(4, dtype="i4"))
    with r.read() as view:
        pass
    with s.write() as written:
        written[:] = 7
    for expired in (view, written):
        for use in (
            lambda v: v[0],
            lambda v: v.sum(),
            lambda v: np.sum(v),
            lambda v: v + 1,
            lambda v: v.tolist(),
            lambda v: len(v),
            lambda v: list(v),
            lambda v: repr(v),
            lambda v: v.__setitem__(0, 1),
            lambda v: pickle.dumps(v),
        ):
            with pytest.raises(ValueError, match="block"):
                use(expired)
    assert r.get().tolist() == [7] * 4


def test_bytes_are_read_without_a_copy(make_stream: Make) -> None:
    s = make_stream(slots=2)
    r = s.reader()
    s.put(b"frame" * 100)
    with r.read() as view:
        for _ in range(20):
            s.put(b"other" * 100)
        assert bytes(view) == b"frame" * 100
    if isinstance(view, memoryview):
        with pytest.raises(ValueError):
            view[0]


def test_views_that_are_kept_stay_as_they_are(make_stream: Make) -> None:
    s = make_stream((2,), "i4", slots=4)
    r = s.reader("oldest")
    held = []
    for i in range(16):
        s.put(np.full(2, i, "i4"))
        with r.read() as view:
            held.append(view[:])
    for i in range(16, 40):
        s.put(np.full(2, i, "i4"))
    assert [part.tolist() for part in held] == [[i, i] for i in range(16)]
    if type(s) is sk.Stream:
        with pytest.raises(RuntimeError, match="16 views"):
            r.get()
    held.clear()
    del view
    assert r.get().tolist() == [36, 36] and r.lost == 20


def test_a_view_outlives_its_reader_and_its_stream(make_stream: Make) -> None:
    s = make_stream((3,), "i4")
    r = s.reader("oldest")
    s.put(np.arange(3, dtype="i4"))
    with r.read() as view:
        part = view[1:]
        r.close()
        s.close()
        assert view.tolist() == [0, 1, 2]
    del s, r
    gc.collect()
    assert part.tolist() == [1, 2]


def test_a_slot_is_filled_in_place_and_published_at_the_end(make_stream: Make) -> None:
    s = make_stream((3,), "i4")
    r = s.reader()
    with s.write() as view:
        view[:] = [1, 2, 3]
        assert s.published == 0
        with s.write() as second:
            second[:] = 9
    assert [r.get().tolist(), r.get().tolist()] == [[9, 9, 9], [1, 2, 3]]


def test_an_exception_in_the_block_publishes_nothing(make_stream: Make) -> None:
    s = make_stream((3,), "i4", slots=2)
    r = s.reader()
    for _ in range(50):
        with pytest.raises(KeyError), s.write() as view:
            view[:] = 5
            raise KeyError
    assert s.published == 0
    s.put(np.zeros(3, "i4"))
    assert r.get().tolist() == [0, 0, 0]


def test_what_was_derived_from_a_written_view_does_not_change_the_message(make_stream: Make) -> None:
    s = make_stream((3,), "i4")
    r = s.reader()
    with s.write() as view:
        view[:] = 1
        part = view[1:]
    part[:] = 2
    assert r.get().tolist() == [1, 1, 1]


def test_only_streams_of_arrays_are_filled_in_place(make_stream: Make) -> None:
    with pytest.raises(TypeError, match="put"):
        make_stream().write()


# --- waiting ----------------------------------------------------------------------------------------------


def test_get_waits_for_a_message(make_stream: Make) -> None:
    s = make_stream()
    r = s.reader()
    task = Task(r.get)
    s.put("here")
    assert task.result() == "here"


def test_a_wait_ends_at_its_time(make_stream: Make) -> None:
    r = make_stream().reader()
    began = time.monotonic()
    with pytest.raises(queue.Empty):
        r.get(timeout=0.05)
    with pytest.raises(queue.Empty), r.read(timeout=0.05):
        pass
    assert time.monotonic() - began >= 0.1


def test_a_blocking_stream_waits_for_the_slowest_reader(make_stream: Make) -> None:
    s = make_stream(slots=3, overflow="block")
    quick, slow = s.reader(), s.reader()
    for i in range(3):
        s.put(i)
    assert [quick.get() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(queue.Full, match="3 messages behind"):
        s.put(3, block=False)
    with pytest.raises(queue.Full):
        s.put(3, timeout=0.01)
    assert s.published == 3
    task = Task(s.put, 3)
    assert slow.get() == 0
    task.result()
    assert s.published == 4 and quick.get() == 3
    slow.close()
    for i in range(4, 7):
        s.put(i, block=False)
    del slow
    assert [quick.get() for _ in range(3)] == [4, 5, 6]


def test_a_blocking_stream_without_readers_does_not_wait(make_stream: Make) -> None:
    s = make_stream(slots=3, overflow="block")
    for i in range(10):
        s.put(i, block=False)
    r = s.reader("oldest")
    assert [r.get() for _ in range(3)] == [7, 8, 9]
    del r
    gc.collect()
    for i in range(10):
        s.put(i, block=False)


@pytest.mark.parametrize("overflow", ["overwrite", "block"])
def test_many_threads_write_and_read(make_stream: Make, overflow: str) -> None:
    s = make_stream(slots=4, overflow=overflow)
    writers, count = 3, 300

    def read(r: Any) -> tuple[list[tuple[int, int]], int]:
        return list(r), r.lost

    def write(who: int) -> None:
        for i in range(count):
            s.put((who, i))

    readers = [Task(read, s.reader()) for _ in range(3)]
    in_threads([partial(write, who) for who in range(writers)])
    s.shutdown()
    for task in readers:
        messages, missed = task.result()
        assert len(messages) + missed == writers * count
        for who in range(writers):
            numbers = [i for w, i in messages if w == who]
            assert numbers == sorted(set(numbers))
        assert overflow == "overwrite" or missed == 0


def test_threads_share_a_reader(make_stream: Make) -> None:
    s = make_stream(slots=8, overflow="block")
    r = s.reader()
    crew = [Task(list, r) for _ in range(3)]
    for i in range(500):
        s.put(i)
    s.shutdown()
    assert sorted(i for task in crew for i in task.result()) == list(range(500))


# --- the end ------------------------------------------------------------------------------------------------


def test_after_the_end_readers_read_what_is_left(make_stream: Make) -> None:
    s = make_stream(slots=4)
    r, other = s.reader(), s.reader()
    s.put(1)
    s.put(2)
    s.shutdown()
    assert s.is_shutdown and list(r) == [1, 2]
    for call in (lambda: s.put(3), lambda: r.get(), lambda: r.get_nowait(), lambda: r.get(timeout=0.1)):
        with pytest.raises(sk.ShutDown):
            call()
    s.shutdown(immediate=True)
    with pytest.raises(sk.ShutDown):
        other.get()


def test_close_ends_the_stream(make_stream: Make) -> None:
    s = make_stream()
    r = s.reader()
    s.put(1)
    s.close()
    assert list(r) == [1]
    with pytest.raises(sk.ClosedError):
        s.put(2)
    s.close()


def test_the_end_wakes_all_waiters(make_stream: Make) -> None:
    s = make_stream(slots=2, overflow="block")
    r = s.reader()
    s.put(1)
    s.put(2)
    crew = [Task(s.put, 3), Task(s.reader().get), Task(partial(asyncio.run, s.aput(3)))]
    s.shutdown()
    for task in crew:
        with pytest.raises(sk.ShutDown):
            task.result()
    assert list(r) == [1, 2]
    del task, crew, r
    gc.collect()  # the errors refer to frames, and these to the stream


def test_a_closed_reader_raises(make_stream: Make) -> None:
    s = make_stream()
    with s.reader() as r:
        s.put(1)
        assert [state.behind for state in s.readers()] == [1]
    assert s.readers() == ()
    for use in (r.get, r.latest, r.read, lambda: r.position, lambda: r.lost, lambda: iter(r), lambda: len(r)):
        with pytest.raises(sk.ClosedError):
            use()
    r.close()


def test_there_are_as_many_readers_as_the_stream_can_have(make_stream: Make) -> None:
    s = make_stream(max_readers=2)
    one, two = s.reader(), s.reader()
    with pytest.raises(RuntimeError, match="2 readers"):
        s.reader()
    one.close()
    three = s.reader()
    assert len(s.readers()) == 2
    del two, three


# --- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"slots": 0}, ValueError, "slots"),
        ({"slots": 1, "overflow": "block"}, ValueError, "slots=1"),
        ({"overflow": "drop"}, ValueError, "'drop'"),
        ({"slot_bytes": 0}, ValueError, "slot_bytes"),
        ({"max_readers": 0}, ValueError, "max_readers"),
        ({"dtype": "f4"}, TypeError, "shape"),
        ({"shape": (2,), "dtype": object}, TypeError, "objects"),
        ({"shape": (-1,), "dtype": "i4"}, ValueError, "-1"),
        ({"shape": (2,), "slot_bytes": 5}, TypeError, "slot_bytes"),
        ({"slots": "many"}, TypeError, "slots"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense_are_refused(
    make_stream: Make, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        make_stream(**arguments)


def test_an_array_of_another_form_is_refused_and_nothing_is_put(make_stream: Make) -> None:
    s = make_stream((2, 3), "f4")
    for wrong, error, words in (
        (np.zeros((2, 3), "f8"), TypeError, "float64.*float32"),
        (np.zeros((3, 2), "f4"), ValueError, r"\(3, 2\).*\(2, 3\)"),
        (np.zeros(6, "f4"), ValueError, r"\(6,\)"),
        ([[1, 2, 3], [4, 5, 6]], TypeError, "int64"),
        ("text", TypeError, "U4"),
    ):
        with pytest.raises(error, match=words):
            s.put(wrong)
        with pytest.raises(error, match=words):
            asyncio.run(s.aput(wrong))
    assert s.published == 0


def test_a_message_that_cannot_be_pickled_is_refused(make_stream: Make) -> None:
    s = make_stream()
    if type(s) is not sk.Stream:
        pytest.skip("nothing is pickled within one process")
    with pytest.raises(Exception, match="pickle"):
        s.put(lambda: None)
    assert s.published == 0


# --- tasks ------------------------------------------------------------------------------------------------------


def test_tasks_write_and_read(make_stream: Make) -> None:
    s = make_stream(slots=3, overflow="block")

    async def main() -> list[Any]:
        async def read(r: Any) -> list[Any]:
            return [message async for message in r]

        readers = [asyncio.create_task(read(s.reader())) for _ in range(3)]
        await asyncio.sleep(0)
        for i in range(50):
            await s.aput(i)
        s.shutdown()
        return await asyncio.gather(*readers)

    assert asyncio.run(main()) == [list(range(50))] * 3


def test_tasks_use_blocks(make_stream: Make) -> None:
    s = make_stream((2,), "i4", slots=2)
    r = s.reader()

    async def main() -> None:
        async with s.write() as view:
            view[:] = 3
        async with r.read() as view:
            assert view.tolist() == [3, 3]
        waiting = asyncio.create_task(r.aget())
        await asyncio.sleep(0)
        async with s.awrite() as view:
            view[:] = 4
        assert (await waiting).tolist() == (await r.alatest()).tolist() == [4, 4]
        with pytest.raises(ValueError, match="block"):
            view[0]
        with pytest.raises(queue.Empty):
            await r.aget(timeout=0.01)
        with pytest.raises(queue.Empty):
            await r.aget(False)

    asyncio.run(main())


def test_a_cancelled_task_has_read_and_put_nothing(make_stream: Make) -> None:
    s = make_stream(slots=2, overflow="block")
    r = s.reader()

    async def main() -> None:
        waiting = asyncio.create_task(r.aget())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await s.aput(1)
        await s.aput(2)
        putting = asyncio.create_task(s.aput(3))
        await asyncio.sleep(0.01)
        putting.cancel()
        await asyncio.gather(putting, return_exceptions=True)
        with pytest.raises(queue.Full):
            await s.aput(3, timeout=0.01)
        assert [await r.aget(), await r.aget()] == [1, 2]

    asyncio.run(main())
    assert s.published == 2


# --- processes ----------------------------------------------------------------------------------------------------


def _read_all(r: Any) -> tuple[list[Any], int]:
    return [np.asarray(message).tolist() for message in r], r.lost


def _write_some(s: Any, who: int, count: int) -> None:
    for i in range(count):
        s.put((who, i))


def _fill_some(s: Any, count: int) -> None:
    for i in range(count):
        with s.write() as view:
            view[:] = i


@pytest.mark.needs("processes")
@each_method
def test_processes_get_every_message_of_a_blocking_stream(make_stream: Make, start_method: str) -> None:
    s = make_stream(slots=4, overflow="block")
    mine = s.reader()
    crew = [Child(start_method, _read_all, s.reader()) for _ in range(2)]
    until(lambda: len({state.pid for state in s.readers()}) == 3)
    while len(s.readers()) > 3:  # those of this process that were pickled end with their references
        gc.collect()
    writers = [Child(start_method, _write_some, s, who, 200) for who in range(2)]
    got = Task(_read_all, mine)
    for child in writers:
        child.result()
    s.shutdown()
    for messages, lost in (*(child.result() for child in crew), got.result()):
        assert lost == 0
        assert sorted(map(tuple, messages)) == [(who, i) for who in range(2) for i in range(200)]


@pytest.mark.needs("processes")
@each_method
def test_processes_read_whole_frames(make_stream: Make, start_method: str) -> None:
    s = make_stream((50, 40), "i4", slots=2)
    r = s.reader()
    writer = Child(start_method, _fill_some, s, 300)
    seen = []
    until(lambda: s.published > 0)
    while len(seen) == 0 or seen[-1] < 299:
        with r.read() as view:
            first = int(view[0, 0])
            assert (view == first).all()
        seen.append(first)
    writer.result()
    assert seen == sorted(set(seen)) and len(seen) + r.lost == 300


@pytest.mark.needs("processes")
def test_a_pickled_reader_is_another_one_at_the_same_position(make_stream: Make) -> None:
    s = make_stream(slots=3)
    r = s.reader()
    for i in range(5):
        s.put(i)
    assert r.get() == 2
    other = pickle.loads(pickle.dumps(r))
    assert (other.position, other.lost, len(s.readers())) == (3, 2, 2)
    assert [r.get(), r.get(), other.get(), other.get()] == [3, 4, 3, 4]


def test_a_stream_says_how_it_is(make_stream: Make) -> None:
    s = make_stream((2,), "i4", slots=4)
    r = s.reader()
    s.put(np.zeros(2, "i4"))
    told = s.statistics()
    assert (told.kind, told.shape, told.dtype, told.slots, told.length, told.published) == (
        "Stream",
        (2,),
        "int32",
        4,
        1,
        1,
    )
    assert [(state.position, state.behind, state.lost) for state in told.readers] == [(0, 1, 0)]
    assert "published=1" in repr(s) and "position=0" in repr(r)
    assert (s.slots, s.overflow, s.max_readers, len(s), len(r)) == (4, "overwrite", 64, 1, 1)
