"""A data loader: worker processes prepare batches in shared memory, and the program iterates over them. Run:

    pip install sharedkit
    python examples/applications/data_loader.py

The order depends on the seed alone, not on the workers. An exception of a worker arrives in the loop. A worker that is
killed is replaced, and its batch prepared again; a batch that kills three workers raises sk.WorkerDied.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import wait
from typing import Any

import numpy as np

import sharedkit as sk

_worker: dict[str, Any] = {}  # in each worker: the dataset, and the array that the batches go to


def _start_worker(dataset: Any, slots: sk.Array) -> None:
    _worker.update(dataset=dataset, slots=slots)


def _prepare(slot: int, indices: np.ndarray) -> None:
    for row, index in zip(_worker["slots"].ndarray[slot], indices, strict=False):
        row[...] = _worker["dataset"][int(index)]


class Loader:
    """Iterate over `(indices, batch)` in an order that is new in each epoch and the same for each `seed`.

    A dataset can be pickled and has `shape`, `dtype`, `len(dataset)` and `dataset[index]`. Of the batches that follow,
    `prefetch` at most are being prepared or ready. A batch is a view of shared memory: it is overwritten after the next
    one is requested, so copy what you keep. Only one loop at a time.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        *,
        workers: int = 2,
        prefetch: int = 4,
        seed: int = 0,
        method: str = "forkserver",
    ) -> None:
        self.dataset, self.batch_size, self.prefetch, self.seed, self.epoch = dataset, batch_size, prefetch, seed, 0
        self.slots = sk.Array((prefetch + 1, batch_size, *dataset.shape), dataset.dtype)
        context = multiprocessing.get_context(method)
        self.pool = sk.Executor(workers, context, initializer=_start_worker, initargs=(dataset, self.slots))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.dataset))
        self.epoch += 1
        ahead: deque[tuple[Any, int, np.ndarray]] = deque()
        try:
            for number, start in enumerate(range(0, len(order), self.batch_size)):
                slot, indices = number % (self.prefetch + 1), order[start : start + self.batch_size]
                ahead.append((self.pool.submit(_prepare, slot, indices), slot, indices))
                if len(ahead) > self.prefetch:
                    yield self._finished(*ahead.popleft())
            while ahead:
                yield self._finished(*ahead.popleft())
        finally:  # the loop may end early, and no worker must write into the slots during the next one
            wait([future for future, _, _ in ahead if not future.cancel()])

    def _finished(self, future: Any, slot: int, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        for attempts_left in (2, 1, 0):
            try:
                future.result()
                break
            except sk.WorkerDied:
                if not attempts_left:
                    raise
                future = self.pool.submit(_prepare, slot, indices)
        return indices, self.slots.ndarray[slot, : len(indices)]

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()
        self.slots.close()


class Pictures:
    """Pictures that are made up; a real dataset would read and decode a file here."""

    shape, dtype = (32, 32, 3), "f4"

    def __len__(self) -> int:
        return 2000

    def __getitem__(self, index: int) -> np.ndarray:
        return np.random.default_rng(index).random(self.shape, self.dtype)


if __name__ == "__main__":
    pictures = Pictures()
    with Loader(pictures, batch_size=64, seed=42) as loader:
        for epoch in range(2):
            started, seen = time.perf_counter(), 0
            for indices, batch in loader:
                assert np.array_equal(batch[0], pictures[int(indices[0])])
                seen += len(batch)  # a real program would train its model here
            print(f"epoch {epoch}: {seen} pictures, {seen / (time.perf_counter() - started):.0f} a second")
