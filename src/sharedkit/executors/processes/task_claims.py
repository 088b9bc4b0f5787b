"""Claims of tasks: for each slot one word in shared memory, which names the worker that runs the task in that slot.

    bits 24 ..   serial number of the task, which distinguishes it from other tasks in the same slot
    bits 2 ..23  number of the worker that runs the task, 0: none
    bits 0 .. 1  phase

| from       | to         | by, always with one compare-and-swap                          |
|------------|------------|---------------------------------------------------------------|
| open       | running    | the worker that took the task from the queue                  |
| open       | doomed     | the parent: it cancels the task, and a worker that takes it drops it |
| running    | finishing  | the task's worker, before it puts the result                  |
| running    | doomed     | the parent, before it kills the worker                        |

So a task starts at most once, even if it is in the queue several times. The parent kills a worker only because of a
task that must be ended: a worker that has finished a task and finds it doomed takes no other task but ends itself.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "DOOMED",
    "FINISHING",
    "NEWCOMERS",
    "OPEN",
    "RUNNING",
    "SERIAL_SHIFT",
    "SLOTS",
    "SLOT_BITS",
    "WORKER_MASK",
    "arrive",
    "base_of",
    "has_arrived",
    "mark_of",
    "slot_of",
    "worker_of",
]

SLOT_BITS = 12
SERIAL_SHIFT = 24
SLOTS = 1 << SLOT_BITS
"""The largest number of tasks in the queue or with workers at once; the others wait in the parent."""
NEWCOMERS = 1 << 11
"""Words behind the slots; a worker that is ready to take tasks writes its number into one of them."""
WORKER_MASK = (1 << 22) - 1

OPEN, RUNNING, FINISHING, DOOMED = range(4)


def base_of(task: int) -> int:
    """The word of an open task. A task's number is its serial number, shifted, plus the number of its slot."""
    return task >> SLOT_BITS << SERIAL_SHIFT


def slot_of(task: int) -> int:
    """The index of the task's word."""
    return task & SLOTS - 1


def mark_of(worker: int) -> int:
    """The bits in a word that hold a worker's number."""
    return worker << 2


def worker_of(word: int) -> int:
    """The number of the worker that runs the task, 0 for none."""
    return word >> 2 & WORKER_MASK


def arrive(words: Any, worker: int) -> None:
    """Record that this worker takes tasks from now on."""
    words[SLOTS + worker % NEWCOMERS] = worker


def has_arrived(words: Any, worker: int) -> bool:
    """Whether that worker has ever been ready to take tasks."""
    return bool(words[SLOTS + worker % NEWCOMERS] == worker)
