"""Every method that changes a structure, as a call on a structure in a known state: what tests cut, refuse and repeat.

Each runs in any placement; the structures of threads show what it returns and leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty
from typing import Any

import numpy as np

__all__ = ["MUTATIONS", "Mutation", "outcome_of"]

Use = Callable[[Any], Any]


@dataclass(frozen=True)
class Mutation:
    """`make` a structure with the keywords, `prepare` it, `do` the call; `look` returns its state, and may change it.

    A call that `takes` something which others wait for gives it back if its answer never comes. One that `grows` needs
    memory of the server.
    """

    name: str
    make: Callable[..., Any]
    prepare: Use
    do: Use
    look: Use
    takes: bool = False
    grows: bool = True


def outcome_of(do: Use, on: Any) -> Any:
    """What the call returns, or the class of what it raises."""
    try:
        found = do(on)
    except Exception as why:
        return type(why).__mro__[0] if type(why).__module__ in ("builtins", "queue", "_queue") else type(why).__name__
    return found.tolist() if isinstance(found, np.ndarray | np.generic) else found


def asynchronously(do: Callable[[Any], Any]) -> Use:
    async def awaited(on: Any) -> Any:
        return await do(on)

    def run(on: Any) -> Any:
        return asyncio.run(awaited(on))

    vars(run)["coroutine"] = awaited
    return run


def nothing(_: Any) -> None:
    pass


# --- how each structure is made, and what its state is


def a_queue(context: Any, **options: Any) -> Any:
    return context.Queue(5, **options)


def queue_state(q: Any) -> Any:
    unfinished, bound, items = q.unfinished_tasks, q.maxsize, list[Any]()
    with suppress(Empty, Exception):  # ShutDown
        while True:
            items.append(q.get_nowait())
    return items, unfinished, bound, q.is_shutdown


def counter_state(c: Any) -> Any:
    return c.value


def lock_state(lock: Any) -> Any:
    return lock.statistics().count


def of_semaphore(cls: str) -> Callable[..., Any]:
    return lambda context, **options: getattr(context, cls)(3, **options)


def permits(s: Any) -> Any:
    return s.get_value()


def event_state(e: Any) -> Any:
    return e.is_set()


def condition_state(c: Any) -> Any:
    s = c.statistics()
    return s.lock.count, s.waiting, s.notified


def condition_waits(c: Any) -> Any:
    s = c.statistics()
    return s.waiting, s.notified


def barrier_state(b: Any) -> Any:
    return b.n_waiting, b.broken


def rw_state(rw: Any) -> Any:
    s = rw.statistics()
    return sum(s.readers.values()), s.writer is not None


def dict_state(d: Any) -> Any:
    return list(d.items())


def set_state(s: Any) -> Any:
    return list(s)


def array_state(a: Any) -> Any:
    return np.asarray(a).tolist(), a.lock.locked()


def value_state(v: Any) -> Any:
    return v.value


def counters_state(c: Any) -> Any:
    return c.as_dict()


def an_array(context: Any, **options: Any) -> Any:
    return context.Array((2, 3), "i8", **options)


def a_float_array(context: Any, **options: Any) -> Any:
    return context.Array(4, "f4", **options)


def three_items(q: Any) -> None:
    q.put_many(["a", "b", "c"])


def one_taken(q: Any) -> None:
    q.put("a")
    q.get()


def three_pairs(d: Any) -> None:
    d.update({"a": 1, "b": 2.5, "c": "three"})


def three_members(s: Any) -> None:
    s.update(["a", "b", "c"])


def acquired(x: Any) -> None:
    x.acquire()


def _queue(name: str, prepare: Use, do: Use, takes: bool = False, grows: bool = True) -> Mutation:
    return Mutation(f"Queue.{name}", a_queue, prepare, do, queue_state, takes, grows)


def _locks() -> list[Mutation]:
    made = []
    for cls in ("Lock", "RLock"):

        def make(context: Any, cls: str = cls, **options: Any) -> Any:
            return getattr(context, cls)(**options)

        made += [
            Mutation(f"{cls}.acquire", make, nothing, lambda x: x.acquire(), lock_state, takes=True),
            Mutation(
                f"{cls}.acquire without waiting", make, nothing, lambda x: x.acquire(False), lock_state, takes=True
            ),
            Mutation(f"{cls}.release", make, acquired, lambda x: x.release(), lock_state, grows=False),
            Mutation(f"{cls}.mark_consistent", make, nothing, lambda x: x.mark_consistent(), lock_state, grows=False),
            Mutation(f"async with {cls}", make, nothing, asynchronously(_in_block), lock_state, takes=True),
        ]
    made.append(Mutation("RLock.acquire again", made[5].make, acquired, lambda x: x.acquire(), lock_state, takes=True))
    made.append(Mutation("Lock.aacquire", made[0].make, nothing, asynchronously(_aacquire), lock_state, takes=True))
    return made


async def _in_block(x: Any) -> None:
    async with x:
        pass


async def _aacquire(x: Any) -> Any:
    return await x.aacquire()


def _semaphores() -> list[Mutation]:
    made = []
    for cls in ("Semaphore", "BoundedSemaphore"):
        make = of_semaphore(cls)
        made += [
            Mutation(f"{cls}.acquire", make, nothing, lambda s: s.acquire(), permits, takes=True),
            Mutation(f"{cls}.release", make, acquired, lambda s: s.release(), permits, grows=False),
            Mutation(f"{cls}.aacquire", make, nothing, asynchronously(_aacquire), permits, takes=True),
        ]
    made.append(Mutation("Semaphore.release(2)", made[0].make, nothing, lambda s: s.release(2), permits, grows=False))
    return made


def _rwlocks() -> list[Mutation]:
    def make(context: Any, **options: Any) -> Any:
        return context.RWLock(**options)

    made = []
    for side in ("read", "write"):
        acquire, release = f"acquire_{side}", f"release_{side}"
        twin = f"aacquire_{side}"
        made += [
            Mutation(f"RWLock.{acquire}", make, nothing, lambda x, m=acquire: getattr(x, m)(), rw_state, takes=True),  # type: ignore[misc]
            Mutation(
                f"RWLock.{release}",
                make,
                lambda x, m=acquire: getattr(x, m)(),  # type: ignore[misc]
                lambda x, m=release: getattr(x, m)(),  # type: ignore[misc]
                rw_state,
                grows=False,
            ),
            Mutation(
                f"RWLock.{twin}",
                make,
                nothing,
                asynchronously(lambda x, m=twin: getattr(x, m)()),  # type: ignore[misc]
                rw_state,
                takes=True,
            ),
        ]
    return made


def _simple(cls: str, *args: Any) -> Callable[..., Any]:
    return lambda context, **options: getattr(context, cls)(*args, **options)


def _set_value(v: Any) -> None:
    v.value = 7


MUTATIONS: tuple[Mutation, ...] = (
    _queue("put", nothing, lambda q: q.put("x")),
    _queue("put_nowait", three_items, lambda q: q.put_nowait("x")),
    _queue("put_many", nothing, lambda q: q.put_many(["x", "y", "z"])),
    _queue("put without room", lambda q: q.put_many(range(5)), lambda q: q.put("x", False)),
    _queue("get", three_items, lambda q: q.get(), takes=True, grows=False),
    _queue("get_nowait", three_items, lambda q: q.get_nowait(), takes=True, grows=False),
    _queue("get_many", three_items, lambda q: q.get_many(2), takes=True, grows=False),
    _queue("task_done", one_taken, lambda q: q.task_done(), grows=False),
    _queue("join", nothing, lambda q: q.join(), grows=False),
    _queue("shutdown", three_items, lambda q: q.shutdown(), grows=False),
    _queue("shutdown at once", three_items, lambda q: q.shutdown(immediate=True), grows=False),
    _queue("maxsize", nothing, lambda q: setattr(q, "maxsize", 9)),
    _queue("aput", nothing, asynchronously(lambda q: q.aput("x"))),
    _queue("aput_many", nothing, asynchronously(lambda q: q.aput_many(["x", "y"]))),
    _queue("aget", three_items, asynchronously(lambda q: q.aget()), takes=True, grows=False),
    _queue("aget_many", three_items, asynchronously(lambda q: q.aget_many(2)), takes=True, grows=False),
    *_locks(),
    *_semaphores(),
    *_rwlocks(),
    Mutation("Event.set", _simple("Event"), nothing, lambda e: e.set(), event_state),
    Mutation("Event.clear", _simple("Event"), lambda e: e.set(), lambda e: e.clear(), event_state, grows=False),
    Mutation("Event.wait", _simple("Event"), lambda e: e.set(), lambda e: e.wait(), event_state),
    Mutation("Condition.acquire", _simple("Condition"), nothing, lambda c: c.acquire(), condition_state, takes=True),
    Mutation("Condition.release", _simple("Condition"), acquired, lambda c: c.release(), condition_state, grows=False),
    Mutation("Condition.notify", _simple("Condition"), acquired, lambda c: c.notify(), condition_state, grows=False),
    Mutation("Condition.wait", _simple("Condition"), acquired, lambda c: c.wait(0), condition_waits),
    Mutation("Barrier.wait", _simple("Barrier", 1), nothing, lambda b: b.wait(), barrier_state),
    Mutation("Barrier.await_", _simple("Barrier", 1), nothing, asynchronously(lambda b: b.await_()), barrier_state),
    Mutation("Barrier.abort", _simple("Barrier", 2), nothing, lambda b: b.abort(), barrier_state, grows=False),
    Mutation(
        "Barrier.reset", _simple("Barrier", 2), lambda b: b.abort(), lambda b: b.reset(), barrier_state, grows=False
    ),
    Mutation("Counter.add", _simple("Counter", 5), nothing, lambda c: c.add(3), counter_state),
    Mutation("Counter.value", _simple("Counter", 5), nothing, _set_value, counter_state),
    Mutation("Counter.exchange", _simple("Counter", 5), nothing, lambda c: c.exchange(3), counter_state),
    Mutation(
        "Counter.compare_exchange", _simple("Counter", 5), nothing, lambda c: c.compare_exchange(5, 9), counter_state
    ),
    Mutation("Counter.reset", _simple("Counter", 5), nothing, lambda c: c.reset(), counter_state),
    Mutation("Counters.add", _simple("Counters", ["a", "b"]), nothing, lambda c: c.add("b", 2), counters_state),
    Mutation(
        "Counters.__setitem__",
        _simple("Counters", ["a", "b"]),
        nothing,
        lambda c: c.__setitem__("a", 4),
        counters_state,
    ),
    Mutation("Dict.__setitem__", _simple("Dict"), three_pairs, lambda d: d.__setitem__("a", 9), dict_state),
    Mutation("Dict.__delitem__", _simple("Dict"), three_pairs, lambda d: d.__delitem__("b"), dict_state, grows=False),
    Mutation("Dict.setdefault", _simple("Dict"), three_pairs, lambda d: d.setdefault("d", 4), dict_state),
    Mutation("Dict.pop", _simple("Dict"), three_pairs, lambda d: d.pop("c"), dict_state, grows=False),
    Mutation("Dict.popitem", _simple("Dict"), three_pairs, lambda d: d.popitem(), dict_state, grows=False),
    Mutation("Dict.update", _simple("Dict"), three_pairs, lambda d: d.update(a=0, d=4), dict_state),
    Mutation("Dict.add", _simple("Dict"), three_pairs, lambda d: d.add("a", 2), dict_state),
    Mutation(
        "Dict.compare_exchange", _simple("Dict"), three_pairs, lambda d: d.compare_exchange("b", 2.5, 0), dict_state
    ),
    Mutation("Dict.clear", _simple("Dict"), three_pairs, lambda d: d.clear(), dict_state, grows=False),
    Mutation("Set.insert", _simple("Set"), three_members, lambda s: s.insert("d"), set_state),
    Mutation("Set.add", _simple("Set"), three_members, lambda s: s.add("d"), set_state),
    Mutation("Set.update", _simple("Set"), three_members, lambda s: s.update(["c", "d", "e"]), set_state),
    Mutation("Set.remove", _simple("Set"), three_members, lambda s: s.remove("b"), set_state, grows=False),
    Mutation("Set.discard", _simple("Set"), three_members, lambda s: s.discard("b"), set_state, grows=False),
    Mutation("Set.clear", _simple("Set"), three_members, lambda s: s.clear(), set_state, grows=False),
    Mutation("Array.__setitem__", an_array, nothing, lambda a: a.__setitem__((1, 2), 5), array_state),
    Mutation("Array.__setitem__ of a part", an_array, nothing, lambda a: a.__setitem__((..., 1), 5), array_state),
    Mutation("Array.__setitem__ of all", an_array, nothing, lambda a: a.__setitem__(..., 5), array_state),
    Mutation("Array.fetch_add", an_array, nothing, lambda a: a.fetch_add((0, 1), 5), array_state),
    Mutation("Array.fetch_add of a float", a_float_array, nothing, lambda a: a.fetch_add(1, 0.5), array_state),
    Mutation("Array.compare_exchange", an_array, nothing, lambda a: a.compare_exchange((0, 1), 0, 5), array_state),
    Mutation("Array.add_at", an_array, nothing, lambda a: a.add_at(([0, 0], [1, 1]), 5), array_state),
    Mutation("Array.lock.acquire", an_array, nothing, lambda a: a.lock.acquire(), array_state, takes=True),
    Mutation("Value.value", _simple("Value", "i", 5), nothing, _set_value, value_state, grows=False),
    Mutation("RawValue.value", _simple("RawValue", "d", 5), nothing, _set_value, value_state, grows=False),
)
