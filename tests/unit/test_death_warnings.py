"""The warning that a holder has died names the line of the program that takes the lock, in each way of taking it."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import multiprocessing
import os
import signal
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis_server import ABSENT, Server

import sharedkit as sk
from sharedkit._core.callers import warn_caller

LIMIT = 60
FORK = multiprocessing.get_context("fork")
PLACEMENTS = ["shm", "manager", pytest.param("redis", marks=pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT)))]


@pytest.fixture(scope="module", params=PLACEMENTS)
def placement(request: pytest.FixtureRequest) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        options = {}
        if request.param == "redis":
            options = {"url": stack.enter_context(Server()).url, "lease": 1}
        yield stack.enter_context(sk.get_context(request.param, **options))


def die_with(take: Callable[[], object]) -> None:
    take()
    os.kill(os.getpid(), signal.SIGKILL)


def leave_held(take: Callable[[], object]) -> None:
    """Let a child take the lock and die."""
    child = FORK.Process(target=die_with, args=(take,))
    child.start()
    child.join(LIMIT)
    assert child.exitcode == -signal.SIGKILL


def acquire(lock: Any) -> None:
    lock.acquire(timeout=LIMIT)  # here


def enter(lock: Any) -> None:
    with lock:  # here
        pass


def aacquire(lock: Any) -> None:
    async def main() -> None:
        await lock.aacquire(timeout=LIMIT)  # here

    asyncio.run(main())


def aenter(lock: Any) -> None:
    async def main() -> None:
        async with lock:  # here
            pass

    asyncio.run(main())


def in_a_task(lock: Any) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(lock.aacquire())
        await task

    asyncio.run(main())  # here


def with_a_limit(lock: Any) -> None:
    async def main() -> None:
        await asyncio.wait_for(lock.aacquire(), LIMIT)  # here, or where the loop runs, before Python 3.12

    asyncio.run(main())  # here


def in_a_stack(lock: Any) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock)  # here


def read(lock: Any) -> None:
    lock.acquire_read()  # here


def write(lock: Any) -> None:
    lock.acquire_write()  # here


def aread(lock: Any) -> None:
    async def main() -> None:
        await lock.aacquire_read()  # here

    asyncio.run(main())


def awrite(lock: Any) -> None:
    async def main() -> None:
        await lock.aacquire_write()  # here

    asyncio.run(main())


WAYS = [acquire, enter, aacquire, aenter, in_a_task, with_a_limit, in_a_stack]
SIDES = [read, write, aread, awrite]


def warned(call: Callable[[], object]) -> list[str]:
    """The lines that the warnings of the call name."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    deaths = [each for each in caught if each.category is sk.OwnerDiedWarning]
    return [linecache.getline(each.filename, each.lineno) for each in deaths if each.filename == __file__] or [
        each.filename for each in deaths
    ]


def test_it_names_the_line_that_takes_the_lock(placement: Any) -> None:
    """One child dies with all of the locks: a lease runs out only once."""
    with contextlib.ExitStack() as handles:
        cases = [
            (way, handles.enter_context(contextlib.closing(kind())))
            for kind in (placement.Lock, placement.RLock)
            for way in WAYS
        ]
        sides = [(way, handles.enter_context(contextlib.closing(placement.RWLock()))) for way in SIDES]

        def take() -> None:
            for _, lock in cases:
                lock.acquire()
            for _, lock in sides:
                lock.acquire_write()

        leave_held(take)
        for way, lock in cases + sides:
            (line,) = warned(lambda way=way, lock=lock: way(lock))  # type: ignore[misc]
            assert "# here" in line, (way, lock)


@pytest.mark.parametrize("awaited", [False, True], ids=["thread", "task"])
def test_it_names_the_line_that_waits_for_a_notification(placement: Any, awaited: bool) -> None:
    """The wait takes the lock again: from a holder that died meanwhile."""

    async def main() -> None:
        async with condition:
            await condition.await_(timeout=0.2)  # here

    def call() -> None:
        with condition:
            condition.wait(timeout=0.2)  # here

    def take_when_it_waits() -> None:
        while condition.statistics().waiting == 0:
            pass
        leave_held(condition.acquire)

    with contextlib.closing(placement.Condition()) as condition:
        taker = threading.Thread(target=take_when_it_waits)
        taker.start()
        lines = warned(lambda: asyncio.run(main()) if awaited else call())
        taker.join()
        if not lines:  # the child has taken the lock after the wait
            lines = warned(lambda: acquire(condition))
        assert all("# here" in line for line in lines) and lines


def test_frames_of_the_package_and_of_asyncio_are_passed_over() -> None:
    for name in ("sharedkit.pretended", "asyncio.pretended"):
        module = vars(types.ModuleType(name)) | {"warn_caller": warn_caller}
        exec("def give():\n    warn_caller('text', UserWarning)", module)
        with pytest.warns(UserWarning, match="text") as caught:
            module["give"]()  # here
        assert caught[0].filename == __file__
        assert "# here" in linecache.getline(__file__, caught[0].lineno)
