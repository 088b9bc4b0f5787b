"""A progress bar over many processes: they count in a shared Counter, and the main program draws. Run:

    pip install sharedkit tqdm
    python examples/applications/progress.py

The bar shows every item that was done, and ends when all workers have ended. If a worker dies, the others go on with
the rest; the item that it had in hand stays undone, and the bar ends below its total.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any

from tqdm import tqdm

import sharedkit as sk


def _work(function: Callable[[Any], object], jobs: sk.Queue, done: sk.Counter) -> None:
    for item in jobs:
        function(item)
        done.add()


def run(function: Callable[[Any], object], items: Sequence[Any], workers: int = 4, method: str | None = None) -> int:
    """Call the function for each item in worker processes, under a progress bar; return how many items were done."""
    context = multiprocessing.get_context(method)
    with sk.Queue() as jobs, sk.Counter() as done:
        jobs.put_many(items)
        jobs.shutdown()  # the workers take what is there and end
        team = [context.Process(target=_work, args=(function, jobs, done)) for _ in range(workers)]
        for process in team:
            process.start()
        with tqdm(total=len(items)) as bar:
            while True:
                running = [process.sentinel for process in team if process.is_alive()]
                bar.update(done.value - bar.n)  # after the check, so the last update shows all they did
                if not running:
                    break
                wait(running, timeout=bar.mininterval)
        for process in team:
            if process.exitcode:
                print(f"{process.name} ended with exit code {process.exitcode}")
        return done.value


def divisors(number: int) -> int:
    return sum(number % other == 0 for other in range(1, number))


if __name__ == "__main__":
    numbers = range(1000, 4000)
    print(f"{run(divisors, numbers)} of {len(numbers)} items done")
