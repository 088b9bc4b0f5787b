"""The parts of every operation under the stepper: a fresh state, the act in which it dies, the survivors' checks."""

from __future__ import annotations

import itertools
import os
import time
from abc import ABC, abstractmethod
from collections import Counter as Multiset
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full
from typing import Any

import numpy as np

from sharedkit import segments
from sharedkit import shm as sk
from sharedkit._core import segment as core
from sharedkit.shm import _queue

# If a survivor has not gone on after this time, it is stuck. Recovery takes far less, even on a loaded machine.
STUCK_AFTER = 10.0
_serial = itertools.count()


class Stuck(Exception):
    """A survivor could not go on."""


@dataclass
class Outcome:
    """What the survivors of one death found. `committed`: how much of the victim's operation has taken effect."""

    committed: int
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    reordered: int = 0
    left: int = 0
    recovery_ms: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.torn or self.reordered or self.left)


def fresh_name() -> str:
    """An unused segment name. All have the same length, so that all victims take the same way."""
    return f"stepped-{os.getpid():07}-{next(_serial):06}"


def path_of(name: str) -> Path:
    return Path(core.FOLDER, f"sk_{name}")


def newcomer(kind: Any, name: str) -> Any:
    """A second attachment in this process, with its own descriptor, seat and mapping, like one in another process."""
    return kind._of(core.Segment.attach(str(path_of(name)), name))


def payload(tag: str, size: int = 100) -> bytes:
    """`size` bytes that differ at every place from those of any other tag of the same length."""
    seed = int.from_bytes(tag.encode(), "big") % 2**32
    body = np.random.default_rng(seed).bytes(size)
    return tag.encode() + b":" + body


def key(item: Any) -> Any:
    """A hashable value that identifies the item."""
    return item.tobytes() if isinstance(item, np.ndarray) else item


def judge(seen: list[Any], before: list[Any], mine: list[Any], fresh: list[Any], hand: int) -> Outcome:
    """Compare the items taken with those allowed: first `before`, of which the victim may have taken the first `hand`;
    then all or nothing of `mine`, which the victim put; then `fresh`, which the survivors put."""
    got = [key(item) for item in seen]
    old, put, new = ([key(item) for item in items] for items in (before, mine, fresh))
    known = set(old) | set(put) | set(new)
    times = Multiset(got)
    outcome = Outcome(committed=0)
    outcome.torn = sum(1 for item in got if item not in known)
    outcome.duplicated = sum(n - 1 for item, n in times.items() if item in known)
    missing = [i for i, item in enumerate(old) if item not in times]
    in_hand = len(missing) if missing == list(range(len(missing))) and len(missing) in (0, hand) else 0
    there = [item for item in put if item in times]
    outcome.lost = len(missing) - in_hand + sum(1 for item in new if item not in times)
    if there and len(there) != len(put):
        outcome.torn += 1  # all of a batch that fits is put by one commit
    outcome.committed = in_hand + len(there)
    expected = [item for item in old + put + new if item in times]
    if outcome.torn == outcome.duplicated == 0 and got != expected:
        outcome.reordered = 1
    return outcome


class Operation(ABC):
    """One operation; a new object is made for each death."""

    seated = True  # the victim takes its seats before the operation

    victim_may_lose = 0  # items that the victim may have taken and not returned
    # Whether one instruction makes the whole operation take effect.
    commits_once = False

    @property
    def watched(self) -> str | None:
        """Name of the segment whose control words the trace watches for changes."""
        return None

    @abstractmethod
    def prepare(self) -> None:
        """In the arena: make a fresh state."""

    def enter(self) -> None:  # noqa: B027, most need nothing
        """In the victim: prepare, before the first counted instruction."""

    @abstractmethod
    def act(self) -> None:
        """In the victim: do the operation."""

    @abstractmethod
    def survive(self, k: int) -> Outcome:
        """In the arena, after a death before instruction k: go on, and return what was found. Raises Stuck."""

    @abstractmethod
    def finish(self) -> int:
        """Close everything; return how many segments remain."""

    def adopt(self, first: Any, committed: bool) -> None:
        """Take over the structure of another operation, whose victim has died before or after its commit."""
        raise NotImplementedError(f"nobody has died before {type(self).__name__} yet")


class QueueOperation(Operation):
    """An operation on a queue that holds `before`; the survivors put three more items and take all items.

    There are two survivors: an older attachment and one made after the death; `k` decides which puts and which takes.
    """

    maxsize = 0
    ring_log2 = 10
    start = 0
    gone = 0  # items of 384 bytes that were put and taken before

    def __init__(self) -> None:
        self.name = fresh_name()
        self.before: list[Any] = [payload(f"old{i}") for i in range(3)]
        self.mine: list[Any] = []
        self.queue: Any = None

    @property
    def watched(self) -> str | None:
        return self.name

    def prepare(self) -> None:
        # As Queue() does, but with a given first ring size and position.
        make = _queue.make(
            str(path_of(self.name)), self.name, segments.DEFAULT_SEATS, 0, self.maxsize, self.ring_log2, self.start
        )
        self.queue = sk.Queue._of(segments._keep(make))
        for _ in range(self.gone):
            self.queue.put(bytes(384 - 8))
            self.queue.get()
            self.queue.task_done()
        for item in self.before:
            self.queue.put(item)

    def survive(self, k: int) -> Outcome:
        began = time.perf_counter()
        other = newcomer(sk.Queue, self.name)
        putter, taker = (self.queue, other) if k % 2 else (other, self.queue)
        new = [payload(f"new{i}") for i in range(3)]
        seen: list[Any] = []
        self._in_time("put", lambda: self._put_three(putter, taker, new, seen))
        recovery = (time.perf_counter() - began) * 1e3
        self._in_time("get", lambda: self._take_rest(taker, new, seen))
        outcome = judge(seen, self.before, self.mine, new, self.victim_may_lose)
        outcome.recovery_ms = recovery
        self._count_tasks(putter, outcome)
        other.close()
        return outcome

    @staticmethod
    def _in_time(what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except (Empty, Full) as why:
            raise Stuck(f"{what}: {type(why).__name__}") from why

    @staticmethod
    def _put_three(putter: Any, taker: Any, new: list[Any], seen: list[Any]) -> None:
        """Put each item, after taking some if the queue is full (an item that came back from a lease makes no room);
        then take one. So both sides recover from the death."""
        for item in new:
            while putter.full():
                seen.append(taker.get(timeout=STUCK_AFTER))
            putter.put(item, timeout=STUCK_AFTER)
        seen.append(taker.get(timeout=STUCK_AFTER))

    def _take_rest(self, taker: Any, new: list[Any], seen: list[Any]) -> None:
        most = 2 * (len(self.before) + len(self.mine) + len(new))
        while key(seen[-1]) != key(new[-1]) and len(seen) < most:
            seen.append(taker.get(timeout=STUCK_AFTER))

    def _count_tasks(self, handle: Any, outcome: Outcome) -> None:
        """Check that nothing follows the last item, and that task_done can be called exactly once for each put."""
        if handle.qsize() != 0 or not handle.empty():
            outcome.duplicated += handle.qsize()
        puts = len(self.before) + 3 + (outcome.committed if self.mine else 0)
        for _ in range(puts):
            handle.task_done()
        handle.join()
        try:
            handle.task_done()
        except ValueError:
            return
        outcome.duplicated += 1

    def adopt(self, first: Any, committed: bool) -> None:
        self.name, self.queue = first.name, first.queue
        self.before = first.after(committed)

    def after(self, committed: bool) -> list[Any]:
        """The items in the queue after this operation, whether it has committed or not."""
        return self.before + (self.mine if committed else [])

    def finish(self) -> int:
        if self.queue is not None:
            self.queue.close()
            self.queue = None
        return int(path_of(self.name).exists())
