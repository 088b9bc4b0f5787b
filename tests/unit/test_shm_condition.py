"""The condition in shared memory: between processes, after deaths, under signals, over locks of all kinds, by name."""

from __future__ import annotations

import os
import pickle
import random
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

import shm_waiting_children as children

from sharedkit import errors, segments
from sharedkit.shm import Array, Condition, Counter, Lock, RLock, attach


def waiting(condition: Condition) -> int:
    return condition.statistics().waiting


def wait_once(condition: Condition, timeout: float | None = None) -> bool:
    with condition:
        return condition.wait(timeout)


def notify(condition: Condition, n: int = 1) -> None:
    with condition:
        condition.notify(n)


# --- threading's rules ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: None, Lock, RLock, threading.Lock, threading.RLock])
def test_any_lock_can_be_used_between_threads(make: Any) -> None:
    condition = Condition(make())
    for use in (condition.wait, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError):
            use()
    assert wait_once(condition, 0.01) is wait_once(condition, 0) is wait_once(condition, -1) is False
    waiters = [children.in_thread(lambda: wait_once(condition)) for _ in range(3)]
    children.until(lambda: waiting(condition) == 3)
    notify(condition, 0)
    notify(condition, -1)
    assert waiting(condition) == 3
    with condition:
        condition.notify_all()
    assert [result() for result in waiters] == [True] * 3
    assert condition.acquire()
    assert condition.acquire(block=False) is hasattr(condition.lock, "_is_owned")
    condition.release()


def test_an_object_that_is_not_a_lock_is_refused() -> None:
    for wrong in (1, "lock", object()):
        with pytest.raises(TypeError):
            Condition(wrong)
    condition = Condition()
    with condition, pytest.raises(OverflowError):
        condition.wait(1e100)
    assert not waiting(condition)


def test_a_lock_that_was_taken_several_times_is_released_completely() -> None:
    condition = Condition()
    with condition, condition:
        other = children.in_thread(lambda: notify(condition))
        assert condition.wait(children.LIMIT)
        other()
        assert condition.lock._recursion_count() == 2
    assert not condition.lock.locked()


def test_wait_for_returns_the_predicates_result() -> None:
    condition = Condition()
    with condition:
        assert condition.wait_for(lambda: "yes") == "yes"
        assert condition.wait_for(list, timeout=0.01) == []
        answers = iter([0, "late"])
        other = children.in_thread(lambda: notify(condition))
        assert condition.wait_for(lambda: next(answers)) == "late"
    other()


def test_the_longest_waiter_is_notified_first() -> None:
    condition, order = Condition(), []

    def wait(place: int) -> None:
        with condition:
            condition.wait()
            order.append(place)

    waiters = []
    for place in range(6):
        waiters.append(children.in_thread(lambda place=place: wait(place)))
        children.until(lambda: waiting(condition) == len(waiters))
    for n in (1, 1, 2, 2):
        before = len(order)
        notify(condition, n)
        children.until(lambda: len(order) == before + n)  # noqa: B023
    assert order[:2] == [0, 1]
    assert sorted(order[2:4]) == [2, 3]
    for result in waiters:
        result()


def test_its_repr_and_statistics() -> None:
    condition = Condition()
    assert repr(condition) == f"<Condition({condition.lock!r}, 0)>"
    with condition:
        snapshot = condition.statistics()
        assert (snapshot.kind, snapshot.waiting, snapshot.notified) == ("Condition", 0, 0)
        assert snapshot.lock.owner == os.getpid()
    with warnings.catch_warnings(record=True) as given, condition:
        warnings.simplefilter("always")
        condition.notifyAll()
    assert [(w.category, w.filename) for w in given] == [(DeprecationWarning, __file__)]
    condition.close()
    condition.close()
    assert "closed" in repr(condition)
    for use in (condition.wait, condition.notify, condition.acquire, condition.release, condition.statistics):
        with pytest.raises(errors.ClosedError):
            use()


# --- processes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("make", [lambda: None, Lock, RLock], ids=["own", "Lock", "RLock"])
def test_processes_wait_and_are_notified(method: str, make: Any) -> None:
    condition = Condition(make())
    with Counter() as said, children.crew(children.wait_once, condition, said, n=2, method=method) as crew:
        children.until(lambda: waiting(condition) == 2)
        notify(condition)
        children.until(lambda: said.value == 1)
        assert waiting(condition) == 1
        with condition:
            condition.notify_all()
        children.finish(*crew)
        assert said.value == 2


def test_killed_waiters_are_skipped_and_delay_no_one() -> None:
    rng = random.Random(7)
    condition = Condition()
    with Counter() as said:
        for turn in range(20):
            said.reset()
            with children.crew(children.wait_once, condition, said, n=4) as crew:
                children.until(lambda: waiting(condition) == 4)
                dead = rng.sample(crew, 2)
                living = [child for child in crew if child not in dead]
                children.kill(*dead)
                if turn % 2:
                    with condition:
                        condition.notify_all()
                else:
                    notify(condition, 2)
                children.finish(*living)
                assert said.value == 2
                assert (waiting(condition), condition.statistics().notified) == (0, 0)


def test_the_notification_of_a_killed_waiter_goes_to_the_next() -> None:
    condition = Condition()
    with Counter() as said:
        for _ in range(10):
            said.reset()
            with children.crew(children.wait_once, condition, said, n=1) as crew:
                children.until(lambda: waiting(condition) == 1)
                heir = children.start("fork", children.wait_once, condition, said)
                children.until(lambda: waiting(condition) == 2)
                with condition:  # so that the notified waiter cannot go on
                    condition.notify()
                    children.kill(*crew)
                children.finish(heir)
                assert said.value == 1


def test_random_kills_never_swallow_a_notification() -> None:
    """Items are put with one notification each while takers are killed; the remaining takers take all items."""
    rng = random.Random(5)
    condition = Condition()
    with warnings.catch_warnings(), Array(1, "i8") as items, Counter() as taken:
        warnings.simplefilter("ignore", errors.OwnerDiedWarning)
        takers = [children.start("fork", children.take_items, condition, items, taken) for _ in range(3)]
        try:
            for _ in range(60):
                for _ in range(rng.randrange(1, 40)):
                    with condition:
                        items[0] += 1
                        condition.notify()
                children.kill(takers.pop(rng.randrange(3)))
                takers.append(children.start("fork", children.take_items, condition, items, taken))
                children.until(lambda: items[0] == 0)
        finally:
            children.kill(*takers)


def test_a_child_of_a_fork_does_not_wait_for_its_parent() -> None:
    condition = Condition()
    pids: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: pids.append(os.fork()))
    try:
        with children.signalled_when(lambda: waiting(condition) == 1, signal.SIGUSR1):
            try:
                wait_once(condition, 1)
            except RuntimeError:
                if pids == [0]:
                    os._exit(7)
    finally:
        if pids == [0]:
            os._exit(8)
        signal.signal(signal.SIGUSR1, before)
    assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 7
    assert (waiting(condition), condition.lock.locked()) == (0, False)


# --- signals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: None, Lock, threading.RLock], ids=["own", "Lock", "threading.RLock"])
def test_ctrl_c_ends_a_wait_with_the_lock_held(make: Any) -> None:
    condition = Condition(make())
    with children.signalled_when(lambda: waiting(condition) == 1), pytest.raises(KeyboardInterrupt):
        wait_once(condition)
    assert (waiting(condition), condition.statistics().notified) == (0, 0)
    assert condition.acquire(False)
    condition.release()


def test_if_a_handler_raises_the_notification_is_passed_on() -> None:
    condition = Condition()

    class Stop(Exception):
        pass

    def handler(*_: Any) -> None:
        with condition:  # the oldest waiter is the one that this handler interrupts
            condition.notify()
        raise Stop

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        heirs: list[Any] = []

        def ready() -> bool:
            if waiting(condition) == 1 and not heirs:
                heirs.append(children.in_thread(lambda: wait_once(condition)))
            return waiting(condition) == 2

        with children.signalled_when(ready, signal.SIGUSR1), pytest.raises(Stop):
            wait_once(condition)
        assert heirs[0]() is True
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- names, locks in other processes ----------------------------------------------------------------------


def test_by_name_it_is_the_same_with_the_same_lock_only() -> None:
    name = f"condition-{os.getpid()}"
    with Array(2) as array:
        lock = RLock()
        condition = Condition(lock, name=name)
        for other in (None, RLock(), array.lock, threading.Lock()):
            with pytest.raises(ValueError, match=r"is an? .* (with|not) "):
                Condition(other, name=name, exist_ok=True)
        with pytest.raises(FileExistsError):
            Condition(lock, name=name)
        again, third = Condition(lock, name=name, exist_ok=True), attach(name)
        assert isinstance(third.lock, RLock)
        assert third.lock.name == lock.name
        other_thread = children.in_thread(lambda: wait_once(third))
        children.until(lambda: waiting(again) == 1)
        child = children.start("spawn", children.notify_by_name, name)
        assert other_thread() is True
        children.finish(child)
        for each in (condition, again, third):
            each.close()
    with pytest.raises(FileNotFoundError):
        attach(name)


def test_the_lock_of_an_array_travels_with_the_condition() -> None:
    with Array(2) as array:
        condition = Condition(array.lock)
        with Counter() as said, children.crew(children.wait_once, condition, said, n=1, method="spawn") as crew:
            children.until(lambda: waiting(condition) == 1)
            with array.lock:
                condition.notify()
            children.finish(*crew)
        copy = pickle.loads(pickle.dumps(condition))
        with copy:
            assert array.lock.locked()


def test_a_lock_of_another_kind_does_not_travel() -> None:
    name = f"condition-{os.getpid()}-foreign"
    condition = Condition(threading.Lock(), name=name)
    with pytest.raises(TypeError):
        pickle.dumps(condition)
    with pytest.raises(TypeError, match="only its maker"):
        attach(name)
    condition.close()


def test_a_persistent_condition_stays() -> None:
    name = f"condition-{os.getpid()}-kept"
    Condition(name=name, persist=True).close()
    condition = attach(name)
    assert isinstance(condition, Condition)
    with condition:
        condition.notify()
    condition.unlink()


def test_listings_show_the_waiters() -> None:
    condition = Condition()

    def shown() -> str:
        return next(each.state for each in segments.live() if each.name == condition.name)

    assert shown() == "0 waiting, 0 notified"
    other = children.in_thread(lambda: wait_once(condition))
    children.until(lambda: shown() == "1 waiting, 0 notified")
    with condition:
        condition.notify()
        assert shown().startswith(f"locked by pid {os.getpid()}, 0 waiting, 1 notified")
    assert other() is True
