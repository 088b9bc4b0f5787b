"""The lock for many readers or one writer: exclusion, order, deaths, signals, names."""

from __future__ import annotations

import os
import pickle
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_waiting_children as children

from sharedkit import errors, segments
from sharedkit.shm import Array, Counter, RWLock, attach


@pytest.fixture
def lock() -> Iterator[RWLock]:
    with RWLock() as made:
        yield made


# --- exclusion --------------------------------------------------------------------------------------------


def test_many_read_and_one_writes(lock: RWLock) -> None:
    assert lock.acquire_read()
    assert lock.acquire_read(False)
    assert not lock.acquire_write(blocking=False)
    assert not lock.acquire_write(timeout=0.01)
    assert lock.acquire_read(timeout=60)  # a writer that gave up excludes no one
    for _ in range(3):
        lock.release_read()
    with pytest.raises(errors.NotLockedError):
        lock.release_read()
    assert lock.acquire_write(block=False)
    assert not lock.acquire_write(False)
    assert not lock.acquire_read(timeout=0.01)
    lock.release_write()
    for use in (lock.release_write, lock.writer.release, lock.reader.release):
        with pytest.raises(RuntimeError):
            use()


def test_the_two_sides_have_the_interface_of_a_lock(lock: RWLock) -> None:
    assert not lock.reader.locked()
    assert not lock.writer.locked()
    with lock.reader as taken:
        assert taken is True
        assert lock.reader.locked()
        assert not lock.writer.acquire(False)
        assert not lock.writer.locked()
    with lock.writer:
        assert lock.writer.locked()
        assert not lock.reader.acquire(timeout=0)
        assert not lock.reader.locked()
    for side in (lock.reader, lock.writer):
        for arguments in [(False, 1), (True, -2), (True, float("nan"))]:
            with pytest.raises(ValueError):
                side.acquire(*arguments)
        with pytest.raises(OverflowError):
            side.acquire(True, 1e100)
        copy = pickle.loads(pickle.dumps(side))
        with copy:
            assert side.locked()
        assert not side.locked()


def test_a_waiting_writer_goes_before_new_readers(lock: RWLock) -> None:
    lock.acquire_read()
    writer = children.in_thread(lock.acquire_write)
    children.until(lambda: lock.statistics().waiting_writers == 1)
    assert not lock.acquire_read(False)
    reader = children.in_thread(lock.acquire_read)
    children.until(lambda: lock.statistics().waiting_readers == 1)
    lock.release_read()
    assert writer() is True
    assert lock.statistics().writer == os.getpid()
    lock.release_write()
    assert reader() is True
    assert lock.statistics().readers == {os.getpid(): 1}


def test_threads_see_only_whole_writes(lock: RWLock) -> None:
    with Array(2, "i8") as pair:
        results = [children.in_thread(lambda: children.read_and_write(lock, pair, 400)) for _ in range(4)]
        for result in results:
            result()
        assert list(pair) == [400, 400]


def test_its_repr_and_statistics(lock: RWLock) -> None:
    assert repr(lock).startswith("<unlocked sharedkit.RWLock object")
    with lock.reader:
        assert repr(lock).startswith("<read by 1 sharedkit.RWLock")
    with lock.writer:
        assert repr(lock).startswith(f"<written by {os.getpid()} sharedkit.RWLock")
        assert lock.statistics().since is not None
    reader = lock.reader
    lock.close()
    lock.close()
    assert "closed" in repr(lock)
    for use in (
        lock.acquire_read,
        lock.acquire_write,
        lock.release_read,
        lock.release_write,
        reader.acquire,
        reader.locked,
    ):
        with pytest.raises(errors.ClosedError):
            use()


# --- processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_see_only_whole_writes(lock: RWLock, method: str) -> None:
    with Array(2, "i8") as pair, children.crew(children.read_and_write, lock, pair, 800, n=2, method=method) as crew:
        children.read_and_write(lock, pair, 800)
        children.finish(*crew)
        assert list(pair) == [600, 600]


def test_the_side_of_a_dead_reader_is_free(lock: RWLock) -> None:
    with Counter() as holds, Counter() as done:
        for turn in range(6):
            with children.crew(children.hold, lock, "reader", holds, n=2) as crew:
                children.until(lambda: len(lock.statistics().readers) == 2)
                if turn % 2:  # a writer already waits for both readers
                    writer = children.start("fork", children.take_once, lock, "writer", done)
                    children.until(lambda: lock.statistics().waiting_writers == 1)
                    children.kill(*crew)
                    children.finish(writer)
                else:
                    children.kill(*crew)
                    assert lock.acquire_write(timeout=children.LIMIT)
                    lock.release_write()
        assert not lock.owner_died


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_after_a_writers_death_all_are_warned_until_one_has_written(lock: RWLock, side: str) -> None:
    with Counter() as holds, children.crew(children.hold, lock, "writer", holds, n=1) as crew:
        children.until(lambda: holds.value == 1)
        waiter = children.in_thread(lambda: getattr(lock, side).acquire())
        children.until(lambda: lock.statistics().waiting_readers + lock.statistics().waiting_writers == 1)
        with warnings.catch_warnings(record=True) as given:
            warnings.simplefilter("always")
            children.kill(*crew)
            assert waiter() is True
        assert [each.category for each in given] == [errors.OwnerDiedWarning]
    assert lock.owner_died
    getattr(lock, side).release()
    if side == "reader":
        for _ in range(2):
            with pytest.warns(errors.OwnerDiedWarning), lock.reader:
                assert lock.owner_died
        with pytest.warns(errors.OwnerDiedWarning), lock.writer:
            pass
    assert not lock.owner_died
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lock.reader:
            pass


def test_if_the_warning_is_an_error_nothing_is_held(lock: RWLock) -> None:
    with Counter() as holds, children.crew(children.hold, lock, "writer", holds, n=1) as crew:
        children.until(lambda: holds.value == 1)
        children.kill(*crew)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for side in (lock.reader, lock.writer, lock.reader):
            with pytest.raises(errors.OwnerDiedWarning):
                side.acquire()
            assert not side.locked()
    assert lock.owner_died


def test_random_kills_never_leave_a_waiter_waiting(lock: RWLock) -> None:
    rng = random.Random(9)
    with Array(2, "i8") as pair, Counter() as done:
        for turn in range(25):
            done.reset()
            with children.crew(children.hold, lock, rng.choice(["reader", "writer"]), done, n=3) as crew:
                if turn % 3:
                    children.until(lambda: done.value > 0)
                children.kill(*crew)
            done.reset()
            with children.crew(children.take_once, lock, rng.choice(["reader", "writer"]), done, n=2) as crew:
                children.finish(*crew)
            assert done.value == 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            children.read_and_write(lock, pair, 4)


def test_a_child_of_a_fork_holds_nothing(lock: RWLock) -> None:
    for side in (lock.reader, lock.writer):
        with side:
            pid = os.fork()
            if pid == 0:
                try:
                    side.release()
                except errors.NotLockedError:
                    os._exit(7)
                finally:
                    os._exit(8)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
            assert side.locked()


# --- signals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["reader", "writer"])
def test_ctrl_c_ends_a_wait_and_leaves_nothing_behind(lock: RWLock, side: str) -> None:
    other = lock.writer if side == "reader" else lock.reader
    other.acquire()

    def waits() -> bool:
        snapshot = lock.statistics()
        return snapshot.waiting_readers + snapshot.waiting_writers == 1

    with children.signalled_when(waits), pytest.raises(KeyboardInterrupt):
        getattr(lock, side).acquire()
    assert not waits()
    other.release()
    with lock.reader:
        pass
    with lock.writer:
        pass
    assert not lock.owner_died


# --- names ------------------------------------------------------------------------------------------------


def test_by_name_from_a_program_that_knows_nothing_else() -> None:
    name = f"rwlock-{os.getpid()}"
    with RWLock(name=name) as lock:
        with pytest.raises(FileExistsError):
            RWLock(name=name)
        with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
            RWLock(name=name, exist_ok=True, seats=7)
        with RWLock(name=name, exist_ok=True) as again, again.reader:
            assert not lock.acquire_write(False)
        children.finish(children.start("spawn", children.write_by_name, name))
    with pytest.raises(FileNotFoundError):
        attach(name)
    RWLock(name=name, persist=True).close()
    with attach(name) as kept:
        assert isinstance(kept, RWLock)
        kept.unlink()


def test_listings_show_holders_and_waiters(lock: RWLock) -> None:
    def shown() -> str:
        return next(each.state for each in segments.live() if each.name == lock.name)

    assert shown() == "unlocked, 0 waiting to read, 0 to write"
    with lock.reader:
        writer = children.in_thread(lock.acquire_write)
        children.until(lambda: shown() == "read by 1, 0 waiting to read, 1 to write")
    assert writer() is True
    assert shown() == f"written by pid {os.getpid()}, 0 waiting to read, 0 to write"
