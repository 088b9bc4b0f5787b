"""Large data on the way to a server and back: sent beside its pickle in one piece, and a copy at each end."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until

from sharedkit._core.receive_buffer import ReceiveBuffer
from sharedkit.manager.connect import connect
from sharedkit.manager.protocol import LARGE, bounds, content_of, join, number_of, pack, rest_of, same, unpack
from sharedkit.manager.states.queue import QueueState


def whole(message: Any) -> bytearray:
    """The whole message, without its frame."""
    sent = bytearray(b"".join(message) if type(message) is list else message)
    begin, end = bounds(sent)
    assert end == len(sent)
    return sent[begin:]


def array(size: int, writable: bool = True) -> np.ndarray[Any, Any]:
    made = np.frombuffer(os.urandom(size), np.uint8)
    return made.copy() if writable else made


# --- messages

SIZES = st.sampled_from([0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])


@given(st.lists(st.tuples(SIZES, st.booleans()), max_size=5), st.integers(0, 1 << 55))
def test_a_message_contains_what_was_sent(sizes: list[tuple[int, bool]], number: int) -> None:
    said = [array(*each) for each in sizes]
    message = whole(join(number, said))
    assert number_of(message) == number
    for one, other in zip(said, content_of(message), strict=True):
        assert np.array_equal(one, other)
        assert one.flags.writeable == other.flags.writeable


@given(st.lists(SIZES, min_size=1, max_size=3), st.data())
def test_rest_of_gives_the_unsent_rest_of_a_message(sizes: list[int], data: st.DataObject) -> None:
    parts: list[bytes | memoryview] = [os.urandom(size) for size in sizes]
    sent = b"".join(parts)
    gone = data.draw(st.integers(0, len(sent)))
    assert b"".join(rest_of(parts, gone)) == sent[gone:]


def test_buffers_beyond_the_limit_go_into_the_pickle() -> None:
    said = [np.full(LARGE, n % 256, np.uint8) for n in range(300)]
    assert all((each == n % 256).all() for n, each in enumerate(content_of(whole(join(1, said)))))


@pytest.mark.parametrize(
    "item",
    [
        None,
        bytes(LARGE),
        "x" * LARGE,
        np.zeros((300, 500)),
        np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
        np.arange(90_000).reshape(300, 300)[::2, ::3],
        {"a": np.arange(50_000), "b": np.arange(50_000).astype("M8[s]")},
        bytearray(LARGE),
    ],
    ids=["none", "bytes", "str", "array", "fortran", "strided", "two", "bytearray"],
)
def test_items_are_packed_and_unpacked(item: Any) -> None:
    (packed,) = content_of(whole(join(1, [pack(item)])))
    again = content_of(whole(join(2, packed)))  # as a server sends what it has received
    assert same(packed, pack(item))
    assert same(packed, again)
    np.testing.assert_equal(unpack(again), item)


def test_data_that_is_not_contiguous_is_refused_with_pickles_error() -> None:
    with pytest.raises(pickle.PicklingError, match="contiguous"):
        pack(pickle.PickleBuffer(np.arange(100_000)[::2]))


def test_items_that_differ_are_not_the_same() -> None:
    one, other = array(LARGE), array(LARGE)
    assert not same(pack(one), pack(other))
    assert not same(pack(one), pack(1))
    assert not same(None, pack(one))
    assert not same(pack(bytes(LARGE)), pack(bytes(LARGE + 1)))


# --- the receive buffer


def test_a_receive_buffer_counts_the_received_bytes() -> None:
    reading, writing = os.pipe()
    inlet = ReceiveBuffer(memoryview(bytearray(10)), 2)
    os.write(writing, b"abc")
    assert (inlet.fill(reading), inlet.filled) == (3, 5)
    os.write(writing, b"defghijkl")
    assert (inlet.fill(reading), inlet.filled) == (5, 10)
    assert bytes(inlet.memory) == b"\0\0abcdefgh"
    os.close(writing)
    os.close(reading)
    assert ReceiveBuffer(memoryview(bytearray(1)), 1).filled == 1
    with pytest.raises(ValueError):
        ReceiveBuffer(memoryview(bytearray(1)), 2)
    with pytest.raises((BufferError, ValueError)):
        ReceiveBuffer(memoryview(b"not to be written to"), 0)


def test_a_receive_buffer_reports_the_end_and_errors() -> None:
    reading, writing = os.pipe()
    inlet = ReceiveBuffer(memoryview(bytearray(10)), 0)
    os.close(writing)
    assert inlet.fill(reading) == 0
    os.close(reading)
    with pytest.raises(OSError):
        inlet.fill(reading)


def test_a_signal_interrupts_a_receive_buffer() -> None:
    class Interrupted(Exception):
        pass

    def raise_it(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    reading, writing = os.pipe()
    inlet = ReceiveBuffer(memoryview(bytearray(10)), 0)
    before = signal.signal(signal.SIGUSR1, raise_it)
    main = threading.get_ident()

    def disturb() -> None:
        time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGUSR1)

    try:
        with pytest.raises(Interrupted):
            disturbing = Task(disturb)
            inlet.fill(reading)
        disturbing.result()
    finally:
        signal.signal(signal.SIGUSR1, before)
        os.close(reading)
        os.close(writing)
    assert inlet.filled == 0


# --- structures


@pytest.mark.parametrize("size", [LARGE - 1000, LARGE, 2 * LARGE, 300_000, 5 << 20])
def test_a_received_large_item_is_a_copy_of_its_own(ctx: Any, size: int) -> None:
    q, item = ctx.Queue(), array(size)
    kept = item.copy()
    q.put(item)
    item[:] = 0  # this must not change what was put
    got = q.get()
    assert np.array_equal(got, kept)
    got[0] += 1
    assert got.flags.writeable


def test_large_items_go_through_in_order(ctx: Any) -> None:
    q = ctx.Queue(3)
    items = [array(size) for size in (10, 100_000, LARGE, 2_000_000, 0) * 10]
    putting = Task(lambda: [q.put(each) for each in items[:25]] and q.put_many(items[25:]))
    got = [q.get() for _ in range(25)]
    while len(got) < len(items):
        got += q.get_many(7)
    putting.result()
    assert all(map(np.array_equal, got, items))


def test_one_received_item_does_not_keep_the_others_alive(ctx: Any) -> None:
    q = ctx.Queue()
    q.put_many([array(100_000) for _ in range(20)])
    one = q.get_many()[7]
    base = one
    while getattr(base, "base", None) is not None:
        base = base.base
    assert memoryview(base).nbytes == 100_000


def test_values_of_a_dict_are_copies(ctx: Any) -> None:
    d, value = ctx.Dict(), array(200_000)
    d["key"] = value
    mine = d["key"]
    mine[:] = 0
    assert np.array_equal(d["key"], value)
    assert np.array_equal(d.pop("key"), value)


def test_a_large_value_is_exchanged(ctx: Any) -> None:
    d = ctx.Dict({"key": "a" * 100_000})
    assert not d.compare_exchange("key", "b" * 100_000, 1)
    assert d.compare_exchange("key", "a" * 100_000, "c" * 100_000)
    assert d["key"] == "c" * 100_000


def test_an_array_is_read_whole_while_others_write(ctx: Any) -> None:
    a = ctx.Array(500_000, "u4")
    ended = threading.Event()

    def write() -> None:
        n = 0
        while not ended.is_set():
            n += 1
            a[:] = np.full(500_000, n, "u4")

    writing = Task(write)
    for _ in range(30):
        seen = a.ndarray
        assert (seen == seen[0]).all()
        with pytest.raises(ValueError):
            seen[0] = 1
    ended.set()
    writing.result()


def test_large_items_that_were_put_are_taken_back() -> None:
    """A loop that has stopped takes items back like this. The server recognises the items by their bytes."""
    state: Any = QueueState("q", {}, 0)
    items = [pack(array(100_000)) for _ in range(3)]
    marks = state.do_put_many(None, items, True, None, True)
    again = content_of(whole(join(1, items)))
    assert state.do_take_back(None, again, marks) == 3
    assert not state.items


@pytest.mark.parametrize(
    "made",
    ["list(protocol.pack(large))", "[protocol.content_of(whole) for whole in messages()]"],
    ids=["packed", "unpacked"],
)
def test_large_data_in_a_reference_cycle_is_collected(made: str) -> None:
    """CPython crashes on certain objects in cycles; from outside it cannot be told which."""
    program = f"""
import gc, pickle, numpy as np
from sharedkit.manager import protocol
large = np.ones((300, 400), "u1", order="F")
def messages():
    for item in (pickle.PickleBuffer(large), pickle.PickleBuffer(bytes(large))):
        whole = b"".join(map(bytes, protocol.join(1, item)))[4:]
        yield memoryview(bytearray(whole))
        yield memoryview(whole)
for each in {made}:
    circle = []
    circle.extend((each, circle))
del each, circle
gc.collect()
print("lives")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT)
    assert (done.stdout, done.stderr) == ("lives\n", "")


def test_an_item_that_was_not_sent_whole_goes_back_to_the_front(ctx: Any) -> None:
    q = ctx.Queue()
    q.put_many([array(5 << 20), 1, 2])
    client = ctx.server.client()
    stranger, _ = connect(client.address, client.authkey, "kit_session", os.getpid(), None)
    with stranger:
        for part in (join(1, (0, "attach", (q.name,), 0, ())), join(2, (q._ident, "get_many", (1, True, None), 0, ()))):
            assert type(part) is bytes
            os.write(stranger.fileno(), part)
        until(lambda: q.qsize() == 2)
        assert q.get() == 1
    until(lambda: q.qsize() == 2)
    assert q.get().nbytes == 5 << 20
    assert q.get() == 2


def test_a_task_puts_and_gets_large_items(ctx: Any) -> None:
    async def main() -> None:
        q, items = ctx.Queue(2), [array(300_000) for _ in range(12)]

        async def put() -> None:
            for each in items:
                await q.aput(each)

        putting = asyncio.create_task(put())
        for each in items:
            assert np.array_equal(await q.aget(), each)
        await putting
        waiting = asyncio.create_task(q.aget())
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        await q.aput(items[0])
        assert np.array_equal(await q.aget(), items[0])

    asyncio.run(main())
