"""Settings and fixtures of all tests."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

# no deadline: how long an example takes depends on the machine
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# If a shell started this job with `&` or nohup, SIGINT is ignored here and in all children. The tests send SIGINT.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Children by "forkserver" find NumPy imported: that is two thirds of the time in which they start. They import
# sharedkit themselves, as children by "spawn" import both.
multiprocessing.set_forkserver_preload(["__main__", "numpy"])


def pytest_collection_finish() -> None:
    """Freeze the thousands of test objects: no collection needs to visit them, and no forked child to copy them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Restore the handlers of SIGINT and SIGTERM, which a test may set: a later test that sends SIGINT would wait for
    ever."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def folder() -> Iterator[str]:
    """A folder for segments; it must be empty after the test."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tests-") as path:
        yield path
        assert os.listdir(path) == []
