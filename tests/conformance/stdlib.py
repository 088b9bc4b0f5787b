"""The standard library's counter, a `multiprocessing.Value` with its lock, with the methods of sharedkit's Counter."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any


class ValueCounter:
    """A `multiprocessing.Value` of 64 bits; every method holds its lock."""

    def __init__(self, value: int = 0, *, context: Any = multiprocessing) -> None:
        self._value = context.Value("q", value)

    def add(self, n: int = 1) -> int:
        with self._value.get_lock():
            self._value.value += n
            return int(self._value.value)

    @property
    def value(self) -> int:
        return int(self._value.value)

    @value.setter
    def value(self, value: int) -> None:
        self.exchange(value)

    def exchange(self, value: int) -> int:
        with self._value.get_lock():
            old = int(self._value.value)
            self._value.value = value
            return old

    def compare_exchange(self, expected: int, desired: int) -> bool:
        with self._value.get_lock():
            if self._value.value != expected:
                return False
            self._value.value = desired
            return True

    def reset(self) -> int:
        return self.exchange(0)

    def __int__(self) -> int:
        return self.value

    def __iadd__(self, n: int) -> ValueCounter:
        self.add(n)
        return self

    def __isub__(self, n: int) -> ValueCounter:
        self.add(-n)
        return self


def value_counter_for(method: str) -> Callable[..., ValueCounter]:
    """Return a function that makes counters for processes started by `method`."""
    context = multiprocessing.get_context(method)
    return lambda value=0: ValueCounter(value, context=context)
