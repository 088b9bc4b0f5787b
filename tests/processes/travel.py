"""Programs that pass handles to other processes; run by test_start_methods.py as  travel.py SCENARIO METHOD.

Each must end by itself, print nothing, and leave nothing in shared memory.
"""

import gc
import multiprocessing
import os
import pickle
import sys
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from sharedkit import errors, segments, shm

PATIENCE = 60.0
kept: Any = None


def is_there(name: str) -> bool:
    return (Path("/dev/shm") / segments.shared_memory_name(name)).exists()


def use(counter: Any, queue: Any, times: int = 10) -> None:
    for i in range(times):
        counter.add(1)
        queue.put((os.getpid(), i))


def check(counter: Any, queue: Any, pids: set[int], times: int = 10) -> None:
    assert counter.value == times * len(pids), counter.value
    taken = [queue.get(timeout=PATIENCE) for _ in range(times * len(pids))]
    assert {pid for pid, _ in taken} == pids
    for pid in pids:
        assert [i for who, i in taken if who == pid] == list(range(times))
    assert queue.empty()


def ended(process: Any) -> None:
    process.join(PATIENCE)
    assert process.exitcode == 0, process.exitcode


# --- the ways to a child ------------------------------------------------------------------------------


def as_argument(ctx: BaseContext) -> None:
    counter, queue = shm.Counter(), shm.Queue[Any]()
    started = [ctx.Process(target=use, args=(counter, queue)) for _ in range(2)]  # type: ignore[attr-defined]
    for each in started:
        each.start()
    for each in started:
        ended(each)
    check(counter, queue, {each.pid for each in started})


def take_from_ours(first: Any) -> None:
    counter, queue = first.get(timeout=PATIENCE)
    use(counter, queue)
    first.task_done()


def through_our_queue(ctx: BaseContext) -> None:
    first, counter, queue = shm.Queue[Any](), shm.Counter(), shm.Queue[Any]()
    child = ctx.Process(target=take_from_ours, args=(first,))  # type: ignore[attr-defined]
    child.start()
    first.put((counter, queue))
    ended(child)
    first.join()
    check(counter, queue, {child.pid})


def take_from_theirs(first: Any, second: Connection) -> None:
    counter = first.get()
    use(counter, second.recv())


def through_their_queue_and_pipe(ctx: BaseContext) -> None:
    first, (here, there) = ctx.Queue(), ctx.Pipe()
    counter, queue = shm.Counter(), shm.Queue[Any]()
    child = ctx.Process(target=take_from_theirs, args=(first, there))  # type: ignore[attr-defined]
    child.start()
    first.put(counter)
    here.send(queue)
    ended(child)
    first.close()
    first.join_thread()
    check(counter, queue, {child.pid})


def task(counter: Any, queue: Any) -> int:
    use(counter, queue)
    return os.getpid()


def by_submit(ctx: BaseContext) -> None:
    counter, queue = shm.Counter(), shm.Queue[Any]()
    with ProcessPoolExecutor(1, mp_context=ctx) as pool:
        told = [pool.submit(task, counter, queue) for _ in range(4)]
        pids = [each.result(PATIENCE) for each in told]
    assert counter.value == 40 and queue.qsize() == 40
    assert os.getpid() not in pids
    queue.get_many()


def keep(*handles: Any) -> None:
    global kept
    kept = handles


def use_kept(_: object = None) -> int:
    use(*kept)
    return os.getpid()


def by_initializer(ctx: BaseContext) -> None:
    counter, queue = shm.Counter(), shm.Queue[Any]()
    with ProcessPoolExecutor(1, mp_context=ctx, initializer=keep, initargs=(counter, queue)) as pool:
        for each in [pool.submit(use_kept) for _ in range(4)]:
            each.result(PATIENCE)
    with ctx.Pool(1, keep, (counter, queue)) as other:
        other.map_async(use_kept, range(4)).get(PATIENCE)
        other.close()
        other.join()
    assert counter.value == 80 and queue.qsize() == 80
    queue.get_many()


def use_and_tell(counter: Any, queue: Any, told: Connection) -> None:
    use(counter, queue)
    told.recv()  # by now the parent has closed its handles
    told.send((counter.value, queue.qsize(), counter.name, counter.statistics().attached))
    told.recv()


def dropped_right_after_start(ctx: BaseContext) -> None:
    here, there = ctx.Pipe()
    counter, queue = shm.Counter(), shm.Queue[Any]()
    child = ctx.Process(target=use_and_tell, args=(counter, queue, there))  # type: ignore[attr-defined]
    child.start()
    name = counter.name
    counter.close()
    queue.close()
    del counter, queue
    gc.collect()
    here.send(None)
    assert here.poll(PATIENCE)
    assert here.recv() == (10, 10, name, (child.pid,))
    assert is_there(name)
    here.send(None)
    ended(child)
    assert not is_there(name)


def use_group(it: Any, one: Any) -> None:
    it["ok"] += 2
    one.add(3)


def one_counter_of_a_group(ctx: BaseContext) -> None:
    group = shm.Counters(["ok", "failed"])
    child = ctx.Process(target=use_group, args=(group, group["failed"]))  # type: ignore[attr-defined]
    child.start()
    ended(child)
    assert group.as_dict() == {"ok": 2, "failed": 3}


# --- many at once -------------------------------------------------------------------------------------


def race(name: str, exist_ok: bool, barrier: Any, told: Any, held: Any) -> None:
    barrier.wait(PATIENCE)
    try:
        counter = shm.Counter(name=name, exist_ok=exist_ok)
    except FileExistsError:
        told.put("exists")
    else:
        counter.add(1)
        told.put("in")
    held.wait(PATIENCE)  # keep the handle until all have tried


def race_to_create(ctx: BaseContext) -> None:
    rounds, n = (5, 8) if ctx.get_start_method() == "fork" else (1, 3)
    for round_ in range(rounds):
        for exist_ok in (False, True):
            name = f"race-{os.getpid()}-{round_}-{exist_ok}"
            barrier, held, told = ctx.Barrier(n), ctx.Event(), ctx.Queue()
            with_all = (name, exist_ok, barrier, told, held)
            racers = [ctx.Process(target=race, args=with_all) for _ in range(n)]  # type: ignore[attr-defined]
            for each in racers:
                each.start()
            answers = [told.get(timeout=PATIENCE) for _ in racers]
            with segments.attach(name) as counter:
                assert counter.value == answers.count("in") == (n if exist_ok else 1), answers
            held.set()
            for each in racers:
                ended(each)
            assert not is_there(name)


# --- in flight ----------------------------------------------------------------------------------------


def nothing_keeps_a_plain_pickle_alive(ctx: BaseContext) -> None:
    queue = shm.Queue[Any]()
    name, raw = queue.name, pickle.dumps(queue)
    twin = pickle.loads(raw)
    twin.put(1)
    assert queue.get(timeout=PATIENCE) == 1
    queue.close()
    assert is_there(name)  # the twin keeps it alive
    twin.close()
    assert not is_there(name)
    try:
        pickle.loads(raw)
    except errors.GoneError as why:
        assert isinstance(why, FileNotFoundError) and name in str(why) and "persist=True" in str(why)
    else:
        raise AssertionError("it should be gone")


def another_of_the_same_name_is_not_taken_for_it(ctx: BaseContext) -> None:
    name = f"twice-{os.getpid()}"
    with shm.Counter(1, name=name) as first:
        raw = pickle.dumps(first)
    for make in (lambda: shm.Counter(2, name=name), lambda: shm.Queue(name=name)):
        with make():
            try:
                other = pickle.loads(raw)
            except errors.GoneError:
                pass
            else:
                raise AssertionError(f"opened another: {other}")


def persistent_until_unlinked(ctx: BaseContext) -> None:
    queue = shm.Queue[Any](persist=True)
    queue.put("kept")
    name, raw = queue.name, pickle.dumps(queue)
    queue.close()
    gc.collect()
    assert is_there(name) and name not in segments.sweep()
    child = ctx.Process(target=pickle.loads, args=(raw,))  # type: ignore[attr-defined]
    child.start()
    ended(child)
    again = pickle.loads(raw)
    assert again.get(timeout=PATIENCE) == "kept"
    again.unlink()
    assert not is_there(name)
    again.put("who is in goes on")
    assert again.get(timeout=PATIENCE) == "who is in goes on"
    try:
        segments.attach(name)
    except FileNotFoundError:
        pass
    else:
        raise AssertionError("it has no name")


# --- raw forks, and threads ------------------------------------------------------------------------------


def threads_work_while_their_process_forks(ctx: BaseContext) -> None:
    counter, queue = shm.Counter(), shm.Queue[Any](100)
    stop, done = threading.Event(), [0, 0]

    def put() -> None:
        while not stop.is_set():
            queue.put(done[0])
            done[0] += 1
            counter.add(1)

    def get() -> None:
        while True:
            item = queue.get(timeout=PATIENCE)
            if item == "end":
                return
            if isinstance(item, int):
                assert item == done[1]
                done[1] += 1

    workers = [threading.Thread(target=put, daemon=True), threading.Thread(target=get, daemon=True)]
    for each in workers:
        each.start()
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                counter.add(1000)
                queue.put("from a child", timeout=PATIENCE)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    workers[0].join(PATIENCE)
    queue.put("end")
    workers[1].join(PATIENCE)
    assert not any(each.is_alive() for each in workers)
    assert counter.value == 20_000 + done[0] and done[0] == done[1] > 0
    assert counter.statistics().attached == (os.getpid(),)


def what_a_thread_alone_holds_survives_the_fork(ctx: BaseContext) -> None:
    """The child's interpreter drops what other threads held before it runs hooks; that must not free our seat."""
    local, ready, go = threading.local(), threading.Event(), threading.Event()
    name, found = f"local-{os.getpid()}", []

    def hold() -> None:
        local.counter = shm.Counter(3, name=name)
        ready.set()
        go.wait(PATIENCE)
        found.append((is_there(name), local.counter.statistics().attached))

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(PATIENCE)
    pid = os.fork()
    if pid == 0:
        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    assert is_there(name)
    assert os.getpid() in next(each.attached for each in segments.live() if each.name == name)
    go.set()
    thread.join(PATIENCE)
    assert found == [(True, (os.getpid(),))]


SCENARIOS = {name: each for name, each in list(globals().items()) if callable(each) and not name.startswith("_")}

if __name__ == "__main__":
    # a fork of a process with threads is what these scenarios test
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    try:
        SCENARIOS[sys.argv[1]](multiprocessing.get_context(sys.argv[2]))
    except BaseException:
        for left in multiprocessing.active_children():
            left.kill()  # otherwise multiprocessing would wait for them
        raise
