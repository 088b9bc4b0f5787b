"""RLock in shared memory: one thread of one process holds it; and the methods that threading.Condition needs."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_lock_children as children
from shm_waiting_children import LIMIT, crew, in_thread, until

from sharedkit import errors
from sharedkit.shm import RLock, attach


class Rung(Exception):
    pass


@contextlib.contextmanager
def rung() -> Iterator[list[int]]:
    """Within the block SIGUSR1 raises Rung and appends its number to the list."""
    rings: list[int] = []

    def ring(number: int, frame: Any) -> None:
        rings.append(number)
        raise Rung

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        yield rings
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_every_handle_of_a_process_knows_the_thread_that_holds_it() -> None:
    lock = RLock()
    again = attach(lock.name)
    with lock:
        assert again.acquire(False) is True
        assert lock._recursion_count() == again._recursion_count() == 2
        assert in_thread(again.locked)() is True
        assert in_thread(again._is_owned)() is False
        assert in_thread(lambda: again.acquire(timeout=0.01))() is False
        with pytest.raises(errors.NotLockedError):
            in_thread(again.release)()
        again.release()
    assert lock.locked() is False


def test_a_thread_that_ended_still_holds_it_and_no_new_thread_is_taken_for_it() -> None:
    lock = RLock()
    assert in_thread(lambda: lock.acquire(False))() is True
    for _ in range(20):
        assert in_thread(lambda: (lock._is_owned(), lock.acquire(False)))() == (False, False)
    assert (lock.owner, lock.statistics().count) == (os.getpid(), 1)


def test_the_next_holder_begins_to_count_anew() -> None:
    lock = RLock()
    child = multiprocessing.get_context("fork").Process(target=children.hold_and_die, args=(lock, 5))
    child.start()
    child.join(LIMIT)
    assert child.exitcode == -signal.SIGKILL
    with pytest.warns(errors.OwnerDiedWarning):
        lock.acquire()
    assert lock._recursion_count() == 1
    lock.release()
    assert lock.locked() is False


def test_acquire_restore_takes_it_as_often_as_before() -> None:
    lock = RLock()
    for _ in range(3):
        lock.acquire()
    saved = lock._release_save()
    assert lock.locked() is False
    assert lock._is_owned() is False
    with pytest.raises(RuntimeError):
        lock._release_save()
    assert in_thread(lambda: (lock.acquire(False), lock.release()))()[0] is True
    lock._acquire_restore(saved)
    assert lock._recursion_count() == 3


def test_a_handlers_exception_comes_after_the_restore_but_that_of_a_second_signal_at_once() -> None:
    lock = RLock()
    lock.acquire()
    lock.acquire()
    saved = lock._release_save()
    ready, theirs = multiprocessing.Pipe()

    def ring_when_it_waits(rings: list[int]) -> None:
        before = len(rings)
        until(lambda: lock.statistics().waiting == 1)
        os.kill(os.getpid(), signal.SIGUSR1)
        until(lambda: len(rings) == before + 1)

    with rung() as rings, crew(children.hold, lock, theirs, theirs, n=1):
        assert ready.poll(LIMIT)
        ready.recv()
        ringing = in_thread(lambda: [ring_when_it_waits(rings) for _ in range(2)])
        with pytest.raises(Rung):
            lock._acquire_restore(saved)
        ringing()
        assert lock._is_owned() is False

        def ring_and_let_go() -> None:
            ring_when_it_waits(rings)
            until(lambda: lock.statistics().waiting == 1)
            ready.send(None)

        ringing = in_thread(ring_and_let_go)
        with pytest.raises(Rung):
            lock._acquire_restore(saved)
        ringing()
        assert lock._recursion_count() == 2
