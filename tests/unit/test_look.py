"""Looking whether a descriptor has something to read: what it answers, and what it learns."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from sharedkit._core.poller import Poller


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def wait(looker: Poller, fd: int, seconds: float) -> None:
    """One wait in vain, and the sleep after it."""
    assert not looker.look(fd)
    time.sleep(seconds)
    looker.woke()


def test_what_can_be_read_is_seen_and_what_cannot_is_not(pipe: tuple[int, int]) -> None:
    looker = Poller()
    assert not looker.look(pipe[0])
    looker.woke()
    os.write(pipe[1], b"x")
    for _ in range(100_000):  # where others wanted the core it sleeps at once for a while
        if looker.look(pipe[0]):
            return
        looker.woke()
    pytest.fail("it does not see what is there")


def test_an_end_is_something_to_read() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert Poller().look(reading)
    os.close(reading)


def test_long_sleeps_make_for_no_looks_and_a_short_one_brings_them_back() -> None:
    """By a clock of its own: what a sleep takes here is the machine's matter."""
    looker = Poller()
    told = [looker.looks]
    for _ in range(20):
        looker.learn(1)
        told.append(looker.looks)
    assert told == [1, 2, 4, 8, 16] + [32] * 16
    for _ in range(20):
        looker.learn(1_000_000)
    assert looker.looks == 0
    looker.learn(1)
    assert looker.looks == 1


def test_how_long_a_sleep_took_is_measured(pipe: tuple[int, int]) -> None:
    """A sleep of a millisecond is long on every machine; one of none is short sooner or later."""
    looker = Poller()
    for _ in range(100_000):  # where others want the core it sleeps at once for a while, and learns nothing
        if looker.looks == 0:
            break
        wait(looker, pipe[0], 0.001)
    assert looker.looks == 0
    for _ in range(1_000_000):
        if looker.looks > 0:
            return
        wait(looker, pipe[0], 0)
    pytest.fail("no sleep was short")


def test_other_threads_run_while_it_looks(pipe: tuple[int, int]) -> None:
    looker, stop, ran = Poller(), threading.Event(), [0]

    def count() -> None:
        while not stop.is_set():
            ran[0] += 1

    thread = threading.Thread(target=count, daemon=True)
    thread.start()
    before = ran[0]
    while ran[0] == before:
        looker.look(pipe[0])
    stop.set()
    thread.join()
