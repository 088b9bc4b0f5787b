"""Lock and RLock in shared memory: deaths, stops, forks, signals, and fairness."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_lock_children as children
from shm_waiting_children import LIMIT, crew, finish, in_thread, kill, signalled_when, start, until

from sharedkit import errors, segments
from sharedkit.shm import Array, Counter, Lock, RLock, attach

pytestmark = pytest.mark.parametrize("kind", [Lock, RLock])


@contextlib.contextmanager
def held_elsewhere(lock: Any, times: int = 1) -> Iterator[Any]:
    """A child that holds the lock; `.send(None)` lets it release."""
    ready, theirs = multiprocessing.Pipe()
    with crew(children.hold, lock, theirs, theirs, times, n=1) as (child,):
        assert ready.poll(LIMIT)
        assert ready.recv() == child.pid
        yield child, ready


def dead_owner(lock: Any, times: int = 1) -> None:
    child = start("fork", children.hold_and_die, lock, times)
    child.join(LIMIT)
    assert child.exitcode == -signal.SIGKILL


def waiting(lock: Any) -> int:
    return int(lock.statistics().waiting)


def promised(lock: Any) -> bool:
    """Whether a waiter has waited so long that it has the fairness token (in sk_mutex.h)."""
    with open(f"/dev/shm/sk_{lock.name}", "rb") as file:
        header = file.read(56)
        file.seek(int.from_bytes(header[48:56], sys.byteorder) + 8)
        return file.read(8) != bytes(8)


# --- deaths ------------------------------------------------------------------------------------------


def test_a_waiter_gets_the_lock_and_a_warning_when_the_holder_dies(kind: Any) -> None:
    lock = kind()
    with (
        held_elsewhere(lock, times=3 if kind is RLock else 1) as (child, _),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        result = in_thread(lambda: (lock.acquire(timeout=LIMIT), lock.statistics(), lock.release()))
        until(lambda: waiting(lock) == 1)
        os.kill(child.pid, signal.SIGKILL)
        taken, then, _ = result()
    assert taken is True
    assert [each.category for each in caught] == [errors.OwnerDiedWarning]
    assert (then.owner, then.count, then.owner_died, then.waiting) == (os.getpid(), 1, True, 0)
    assert (lock.locked(), lock.owner_died) == (False, False)


def test_a_lock_can_refuse_after_a_death_until_mark_consistent(kind: Any) -> None:
    lock = kind(on_owner_died="raise")
    dead_owner(lock)
    again = attach(lock.name)
    ways = (lock.acquire, lock.__enter__, lambda: lock.acquire(False), lambda: lock.acquire(timeout=1), again.acquire)
    for way in ways:
        with pytest.raises(errors.OwnerDiedError, match="mark_consistent"):
            way()
        assert lock.locked() is False
        assert lock.owner_died is True
        with pytest.raises(errors.NotLockedError):
            lock.release()
    again.mark_consistent()
    assert lock.owner_died is False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lock:
            assert lock.owner == os.getpid()


def test_mark_consistent_may_come_before_the_first_acquire_after_a_death(kind: Any) -> None:
    lock = kind(on_owner_died="raise")
    dead_owner(lock)
    lock.mark_consistent()
    assert lock.acquire(False) is True
    lock.release()


def test_mark_consistent_while_holding_it_ends_the_warnings(kind: Any) -> None:
    lock = kind()
    dead_owner(lock)
    with pytest.warns(errors.OwnerDiedWarning):
        lock.acquire()
    lock.mark_consistent()
    assert lock.owner_died is False
    assert lock.locked() is True
    lock.release()


def test_if_the_warning_is_an_error_the_next_holder_gets_the_lock(kind: Any) -> None:
    lock = kind()
    dead_owner(lock)
    for way in (lock.acquire, lock.__enter__, lambda: lock.acquire(False), lambda: lock.acquire(timeout=1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(errors.OwnerDiedWarning):
                way()
        assert lock.locked() is False
        with pytest.raises(errors.NotLockedError):
            lock.release()
    with pytest.warns(errors.OwnerDiedWarning):
        assert lock.acquire(False)
    lock.release()


def test_a_waiter_that_dies_delays_no_one_and_is_not_counted(kind: Any) -> None:
    lock = kind()
    lock.acquire()
    with crew(children.wait_for_it, lock, n=3) as processes:
        until(lambda: waiting(lock) == 3)
        until(lambda: promised(lock))
        kill(*processes)
        assert waiting(lock) == 0
        lock.release()
        result = in_thread(lambda: (lock.acquire(), lock.release()))
        assert result()[0] is True


def test_a_stopped_process_keeps_it(kind: Any) -> None:
    lock = kind()
    with held_elsewhere(lock) as (child, pipe):
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert lock.acquire(timeout=0.15) is False
            assert lock.acquire(False) is False
            assert lock.statistics().owner == child.pid
            os.kill(child.pid, signal.SIGCONT)
            pipe.send(None)
            assert lock.acquire(timeout=LIMIT) is True
    lock.release()


def test_a_stopped_waiter_delays_others_only_for_a_while(kind: Any) -> None:
    lock = kind()
    lock.acquire()
    with crew(children.wait_for_it, lock, n=1) as (child,):
        until(lambda: waiting(lock) == 1)
        until(lambda: promised(lock))
        os.kill(child.pid, signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        lock.release()
        assert in_thread(lambda: lock.acquire() and lock.release() is None)()
        os.kill(child.pid, signal.SIGCONT)
        finish(child)


# --- fairness, signals ----------------------------------------------------------------------------------


def test_no_waiter_starves_beside_threads_that_never_pause(kind: Any) -> None:
    lock, stop = kind(), Counter()
    with crew(children.hog, lock, stop, n=2) as processes:
        in_thread(lambda: [(lock.acquire(), lock.release()) for _ in range(30)])()
        stop.add()
        finish(*processes)


def test_statistics_explain_a_wait_that_timed_out(kind: Any) -> None:
    lock = kind()
    times = 2 if kind is RLock else 1
    with held_elsewhere(lock, times) as (child, _):
        assert lock.acquire(timeout=0.02) is False
        told = lock.statistics()
        assert (told.name, told.kind, told.owner, told.count) == (lock.name, kind.__name__, child.pid, times)
        assert abs(told.since - time.time()) < LIMIT
        assert set(told.attached) == {os.getpid(), child.pid}
        result = in_thread(lambda: lock.acquire(timeout=LIMIT))
        until(lambda: waiting(lock) == 1)
        (listed,) = [each for each in segments.live() if each.name == lock.name]
        many = " 2 times" if times == 2 else ""
        assert (listed.kind, listed.state) == (kind.__name__, f"locked by pid {child.pid}{many}, 1 waiting")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kill(child)
            assert result()


def test_a_signal_ends_a_wait_and_leaves_nothing_behind(kind: Any) -> None:
    lock = kind()
    with held_elsewhere(lock) as (_, pipe):
        for way in (lock.acquire, lock.__enter__, lambda: lock.acquire(timeout=LIMIT)):
            with signalled_when(lambda: waiting(lock) == 1), pytest.raises(KeyboardInterrupt):
                way()
            assert waiting(lock) == 0
        pipe.send(None)
        assert lock.acquire(timeout=LIMIT)
    lock.release()


# --- processes -----------------------------------------------------------------------------------------------


def test_the_child_of_a_fork_does_not_hold_what_its_parent_holds(kind: Any) -> None:
    lock, parent = kind(), os.getpid()
    with lock:
        pid = os.fork()
        if pid == 0:
            good = lock.owner == parent and not lock.acquire(timeout=0.05)
            if kind is RLock:
                good = good and not lock._is_owned() and lock._recursion_count() == 0
                try:
                    lock.release()
                except errors.NotLockedError:
                    pass
                else:
                    good = False
            os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert lock.owner == parent
    assert lock.locked() is False


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_it_travels_and_excludes(kind: Any, method: str) -> None:
    lock = kind()
    with Array(2, "i8") as counts:
        finish(*[start(method, children.increment, lock, counts, 1000) for _ in range(3)])
        assert counts[:].tolist() == [3000, 3000]
    assert (lock.locked(), lock.owner_died) == (False, False)


def test_a_pickled_lock_is_the_same_lock(kind: Any) -> None:
    lock = kind()
    again = pickle.loads(pickle.dumps(lock))
    assert type(again) is kind
    with again:
        assert lock.owner == os.getpid()
        assert in_thread(lambda: lock.acquire(False))() is False


def test_a_name_is_opened_only_with_equal_arguments(kind: Any) -> None:
    with contextlib.closing(kind(name="test-locks", on_owner_died="raise")) as lock:
        with pytest.raises(FileExistsError):
            kind(name="test-locks", on_owner_died="raise")
        for different in ({}, {"on_owner_died": "raise", "seats": 7}):
            with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
                kind(name="test-locks", exist_ok=True, **different)
        other = RLock if kind is Lock else Lock
        with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
            other(name="test-locks", exist_ok=True, on_owner_died="raise")
        with lock, contextlib.closing(kind(name="test-locks", exist_ok=True, on_owner_died="raise")) as again:
            assert again.owner == os.getpid()
        with contextlib.closing(attach("test-locks")) as again:
            assert type(again) is kind
    assert not Path("/dev/shm/sk_test-locks").exists()


def test_it_persists_when_asked_to(kind: Any) -> None:
    lock = kind(name="test-locks-stay", persist=True)
    try:
        dead_owner(lock)
        lock.close()
        again = attach("test-locks-stay")
        with pytest.warns(errors.OwnerDiedWarning):
            assert again.acquire(False)
        again.release()
    finally:
        segments.remove("test-locks-stay", force=True)


def test_nothing_but_close_works_after_close(kind: Any) -> None:
    lock = kind()
    lock.close()
    lock.close()
    uses = (lock.acquire, lock.release, lock.locked, lock.statistics, lock.mark_consistent, lock.__enter__)
    for use in uses:
        with pytest.raises(errors.ClosedError):
            use()
    for read in ("owner", "owner_died", "name"):
        with pytest.raises(errors.ClosedError):
            getattr(lock, read)
    assert "closed" in repr(lock)


def test_threadings_condition_takes_it(kind: Any) -> None:
    condition = threading.Condition(kind())
    came: list[bool] = []

    def wait() -> None:
        with condition:
            came.append(condition.wait(LIMIT))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    while not came:
        with condition:
            condition.notify()
    thread.join(LIMIT)
    assert came == [True]
