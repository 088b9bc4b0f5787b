"""An argument, a key or a lock closes, by its own code, the handle that uses it. This must be as if another thread had
closed the handle during a wait; it must never crash."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import sharedkit.shm
import sharedkit.thread
from sharedkit.aio import waiters
from sharedkit.errors import ClosedError
from sharedkit.thread import registry

Made = Callable[[ModuleType], Any]
placements = pytest.mark.parametrize("place", [sharedkit.thread, sharedkit.shm], ids=["thread", "shm"])


class Closing:
    """Closes the handle whenever it is used for anything; then behaves as the number."""

    def __init__(self, handle: Any, number: float = 0) -> None:
        self.handle = handle
        self.number = number

    def _close(self) -> float:
        self.handle.close()
        for size in range(512, 2048, 4):  # allocate memory, so that freed memory is used again
            bytearray(size)
        return self.number

    def __bool__(self) -> bool:
        return bool(self._close())

    def __index__(self) -> int:
        return int(self._close())

    def __float__(self) -> float:
        return float(self._close())

    def __iter__(self) -> Any:
        self._close()
        return iter([1, 2])

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        self._close()
        return True

    def __radd__(self, other: Any) -> Any:
        return other + self._close()

    def __reduce__(self) -> Any:
        self._close()
        return str, ("p",)


async def _soon(call: Callable[[], Any]) -> Any:
    return await call()


def _queue(maxsize: int, items: int) -> Made:
    def make(place: ModuleType) -> Any:
        q = place.Queue(maxsize)
        q.put_many(range(items))
        return q

    return make


QUEUE_USES: list[Callable[[Any], Any]] = [
    lambda q: q.put(1, Closing(q)),
    lambda q: q.put(1, Closing(q, 1), 0.01),
    lambda q: q.put(1, True, Closing(q, 0.01)),
    lambda q: q.put_many(Closing(q), False),
    lambda q: q.put_many([1, 2], Closing(q)),
    lambda q: q.put_many([1, 2], True, Closing(q, 0.01)),
    lambda q: q.get(Closing(q)),
    lambda q: q.get(Closing(q, 1), 0.01),
    lambda q: q.get(True, Closing(q, 0.01)),
    lambda q: q.get_many(Closing(q, 2), False),
    lambda q: q.get_many(3, Closing(q)),
    lambda q: q.get_many(3, True, Closing(q, 0.01)),
    lambda q: setattr(q, "maxsize", Closing(q, 2)),
    lambda q: q.shutdown(Closing(q, 1)),
    lambda q: asyncio.run(_soon(lambda: q.aput(1, Closing(q)))),
    lambda q: asyncio.run(_soon(lambda: q.aput(1, True, Closing(q, 0.01)))),
    lambda q: asyncio.run(_soon(lambda: q.aget(Closing(q)))),
    lambda q: asyncio.run(_soon(lambda: q.aget(True, Closing(q, 0.01)))),
    lambda q: asyncio.run(_soon(lambda: q.aget_many(Closing(q, 2), False))),
    lambda q: asyncio.run(_soon(lambda: q.aget_many(3, True, Closing(q, 0.01)))),
    lambda q: asyncio.run(_soon(lambda: q.aput_many(Closing(q), False))),
    lambda q: asyncio.run(_soon(lambda: q.aput_many([1, 2], True, Closing(q, 0.01)))),
]


@placements
@pytest.mark.parametrize("make", [_queue(0, 0), _queue(0, 1), _queue(1, 0), _queue(1, 1)], ids=["0", "0-1", "1", "1-1"])
@pytest.mark.parametrize("number", range(len(QUEUE_USES)))
def test_closing_a_queue_in_its_own_call(place: ModuleType, make: Made, number: int) -> None:
    q = make(place)
    with contextlib.closing(q), contextlib.suppress(queue.Empty, queue.Full, ClosedError):
        QUEUE_USES[number](q)


CONDITION_USES: list[Callable[[Any], Any]] = [
    lambda c: c.wait(Closing(c, 0.01)),
    lambda c: c.wait_for(lambda: c.close(), 0.01),
    lambda c: c.wait_for(lambda: False, Closing(c, 0.01)),
    lambda c: c.notify(Closing(c, 1)),
    lambda c: asyncio.run(_soon(lambda: c.await_(Closing(c, 0.01)))),
]
LOCKS: list[Callable[[ModuleType], Any]] = [
    lambda place: None,
    lambda place: place.Lock(),
    lambda place: place.RLock(),
    lambda place: threading.Lock(),
    lambda place: threading.RLock(),
]


@placements
@pytest.mark.parametrize("lock", LOCKS, ids=["own", "Lock", "RLock", "threading.Lock", "threading.RLock"])
@pytest.mark.parametrize("number", range(len(CONDITION_USES)))
def test_closing_a_condition_in_its_own_call(place: ModuleType, lock: Callable[[ModuleType], Any], number: int) -> None:
    c = place.Condition(lock(place))
    c.acquire()
    # RuntimeError: the task is not the thread that took an RLock. TypeError: a task cannot wait for threading's.
    with contextlib.suppress(ClosedError, RuntimeError, TypeError):
        CONDITION_USES[number](c)
    c.close()


class OfPython:
    """A lock that closes the condition when the method named by `closes` is called."""

    def __init__(self, closes: str) -> None:
        self.closes = closes
        self.condition: Any = None
        self.lock = threading.Lock()

    def _asked(self, what: str) -> None:
        if what == self.closes and self.condition is not None:
            Closing(self.condition)._close()

    def acquire(self, *args: Any) -> bool:
        self._asked("acquire")
        return self.lock.acquire(*args)

    def release(self) -> None:
        self._asked("release")
        self.lock.release()

    def _is_owned(self) -> bool:
        self._asked("_is_owned")
        return self.lock.locked()


@placements
@pytest.mark.parametrize("closes", ["acquire", "release", "_is_owned"])
@pytest.mark.parametrize("use", ["wait", "notify", "notify_all"])
def test_closing_a_condition_in_a_call_of_its_lock(place: ModuleType, closes: str, use: str) -> None:
    lock = OfPython(closes)
    c = place.Condition(lock)
    c.acquire()
    lock.condition = c
    with contextlib.suppress(ClosedError):
        getattr(c, use)(*([0.01] if use == "wait" else []))
    c.close()


@placements
@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_condition_says_that_its_lock_is_closed(place: ModuleType, kind: str) -> None:
    lock = getattr(place, kind)()
    with contextlib.closing(place.Condition(lock)) as c:
        c.acquire()
        lock.close()
        for use in (lambda: c.wait(0.01), c.notify, c.notify_all, c.release, lambda: c.wait_for(bool, 0.01)):
            with pytest.raises(ClosedError):
                use()
        with pytest.raises(ClosedError):
            asyncio.run(_soon(lambda: c.await_(0.01)))


DICT_USES: list[Callable[[Any, Any], Any]] = [
    lambda d, k: d[k],
    lambda d, k: d.get(k),
    lambda d, k: k in d,
    lambda d, k: d.__setitem__(k, 1),
    lambda d, k: d.__delitem__(k),
    lambda d, k: d.setdefault(k, 1),
    lambda d, k: d.pop(k),
    lambda d, k: d.add(k, 1),
    lambda d, k: d.add("n", k),
    lambda d, k: d.add("there", k),
    lambda d, k: d.compare_exchange(k, 1, 2),
    lambda d, k: d.compare_exchange("there", k, 2),
    lambda d, k: d.compare_exchange("there", 1, k),
    lambda d, k: d.__setitem__("there", k),
    lambda d, k: d.update({"there": k}),
]


@placements
@pytest.mark.parametrize("number", range(len(DICT_USES)))
def test_closing_a_dict_in_its_own_call(place: ModuleType, number: int) -> None:
    d = place.Dict(there=1)
    with contextlib.suppress(TypeError):  # shared memory refuses keys of such a class
        d[Closing(threading.Event(), 3)] = 3
    with contextlib.suppress(ClosedError, KeyError, TypeError, AttributeError):
        DICT_USES[number](d, Closing(d, 1))
    d.close()


@placements
def test_closing_an_event_an_array_and_others_in_their_own_calls(place: ModuleType) -> None:
    def use(handle: Any, call: Callable[[Any], Any]) -> None:
        with contextlib.suppress(ClosedError, threading.BrokenBarrierError):
            call(handle)
        handle.close()

    use(place.Event(), lambda e: e.wait(Closing(e, 0.01)))
    use(place.Barrier(2), lambda b: b.wait(Closing(b, 0.01)))
    use(place.Semaphore(0), lambda s: s.acquire(True, Closing(s, 0.01)))
    use(place.Semaphore(0), lambda s: s.release(Closing(s, 1)))
    use(place.Lock(), lambda lock: lock.acquire(True, Closing(lock, 0.01)))
    for call in (
        lambda a: a[Closing(a, 1)],
        lambda a: a.__setitem__(Closing(a, 1), 1),
        lambda a: a.__setitem__(1, Closing(a, 1)),
        lambda a: a.fetch_add(Closing(a, 1), 1),
        lambda a: a.fetch_add(1, Closing(a, 1)),
        lambda a: a.compare_exchange(Closing(a, 1), 0, 1),
        lambda a: a.compare_exchange(1, Closing(a, 0), 1),
        lambda a: a.add_at(np.array([1]), Closing(a, 1)),
    ):
        use(place.Array(4, "i8"), call)


SHOWN: dict[str, Made] = {
    "Counter": lambda place: place.Counter(),
    "Lock": lambda place: place.Lock(),
    "RLock": lambda place: place.RLock(),
    "Semaphore": lambda place: place.Semaphore(),
    "BoundedSemaphore": lambda place: place.BoundedSemaphore(),
    "RWLock": lambda place: place.RWLock(),
    "Event": lambda place: place.Event(),
    "Condition": lambda place: place.Condition(),
    "Barrier": lambda place: place.Barrier(2),
    "Queue": lambda place: place.Queue(3),
    "Dict": lambda place: place.Dict(a=1),
    "Array": lambda place: place.Array(4),
}


@pytest.mark.parametrize("show", [repr, lambda handle: handle.statistics()], ids=["repr", "statistics"])
@pytest.mark.parametrize("kind", SHOWN)
def test_repr_and_statistics_of_a_handle_that_is_closed_while_its_name_is_looked_up(
    kind: str, show: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread placement looks up names in Python code, during which another thread may run."""
    handle = SHOWN[kind](sharedkit.thread)
    choose = registry._Names.choose
    asked = []

    def closing(names: Any, segment: Any) -> None:
        asked.append(segment)
        if len(asked) == 1:
            handle.close()  # this looks up the name too
        choose(names, segment)

    monkeypatch.setattr(registry._Names, "choose", closing)
    with contextlib.suppress(ClosedError):
        assert show(handle)
    assert asked
    assert handle.closed


RLOCK_USES: list[Callable[[Any], Any]] = [
    lambda lock: lock.acquire(),
    lambda lock: lock.acquire(timeout=0.01),
    lambda lock: lock.release(),
    lambda lock: lock.__enter__(),
    lambda lock: lock.__exit__(None, None, None),
    lambda lock: lock._is_owned(),
    lambda lock: lock._recursion_count(),
    lambda lock: lock._release_save(),
]


@placements
@pytest.mark.parametrize("number", range(len(RLOCK_USES)))
def test_an_rlock_of_a_task_that_is_closed_while_its_holder_is_determined(
    place: ModuleType, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock asks asyncio which task runs; this runs Python code."""
    lock = place.RLock()

    async def held() -> None:
        await lock.aacquire()
        name_of_task = waiters.name_of_task

        def closing() -> int:
            lock.close()
            return name_of_task()

        monkeypatch.setattr(waiters, "name_of_task", closing)
        with pytest.raises(ClosedError):
            RLOCK_USES[number](lock)

    asyncio.run(held())


@placements
def test_a_group_of_counters_that_another_thread_closes_is_whole_or_closed(
    place: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = place.Counters(["a", "b"])
    segment = type(group)._segment

    def closing(self: Any) -> Any:
        there = segment(self)
        group.close()
        return there

    monkeypatch.setattr(type(group), "_segment", closing, raising=False)
    looks: list[Callable[[Any], Any]] = [
        lambda there: there.keys(),
        lambda there: there.values(),
        lambda there: there.items(),
        lambda there: there["a"].value,
    ]
    for look in looks:
        group = place.Counters(["a", "b"])
        with contextlib.suppress(ClosedError):
            assert look(group) == ["a", "b"]
        assert group.closed
