"""Operations of the array: atomic additions to its elements."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from stress.operations import Operation, Outcome, fresh_name, newcomer, path_of
from stress.operations_words import Add

from sharedkit import shm as sk


class FetchAdd(Add):
    """Adds to one element of many; the others keep their values."""

    dtype = "i8"

    def make(self) -> Any:
        array = sk.Array((4, 2), self.dtype, name=self.name)
        array.ndarray[:] = 7
        array.ndarray[1, 1] = self.first
        return array

    def act(self) -> None:
        self.handle.fetch_add((1, 1), self.step)

    def read(self, handle: Any) -> Any:
        values = handle.ndarray.copy()
        wanted = np.full((4, 2), 7, self.dtype)
        wanted[1, 1] = values[1, 1]
        assert (values == wanted).all()
        return values[1, 1].item()

    def add(self, handle: Any, n: int) -> None:
        handle.fetch_add((1, 1), n)


class FetchAddFloat(FetchAdd):
    dtype = "f8"


class FetchAddShort(FetchAdd):
    dtype = "i2"
    first, step = 0x1011, 0x0202


class ExchangeElement(FetchAdd):
    def act(self) -> None:
        self.handle.compare_exchange((1, 1), self.first, self.first + self.step)


class AddAt(Operation):
    """Many additions in one call: each is done or not, and those that are done are the first ones."""

    dtype = "i8"
    first, step = 1 << 40, (1 << 33) + 5

    def __init__(self) -> None:
        self.name = fresh_name()
        self.array: Any = None
        self.indices = np.array([5, 2, 9, 0, 7, 3, 11, 8])

    @property
    def watched(self) -> str | None:
        return self.name

    def prepare(self) -> None:
        self.array = sk.Array(12, self.dtype, name=self.name)
        self.array.ndarray[:] = self.first

    def act(self) -> None:
        self.array.add_at(self.indices, self.step)

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(sk.Array, self.name)
        values = other.ndarray.copy()
        done = values[self.indices] == self.first + self.step
        outcome = Outcome(committed=int(done.sum()))
        whole = (values == self.first) | (values == self.first + self.step)
        outcome.torn += int((~whole).sum())
        outcome.torn += int((np.delete(values, self.indices) != self.first).sum())
        outcome.reordered += int(not done[: outcome.committed].all())
        for handle in (self.array, other, self.array):
            handle.add_at(self.indices, 1)
        values[self.indices] += 3
        outcome.lost += int((self.array.ndarray != values).sum())
        outcome.recovery_ms = (time.perf_counter() - began) * 1e3
        other.close()
        return outcome

    def finish(self) -> int:
        if self.array is not None:
            self.array.close()
            self.array = None
        return int(path_of(self.name).exists())


class AddAtFloat(AddAt):
    dtype = "f8"


ARRAY: dict[str, type[Operation]] = {
    "Array.fetch_add": FetchAdd,
    "Array.fetch_add, float": FetchAddFloat,
    "Array.fetch_add, 16 bits": FetchAddShort,
    "Array.compare_exchange": ExchangeElement,
    "Array.add_at": AddAt,
    "Array.add_at, float": AddAtFloat,
}
