"""Random SIGKILLs of two producers and two consumers of one queue: `python kills_queue.py MODE KILLS SEED`.

After each kill both sides must go on without a replacement: a surviving producer finishes a put, a surviving consumer
takes an item. Then the dead process is replaced. After each round the queue is drained, and the counts must
agree.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

from stress.ledger import LOG_ROOM, TORN, Ledger, check_item, make_item
from stress.place import sk
from stress.worker import leftover_segments, start

STUCK_AFTER = 20.0
KILLS_A_ROUND = 25
BATCH = 16


@dataclass
class Mode:
    """A kind of traffic. `sizes` gives an item's size from a random number generator and the item's serial number."""

    maxsize: int
    batch: int
    sizes: Callable[[random.Random, int], int]
    leases: bool = False  # consumers lease each item: what a killed one had in hand comes back


MODES = {
    "small": Mode(200, 1, lambda rng, _: rng.randrange(16, 300)),
    "unbounded": Mode(0, 1, lambda rng, _: rng.randrange(16, 300)),
    "batches": Mode(300, BATCH, lambda rng, _: rng.randrange(16, 300)),
    "large": Mode(20, 1, lambda rng, _: rng.randrange(20_000, 1 << 17)),
    "growing": Mode(64, 1, lambda rng, n: rng.randrange(16, 64 << min(n // 200, 10))),
    "leases": Mode(200, 1, lambda rng, _: rng.randrange(16, 300), leases=True),
    "large leases": Mode(20, 1, lambda rng, _: rng.randrange(16, 1 << rng.randrange(5, 18)), leases=True),
    "growing batches": Mode(96, BATCH, lambda rng, n: rng.randrange(16, 64 << min(n // 400, 9))),
}


@dataclass
class Books:
    """Totals of all rounds."""

    mode: str
    kills: int = 0
    producers: int = 0
    consumers: int = 0
    items: int = 0
    hung: int = 0
    taken_by_killed: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    torn: int = 0
    left: int = 0
    unfinished: int = 0
    recovery_ms: float = 0.0

    @property
    def clean(self) -> bool:
        # If a consumer dies before the server has sent it a whole item, the server puts the item back; other consumers
        # may have taken later items meanwhile.
        back = self.consumers // 100 if sk.method == "manager" and self.mode == "large" else 0
        # An item that was leased by a killed consumer is delivered again, perhaps after later ones.
        again = self.consumers if MODES[self.mode].leases else 0
        disorder = max(0, self.reordered - back - again)
        twice = max(0, self.duplicated - again)
        return not (self.hung or self.lost or twice or disorder or self.torn or self.left)


def produce(queue: Any, ledger: Ledger, slot: int, producer: int, mode: Mode, seed: int) -> None:
    rng = random.Random(seed)
    serial = 0
    while not ledger.stop[0]:
        items = [make_item(producer, serial + i, mode.sizes(rng, serial + i)) for i in range(mode.batch)]
        serial += mode.batch
        ledger.begun[slot] = serial
        if mode.batch == 1:
            queue.put(items[0])
        else:
            queue.put_many(items)
        ledger.done[slot] = serial


def consume(queue: Any, ledger: Ledger, slot: int, mode: Mode) -> None:
    while int(ledger.taken[slot]) < LOG_ROOM - mode.batch:
        if mode.leases:
            try:
                with queue.lease(0.1) as item:
                    ledger.log(slot, check_item(item))
                queue.task_done()
            except Empty:
                if ledger.stop[1]:
                    return
            continue
        try:
            items = [queue.get(timeout=0.1)] if mode.batch == 1 else queue.get_many(mode.batch, timeout=0.1)
        except Empty:
            if ledger.stop[1]:
                return
            continue
        for item in items:
            ledger.log(slot, check_item(item))
        for _ in items:
            queue.task_done()


class Round:
    """One queue, four processes, and some kills."""

    def __init__(self, books: Books, mode: Mode, rng: random.Random, kills: int, first_producer: int) -> None:
        self.books, self.mode, self.rng, self.kills = books, mode, rng, kills
        self.name = f"kills-{os.getpid()}-{first_producer}"
        self.queue: Any = sk.Queue(mode.maxsize, name=self.name)
        self.ledger = Ledger()
        self.next_producer = first_producer
        self.pids = [0] * 4  # slots 0 and 1 produce, 2 and 3 consume
        self.done_earlier = [0] * 4
        self.producer_of = [0] * 2
        self.puts: dict[int, tuple[int, int]] = {}  # producer: puts begun, puts done
        self.seen: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        self.taken_by_killed_at_most = 0
        self.not_done_at_most = 0

    def start(self, slot: int) -> None:
        self.ledger.clear(slot)
        producer, self.next_producer = self.next_producer, self.next_producer + (slot < 2)
        seed = self.rng.randrange(1 << 30)

        def work() -> None:
            if slot < 2:
                produce(self.queue, self.ledger, slot, producer, self.mode, seed)
            else:
                consume(self.queue, self.ledger, slot, self.mode)

        self.pids[slot] = start(work, self.queue, seed)
        if slot < 2:
            self.producer_of[slot] = producer

    def close_books(self, slot: int) -> None:
        """Record the progress of a process that has ended, from its words in the ledger."""
        self.done_earlier[slot] += self.progress_of(slot)
        if slot < 2:
            self.puts[self.producer_of[slot]] = (int(self.ledger.begun[slot]), int(self.ledger.done[slot]))
        else:
            self.seen.append(self.ledger.read(slot))

    def replace_if_full(self) -> None:
        """Replace the consumers that have ended by themselves because their logs were full."""
        for slot in (2, 3):
            if self.pids[slot] == 0:
                continue
            pid, status = os.waitpid(self.pids[slot], os.WNOHANG)
            if pid:
                assert status == 0, f"a consumer ended with {status}"
                self.pids[slot] = 0
                self.close_books(slot)
                self.start(slot)

    def progress_of(self, slot: int) -> int:
        return int((self.ledger.done if slot < 2 else self.ledger.taken)[slot])

    def progress(self, slots: tuple[int, ...]) -> int:
        """How many items these slots have put or taken so far, in all their processes."""
        return sum(self.done_earlier[slot] + (self.progress_of(slot) if self.pids[slot] else 0) for slot in slots)

    def await_progress(self, slots: tuple[int, ...], since: int) -> None:
        began = time.monotonic()
        while self.progress(slots) <= since:
            if time.monotonic() - began > STUCK_AFTER:
                self.books.hung += 1
                raise TimeoutError(f"processes {slots} stand still: {self.queue.statistics()}")
            time.sleep(0.0002)
            self.replace_if_full()
        self.books.recovery_ms = max(self.books.recovery_ms, (time.monotonic() - began) * 1e3)

    def kill_one(self) -> None:
        slot = self.rng.randrange(4)
        time.sleep(self.rng.random() * 0.004)  # a random moment
        os.kill(self.pids[slot], signal.SIGKILL)
        os.waitpid(self.pids[slot], 0)
        self.pids[slot] = 0
        self.close_books(slot)
        self.books.kills += 1
        self.books.producers += slot < 2
        self.books.consumers += slot >= 2
        self.taken_by_killed_at_most += self.mode.batch if slot >= 2 and not self.mode.leases else 0
        self.not_done_at_most += self.mode.batch if slot >= 2 else 0
        alive = [each for each in range(4) if each != slot]
        for side in ((0, 1), (2, 3)):
            slots = tuple(each for each in side if each in alive)
            self.await_progress(slots, self.progress(slots))
        self.start(slot)

    def run(self) -> None:
        for slot in range(4):
            self.start(slot)
        for _ in range(self.kills):
            self.replace_if_full()
            self.kill_one()
        self.finish()

    def finish(self) -> None:
        for side, slots in ((0, (0, 1)), (1, (2, 3))):
            self.ledger.stop[side] = 1
            for slot in slots:
                self.await_end(slot)
        rest = []
        while not self.queue.empty():
            rest.append(check_item(self.queue.get(timeout=STUCK_AFTER)))
            self.queue.task_done()
        self.seen.append(np.array(rest, np.int64))
        self.settle()
        self.queue.close()
        self.books.left += leftover_segments(self.name)

    def await_end(self, slot: int) -> None:
        """Wait for a process that was told to stop. While producers stop, consumers may have to be replaced."""
        deadline = time.monotonic() + STUCK_AFTER
        while True:
            pid, status = os.waitpid(self.pids[slot], os.WNOHANG)
            if pid:
                assert status == 0, f"process {slot} ended with {status}"
                self.pids[slot] = 0
                self.close_books(slot)
                return
            if slot < 2:
                self.replace_if_full()
            if time.monotonic() > deadline:
                self.books.hung += 1
                raise TimeoutError(f"process {slot} does not end: {self.queue.statistics()}")
            time.sleep(0.001)

    def settle(self) -> None:
        """Compare what was put with what was taken."""
        books = self.books
        for log in self.seen:
            whole = log[log != TORN]
            books.torn += len(log) - len(whole)
            for producer in np.unique(whole >> 32):
                serials = whole[whole >> 32 == producer] & 0xFFFFFFFF
                books.reordered += int((np.diff(serials) <= 0).sum())
        taken = np.concatenate(self.seen)
        taken = taken[taken != TORN]
        books.items += len(taken)
        missing = 0
        for producer, (begun, done) in self.puts.items():
            serials = taken[taken >> 32 == producer] & 0xFFFFFFFF
            times = np.bincount(serials, minlength=begun)
            books.duplicated += int((times[times > 1] - 1).sum())
            books.torn += len(times) - begun  # never put
            # If a producer died in a put, either nothing of the put is in the queue or a prefix of its items.
            reached = max(done, int(serials.max()) + 1 if len(serials) else 0)
            missing += int((times[:reached] == 0).sum())
        known = np.isin(taken >> 32, list(self.puts))
        books.torn += int((~known).sum())
        books.taken_by_killed += min(missing, self.taken_by_killed_at_most)
        books.lost += max(missing - self.taken_by_killed_at_most, 0)
        books.unfinished += self.queue.unfinished_tasks
        # Items without `task_done` were taken by consumers that died before they called it.
        books.lost += max(self.queue.unfinished_tasks - self.not_done_at_most, 0)


def run(mode: str, kills: int, seed: int) -> Books:
    books = Books(mode)
    rng = random.Random(seed)
    producer = 1
    while books.kills < kills:
        a_round = Round(books, MODES[mode], rng, min(KILLS_A_ROUND, kills - books.kills), producer)
        try:
            a_round.run()
        except TimeoutError as why:
            print(json.dumps({"hung": str(why)}), flush=True)
            return books
        producer = a_round.next_producer
        print(json.dumps({"kills": books.kills}), flush=True)
    return books


def main() -> None:
    mode, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    gc.freeze()
    books = run(mode, kills, seed)
    print(json.dumps(asdict(books) | {"clean": books.clean}), flush=True)


if __name__ == "__main__":
    main()
