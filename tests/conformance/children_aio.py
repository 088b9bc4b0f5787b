"""What child processes do with event loops. Importable: `spawn` and `forkserver` find the functions by name."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import sharedkit as sk

WAITS = {
    "aget": lambda kit: kit.Queue().aget(),
    "await_": lambda kit: kit.Event().await_(),
    "aacquire": lambda kit: kit.Semaphore(0).aacquire(),
    "barrier": lambda kit: kit.Barrier(2).await_(),
}


def interrupted(method: str, wait: str) -> str:
    """Send Ctrl-C while the loop only waits; return what happened."""
    kit = sk.get_context(method)  # type: ignore[call-overload]

    async def main() -> None:
        asyncio.get_running_loop().call_later(
            0.05, threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start
        )
        await WAITS[wait](kit)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        return "interrupted"
    return "not interrupted"


def echo(there: Any, back: Any) -> None:
    """Send every item back, from tasks of a loop, until the queue ends."""

    async def main() -> None:
        async for item in there:
            await back.aput(item)
        back.shutdown()

    asyncio.run(main())


def echo_without_a_loop(there: Any, back: Any) -> None:
    while True:
        try:
            item = there.get()
        except sk.ShutDown:
            back.shutdown()
            return
        back.put(item)


def count_under(lock: Any, number: Any, tasks: int, times: int) -> None:
    """Add to a number that has no lock of its own, in two steps, in many tasks."""

    async def one() -> None:
        for _ in range(times):
            async with lock:
                seen = number.value
                await asyncio.sleep(0)
                number.value = seen + 1

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(tasks)))

    asyncio.run(main())


def take_and_stay(held: Any, ready: Any) -> None:
    """Take the lock as a task, report that, and never release it."""

    async def main() -> None:
        await held.aacquire()
        await ready.aput(os.getpid())
        await asyncio.sleep(3600)

    asyncio.run(main())


def wait_and_stay(q: Any, ready: Any, tasks: int) -> None:
    """Wait for items in many tasks; each task keeps what it gets."""

    async def main() -> None:
        waiting = [asyncio.create_task(q.aget()) for _ in range(tasks)]
        for _ in range(10):
            await asyncio.sleep(0)
        await ready.aput(os.getpid())
        await asyncio.gather(*waiting)

    asyncio.run(main())


def wait_for_notice(condition: Any) -> None:
    async def main() -> None:
        async with condition:
            await condition.await_()

    asyncio.run(main())


def meet(event: Any, barrier: Any, times: int) -> list[int]:
    async def main() -> list[int]:
        await event.await_()
        return [await barrier.await_(60) for _ in range(times)]

    return asyncio.run(main())
