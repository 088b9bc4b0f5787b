"""The lock of an array in shared memory: threading's rules; deaths, stops, forks and signals."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))

import shm_array_children as children

from sharedkit import errors
from sharedkit.shm import Array, attach
from sharedkit.shm._lock import Lock

LIMIT = children.LIMIT


@pytest.fixture
def array() -> Iterator[Array]:
    with Array(4, "i8") as a:
        yield a


@contextlib.contextmanager
def held_elsewhere(lock: Lock) -> Iterator[Any]:
    """A child that holds the lock; `.send(None)` lets it release. If it still runs at the end, it is killed."""
    ready, theirs = multiprocessing.Pipe()
    child = children.start("fork", children.take_and_tell, lock, theirs, theirs)
    try:
        assert ready.poll(LIMIT)
        assert ready.recv() == child.pid
        yield child, ready
    finally:
        child.kill()
        child.join()


def dead_owner(lock: Lock) -> None:
    child = children.start("fork", children.take_and_die, lock)
    child.join(LIMIT)
    assert child.exitcode == -signal.SIGKILL


# --- threading's rules ------------------------------------------------------------------------------------


def test_arguments_are_checked_as_in_threading(array: Array) -> None:
    lock = array.lock
    for arguments in [(False, 0), (False, 1), (True, -2), (True, -0.5), (True, float("nan"))]:
        with pytest.raises(ValueError):
            lock.acquire(*arguments)
    for far in (1e100, threading.TIMEOUT_MAX + 1, float("inf")):
        with pytest.raises(OverflowError):
            lock.acquire(True, far)
    for wrong in ("1", [], 1j):
        with pytest.raises(TypeError):
            lock.acquire(True, wrong)  # type: ignore[arg-type]
    assert not lock.locked()
    for arguments in [
        (),
        (True, None),
        (False, None),
        (False, -1),
        (1, -1.0),
        (True, threading.TIMEOUT_MAX),
        (True, 0),
    ]:
        assert lock.acquire(*arguments) is True
        lock.release()


def test_releasing_an_unlocked_lock_is_both_errors_of_the_standard_library(array: Array) -> None:
    for family in (RuntimeError, ValueError, errors.NotLockedError):
        with pytest.raises(family, match="release unlocked lock"):
            array.lock.release()
    assert array.lock.acquire(False)
    array.lock.release()


def test_its_repr_has_threadings_form(array: Array) -> None:
    pattern = r"<(locked|unlocked) [\w.]*\.Lock object (owner=\w+ name='\w+' )at 0x[0-9a-f]+>"
    told = re.fullmatch(pattern, repr(array.lock))
    assert told is not None and told[1] == "unlocked"
    with array.lock:
        told = re.fullmatch(pattern, repr(array.lock))
        assert told is not None and told[1] == "locked"
        assert f"owner={os.getpid()} " in repr(array.lock)


def test_it_belongs_to_its_array_but_outlives_its_handle(array: Array) -> None:
    lock = array.lock
    assert lock is array.lock
    assert weakref.ref(lock)() is lock
    name = array.name
    lock.acquire()
    array.close()
    assert lock.locked()
    with attach(name) as again:
        assert again.lock.locked()
        lock.release()
        assert not again.lock.locked()
    lock.close()
    for use in (
        lock.acquire,
        lock.release,
        lock.locked,
        lock.__enter__,
        lambda: lock.owner,
        lambda: pickle.dumps(lock),
    ):
        with pytest.raises(errors.ClosedError):
            use()  # type: ignore[operator]
    assert "closed" in repr(lock)
    gc.collect()
    assert not Path(f"/dev/shm/sk_{name}").exists()


def test_two_handles_of_one_process_share_one_lock(array: Array) -> None:
    with attach(array.name) as again:
        with array.lock:
            assert again.lock.acquire(False) is False
            assert again.lock.acquire(timeout=0.01) is False
        assert again.lock.acquire(False) is True
        array.lock.release()
        assert again.lock.locked() is False


def test_a_pickled_lock_is_the_same_lock(array: Array) -> None:
    again = pickle.loads(pickle.dumps(array.lock))
    assert type(again) is Lock
    with again:
        assert array.lock.locked()


@pytest.mark.parametrize("polling", [False, True])
def test_threads_exclude_each_other(array: Array, polling: bool) -> None:
    array._segment().polling = polling
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        for i in range(400):
            with array.lock:
                inside += 1
                most = max(most, inside)
                seen = int(array[0])
                if i % 40 == 0:
                    time.sleep(0)  # let other threads contend for the lock
                array[0] = seen + 1
                inside -= 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert (most, int(array[0])) == (1, 1600)


# --- between processes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_plain_increments_under_the_lock_are_exact(array: Array, method: str) -> None:
    children.finish(*[children.start(method, children.increment_under_lock, array, 4000) for _ in range(3)])
    assert np.asarray(array).tolist() == [12000, 12000, 0, 0]
    assert array.lock.owner_died is False


def test_polling_and_sleeping_processes_may_meet_on_one_lock(array: Array) -> None:
    other = children.start("fork", children.increment_under_lock, array, 3000)
    array._segment().polling = True
    children.increment_under_lock(array, 3000)
    children.finish(other)
    assert array[0] == array[1] == 6000


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_lock_can_be_passed_without_its_array(array: Array, method: str) -> None:
    work = children.increment_under_a_lock_of_its_own
    children.finish(*[children.start(method, work, array.lock, array, 500) for _ in range(2)])
    assert array[0] == 1000


def test_after_a_timeout_the_holder_is_known(array: Array) -> None:
    assert array.lock.owner is None
    with held_elsewhere(array.lock) as (child, pipe):
        assert array.lock.acquire(timeout=0.05) is False
        assert array.lock.owner == child.pid
        assert array.statistics().lock_owner == child.pid
        assert array.lock.acquire(False) is False
        pipe.send(None)
        assert array.lock.acquire(timeout=LIMIT)
        assert array.lock.owner == os.getpid()
        array.lock.release()


def test_another_process_may_release_it(array: Array) -> None:
    array.lock.acquire()
    children.finish(children.start("fork", children.release_it, array.lock))
    assert array.lock.locked() is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert array.lock.acquire(False)
    array.lock.release()


def test_the_child_of_a_fork_does_not_hold_what_its_parent_holds(array: Array) -> None:
    parent = os.getpid()
    with array.lock:
        pid = os.fork()
        if pid == 0:
            good = array.lock.owner == parent and array.lock.locked() and not array.lock.acquire(timeout=0.05)
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert array.lock.owner == parent


# --- deaths ------------------------------------------------------------------------------------------------------


def test_the_next_holder_takes_over_from_the_dead_and_is_warned(array: Array) -> None:
    lock = array.lock
    dead_owner(lock)
    assert lock.locked() is False
    assert lock.owner is None
    with pytest.warns(errors.OwnerDiedWarning, match=array.name):
        assert lock.acquire(timeout=LIMIT) is True
    assert lock.owner_died is True
    assert lock.locked() is True
    lock.release()
    assert lock.owner_died is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lock:
            assert lock.owner_died is False


@pytest.mark.parametrize("arguments", [(), (False,), (True, 0), (True, 0.001), (True, None)], ids=str)
def test_every_way_to_acquire_takes_over_from_the_dead(array: Array, arguments: tuple[Any, ...]) -> None:
    dead_owner(array.lock)
    with pytest.warns(errors.OwnerDiedWarning):
        assert array.lock.acquire(*arguments) is True
    array.lock.release()
    dead_owner(array.lock)
    with pytest.warns(errors.OwnerDiedWarning), array.lock:
        assert array.lock.owner_died


def test_a_waiter_gets_the_lock_when_the_holder_dies(array: Array) -> None:
    told: list[Any] = []

    def wait() -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            told.append(array.lock.acquire(timeout=LIMIT))
            told.extend(each.category for each in caught)

    with held_elsewhere(array.lock) as (child, _):
        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        os.kill(child.pid, signal.SIGKILL)
        thread.join(LIMIT)  # before the child is reaped: a zombie's lock is free
    assert told == [True, errors.OwnerDiedWarning]
    array.lock.release()


def test_a_second_death_while_cleaning_up_is_reported_too(array: Array) -> None:
    dead_owner(array.lock)
    child = children.start("fork", children.die_in_the_second_hand, array.lock)
    child.join(LIMIT)
    assert child.exitcode == -signal.SIGKILL
    with pytest.warns(errors.OwnerDiedWarning):
        array.lock.acquire()
    array.lock.release()


def test_if_the_warning_is_an_error_the_next_holder_gets_the_lock_and_the_warning(array: Array) -> None:
    dead_owner(array.lock)
    for way in (array.lock.acquire, array.lock.__enter__, lambda: array.lock.acquire(False)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(errors.OwnerDiedWarning):
                way()  # type: ignore[operator]
        assert array.lock.locked() is False
    with pytest.warns(errors.OwnerDiedWarning):
        assert array.lock.acquire(False)
    array.lock.release()
    assert array.lock.owner_died is False


def test_if_a_dead_processs_lock_is_merely_released_its_death_is_still_reported(array: Array) -> None:
    dead_owner(array.lock)
    array.lock.release()
    with pytest.warns(errors.OwnerDiedWarning):
        assert array.lock.acquire(False)
    array.lock.release()


def test_a_stopped_process_keeps_its_lock(array: Array) -> None:
    with held_elsewhere(array.lock) as (child, pipe):
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert array.lock.acquire(timeout=0.2) is False
            assert array.lock.acquire(False) is False
            assert array.lock.owner == child.pid
            os.kill(child.pid, signal.SIGCONT)
            pipe.send(None)
            assert array.lock.acquire(timeout=LIMIT) is True
    array.lock.release()


# --- signals and the GIL ------------------------------------------------------------------------------------------


def test_a_signal_ends_a_wait(array: Array) -> None:
    class Rung(Exception):
        pass

    def ring(number: int, frame: Any) -> None:
        raise Rung

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with held_elsewhere(array.lock):
            for way in (array.lock.acquire, array.lock.__enter__, lambda: array.lock.acquire(timeout=LIMIT)):
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                with pytest.raises(Rung):
                    way()  # type: ignore[operator]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_waiting_lets_other_threads_run(array: Array) -> None:
    got = threading.Event()
    array.lock.acquire()

    def wait() -> None:
        if array.lock.acquire(timeout=LIMIT):
            got.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    for _ in range(20_000):  # would not finish if the waiter kept the GIL
        assert not got.is_set()
    array.lock.release()
    assert got.wait(LIMIT)
    array.lock.release()
    thread.join(LIMIT)
