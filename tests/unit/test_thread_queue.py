"""The queue of the thread placement where it differs from the standard library's: counted waiters, leaving a wait."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from sharedkit.thread import Queue
from sharedkit.thread.waiters import Bed

LIMIT = 60.0


class Interrupt(BaseException):
    """Comes in a wait, as Ctrl-C does."""


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _thread(target: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    return thread


def _join(thread: threading.Thread) -> None:
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_nobody_is_counted_as_waiting_after_a_wait_ended() -> None:
    q: Queue[int] = Queue(1)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.01)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put(2, timeout=0.01)
    s = q.statistics()
    assert (s.waiting_getters, s.waiting_putters) == (0, 0)


@pytest.mark.parametrize("side", ["getters", "putters"])
def test_who_leaves_a_wait_by_an_exception_hands_on_its_notification(
    monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    """The first of two is notified just as it is interrupted; the second must be woken in its stead."""
    q: Queue[int] = Queue(1)
    if side == "putters":
        q.put(0)
    wait = q.get if side == "getters" else lambda: q.put(1)
    sleep = Bed.sleep
    interrupted: list[BaseException] = []

    def sleep_and_be_interrupted(bed: Bed, timeout: float | None) -> None:
        sleep(bed, timeout)
        raise Interrupt

    def first() -> None:
        try:
            wait()
        except Interrupt as error:
            interrupted.append(error)

    monkeypatch.setattr(Bed, "sleep", sleep_and_be_interrupted)
    leaver = _thread(first)
    _until(lambda: getattr(q.statistics(), f"waiting_{side}") == 1)
    monkeypatch.undo()
    stayer = _thread(wait)
    _until(lambda: getattr(q.statistics(), f"waiting_{side}") == 2)
    if side == "getters":
        q.put(7)
    else:
        q.get()
    _join(leaver)
    _join(stayer)
    assert len(interrupted) == 1
    s = q.statistics()
    assert (s.waiting_getters, s.waiting_putters, s.qsize) == (0, 0, 0 if side == "getters" else 1)


def test_raising_maxsize_lets_waiting_putters_in() -> None:
    q: Queue[int] = Queue(1)
    q.put(0)
    putters = [_thread(lambda i=i: q.put(i)) for i in (1, 2, 3)]  # type: ignore[misc]
    _until(lambda: q.statistics().waiting_putters == 3)
    q.maxsize = 0
    for putter in putters:
        _join(putter)
    assert sorted(q.get_many()) == [0, 1, 2, 3]


def test_a_batch_says_how_far_it_came_when_it_is_shut_down() -> None:
    q: Queue[int] = Queue(2)
    errors: list[BaseException] = []

    def put() -> None:
        try:
            q.put_many(range(5))
        except BaseException as error:
            errors.append(error)

    putter = _thread(put)
    _until(lambda: q.statistics().waiting_putters == 1)
    q.shutdown()
    _join(putter)
    assert vars(errors[0])["put"] == 2
