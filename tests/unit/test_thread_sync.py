"""What only the primitives of the thread placement do: conditions over threading's locks, waits left by a signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sharedkit.thread import (
    Barrier,
    BoundedSemaphore,
    Condition,
    Event,
    Lock,
    RLock,
    RWLock,
    Semaphore,
)


class Interrupted(Exception):
    """Raised by the signal handler."""


@pytest.fixture
def soon() -> Iterator[Callable[[], None]]:
    """Gives a function after which this thread is interrupted again and again; so it need not wait already."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda: signal.setitimer(signal.ITIMER_REAL, 0.05, 60) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def elsewhere(call: Callable[[], Any]) -> Any:
    """The result of the call in another thread."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(call()), daemon=True)
    thread.start()
    thread.join(60)
    return answers[0]


@pytest.mark.parametrize("make", [threading.Lock, threading.RLock], ids=["Lock", "RLock"])
def test_a_condition_works_over_a_lock_of_threading(make: Callable[[], Any]) -> None:
    lock = make()
    c = Condition(lock, name="over-threading")
    again = Condition(lock, name="over-threading", exist_ok=True)
    with pytest.raises(ValueError, match="another lock"):
        Condition(make(), name="over-threading", exist_ok=True)
    with pytest.raises(RuntimeError):
        c.notify()
    with lock:
        assert c.statistics().lock.owner is not None
        waker = threading.Thread(target=lambda: again.acquire() and (again.notify(), again.release()), daemon=True)
        waker.start()
        assert c.wait(60) is True
    waker.join(60)
    assert "0)" in repr(c)
    assert c.statistics().lock.owner is None
    c.close()
    again.close()


def test_a_wait_ended_by_a_signal_leaves_everything_in_order(soon: Callable[[], None]) -> None:
    lock, semaphore, event, condition, rw = Lock(), Semaphore(0), Event(), Condition(), RWLock()
    elsewhere(lock.acquire)
    elsewhere(rw.acquire_read)
    waits: list[Callable[[], Any]] = [lock.acquire, semaphore.acquire, event.wait, rw.acquire_write]
    for wait in waits:
        soon()
        with pytest.raises(Interrupted):
            wait()
    soon()
    with condition, pytest.raises(Interrupted):
        condition.wait()
    assert lock.statistics().waiting == semaphore.statistics().waiting == event.statistics().waiting == 0
    assert rw.statistics().waiting_writers == 0
    assert elsewhere(lambda: rw.acquire_read(False)) is True
    s = condition.statistics()
    assert (s.waiting, s.notified, s.lock.owner) == (0, 0, None)
    semaphore.release()
    assert semaphore.acquire(False) is True


def test_statistics_show_that_a_barriers_action_runs() -> None:
    seen: list[str] = []
    barrier = Barrier(1, lambda: seen.append(barrier.statistics().state))
    barrier.wait()
    assert seen == ["acting"]
    assert barrier.statistics().state == "filling"


def test_a_semaphore_has_the_largest_value_of_multiprocessings() -> None:
    most = (1 << 31) - 1
    s = Semaphore(most)
    with pytest.raises(OverflowError):
        s.release()
    assert s.get_value() == most
    for kind in (Semaphore, BoundedSemaphore):
        with pytest.raises(OverflowError):
            kind(most + 1)
        with pytest.raises(TypeError):
            kind("one")  # type: ignore[arg-type]


def test_a_stream_of_readers_does_not_starve_a_writer() -> None:
    rw = RWLock()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            with rw.reader:
                time.sleep(0)

    readers = [threading.Thread(target=read, daemon=True) for _ in range(4)]
    for reader in readers:
        reader.start()
    for _ in range(20):
        assert rw.acquire_write(timeout=60) is True
        rw.release_write()
    stop.set()
    for reader in readers:
        reader.join(60)
        assert not reader.is_alive()


def test_a_lock_keeps_its_state_for_all_handles() -> None:
    with RLock(name="kept") as held:
        assert held is True
    one, two = RLock(name="kept"), RLock(name="kept", exist_ok=True)
    with one, two:
        assert one.statistics().count == 2
        assert elsewhere(lambda: two.acquire(False)) is False
    one.close()
    two.close()
