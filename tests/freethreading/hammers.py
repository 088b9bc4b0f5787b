"""Programs in which threads use one object at once, run by test_hammers.py: `hammers.py HAMMER PLACEMENT SECONDS`.

Each program prints nothing and ends with status 0. They are written for Pythons without a GIL, but pass with one too.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import importlib
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from queue import Empty, Full
from typing import Any

import numpy as np

import sharedkit as sk
from sharedkit.hashing import hash_many

THREADS = 4
LIMIT = 50.0  # seconds that a thread may take to end after it was told to

# For each structure: how to make it, and how to use it without a long wait for another thread.
USES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], object]]] = {
    "Counter": (lambda place: place.Counter(), lambda c: (c.add(1), c.value, c.exchange(3), c.statistics())),
    "striped": (lambda place: place.Counter(striped=True), lambda c: (c.add(1), c.value)),
    "Counters": (lambda place: place.Counters(["a", "b"]), lambda c: (c["a"].add(1), c["b"].value)),
    "Lock": (lambda place: place.Lock(), lambda it: it.acquire(timeout=0.01) and (it.locked(), it.release())),
    "RLock": (lambda place: place.RLock(), lambda it: it.acquire(timeout=0.01) and (it.locked(), it.release())),
    "Semaphore": (lambda place: place.Semaphore(3), lambda s: s.acquire(timeout=0.01) and s.release()),
    "BoundedSemaphore": (lambda place: place.BoundedSemaphore(3), lambda s: s.acquire(timeout=0.01) and s.release()),
    "RWLock": (
        lambda place: place.RWLock(),
        lambda it: (
            it.reader.acquire(timeout=0.01) and it.reader.release(),
            it.writer.acquire(timeout=0.01) and it.writer.release(),
        ),
    ),
    "Event": (lambda place: place.Event(), lambda e: (e.set(), e.wait(0), e.is_set(), e.clear(), e.statistics())),
    "Condition": (
        lambda place: place.Condition(),
        lambda c: c.acquire(timeout=0.01) and (c.notify_all(), c.locked(), c.release()),
    ),
    "Barrier": (lambda place: place.Barrier(1), lambda b: (b.wait(), b.n_waiting)),
    "Queue": (
        lambda place: place.Queue(),
        lambda q: (q.put(1), q.put("x" * 3000), q.put_many([2, 3]), q.get(timeout=0.01), q.get_many(2, timeout=0.01)),
    ),
    "LifoQueue": (
        lambda place: (place.LifoQueue if hasattr(place, "LifoQueue") else place.Queue)(),
        lambda q: (q.put(1), q.put(2), q.put_many([2, 3]), q.get(timeout=0.01), q.get_many(2, timeout=0.01)),
    ),
    "PriorityQueue": (
        lambda place: (place.PriorityQueue if hasattr(place, "PriorityQueue") else place.Queue)(),
        lambda q: (q.put((2, "b")), q.put((1, "a")), q.put_many([(2, "c"), (0, "d")]), q.get(timeout=0.01), q.qsize()),
    ),
    "JoinableQueue": (
        lambda place: place.JoinableQueue(),
        lambda q: (q.put(1), q.put_many([2, 3]), q.get(timeout=0.01), q.task_done(), q.get_many(2, timeout=0.01)),
    ),
    "SimpleQueue": (lambda place: place.SimpleQueue(), lambda q: (q.put(1), q.empty(), q.get(timeout=0.01))),
    "bounded Queue": (lambda place: place.Queue(2), lambda q: (q.put(1, timeout=0.01), q.get(timeout=0.01), q.qsize())),
    "Dict": (
        lambda place: place.Dict(a=1),
        lambda d: (d["a"], d.__setitem__("a", b"x" * 300), d.get((1, "b")), d.add("c"), len(d), list(d), d.pop("c", 0)),
    ),
    "Set": (
        lambda place: place.Set([1]),
        lambda s: (s.add("a"), s.insert((1, "b")), 1 in s, s.discard("a"), len(s), list(s), s.update([1, 2])),
    ),
    "Value": (
        lambda place: place.Value("i"),
        lambda v: (v.value, setattr(v, "value", 3), v.get_lock(), v.value),
    ),
    "RawValue": (lambda place: place.RawValue("d"), lambda v: (v.value, setattr(v, "value", 3))),
    "Array": (
        lambda place: place.Array(16),
        lambda a: (a.fetch_add(1, 1.0), a[3], a.ndarray.sum(), a.add_at([1, 2], 1.0), a.compare_exchange(0, 1.0, 2.0)),
    ),
}

# For each wait: how to make the structure, and a call that waits in it for a moment or gives up what it took.
WAITS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], object]]] = {
    "get": (lambda place: place.Queue(), lambda q: q.get(timeout=0.01)),
    "get_many": (lambda place: place.Queue(), lambda q: q.get_many(timeout=0.01)),
    "put": (lambda place: place.Queue(1), lambda q: (q.put(1, timeout=0.01), q.put(2, timeout=0.01))),
    "put_many": (lambda place: place.Queue(3), lambda q: q.put_many([1, 2, 3, 4], timeout=0.01)),
    "at once": (lambda place: place.Queue(2), lambda q: (q.put(1, False), q.get(False))),
    "both": (lambda place: place.Queue(), lambda q: (q.put(1), q.get(False), q.task_done())),
    "Lock": (lambda place: place.Lock(), lambda it: it.acquire(timeout=0.01)),
    "RLock": (lambda place: place.RLock(), lambda it: it.acquire(timeout=0.01)),
    "Semaphore": (lambda place: place.Semaphore(1), lambda s: s.acquire(timeout=0.01)),
    "BoundedSemaphore": (lambda place: place.BoundedSemaphore(1), lambda s: s.acquire(timeout=0.01)),
    "reader": (lambda place: place.RWLock(), lambda it: it.reader.acquire(timeout=0.01)),
    "writer": (lambda place: place.RWLock(), lambda it: it.writer.acquire(timeout=0.01)),
    "Event": (lambda place: place.Event(), lambda e: e.wait(0.01)),
    "Barrier": (lambda place: place.Barrier(THREADS + 3), lambda b: b.wait(0.01)),
}  # no condition: if it is closed while a thread waits in it, that thread leaves its lock held
CLOSED = sk.ClosedError, Empty, Full, threading.BrokenBarrierError, sk.NotLockedError


def together(seconds: float, *works: Callable[[], object]) -> None:
    """Call each of `works` again and again in a new thread until the time is over; an exception ends the program."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]


def renewed(
    seconds: float, make: Callable[[], Any], use: Callable[[Any], object], users: int, pause: float = 0
) -> None:
    """Threads use a handle while another thread closes it and makes a new one, again and again."""
    box = [make()]

    def using() -> None:
        with contextlib.suppress(*CLOSED):
            use(box[0])

    def renewing() -> None:
        time.sleep(pause)
        old, box[0] = box[0], make()
        old.close()

    together(seconds, *[using] * users, renewing)
    box[0].close()


def closing(place: Any, seconds: float) -> None:
    """A handle is closed while other threads use it."""
    for make, use in USES.values():
        renewed(seconds / len(USES), lambda make=make: make(place), use, 3)


def waiting(place: Any, seconds: float) -> None:
    """A handle is closed while other threads, more than there are cores, wait in it or contend for it."""
    for make, use in WAITS.values():
        renewed(seconds / len(WAITS), lambda make=make: make(place), use, THREADS + 2, 0.0005)


def showing(place: Any, seconds: float) -> None:
    """A handle is closed while other threads call its repr, its statistics and the like."""

    def show(handle: Any) -> None:
        repr(handle)
        handle.statistics()
        if hasattr(handle, "as_dict"):
            handle.as_dict()

    for make, _ in USES.values():
        renewed(seconds / len(USES), lambda make=make: make(place), show, 3)


def forking(place: Any, seconds: float) -> None:
    """A thread forks while other threads use the same structures by handles of their own, and close some of these.

    The child uses only `mine` and new structures. In the child of a Python without a GIL, a list, a dict or a lock that
    another thread was just changing stays locked for ever, because that thread does not exist there.
    """
    mine = {kind: make(place) for kind, (make, _) in USES.items() if kind != "Barrier"}
    names = {kind: handle.name for kind, handle in mine.items()}

    def use(handles: dict[str, Any]) -> None:
        for kind, handle in handles.items():
            with contextlib.suppress(*CLOSED):
                USES[kind][1](handle)

    def work() -> None:
        handles = {kind: place.attach(name) for kind, name in names.items()}
        for _ in range(5):
            use(handles)
        for handle in handles.values():
            handle.close()

    def fork() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's warning about forks of processes with threads
            pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(LIMIT / 2, exit=True)
            try:
                use(mine)
                use({kind: make(place) for kind, (make, _) in USES.items()})
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0, "a child failed"

    together(seconds, work, work, work, fork)


def collecting(place: Any, seconds: float) -> None:
    """The collector finds handles in cycles while other threads use those handles."""
    made = {kind: make(place) for kind, (make, _) in USES.items()}

    def use() -> None:
        for kind, (_, each) in USES.items():
            with contextlib.suppress(*CLOSED):
                each(made[kind])

    def drop() -> None:
        for kind, (make, _) in USES.items():
            cycle: list[Any] = [made[kind]]
            cycle.append(cycle)
            made[kind] = make(place)

    together(seconds, use, use, use, drop, lambda: (gc.collect(), time.sleep(0.002)))


def dropping(place: Any, seconds: float) -> None:
    """Structures are made, found by name and forgotten by all threads at once."""

    def work() -> None:
        for make, _ in USES.values():
            make(place)
        with contextlib.suppress(ValueError, FileNotFoundError):
            first = place.Counter(name="hammered", exist_ok=True)
            second = place.attach("hammered")
            first.add(1)
            assert second.value >= 1
            first.close()

    together(seconds, *[work] * THREADS)


def viewing(place: Any, seconds: float) -> None:
    """Views of an array outlive its handles."""

    def work() -> None:
        array = place.Array(1000, "i8")
        view, lock = array.ndarray, array.lock
        array.close()
        view += 1
        with lock:
            assert int(view.sum()) == 1000

    together(seconds, *[work] * THREADS)


def growing(place: Any, seconds: float) -> None:
    """A dict and a queue grow while other threads read."""
    table, queue = place.Dict(), place.Queue()
    written = [0]

    def write() -> None:
        number = written[0]
        table[number] = b"v" * (number % 700)
        queue.put_many([bytes(number % 5000)] * 3)
        written[0] = number + 1

    def read() -> None:
        number = written[0] - 1
        if number >= 0:
            assert len(table[number]) == number % 700
        if number % 64 == 0:
            assert len(table.as_dict()) >= number

    def take() -> None:
        with contextlib.suppress(Empty):
            for item in queue.get_many(timeout=0.01):
                assert not any(item)

    together(seconds, write, read, read, take)
    assert len(table) == written[0]


def counting(place: Any, seconds: float) -> None:
    """Nothing is lost or duplicated, and the holder of a lock is alone."""
    plain, striped, table, array = place.Counter(), place.Counter(striped=True), place.Dict(), place.Array(4, "i8")
    lock, rlock, queue = place.Lock(), place.RLock(), place.Queue(50)
    held, done, taken = [0, 0], [0] * THREADS, [0] * THREADS

    def work(i: int) -> None:
        plain.add(1)
        striped.add(1)
        table.add("n")
        array.add_at([0, 1], 1)
        with lock:
            held[0] += 1
        with rlock, rlock:
            held[1] += 1
        with contextlib.suppress(Full):
            queue.put((i, done[i]), timeout=0.001)
            taken[i] -= 1
        with contextlib.suppress(Empty):
            queue.get(timeout=0.001)
            taken[i] += 1
        done[i] += 1

    together(seconds, *[lambda i=i: work(i) for i in range(THREADS)])
    total = sum(done)
    assert (plain.value, striped.value, table["n"], array[0], array[1], *held) == (total,) * 7
    assert queue.qsize() == -sum(taken)


def ranking(place: Any, seconds: float) -> None:
    """Threads put and get by rank: each item comes once, and the remaining items come in order."""
    queue = place.PriorityQueue()
    put, got = [set() for _ in range(THREADS)], [set() for _ in range(THREADS)]

    def work(i: int) -> None:
        number = len(put[i])
        item = (number * 7919 % 101, i, number)
        queue.put(item)
        put[i].add(item)
        if number % 3:
            one = queue.get()
            assert one not in got[i]
            got[i].add(one)

    together(seconds, *[lambda i=i: work(i) for i in range(THREADS)])
    left = [queue.get() for _ in range(queue.qsize())]
    assert left == sorted(left)
    assert sum(map(len, got)) + len(left) == sum(map(len, put))
    assert set().union(*got, left) == set().union(*put)


def exchanging(place: Any, seconds: float) -> None:
    """Each item comes once out of every kind of queue; `join` waits for all of them and no longer."""
    kinds = [kind for kind in ("Queue", "LifoQueue", "JoinableQueue", "SimpleQueue") if hasattr(place, kind)]
    for kind in kinds:
        queue = getattr(place, kind)(8)
        put, got = [0] * THREADS, [[] for _ in range(THREADS)]

        def work(i: int, queue: Any = queue, put: list[int] = put, got: list[list[Any]] = got) -> None:
            with contextlib.suppress(Full):
                queue.put((i, put[i]), timeout=0.002)
                put[i] += 1
            with contextlib.suppress(Empty):
                got[i].append(queue.get(timeout=0.002))
                queue.task_done()

        together(seconds / len(kinds), *[lambda i=i, work=work: work(i) for i in range(THREADS)])
        left = []
        while not queue.empty():
            left.append(queue.get())
            assert queue.unfinished_tasks == queue.qsize() + 1
            queue.task_done()
        queue.join()
        assert sorted(sum(got, left)) == [(i, n) for i in range(THREADS) for n in range(put[i])]


def inserting(place: Any, seconds: float) -> None:
    """If threads insert one member at once, one is told that it was new; if they remove one at once, one succeeds."""
    group = place.Set()
    new, gone, rounds = [0] * THREADS, [0] * THREADS, [0] * THREADS

    def work(i: int) -> None:
        member = rounds[i] % 40
        rounds[i] += 1
        new[i] += group.insert(member)
        for remove in (group.pop, lambda: group.remove(member // 2)):
            with contextlib.suppress(KeyError):
                remove()
                gone[i] += 1

    together(seconds, *[lambda i=i: work(i) for i in range(THREADS)])
    assert len(group) == len(group.as_set()) == sum(new) - sum(gone)


def valuing(place: Any, seconds: float) -> None:
    """A value that is changed under its lock loses no addition; a raw value is read whole."""
    value, raw = place.Value("q"), place.RawValue("Q")
    done, wholes = [0] * THREADS, [n * 0x0101010101010101 for n in range(256)]

    def work(i: int) -> None:
        with value.get_lock():
            value.value += 1
        done[i] += 1
        raw.value = wholes[done[i] % 256]
        assert raw.value in wholes

    together(seconds, *[lambda i=i: work(i) for i in range(THREADS)])
    assert value.value == sum(done)


def looping(place: Any, seconds: float) -> None:
    """Event loops in several threads wait for the same things; some of their tasks are cancelled."""
    queue, lock, condition = place.Queue(4), place.Lock(), place.Condition(place.Lock())
    until = time.monotonic() + seconds
    put, got = [0] * THREADS, [0] * THREADS

    async def produce(i: int) -> None:
        while time.monotonic() < until:
            with contextlib.suppress(Full):
                await queue.aput(i, timeout=0.01)
                put[i] += 1
            async with lock:
                await asyncio.sleep(0)

    async def consume(i: int) -> None:
        while time.monotonic() < until:
            waiting = asyncio.ensure_future(queue.aget())
            await asyncio.wait([waiting], timeout=0.002)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
                got[i] += 1

    async def notified() -> None:
        while time.monotonic() < until:
            async with condition:
                await condition.await_(0.005)

    async def notify() -> None:
        while time.monotonic() < until:
            async with condition:
                condition.notify()
            await asyncio.sleep(0)

    async def all_of(i: int) -> None:
        await asyncio.gather(produce(i), produce(i), consume(i), consume(i), notified(), notify())

    threads = [threading.Thread(target=lambda i=i: asyncio.run(all_of(i))) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a loop hangs"
    assert queue.qsize() == sum(put) - sum(got), (queue.qsize(), sum(put), sum(got))


def calling(place: Any, seconds: float) -> None:
    """Threads submit calls to one executor, and cancel some."""
    with place.Executor(2) as executor:

        def work() -> None:
            futures = [executor.submit(pow, 2, i) for i in range(20)]
            cancelled = [future.cancel() for future in futures[::5]]
            for i, future in enumerate(futures):
                if i % 5 or not cancelled[i // 5]:
                    assert future.result(LIMIT) == 2**i

        together(seconds, *[work] * THREADS)


def hashing(place: Any, seconds: float) -> None:
    """Threads hash batches of data that they share."""
    items = [f"item {i}".encode() * (i % 50) for i in range(500)]
    column = np.arange(4000, dtype="u4")
    wanted = hash_many(items, "sha256"), hash_many(column, "xxh3_64")

    def work() -> None:
        assert np.array_equal(hash_many(items, "sha256", threads=2), wanted[0])
        assert np.array_equal(hash_many(column, "xxh3_64"), wanted[1])

    together(seconds, *[work] * THREADS)


HAMMERS = {
    each.__name__: each
    for each in (
        closing, waiting, showing, forking, collecting,
        dropping, viewing, growing, counting, ranking, exchanging, inserting, valuing, looping, calling, hashing,
    )
}  # fmt: skip


def main() -> None:
    faulthandler.enable()
    name, placement, seconds = sys.argv[1:]
    place: Any = importlib.import_module(f"sharedkit.{placement}") if placement != "manager" else None
    HAMMERS[name](sk.get_context("manager") if place is None else place, float(seconds))


if __name__ == "__main__":
    main()
