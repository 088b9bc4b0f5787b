"""Integers that others add to: one behind a lock, or one cell for each thread that adds.

Both keep to signed 64 bits as shared memory does, and refuse with OverflowError, the value kept.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from operator import index

__all__ = ["StripedWord", "Word", "checked"]

LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


def checked(value: object) -> int:
    """`value` as an int of 64 bits; TypeError for what is no integer, OverflowError for what does not fit."""
    number = index(value)  # type: ignore[arg-type]  # index() itself raises the TypeError
    if not LOWEST <= number <= HIGHEST:
        raise OverflowError(f"{number} does not fit in a signed 64-bit integer")
    return number


class Word:
    """One integer behind a lock."""

    __slots__ = ("_lock", "_value")

    def __init__(self, value: int) -> None:
        self._lock = threading.Lock()
        self._value = value

    def add(self, n: int) -> int:
        n = index(n)
        with self._lock:
            value = self._value + n
            if not (LOWEST <= value <= HIGHEST and LOWEST <= n <= HIGHEST):
                raise OverflowError(f"{self._value} + {n} does not fit in a signed 64-bit integer")
            self._value = value
        return value

    def load(self) -> int:
        return self._value

    def exchange(self, value: int) -> int:
        with self._lock:
            old = self._value
            self._value = value
        return old

    def compare_exchange(self, expected: int, desired: int) -> bool:
        with self._lock:
            if self._value != expected:
                return False
            self._value = desired
        return True


@dataclass(slots=True)
class _Cell:
    """What one thread has added. Only that thread writes `value`, so it needs no lock."""

    thread: threading.Thread
    value: int = 0


class StripedWord:
    """The sum of a base and of one cell for each thread, so that threads which add share nothing.

    Nobody but its thread writes a cell: setting the sum moves the base instead, and loses no addition that
    runs meanwhile. The cell of a thread that has ended is folded into the base when the next thread comes.
    """

    __slots__ = ("_base", "_cells", "_lock", "_own")

    def __init__(self, value: int) -> None:
        self._lock = threading.Lock()
        self._base = value
        self._cells: list[_Cell] = []
        self._own = threading.local()

    def add(self, n: int) -> None:
        n = index(n)
        try:
            cell: _Cell = self._own.cell
        except AttributeError:
            cell = self._own.cell = self._new_cell()
        value = cell.value + n
        if not (LOWEST <= value <= HIGHEST and LOWEST <= n <= HIGHEST):
            raise OverflowError(f"{cell.value} + {n} does not fit in a signed 64-bit integer")
        cell.value = value

    def _new_cell(self) -> _Cell:
        cell = _Cell(threading.current_thread())
        with self._lock:
            ended = [other for other in self._cells if not other.thread.is_alive()]
            self._base += sum(other.value for other in ended)
            self._cells = [other for other in self._cells if other not in ended]
            self._cells.append(cell)
        return cell

    def _sum(self) -> int:
        return self._base + sum(cell.value for cell in self._cells)

    def load(self) -> int:
        """The sum; OverflowError where it has left signed 64 bits, which no single addition could see."""
        with self._lock:
            return checked(self._sum())

    def exchange(self, value: int) -> int:
        with self._lock:
            old = self._sum()
            self._base += value - old
        return old
