"""What holds for every test."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Iterator

import hypothesis
import pytest

# How long an example takes is the machine's matter.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# A job that a shell started with `&`, or nohup, is deaf to Ctrl-C, and so would be all its children: the tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Thousands of tests are there to stay: no collection has to look through them, no forked child to copy them."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def folder() -> Iterator[str]:
    """One of its own for segments, in which nothing is left."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="tests-") as path:
        yield path
        assert os.listdir(path) == []
