"""Datasets for the loader, good and bad, in a module that workers of every start method can import."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
from data_loader import Loader

import sharedkit as sk


class Numbers:
    """Sample i is [i, i, i]; `reads` counts how many were read."""

    shape, dtype = (3,), "i8"

    def __init__(self) -> None:
        self.reads = sk.Counter()

    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads.add()
        return np.full(3, index)


class Slow(Numbers):
    def __getitem__(self, index: int) -> np.ndarray:
        time.sleep(0.005)
        return super().__getitem__(index)


class Faulty(Numbers):
    def __getitem__(self, index: int) -> np.ndarray:
        if index == 7:
            raise KeyError("no such sample")
        return super().__getitem__(index)


class Killing(Numbers):
    """Two of the reads kill the worker, whichever samples they are for."""

    def __getitem__(self, index: int) -> np.ndarray:
        if self.reads.value in (20, 31):
            self.reads.add()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


class Deadly(Numbers):
    def __getitem__(self, index: int) -> np.ndarray:
        if index == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def check(indices: np.ndarray, batch: np.ndarray) -> list[int]:
    """The indices of a batch whose contents are right."""
    assert batch.tolist() == [[index] * 3 for index in indices.tolist()]
    return indices.tolist()


def epochs(count: int, dataset: Numbers, **options: object) -> list[list[int]]:
    """The indices of each epoch, in order."""
    with Loader(dataset, 8, **options) as loader:
        return [[index for batch in loader for index in check(*batch)] for _ in range(count)]
