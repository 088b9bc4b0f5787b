"""Random SIGKILLs of two writers and two readers of one dict: `python kills_dict.py DICT KILLS SEED`.

Each writer has its own keys, and gives each in turn a new version of another size, so the table is rebuilt often. It
counts the writes that it has begun and those that are done. After each kill the survivors must go on without a
replacement, and each key of the dead writer must have its last finished version, or the one that was being written.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))

from stress.ledger import SLOTS, TORN, Ledger, check_item, make_item
from stress.place import sk
from stress.worker import leftover_segments, start

STUCK_AFTER = 20.0
WRITERS = (0, 1)
READERS = (2, 3)
KEYS = 60  # of each writer
KILLS_A_ROUND = 100


@dataclass
class Books:
    """Totals of all rounds."""

    subject: str
    kills: int = 0
    writers: int = 0
    readers: int = 0
    writes: int = 0
    reads: int = 0
    in_flight: int = 0
    hung: int = 0
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    left: int = 0
    recovery_ms: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.hung or self.lost or self.duplicated or self.torn or self.left)


def size_of(serial: int) -> int:
    return 8000 if serial % 97 == 0 else 16 + serial * 37 % 500


def deletes(serial: int) -> bool:
    """Whether this write deletes its key: for keys whose number ends in 0, every third write does."""
    return serial % 10 == 0 and serial // KEYS % 3 == 2


def key_of(slot: int, serial: int) -> str | tuple[int, int]:
    number = serial % KEYS
    return (slot, number) if number % 7 == 0 else f"writer {slot}, key {number}"


def write(table: Any, ledger: Ledger, slot: int, serial: int) -> None:
    """Write from `serial` on; a predecessor may have done that write or not."""
    while not ledger.stop[0]:
        ledger.begun[slot] = serial + 1
        key = key_of(slot, serial)
        if deletes(serial):
            table.pop(key, None)
        else:
            table[key] = make_item(slot, serial, size_of(serial))
        table.add(("writes", slot))
        serial += 1
        ledger.done[slot] = serial


def torn(value: Any, slot: int, number: int, last: int) -> bool:
    """Whether the value was never written to this key, or is older than one seen before."""
    entry = check_item(value)
    if entry == TORN:
        return True
    serial = entry & 0xFFFFFFFF
    return entry >> 32 != slot or serial % KEYS != number or serial < last


def read(table: Any, ledger: Ledger, slot: int, seed: int) -> None:
    """Look up single keys, and now and then all keys in one snapshot; `taken` counts the wrong values."""
    rng = random.Random(seed)
    last = {(writer, number): -1 for writer in WRITERS for number in range(KEYS)}
    while not ledger.stop[1]:
        if rng.randrange(50) == 0:
            found = table.as_dict()
            pairs = list(last)
        else:
            pairs = [(rng.choice(WRITERS), rng.randrange(KEYS))]
            found = {key_of(*pair): table.get(key_of(*pair)) for pair in pairs}
        for writer, number in pairs:
            value = found.get(key_of(writer, number))
            if value is None:
                ledger.taken[slot] += last[writer, number] >= 0 and number % 10 != 0  # this key is never deleted
                continue
            ledger.taken[slot] += torn(value, writer, number, last[writer, number])
            last[writer, number] = max(check_item(value) & 0xFFFFFFFF, last[writer, number])
        ledger.done[slot] += 1


class Round:
    """One dict, four processes, and some kills."""

    def __init__(self, books: Books, rng: random.Random, serial: int) -> None:
        self.books, self.rng, self.ledger = books, rng, Ledger()
        self.name = f"kills-{os.getpid()}-{serial}"
        self.table: Any = sk.Dict(name=self.name)
        self.pids = [0] * SLOTS
        self.next = [0] * SLOTS
        self.repeated = [0] * SLOTS

    def start(self, slot: int) -> None:
        seed = self.rng.randrange(1 << 30)
        self.ledger.done[slot] = self.next[slot]

        def work() -> None:
            if slot in WRITERS:
                write(self.table, self.ledger, slot, self.next[slot])
            else:
                read(self.table, self.ledger, slot, seed)

        self.pids[slot] = start(work, self.table, seed)

    def await_progress(self, slots: list[int]) -> None:
        began = time.monotonic()
        for slot in slots:
            since = int(self.ledger.done[slot])
            while int(self.ledger.done[slot]) == since:
                if time.monotonic() - began > STUCK_AFTER:
                    self.books.hung += 1
                    raise TimeoutError(f"process {slot} stands still at {since}: {self.table.statistics()}")
                time.sleep(0.0001)
        self.books.recovery_ms = max(self.books.recovery_ms, (time.monotonic() - began) * 1e3)

    def check(self, slot: int) -> None:
        """Check the keys of a writer that has ended: the last finished version, or the one in flight."""
        begun, done = int(self.ledger.begun[slot]), int(self.ledger.done[slot])
        for number in range(KEYS):
            value = self.table.get(key_of(slot, number))
            newest = {serial for serial in range(max(done - KEYS, 0), done) if serial % KEYS == number}
            allowed = newest or {-1}
            if begun > done and (begun - 1) % KEYS == number:
                allowed.add(begun - 1)
                self.books.in_flight += 1
            there = {None if serial < 0 or deletes(serial) else serial for serial in allowed}
            if value is not None and torn(value, slot, number, -1):
                self.books.torn += 1
            elif (None if value is None else check_item(value) & 0xFFFFFFFF) not in there:
                self.books.lost += 1

    def settle(self, slot: int) -> None:
        """Check and record the counts of a process that has ended."""
        done = self.next[slot] = int(self.ledger.done[slot])
        if slot in WRITERS:
            self.check(slot)
            self.repeated[slot] += int(self.ledger.begun[slot]) > done  # repeated by the replacement, perhaps
            counted = self.table.get(("writes", slot), 0)
            self.books.lost += max(done - counted, 0)
            self.books.duplicated += max(counted - done - self.repeated[slot], 0)
        else:
            self.books.torn += int(self.ledger.taken[slot])
            self.ledger.taken[slot] = 0

    def run(self, kills: int) -> None:
        for slot in range(SLOTS):
            self.start(slot)
        for _ in range(kills):
            slot = self.rng.randrange(SLOTS)
            time.sleep(self.rng.random() * 0.004)  # a random moment
            os.kill(self.pids[slot], signal.SIGKILL)
            os.waitpid(self.pids[slot], 0)
            self.books.kills += 1
            self.books.writers += slot in WRITERS
            self.books.readers += slot in READERS
            self.await_progress([each for each in range(SLOTS) if each != slot])
            self.settle(slot)
            self.start(slot)
        self.ledger.stop[:] = 1
        for slot in range(SLOTS):
            _, status = os.waitpid(self.pids[slot], 0)
            assert status == 0, f"process {slot} ended with {status}"
            self.settle(slot)
        self.books.writes += sum(self.next[slot] for slot in WRITERS)
        self.books.reads += sum(self.next[slot] for slot in READERS)
        self.books.lost += int(len(self.table) != len(list(self.table)))
        self.table.close()
        self.books.left += leftover_segments(self.name)


def main() -> None:
    subject, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    gc.freeze()
    books, rng, serial = Books(subject), random.Random(seed), 0
    while books.kills < kills:
        try:
            Round(books, rng, serial).run(min(KILLS_A_ROUND, kills - books.kills))
        except TimeoutError as why:
            print(json.dumps({"hung": str(why)}), flush=True)
            break
        serial += 1
    print(json.dumps(asdict(books) | {"clean": books.clean}), flush=True)


if __name__ == "__main__":
    main()
