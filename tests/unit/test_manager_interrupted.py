"""Signal handlers raise at any step of an acquire, get, release or put: a call that raises has taken nothing, and a
release or put that has begun is completed."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task, until

import sharedkit as sk
from sharedkit.manager import client

FOLDER = os.path.dirname(client.__file__)


class Hit(BaseException):
    """Stands for KeyboardInterrupt."""


class Raiser:
    """Raises before bytecode number `at` of the placement's code; `count` counts these bytecodes."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        frame.f_trace = self._step  # set before the next line: Python 3.13 reads it there
        frame.f_trace_opcodes = True
        return self._step

    def _step(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "opcode":
            self.count += 1
            if self.count > self.at:
                raise Hit
        return self._step


def interrupted(action: Callable[[], object], at: int) -> bool:
    """Interrupt `action` at that bytecode; return False if it ended before."""
    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 reports bytecodes only if a frame asked for them before
    sys.settrace(Raiser(at))
    try:
        action()
    except Hit:
        return True
    finally:
        sys.settrace(before)
    return False


def steps(action: Callable[[], object]) -> Iterator[bool]:
    """Interrupt `action` before its first bytecode, its second, and so on, until it ends."""
    for at in range(5000):
        hit = interrupted(action, at)
        yield hit
        if not hit:
            assert at > 10
            return
    raise AssertionError("it has no end")


Interface = tuple[Callable[[], Any], Callable[[], Any], Callable[[], int], Any]
"""How to take, how to give back, how often it is taken, and the object for a `with` statement."""


def _of_lock(lock: Any) -> Interface:
    return lock.acquire, lock.release, lambda: lock.statistics().count, lock


def _of_semaphore(semaphore: Any) -> Interface:
    return semaphore.acquire, semaphore.release, lambda: 3 - semaphore.get_value(), semaphore


def _of_condition(condition: Any) -> Interface:
    return condition.acquire, condition.release, lambda: condition.statistics().lock.count, condition


def _of_reader(rw: Any) -> Interface:
    return rw.acquire_read, rw.release_read, lambda: sum(rw.statistics().readers.values()), rw.reader


def _of_writer(rw: Any) -> Interface:
    return rw.acquire_write, rw.release_write, lambda: int(rw.statistics().writer is not None), rw.writer


INTERFACES: dict[str, Callable[[Any], Interface]] = {
    "Lock": lambda ctx: _of_lock(ctx.Lock()),
    "RLock": lambda ctx: _of_lock(ctx.RLock()),
    "Semaphore": lambda ctx: _of_semaphore(ctx.Semaphore(3)),
    "BoundedSemaphore": lambda ctx: _of_semaphore(ctx.BoundedSemaphore(3)),
    "Condition": lambda ctx: _of_condition(ctx.Condition()),
    "Condition over a Lock": lambda ctx: _of_condition(ctx.Condition(ctx.Lock())),
    "lock of an Array": lambda ctx: _of_lock(ctx.Array(3).lock),
    "lock of a Condition": lambda ctx: _of_lock(ctx.Condition().lock),
    "reader": lambda ctx: _of_reader(ctx.RWLock()),
    "writer": lambda ctx: _of_writer(ctx.RWLock()),
}


@pytest.fixture(params=INTERFACES)
def interface(ctx: Any, request: pytest.FixtureRequest) -> Iterator[Interface]:
    made = INTERFACES[request.param](ctx)
    take, give, _, _ = made
    take()  # opens this thread's connection
    give()
    yield made


def test_a_take_that_raises_has_taken_nothing(interface: Interface) -> None:
    take, give, taken, _ = interface
    for arguments in ({}, {"blocking": False}, {"timeout": LIMIT}):
        for hit in steps(lambda arguments=arguments: take(**arguments)):
            assert taken() == (0 if hit else 1)
        give()


def test_a_release_has_released_even_if_it_raises(interface: Interface) -> None:
    take, give, taken, _ = interface
    take()
    for _ in steps(give):
        assert taken() == 0
        take()
    give()


def test_a_block_leaves_nothing_taken(interface: Interface) -> None:
    _, _, taken, whole = interface
    inside: list[int] = []

    def block() -> None:
        with whole:
            inside.append(1)

    for _ in steps(block):
        assert taken() == 0
    assert len(inside) > 10


def test_a_second_take_of_an_rlock_leaves_the_first(ctx: Any) -> None:
    lock = ctx.RLock()
    lock.acquire()
    for hit in steps(lock.acquire):
        assert lock.statistics().count == (1 if hit else 2)
    lock.release()
    for _ in steps(lock.release):
        assert not lock._is_owned()
        lock.acquire()


def test_a_wait_in_a_condition_ends_with_the_lock_as_it_was(ctx: Any) -> None:
    condition = ctx.Condition()
    with condition, condition:
        for _ in steps(lambda: condition.wait(0)):
            assert condition.statistics().lock.count == 2
            assert condition._is_owned()
            assert condition.statistics().waiting == 0


def test_a_get_that_raises_leaves_the_item_in_front(ctx: Any) -> None:
    q = ctx.Queue()
    q.put_many(range(3))
    for hit in steps(lambda: q.get(timeout=LIMIT)):
        assert q.qsize() == (3 if hit else 2)
    assert q.get_many() == [1, 2]


def test_calls_that_are_refused_raise_the_usual_errors(ctx: Any) -> None:
    lock, semaphore, rw = ctx.Lock(), ctx.BoundedSemaphore(), ctx.RWLock()
    for refused in (lock.release, rw.release_read, rw.release_write):
        with pytest.raises(sk.NotLockedError):
            refused()
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()
    lock.close()
    with pytest.raises(sk.ClosedError):
        lock.release()
    with pytest.raises(sk.ClosedError):
        lock.acquire()


# --- signals


@contextmanager
def alarms() -> Iterator[Callable[[], None]]:
    """Gives a function after which a signal handler soon raises."""

    def hit(*_: object) -> None:
        raise Hit

    before = signal.signal(signal.SIGALRM, hit)

    def set_off() -> None:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4))

    try:
        yield set_off
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 14), reason="its `with` lets handlers run between taking and the block: docs/pythons.md"
)
@pytest.mark.parametrize("interval", [0.0, 1e-4], ids=["one", "many"])
def test_signals_leave_nothing_taken(interface: Interface, interval: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a handler raises, the lock is released after the block, as in a `with` of the standard library."""
    _, _, taken, whole = interface
    ignored: list[Any] = []  # exceptions in interrupted finalizers, which Python can only report as ignored
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    hits = 0
    armed = False

    def hit(*_: object) -> None:
        if armed:
            raise Hit

    before = signal.signal(signal.SIGALRM, hit)
    try:
        while hits < 150:
            before_it = len(ignored)  # a hit in a finalizer does not end the block, and may be the only one
            armed = True
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 3e-4), interval)
                while len(ignored) == before_it:
                    with whole:
                        pass
            except Hit:
                hits += 1
            while armed:
                try:  # noqa: SIM105 - `suppress` would run outside of it
                    armed = False
                except Hit:
                    pass  # the signal was still to come
            assert taken() == 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_release_while_the_server_is_stopped_takes_effect_later(ctx: Any) -> None:
    """The handler's exception is raised before the server continues, and the release is not lost."""
    lock, other = ctx.Lock(), ctx.Lock()
    pid = ctx.server._process.pid
    for release in (lock.release, lambda: lock.__exit__(None, None, None)):
        lock.acquire()
        os.kill(pid, signal.SIGSTOP)
        try:
            with alarms() as set_off, pytest.raises(Hit):
                set_off()
                release()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert lock.acquire(False) is True  # the server handles this thread's next request after the release
        lock.release()
    with other:
        pass


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "Condition"])
def test_a_release_interrupted_before_it_is_sent_does_not_wait_for_a_stopped_server(ctx: Any, kind: str) -> None:
    """The handler raises before the first byte is sent; another thread sends the request, which takes effect later."""
    take, give, taken, _ = INTERFACES[kind](ctx)
    pid = ctx.server._process.pid
    for at in range(0, 16, 3):
        take()
        os.kill(pid, signal.SIGSTOP)
        late = threading.Timer(LIMIT / 2, os.kill, (pid, signal.SIGCONT))
        late.start()
        try:
            hit = interrupted(give, at)
            assert late.is_alive(), "it waited"
        finally:
            late.cancel()
            os.kill(pid, signal.SIGCONT)
        assert hit
        assert taken() == 0  # the server handles this thread's next request after it


def test_a_take_while_the_server_is_stopped_is_undone_later(ctx: Any) -> None:
    lock = ctx.Lock()
    pid = ctx.server._process.pid
    lock.acquire()
    lock.release()
    os.kill(pid, signal.SIGSTOP)
    try:
        with alarms() as set_off, pytest.raises(Hit):
            set_off()
            lock.acquire()
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: not lock.locked())
    assert Task(lock.acquire, False).result() is True
    lock.release()


def test_a_wait_that_a_signal_ends_takes_nothing_and_keeps_its_connection(ctx: Any) -> None:
    lock = ctx.Lock()
    holder = Task(lock.acquire)
    holder.result()
    idle_connections = ctx.server.client()._calls.idle_connections
    lock.locked()
    before = list(idle_connections)
    for _ in range(20):
        with alarms() as set_off, pytest.raises(Hit):
            set_off()
            lock.acquire()
        assert lock.statistics().waiting == 0
    assert idle_connections == before
    lock.release()
    assert not lock.locked()


def test_a_handler_may_call_while_its_thread_undoes_an_interrupted_call(ctx: Any) -> None:
    """A call in a handler does not wait for the undoing of its thread's interrupted call, which may wait for it."""
    condition, other = ctx.Condition(ctx.Lock()), threading.Event()
    seen: list[str] = []

    def take_over() -> None:
        with condition:
            until(lambda: bool(seen))

    def handler(number: int, _: object) -> None:
        if number == signal.SIGALRM:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise Hit
        assert condition.statistics().waiting == 0
        seen.append("called")
        other.set()

    before = {each: signal.signal(each, handler) for each in (signal.SIGALRM, signal.SIGUSR1)}
    try:
        with condition:
            helper = Task(take_over)

            def disturb() -> None:
                until(lambda: condition.statistics().lock.owner is not None and condition.statistics().waiting == 1)
                os.kill(os.getpid(), signal.SIGALRM)
                until(lambda: condition.statistics().waiting == 0)
                os.kill(os.getpid(), signal.SIGUSR1)

            disturbing = Task(disturb)
            with pytest.raises(Hit):
                condition.wait(LIMIT)
            assert condition._is_owned()
        for each in (helper, disturbing):
            each.result()
    finally:
        for number, action in before.items():
            signal.signal(number, action)
    assert other.is_set()
