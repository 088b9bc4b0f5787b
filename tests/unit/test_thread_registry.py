"""Names in one process: races, garbage collection, and forks."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings

import pytest

from sharedkit.thread import Counter, Queue, attach, registry


def _make(name: str, barrier: threading.Barrier, won: list[Counter], lost: list[FileExistsError]) -> None:
    barrier.wait(60)
    try:
        won.append(Counter(name=name))
    except FileExistsError as error:
        lost.append(error)


def test_one_of_many_threads_that_make_one_name_wins() -> None:
    for round_ in range(20):
        won: list[Counter] = []
        lost: list[FileExistsError] = []
        args = (f"race-{round_}", threading.Barrier(4), won, lost)
        threads = [threading.Thread(target=_make, args=args) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(won), len(lost)) == (1, 3)


def test_all_threads_that_open_one_name_at_once_share_it() -> None:
    handles: list[Counter] = []

    def open_and_add() -> None:
        handle = Counter(name="shared-by-threads", exist_ok=True)
        handle.add(1)
        handles.append(handle)

    with Counter(name="shared-by-threads") as first:
        threads = [threading.Thread(target=open_and_add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert first.value == 8
    for handle in handles:
        handle.close()
    with pytest.raises(FileNotFoundError):
        attach("shared-by-threads")


def test_threads_that_ask_at_once_for_the_name_of_an_unnamed_structure_get_the_same_name() -> None:
    """If each thread chose a name, `unlink` would remove only the last; the others would still lead to it."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            counter, names, barrier = Counter(), set[str](), threading.Barrier(4)

            def ask(counter: Counter = counter, names: set[str] = names, barrier: threading.Barrier = barrier) -> None:
                barrier.wait(60)
                names.add(counter.name)

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert names == {counter.name}
    finally:
        sys.setswitchinterval(interval)


def test_a_segment_knows_whether_its_name_leads_to_it() -> None:
    counter = Counter()
    assert not counter._segment().named
    name = counter.name
    assert counter._segment().named
    counter.unlink()
    assert not counter._segment().named
    other = Counter(name=name)
    assert other._segment().named
    assert not counter._segment().named


def test_a_waiting_thread_keeps_its_structure_alive() -> None:
    q: Queue[str] = Queue(name="waited-for")
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(attach("waited-for").get()), daemon=True)
    thread.start()
    while not q.statistics().waiting_getters:
        assert thread.is_alive()
    q.close()
    del q
    gc.collect()
    with attach("waited-for") as again:
        again.put("item")
        thread.join(60)
    assert got == ["item"]


def test_a_fork_while_a_thread_uses_the_registry_does_not_harm_the_child() -> None:
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with registry._lock:
            held.set()
            let_go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads is what this tests
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.setitimer(signal.ITIMER_REAL, 30)
            with Counter(name="in the child") as c:
                status = 0 if c.add(2) == 2 else 1
        finally:
            os._exit(status)
    let_go.set()
    thread.join(60)
    assert os.waitpid(pid, 0)[1] == 0
