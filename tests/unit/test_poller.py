"""Polling whether a descriptor is readable: what `look` returns, and how the poller adapts."""

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
    """One poll in vain, and the sleep after it."""
    assert not looker.look(fd)
    time.sleep(seconds)
    looker.woke()


def test_a_readable_descriptor_is_seen_and_an_unreadable_one_is_not(pipe: tuple[int, int]) -> None:
    looker = Poller()
    assert not looker.look(pipe[0])
    looker.woke()
    os.write(pipe[1], b"x")
    for _ in range(100_000):  # if other processes wanted the core, it does not poll for a while
        if looker.look(pipe[0]):
            return
        looker.woke()
    pytest.fail("it does not see that the descriptor is readable")


def test_the_end_of_a_pipe_is_readable() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert Poller().look(reading)
    os.close(reading)


def test_after_long_sleeps_it_does_not_poll_and_after_a_short_one_it_does_again() -> None:
    """The sleeping times are given, because what a sleep takes depends on the machine."""
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
    """A sleep of 1 ms is long on every machine; one of 0 ms is short sooner or later."""
    looker = Poller()
    for _ in range(100_000):  # if other processes want the core, it does not poll for a while, and learns nothing
        if looker.looks == 0:
            break
        wait(looker, pipe[0], 0.001)
    assert looker.looks == 0
    for _ in range(1_000_000):
        if looker.looks > 0:
            return
        wait(looker, pipe[0], 0)
    pytest.fail("no sleep was short")


def test_other_threads_run_while_it_polls(pipe: tuple[int, int]) -> None:
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
