"""Threads that contend for a lock do not hand it over, together with the GIL, at each release (a convoy)."""

import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import sharedkit as sk

SPAN = 0.3  # seconds
# A convoy switches threads more than 20,000 times a second; otherwise the GIL changes hands 200 times a second, and
# each change costs a few switches.
SWITCHES = 1000

LOCKS: dict[str, Callable[[Any], Any]] = {
    "Lock": lambda context: context.Lock(),
    "RLock": lambda context: context.RLock(),
    "Semaphore": lambda context: context.Semaphore(),
    "BoundedSemaphore": lambda context: context.BoundedSemaphore(),
    "writer of an RWLock": lambda context: context.RWLock().writer,
}

pytestmark = pytest.mark.skipif(
    not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="without a GIL there is nothing to hand over"
)


@pytest.mark.parametrize("placement", ["thread", "shm"])
@pytest.mark.parametrize("kind", LOCKS)
def test_threads_that_contend_seldom_switch(placement: str, kind: str) -> None:
    lock = LOCKS[kind](sk.get_context(placement))
    over = threading.Event()
    rounds = [0, 0]

    def contend(which: int) -> None:
        while not over.is_set():
            for _ in range(100):
                lock.acquire()
                lock.release()
            rounds[which] += 1

    threads = [threading.Thread(target=contend, args=(each,)) for each in range(2)]
    for each in threads:
        each.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    time.sleep(SPAN)
    switches = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
    over.set()
    for each in threads:
        each.join()
    assert min(rounds) > 0
    assert switches < SWITCHES
