"""For the same arguments in the same state, every awaitable twin returns and raises what its blocking method does."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from queue import Full
from typing import Any

import pytest
from conformance.loops import run

import sharedkit as sk

Kit = Any

SOON = [
    {"block": False},
    {"blocking": False},
    {"block": True, "timeout": 0.01},
    {"timeout": 0},
    {"timeout": 0.01},
    {"timeout": -1},
    {"timeout": -0.5},
    {"block": False, "timeout": -1},
    {"block": False, "timeout": 5},
]
AT_ALL = [*SOON, {}, {"timeout": None}, {"timeout": 1e30}, {"timeout": 5}]


def twin(name: str) -> str:
    return {"wait": "await_", "wait_for": "await_for"}.get(name, "a" + name)


def outcome(call: Callable[[], Any]) -> Any:
    """The result; or the exception's class, and the number of items that it says are put."""
    try:
        return call()
    except Exception as error:
        return type(error), getattr(error, "put", None)


def both(make: Callable[[], Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The outcomes of a method and of its twin, each called on a new object."""

    async def main() -> Any:
        return await getattr(make(), twin(name))(*args, **kwargs)

    return outcome(lambda: getattr(make(), name)(*args, **kwargs)), outcome(lambda: run(main))


def compare(make: Callable[[], Any], calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> None:
    for name, args, kwargs in calls:
        expected, found = both(make, name, args, kwargs)
        assert found == expected, f"{name}{args}{kwargs}"
        assert type(found) is type(expected)


QUEUES: dict[str, Callable[[Any], None]] = {}


def queue_state(prepare: Callable[[Any], None]) -> Callable[[Any], None]:
    QUEUES[prepare.__name__] = prepare
    return prepare


@queue_state
def empty(q: Any) -> None:
    pass


@queue_state
def one(q: Any) -> None:
    q.put("a")


@queue_state
def full(q: Any) -> None:
    q.put_many(["a", "b"])


@queue_state
def shut_down(q: Any) -> None:
    q.shutdown()


@queue_state
def shut_down_with_one(q: Any) -> None:
    q.put("a")
    q.shutdown()


@queue_state
def shut_down_at_once(q: Any) -> None:
    q.put("a")
    q.shutdown(immediate=True)


@pytest.mark.parametrize("state", QUEUES)
@pytest.mark.parametrize("maxsize", [0, 2])
def test_the_twins_of_a_queue(kit: Kit, state: str, maxsize: int) -> None:
    def make() -> Any:
        q = kit.Queue(maxsize)
        QUEUES[state](q)
        return q

    waits_to_get = state == "empty"
    waits_to_put = state == "full" and maxsize > 0
    gets = SOON if waits_to_get else AT_ALL
    puts = SOON if waits_to_put else AT_ALL
    compare(make, [("get", (), each) for each in gets])
    compare(make, [("get_many", (), each) for each in gets])
    compare(make, [("get_many", (most,), {"timeout": 0.01}) for most in (0, 1, 2, 5, -1, None, "all")])
    compare(make, [("put", ("x",), each) for each in puts])
    for batch in ([], ["x"], ["x", "y", "z"]):
        fits = maxsize == 0 or not batch or state.startswith("shut") or (state == "empty" and len(batch) < 3)
        compare(make, [("put_many", (batch,), each) for each in (AT_ALL if fits else SOON)])
    if make().unfinished_tasks == 0:
        compare(make, [("join", (), {})])


def test_the_twin_of_put_many_says_how_many_items_it_has_put(kit: Kit) -> None:
    async def main() -> None:
        q = kit.Queue(2)
        with pytest.raises(Full) as caught:
            await q.aput_many("abc", timeout=0.01)
        assert vars(caught.value)["put"] == 2
        assert await q.aget_many() == ["a", "b"]
        q.task_done()
        q.task_done()
        await q.ajoin()

    run(main)


LOCKED = [
    *SOON,
    {"timeout": -2},
    {"block": False, "timeout": 1},
    {"block": True, "timeout": 0},
]
FOR_EVER = ({"timeout": -1}, {"timeout": None}, {})


def test_the_twins_of_a_lock(kit: Kit) -> None:
    def held() -> Any:
        lock = kit.Lock()
        lock.acquire()
        return lock

    compare(kit.Lock, [("acquire", (), each) for each in [*LOCKED, *FOR_EVER, {"timeout": 1e30}]])
    compare(held, [("acquire", (), each) for each in LOCKED if each not in FOR_EVER])
    compare(held, [("acquire", args, {}) for args in ((False,), (True, 0.01), (False, 1), (0,))])


def test_the_twins_of_an_rlock(kit: Kit) -> None:
    compare(kit.RLock, [("acquire", (), each) for each in [*LOCKED, *FOR_EVER, {"timeout": 1e30}]])

    async def main() -> None:
        lock = kit.RLock()
        assert await lock.aacquire() is True
        for each in [*LOCKED, *FOR_EVER]:
            expected = outcome(lambda: lock.acquire(**each))  # noqa: B023
            try:
                found = await lock.aacquire(**each)
            except Exception as error:
                found = type(error), None
            assert found == expected, each

    run(main)


@pytest.mark.parametrize("value", [0, 1])
def test_the_twins_of_semaphores(kit: Kit, value: int) -> None:
    for make in (kit.Semaphore, kit.BoundedSemaphore):
        calls = SOON if value == 0 else [*SOON, {}, {"timeout": None}, {"timeout": 1e30}]
        compare(lambda: make(value), [("acquire", (), each) for each in calls])  # noqa: B023
        compare(lambda: make(value), [("acquire", args, {}) for args in ((False,), (True, 0.01), (False, 1))])  # noqa: B023


@pytest.mark.parametrize("held", ["nobody", "reading", "writing"])
def test_the_twins_of_an_rwlock(kit: Kit, held: str) -> None:
    def make() -> Any:
        rw = kit.RWLock()
        if held == "reading":
            rw.acquire_read()
        if held == "writing":
            rw.acquire_write()
        return rw

    for name in ("acquire_read", "acquire_write"):
        waits = held == "writing" or (held == "reading" and name == "acquire_write")
        calls = [each for each in LOCKED if each not in FOR_EVER] if waits else [*LOCKED, *FOR_EVER]
        compare(make, [(name, (), each) for each in calls])
        side = "reader" if name == "acquire_read" else "writer"
        compare(lambda: getattr(make(), side), [("acquire", (), each) for each in calls])  # noqa: B023


def test_the_twins_of_an_event(kit: Kit) -> None:
    def made() -> Any:
        event = kit.Event()
        event.set()
        return event

    soon = [{"timeout": each} for each in (0, 0.01, -1)]
    compare(kit.Event, [("wait", (), each) for each in soon])
    compare(made, [("wait", (), each) for each in [*soon, {}, {"timeout": None}, {"timeout": 1e30}]])


def test_the_twins_of_a_barrier(kit: Kit) -> None:
    soon = [{"timeout": each} for each in (0, 0.01, -1)]
    compare(lambda: kit.Barrier(2), [("wait", (), each) for each in soon])
    compare(lambda: kit.Barrier(2, timeout=0.01), [("wait", (), {})])
    compare(lambda: kit.Barrier(1), [("wait", (), each) for each in [*soon, {}, {"timeout": None}]])
    called: list[int] = []
    compare(lambda: kit.Barrier(1, lambda: called.append(1)), [("wait", (), {})])
    assert called == [1, 1]

    def fail() -> None:
        raise LookupError

    compare(lambda: kit.Barrier(1, fail), [("wait", (), {})])

    def broken() -> Any:
        barrier = kit.Barrier(2)
        barrier.abort()
        return barrier

    compare(broken, [("wait", (), {}), ("wait", (), {"timeout": 0})])


def test_a_timeout_that_is_nan_or_too_long_ends_the_call_without_waiting(kit: Kit) -> None:
    def held() -> Any:
        lock = kit.Lock()
        lock.acquire()
        return lock

    times = [{"timeout": each} for each in (math.nan, 1e30, math.inf)]
    compare(held, [("acquire", (), each) for each in times])
    compare(lambda: kit.Semaphore(0), [("acquire", (), each) for each in times])
    compare(kit.Event, [("wait", (), each) for each in times])
    compare(lambda: kit.Barrier(2), [("wait", (), each) for each in times])


def test_the_twins_of_a_condition(kit: Kit) -> None:
    compare(kit.Condition, [("wait", (), {}), ("wait", (), {"timeout": 0}), ("acquire", (), {})])

    for timeout in (0, 0.01, -1):
        sync, task = kit.Condition(), kit.Condition()

        async def main() -> tuple[bool, int]:
            async with task:  # noqa: B023
                came = await task.await_(timeout)  # noqa: B023
                task.notify()  # needs the lock  # noqa: B023
                return came, await task.await_for(lambda: 0, timeout)  # noqa: B023

        with sync:
            expected = sync.wait(timeout), sync.wait_for(lambda: 0, timeout)
        assert run(main) == expected == (False, 0)
        assert sync.acquire(False) and task.acquire(False)
        sync.release()
        task.release()


def test_a_closed_handle_is_a_closed_error(kit: Kit) -> None:
    async def main() -> None:
        for cls, args, calls in CLOSED:
            handle = getattr(kit, cls)(*args)
            handle.close()
            for name, *values in calls:
                with pytest.raises(sk.errors.ClosedError):
                    await getattr(handle, name)(*values)
            with pytest.raises(sk.errors.ClosedError):
                async with handle:
                    pass

    run(main)


def test_a_timeout_that_is_no_number_is_a_type_error(kit: Kit) -> None:
    async def main() -> None:
        for handle, name in (
            (kit.Queue(), "aget"),
            (kit.Semaphore(0), "aacquire"),
            (kit.Lock(), "aacquire"),
            (kit.Event(), "await_"),
            (kit.Barrier(2), "await_"),
        ):
            with pytest.raises(TypeError):
                await getattr(handle, name)(timeout="soon")

    run(main)


def test_async_with_closes_what_with_closes(kit: Kit) -> None:
    closing = {"Queue": (), "Event": (), "Barrier": (2,), "RWLock": (), "Counter": (), "Dict": (), "Array": (3,)}

    async def main() -> None:
        for cls, args in [*closing.items(), ("Counters", (["a"],))]:
            made = getattr(kit, cls)(*args)
            async with made as handle:
                assert handle is made
                assert not handle.closed
            assert handle.closed

    run(main)


def test_async_with_takes_what_with_takes(kit: Kit) -> None:
    async def main() -> None:
        for held in (kit.Lock(), kit.RLock(), kit.Array(1).lock):
            async with held as answer:
                assert answer is True
                assert held.locked()
            assert not held.locked()
        for permits in (kit.Semaphore(2), kit.BoundedSemaphore(2)):
            async with permits as answer:
                assert answer is True
                assert permits.get_value() == 1
            assert permits.get_value() == 2
        async with kit.Condition() as answer:
            assert answer is True
        rw = kit.RWLock()
        for side in (rw.reader, rw.writer):
            async with side as answer:
                assert answer is True
                assert side.locked()
            assert not side.locked()
        with pytest.raises(KeyError):
            async with rw.writer:
                raise KeyError
        assert not rw.writer.locked()

    run(main)


CLOSED: list[tuple[str, tuple[Any, ...], list[tuple[Any, ...]]]] = [
    ("Queue", (), [("aput", 1), ("aget",), ("aput_many", [1]), ("aget_many",), ("ajoin",)]),
    ("Lock", (), [("aacquire",)]),
    ("RLock", (), [("aacquire",)]),
    ("Semaphore", (), [("aacquire",)]),
    ("BoundedSemaphore", (), [("aacquire",)]),
    ("Event", (), [("await_",)]),
    ("Barrier", (2,), [("await_",)]),
    ("Condition", (), [("aacquire",), ("await_",), ("await_for", bool)]),
    ("RWLock", (), [("aacquire_read",), ("aacquire_write",)]),
]


def test_every_twin_is_called_as_its_method_is(kit: Kit) -> None:
    for handle in (kit.Queue(), kit.Condition(), kit.RWLock(), kit.Lock(), kit.RLock(), kit.Semaphore(), kit.Event()):
        for name in ("put", "get", "put_many", "get_many", "join", "wait", "wait_for", "acquire", "acquire_read"):
            if hasattr(handle, name):
                sync, task = inspect.signature(getattr(handle, name)), inspect.signature(getattr(handle, twin(name)))
                assert list(sync.parameters) == list(task.parameters), name
                assert [each.default for each in sync.parameters.values()] == [
                    each.default for each in task.parameters.values()
                ], name
