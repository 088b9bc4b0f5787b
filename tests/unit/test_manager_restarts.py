"""A server that is started anew at its address, and a session that is begun anew: nothing old is taken for new."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1]))

from conformance.watchdog import LIMIT, Task
from unit.test_manager_strangers import KEY, served

import sharedkit as sk

Start = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "socket")


@pytest.fixture
def start(path: str) -> Iterator[Start]:
    """Start a server at `path`; the one before is killed."""
    with ExitStack() as stack:
        before: list[subprocess.Popen[str]] = []

        def run() -> subprocess.Popen[str]:
            for each in before:
                each.kill()
                each.wait(LIMIT)
            process, _ = stack.enter_context(served(path))
            before.append(process)
            return process

        yield run


@pytest.fixture
def ctx(path: str, start: Start) -> Iterator[Any]:
    start()
    with sk.get_context("manager", address=path, authkey=KEY) as context:
        yield context


def test_a_handle_of_a_server_before_is_none_of_the_one_that_came(ctx: Any, start: Start) -> None:
    old = ctx.Queue(name="orders")
    sent = pickle.dumps(old)
    start()
    ctx.close()
    new = ctx.Queue(name="payments")
    with pytest.raises(sk.GoneError):
        old.put("an order")
    with pytest.raises(sk.GoneError):
        pickle.loads(sent)
    assert new.qsize() == 0
