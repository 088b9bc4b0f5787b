"""Random SIGKILLs of processes that use one primitive: `python kills_sync.py PRIMITIVE KILLS SEED`.

Four processes use it in a loop; one after the other is killed at a random moment. Before it is replaced, the survivors
must go on, and what the primitive promises about deaths is checked. primitives.py names the trial of each primitive.
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
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from stress.ledger import SLOTS
from stress.primitives import PRIMITIVES
from stress.trial import Books, Hung, Trial
from stress.worker import leftover_segments, start

LONGEST = 0.003  # seconds between a start and the next kill


class Soak:
    """Four processes at work; one after the other is killed and replaced."""

    def __init__(self, trial: Trial, rng: random.Random) -> None:
        self.trial, self.rng = trial, rng

    def start(self, slot: int) -> None:
        seed = self.rng.randrange(1 << 30)
        work = self.trial.work
        self.trial.board.pids[slot] = start(lambda: work(slot, random.Random(seed)), self.trial.handle, seed)

    def kill(self, slot: int) -> None:
        """Kill a process and correct its words. Meanwhile `killing` is odd."""
        board = self.trial.board
        board.victim[0] = slot
        board.killing[0] += 1
        os.kill(int(self.trial.board.pids[slot]), signal.SIGKILL)
        os.waitpid(int(self.trial.board.pids[slot]), 0)
        self.trial.recover(slot)
        board.killing[0] += 1
        self.trial.books.kills += 1

    def run(self, kills: int) -> None:
        for slot in range(SLOTS):
            self.start(slot)
        for _ in range(kills):
            slot = self.rng.randrange(SLOTS)
            time.sleep(self.rng.random() * LONGEST)  # a random moment
            self.trial.before(slot, self.rng)
            self.kill(slot)
            survivors = [each for each in range(SLOTS) if each != slot]
            began = time.monotonic()
            self.trial.after(slot, survivors)
            self.trial.books.recovery_ms = max(self.trial.books.recovery_ms, (time.monotonic() - began) * 1e3)
            self.start(slot)
        self.trial.release()
        for slot in range(SLOTS):
            self.end(slot)

    def end(self, slot: int) -> None:
        until = time.monotonic() + 20
        while True:
            done, status = os.waitpid(int(self.trial.board.pids[slot]), os.WNOHANG)
            if done:
                assert status == 0, f"process {slot} ended with {status}"
                return
            if time.monotonic() > until:
                raise Hung(f"process {slot} does not end")
            self.trial.release()
            time.sleep(0.001)


def main() -> None:
    name, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    faulthandler.enable()
    gc.freeze()
    books = Books(name)
    trial = PRIMITIVES[name](books, f"kills-{os.getpid()}")
    try:
        Soak(trial, random.Random(seed)).run(kills)
        trial.settle()
    except Hung as why:
        books.hung += 1
        print(json.dumps({"hung": str(why), "statistics": str(trial.handle.statistics())}), flush=True)
    else:
        trial.handle.close()
        books.left = leftover_segments(trial.name)
    print(json.dumps(asdict(books) | {"clean": books.clean}), flush=True)


if __name__ == "__main__":
    main()
