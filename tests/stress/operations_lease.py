"""Operations on leases of a queue, and on items that leave it without being taken."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from stress.operations import STUCK_AFTER, Operation, Outcome, QueueOperation, path_of, payload

from sharedkit import segments
from sharedkit import shm as sk
from sharedkit.shm import _queue


class Failure(Exception):
    pass


def fail_once(queue: Any) -> None:
    """Lease the first item, and fail."""
    with contextlib.suppress(Failure), queue.lease():
        raise Failure


def let_time_pass() -> None:
    """Let the time pass in which nobody asks again which owners live: the victim has asked, because rows are in use.
    Then the survivors find its death at their first step, and the order of the items is certain."""
    time.sleep(0.011)


class Lease(QueueOperation):
    """Until the end of the block the item comes back; then it is taken for good."""

    commits_once = True
    victim_may_lose = 1

    def act(self) -> None:
        with self.queue.lease():
            pass


class LeaseBounded(Lease):
    maxsize = 3


class LeaseLarge(Lease):
    def __init__(self) -> None:
        super().__init__()
        self.before = [payload(f"old{i}", 2500) for i in range(3)]


class LeaseFailing(QueueOperation):
    """The item comes back, whoever fails."""

    def act(self) -> None:
        with contextlib.suppress(Failure), self.queue.lease():
            raise Failure


class CameBack(QueueOperation):
    """The first item has been leased and came back: it lies before the head."""

    commits_once = True
    victim_may_lose = 1

    def prepare(self) -> None:
        super().prepare()
        fail_once(self.queue)

    def survive(self, k: int) -> Outcome:
        let_time_pass()
        return super().survive(k)


class GetCameBack(CameBack):
    def act(self) -> None:
        self.queue.get()


class GetManyCameBack(CameBack):
    def act(self) -> None:
        self.queue.get_many(1)


class LeaseCameBack(CameBack):
    def act(self) -> None:
        with self.queue.lease():
            pass


class Clear(QueueOperation):
    """All items leave by one commit."""

    commits_once = True
    victim_may_lose = 3

    def act(self) -> None:
        self.queue.clear()

    def after(self, committed: bool) -> list[Any]:
        return [] if committed else self.before

    def _count_tasks(self, handle: Any, outcome: Outcome) -> None:
        """What was cleared counts as done."""
        undone = handle.unfinished_tasks
        outcome.torn += int(undone != len(self.before) + 3 - outcome.committed)
        for _ in range(undone):
            handle.task_done()
        handle.join()


class ClearBounded(Clear):
    maxsize = 3


class PutDropping(QueueOperation):
    """The queue is full: the first item leaves by one commit, and the new one comes by another."""

    maxsize = 3
    victim_may_lose = 1

    def __init__(self) -> None:
        super().__init__()
        self.mine = [payload("mine")]

    def prepare(self) -> None:
        make = _queue.make(
            str(path_of(self.name)),
            self.name,
            segments.DEFAULT_SEATS,
            0,
            self.maxsize,
            self.ring_log2,
            self.start,
            True,
        )
        self.queue = sk.Queue._of(segments._keep(make))
        for item in self.before:
            self.queue.put(item)

    def act(self) -> None:
        self.queue.put(self.mine[0])

    def _count_tasks(self, handle: Any, outcome: Outcome) -> None:
        dropped = handle.statistics().dropped
        outcome.torn += int(dropped not in (0, 1) or outcome.committed > dropped + 1)
        for _ in range(handle.unfinished_tasks):
            handle.task_done()
        handle.join()


class PutCompacting(QueueOperation):
    """The ring is full of records that were taken, except two that this process keeps leased: the victim moves them
    together to make room."""

    ring_log2 = 8

    def __init__(self) -> None:
        super().__init__()
        self.mine = [payload("mine", 700)]
        self.leases: list[Any] = []

    def prepare(self) -> None:
        kept = [payload("kept0", 200), payload("kept1", 120)]
        self.before = [kept[0], *(bytes(300) for _ in range(4)), kept[1], *(bytes(300) for _ in range(5))]
        super().prepare()
        for item in self.before:
            lease = self.queue.lease()
            assert lease.__enter__() == item
            if item in kept:
                self.leases.append(lease)
            else:
                lease.__exit__(None, None, None)
                self.queue.task_done()
        self.before = kept

    def act(self) -> None:
        self.queue.put(self.mine[0])

    def survive(self, k: int) -> Outcome:
        for lease in reversed(self.leases):
            lease.__exit__(Failure, Failure(), None)
        return super().survive(k)

    def finish(self) -> int:
        self.leases.clear()
        return super().finish()


class DeadLetter(Operation):
    """An item that was delivered too often moves to another queue: it is in one of the two, or in both if the victim
    dies in between."""

    def __init__(self) -> None:
        self.queue: sk.Queue[Any] = sk.Queue()
        self.dead: sk.Queue[Any] = sk.Queue()
        self.names = [self.queue.name, self.dead.name]
        self.items = [payload("bad"), payload("good")]

    @property
    def watched(self) -> str | None:
        return self.names[0]

    def prepare(self) -> None:
        self.queue.put_many(self.items)
        fail_once(self.queue)

    def act(self) -> None:
        with self.queue.lease(max_deliveries=1, dead_letter=self.dead):
            pass

    def survive(self, k: int) -> Outcome:
        outcome = Outcome(committed=0)
        let_time_pass()
        self.queue.put("last")
        self.dead.put("last")
        here = list(iter(lambda: self.queue.get(timeout=STUCK_AFTER), "last"))
        there = list(iter(lambda: self.dead.get(timeout=STUCK_AFTER), "last"))
        outcome.torn = sum(item not in self.items for item in (*here, *there))
        outcome.lost = int(self.items[0] not in (*here, *there)) + int(len(here) == 0 and len(there) == 0)
        outcome.duplicated = max(0, len(there) - 1)
        left = self.queue.unfinished_tasks
        outcome.lost += int(left not in (2, 3))
        for _ in range(left):
            self.queue.task_done()
        self.queue.join()
        return outcome

    def finish(self) -> int:
        self.queue.close()
        self.dead.close()
        return sum(path_of(name).exists() for name in self.names)


LEASE: dict[str, type[Operation]] = {
    "lease": Lease,
    "lease, bounded": LeaseBounded,
    "lease, large": LeaseLarge,
    "lease, failing": LeaseFailing,
    "lease what came back": LeaseCameBack,
    "get what came back": GetCameBack,
    "get_many what came back": GetManyCameBack,
    "clear": Clear,
    "clear, bounded": ClearBounded,
    "put, dropping": PutDropping,
    "put, compacting": PutCompacting,
    "dead letter": DeadLetter,
}
