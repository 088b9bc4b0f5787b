"""Processes measure, an event loop gathers; the processes and the tasks of the loop use one lock."""

from __future__ import annotations

import asyncio
import multiprocessing

import sharedkit as sk

WORKERS, SAMPLES = 2, 500


def measure(samples: sk.Queue[tuple[int, int]], lock: sk.Lock, log: sk.Dict) -> None:
    """A process that knows nothing of event loops."""
    for number in range(SAMPLES):
        samples.put((multiprocessing.current_process().pid or 0, number))
    with lock:
        log["measured"] = log.get("measured", 0) + SAMPLES


async def gather(samples: sk.Queue[tuple[int, int]], lock: sk.Lock, log: sk.Dict) -> None:
    """One of many tasks."""
    mine = 0
    async for _ in samples:
        mine += 1
    async with lock:
        log["gathered"] = log.get("gathered", 0) + mine


async def main() -> None:
    samples: sk.Queue[tuple[int, int]] = sk.Queue(maxsize=100)
    lock, log = sk.Lock(), sk.Dict()
    processes = [multiprocessing.Process(target=measure, args=(samples, lock, log)) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(gather(samples, lock, log))
        for process in processes:
            await asyncio.to_thread(process.join)
        samples.shutdown()
    print(f"measured {log['measured']}, gathered {log['gathered']}")


if __name__ == "__main__":
    asyncio.run(main())
