"""Queues that give out the newest item first, or the least. What they share with Queue is tested with Queue."""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Callable
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from conformance import children
from conformance.loops import eventually, run, settle, start
from conformance.subjects import METHODS
from conformance.watchdog import Task, in_children, until

import sharedkit as sk
from sharedkit.manager.states import PriorityQueueState

Make = Callable[..., Any]
ORDERS = ("LifoQueue", "PriorityQueue")


# --- which item is next


def test_the_newest_item_goes_first(make_lifo: Make) -> None:
    q = make_lifo()
    for item in ("a", "b", "c"):
        q.put(item)
    assert q.get() == "c"
    q.put("d")
    assert [q.get() for _ in range(3)] == ["d", "b", "a"]
    assert q.empty()


def test_the_least_item_goes_first(make_priority: Make) -> None:
    q = make_priority()
    for item in (5, 1, 4, 2.5, 3, 0, -7):
        q.put(item)
    assert [q.get() for _ in range(7)] == [-7, 0, 1, 2.5, 3, 4, 5]
    for pair in ((2, "b"), (1, "z"), (2, "a")):
        q.put(pair)
    assert [q.get() for _ in range(3)] == [(1, "z"), (2, "a"), (2, "b")]


@pytest.mark.parametrize("count", [600, 5000])
def test_many_items_come_in_order(make_priority: Make, count: int) -> None:
    """There are more items than one sorted run of the queue holds."""
    q = make_priority()
    items = [i * 7919 % count for i in range(count)]
    for item in items:
        q.put(item)
    first = [q.get() for _ in range(count // 2)]
    for item in items[: count // 2]:
        q.put(item)
    assert first == list(range(count // 2))
    assert [q.get() for _ in range(count)] == sorted([*range(count // 2, count), *items[: count // 2]])


@pytest.mark.needs("first-of-equals")
def test_equal_items_come_in_the_order_of_their_puts(make_priority: Make) -> None:
    q = make_priority()
    equal = [1, True, 1.0, 1, True, 1.0]
    for item in equal:
        q.put(item)
        q.put(item + 1)
    assert [type(q.get()) for _ in equal] == [type(item) for item in equal]


@pytest.mark.needs("batches")
def test_a_batch_is_taken_in_the_order_of_single_items(make_lifo: Make) -> None:
    q = make_lifo()
    q.put_many([1, 2, 3, 4])
    assert q.get_many(3) == [4, 3, 2]
    assert q.get_many() == [1]


@pytest.mark.needs("batches")
def test_a_batch_of_priorities_is_taken_in_order(make_priority: Make) -> None:
    q = make_priority()
    q.put_many([4, 2, 9, 1])
    assert q.get_many(3) == [1, 2, 4]
    assert q.get_many() == [9]


def test_a_full_queue_has_room_when_the_next_one_is_taken(make_priority: Make) -> None:
    q = make_priority(2)
    q.put(2)
    q.put(3)
    putting = Task(q.put, 1)
    with pytest.raises(queue.Full):
        q.put(0, block=False)
    assert q.get() == 2
    putting.result()
    assert [q.get(), q.get()] == [1, 3]


# --- items that cannot be compared


@pytest.mark.needs("whole-after-errors")
def test_an_item_that_cannot_be_compared_fails_in_put_and_is_not_in_the_queue(make_priority: Make) -> None:
    q = make_priority()
    q.put((1, "a"))
    q.put((2, "b"))
    for bad in ("text", (1, 5), (2, 7)):
        with pytest.raises(TypeError, match="not supported between"):
            q.put(bad)
    assert q.qsize() == 2
    assert q.unfinished_tasks == 2
    assert [q.get(), q.get()] == [(1, "a"), (2, "b")]
    q.put("text")
    assert q.get() == "text"


@pytest.mark.needs("batches")
def test_a_batch_is_put_up_to_the_item_that_cannot_be_compared(make_priority: Make) -> None:
    q = make_priority()
    q.put(3)
    getter = Task(lambda: [q.get() for _ in range(3)])
    until(q.empty)
    q.put(4)
    q.put(5)
    getter.result()
    q.put(3)
    with pytest.raises(TypeError) as caught:
        q.put_many([2, 1, "text", 0])
    assert caught.value.put == 2  # type: ignore[attr-defined]
    assert (q.qsize(), q.unfinished_tasks) == (3, 6)
    assert q.get_many() == [1, 2, 3]


@pytest.mark.needs("batches")
def test_waiters_get_the_items_put_before_an_error(make_priority: Make) -> None:
    q = make_priority()
    getters = [Task(q.get) for _ in range(2)]
    until(lambda: q.statistics().waiting_getters == 2)
    with pytest.raises(TypeError):
        q.put_many([1, 2, 2, "text"])
    assert sorted(getter.result() for getter in getters) == [1, 2]
    assert q.get() == 2


# --- tasks and processes


@pytest.mark.parametrize("cls", ORDERS)
def test_tasks_put_and_get_in_the_queues_order(context: Any, cls: str) -> None:
    if not hasattr(context, cls):
        pytest.skip(f"{context} has no {cls}")

    async def main() -> None:
        q = getattr(context, cls)(4)
        for item in (2, 1, 3):
            await q.aput(item)
        order = [3, 1, 2] if cls == "LifoQueue" else [1, 2, 3]
        assert [await q.aget() for _ in range(3)] == order
        await q.aput_many([2, 1, 3])
        assert await q.aget_many() == order
        getters = start(q.aget() for _ in range(3))
        await settle()
        await q.aput_many([5, 6, 7])
        assert sorted([await getter for getter in getters]) == [5, 6, 7]
        await q.aput_many([1, 2, 3, 4])
        (putter,) = start([q.aput(0)])
        await eventually(lambda: q.statistics().waiting_putters == 1)
        assert await q.aget() == (4 if cls == "LifoQueue" else 1)
        await putter
        assert await q.aget() == 0
        q.shutdown()
        assert [item async for item in q] == ([3, 2, 1] if cls == "LifoQueue" else [2, 3, 4])
        with pytest.raises(sk.ShutDown):
            await q.aput(1)
        q.close()

    run(main)


def test_a_task_whose_item_cannot_be_compared_gets_the_error(context: Any) -> None:
    if not hasattr(context, "PriorityQueue"):
        pytest.skip(f"{context} has no PriorityQueue")

    async def main() -> None:
        q = context.PriorityQueue(2)
        await q.aput(1)
        with pytest.raises(TypeError):
            await q.aput("text")
        await q.aput(2)
        (putter,) = start([q.aput("text")])  # waits for room first
        await eventually(lambda: q.statistics().waiting_putters == 1)
        assert await q.aget() == 1
        with pytest.raises(TypeError):
            await putter
        q.maxsize = 0
        with pytest.raises(TypeError) as caught:
            await q.aput_many([3, "text", 4])
        assert caught.value.put == 1  # type: ignore[attr-defined]
        statistics = q.statistics()
        assert (statistics.waiting_putters, statistics.qsize) == (0, 2)
        assert await q.aget_many() == [2, 3]
        q.close()

    run(main)


@pytest.mark.parametrize("cls", ORDERS)
def test_the_item_of_a_cancelled_task_is_next_again(context: Any, cls: str) -> None:
    if not hasattr(context, cls):
        pytest.skip(f"{context} has no {cls}")

    async def main() -> None:
        q = getattr(context, cls)()
        for turn in range(50):
            (getter,) = start([q.aget()])
            await settle()
            q.put_many([1, 2])
            getter.cancel()
            try:
                q.put(await getter)
            except BaseException as error:
                assert type(error).__name__ == "CancelledError", turn
            assert sorted(q.get_many()) == [1, 2]
        q.close()

    run(main)


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", METHODS)
def test_processes_share_a_stack(make_lifo: Make, start_method: str) -> None:
    q = make_lifo()
    in_children(start_method, children.produce, [(q, producer, 100) for producer in range(2)])
    got = [q.get()[:2] for _ in range(200)]
    for producer in range(2):
        assert [i for who, i in got if who == producer] == list(range(100))[::-1]


@pytest.mark.needs("processes")
@pytest.mark.parametrize("start_method", METHODS)
def test_processes_share_priorities(make_priority: Make, start_method: str) -> None:
    q = make_priority()
    in_children(start_method, children.produce, [(q, producer, 100) for producer in range(2)])
    assert [q.get()[:2] for _ in range(200)] == [(producer, i) for producer in range(2) for i in range(100)]


# --- where there is none: shared memory


@pytest.mark.parametrize("cls", ORDERS)
def test_shared_memory_says_which_placements_have_such_a_queue(cls: str) -> None:
    for place in (sk, sk.shm, sk.get_context(), sk.get_context("shm")):
        assert not hasattr(place, cls)
        with pytest.raises(AttributeError, match=f'no {cls} in shared memory.*"manager".*"thread"'):
            getattr(place, cls)
    with pytest.raises(AttributeError, match="no attribute 'Quewe'"):
        sk.Quewe  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Quewe'"):
        sk.get_context("shm").Quewe  # type: ignore[attr-defined]  # noqa: B018


# --- behind a server: it compares plain priorities, and does not look at the rest of an item


class Urgency(IntEnum):
    HIGH = 1
    LOW = 2


class Job(NamedTuple):
    urgency: Urgency
    task: Any


@dataclasses.dataclass(order=True)
class Prioritized:
    """As in the documentation of `queue.PriorityQueue`."""

    priority: int
    item: Any = dataclasses.field(compare=False)


class Backwards(int):
    """An int with a comparison of its own."""

    def __lt__(self, other: int) -> bool:
        return int(self) > int(other)


class Opaque:
    """Cannot be compared; if the server unpickled it, the test would notice."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __repr__(self) -> str:
        return f"Opaque({self.number})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.number == other.number

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def served() -> Any:
    with sk.get_context("manager").PriorityQueue() as q:
        yield q


def test_a_server_orders_by_the_plain_values_in_front(served: Any) -> None:
    items = [(2, Opaque(1)), (1, Opaque(2)), (2, Opaque(3)), (1, Opaque(4)), (1.5, None), ((1, "x"), {})][:5]
    served.put_many(items)
    assert served.get_many() == [items[1], items[3], items[4], items[0], items[2]]


def test_a_server_knows_subclasses_that_compare_as_their_base_does(served: Any) -> None:
    items = [
        Job(Urgency.LOW, [1]),
        (np.float32(1.5), "f"),
        (np.int8(-3), "i"),
        Job(Urgency.HIGH, {}),
        (np.bool_(False), "b"),
    ]
    for item in items:
        served.put(item)
    assert served.get_many() == [items[2], items[4], items[3], items[1], items[0]]


def test_a_server_knows_dataclasses_with_order(served: Any) -> None:
    served.put_many([Prioritized(3, Opaque(1)), Prioritized(1, Opaque(2)), Prioritized(2, [])])
    assert [item.priority for item in served.get_many()] == [1, 2, 3]


@pytest.mark.parametrize(
    "item",
    [
        None,
        [1],
        {},
        Opaque(1),
        (),
        (None, 1),
        (Opaque(1), 1),
        Backwards(1),
        (Backwards(1), 1),
        (Fraction(1, 2), 1),
        (np.datetime64("2026-01-01", "ns"), 1),
        (np.longdouble(1), 1),
        1j,
    ],
    ids=repr,
)
def test_a_server_refuses_priorities_that_it_cannot_compare(served: Any, item: Any) -> None:
    if item == ():
        served.put(item)  # the empty tuple is less than any other
        assert served.get() == ()
        return
    with pytest.raises(TypeError, match="numbers, str, bytes and tuples"):
        served.put(item)
    assert served.empty()


def test_nested_tuples_are_compared_to_a_limited_depth(served: Any) -> None:
    deep: Any = 1
    for _ in range(15):
        deep = (deep,)
    served.put((deep, "x"))
    with pytest.raises(TypeError, match="numbers, str"):
        served.put(((deep,), "x"))
    assert served.qsize() == 1


def _take_all(state: Any) -> list[Any]:
    taken: list[Any] = state.do_get_many(None, None, False, None)
    return taken


def test_an_item_that_is_given_back_comes_before_its_equals() -> None:
    state: Any = PriorityQueueState("q", {}, 0)
    state.do_put_many(None, [(1, b"first"), (1, b"second"), (0, b"zero")], False, None)
    taken = state.do_get_many(None, 2, False, None)
    state.do_put_many(None, [(1, b"third"), (-1, b"least")], False, None)
    state.undo_get_many(None, taken)
    assert [item for _, item in _take_all(state)] == [b"least", b"zero", b"first", b"second", b"third"]


def test_an_item_given_back_among_others_that_do_not_compare_is_not_lost() -> None:
    """A client took the item when nothing else was in the queue, and then gives it back."""
    state: Any = PriorityQueueState("q", {}, 0)
    state.do_put_many(None, [(1, b"number")], False, None)
    taken = _take_all(state)
    state.do_put_many(None, [("text", b"text")], False, None)
    state.undo_get_many(None, taken)
    assert _take_all(state) == [(1, b"number"), ("text", b"text")]


@pytest.mark.parametrize("count", [1, 511, 512, 513, 3000])
def test_a_put_that_is_taken_back_leaves_the_others_in_order(count: int) -> None:
    state: Any = PriorityQueueState("q", {}, 0)
    marks = []
    entries = [(i * 7919 % count, str(i).encode()) for i in range(count)]
    for entry in entries:
        marks += state.do_put_many(None, [entry], False, None, True)
    assert state.do_take_back(None, entries[count // 2 :], marks[count // 2 :]) == count - count // 2
    assert (len(state.items), state.unfinished) == (count // 2, count // 2)
    if count > 1:
        assert _take_all(state) == sorted(entries[: count // 2])


def test_joinablequeue_and_simplequeue_are_the_queue(context: Any) -> None:
    assert context.JoinableQueue is context.SimpleQueue is context.Queue
    with context.JoinableQueue(2) as q:
        assert isinstance(q, context.JoinableQueue)
        q.put(1)
        q.get()
        q.task_done()
        q.join()
    with context.SimpleQueue() as q:
        q.put(1, False, -5)  # a queue without a bound does not look at the timeout
        assert not q.empty()
        assert q.get() == 1
