"""Test operations by killing a process at every instruction of each: run one arena process (arena.py) for each
operation, check that it keeps reporting, and count the results in a table.

`python tests/stress/sweep.py [OPERATION …] [--every N]` prints the table. Default: all operations, every instruction.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SILENT_AFTER = 60.0  # seconds without a line from an arena: a survivor hangs, and its timeout did not end the wait
GIVE_UP = 5  # arenas of one operation that may fail
ARENA = Path(__file__).with_name("arena.py")
SETTINGS = {
    "LD_BIND_NOW": "1",  # no symbol is resolved in the middle of a victim's operation
    # Otherwise each byte of `rep movsb` is a step: thousands of equal deaths inside one instruction.
    "GLIBC_TUNABLES": "glibc.cpu.x86_rep_movsb_threshold=1000000000:glibc.cpu.x86_rep_stosb_threshold=1000000000",
}


@dataclass
class Row:
    """The totals of one sweep. `faults`: the reports of deaths that were not clean."""

    operation: str
    instructions: int = 0
    deaths: int = 0
    stuck: int = 0
    lost: int = 0
    duplicated: int = 0
    torn: int = 0
    reordered: int = 0
    left: int = 0
    strayed: int = 0
    flips: int = 0
    recovery_ms: float = 0.0
    seconds: float = 0.0
    last: int | None = None
    faults: list[dict[str, Any]] = field(default_factory=list)

    def take(self, told: dict[str, Any]) -> None:
        self.deaths += 1
        self.strayed += told["strayed"]
        if "stuck" in told or "error" in told:
            self.stuck += 1
            self.faults.append(told)
            return
        wrong = 0
        for what in ("lost", "duplicated", "torn", "reordered", "left"):
            setattr(self, what, getattr(self, what) + told[what])
            wrong += told[what]
        if wrong:
            self.faults.append(told)
        # How much has happened must depend only on how far the victim came.
        if self.last is not None and told["committed"] != self.last:
            self.flips += 1
        self.last = told["committed"]
        self.recovery_ms = max(self.recovery_ms, told["recovery_ms"])

    @property
    def clean(self) -> bool:
        return self.deaths > 0 and not self.faults


COLUMNS = ("instructions", "deaths", "stuck", "lost", "duplicated", "torn", "reordered", "left", "strayed", "flips")


def table(rows: list[Row]) -> str:
    """The rows as text."""
    heads = ["operation", *COLUMNS, "recovery ms", "s"]
    cells = [heads]
    for row in rows:
        numbers = [f"{getattr(row, column):,}" for column in COLUMNS]
        cells.append([row.operation, *numbers, f"{row.recovery_ms:.1f}", f"{row.seconds:.0f}"])
    total = [f"{sum(getattr(row, column) for row in rows):,}" for column in COLUMNS]
    worst = max((row.recovery_ms for row in rows), default=0.0)
    cells.append(["all", *total[:-1], "", f"{worst:.1f}", f"{sum(row.seconds for row in rows):.0f}"])
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    lines = []
    for line in cells:
        first, *rest = (cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths)))  # noqa: B905
        lines.append("  ".join([first, *rest]))
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:-1], "-" * len(lines[0]), lines[-1]])


class _Arena:
    """One arena process and its lines; a line is None if the arena is silent for too long."""

    def __init__(self, operation: str, every: int, start: int) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        # Operations that look at all segments of the folder would step through those of other programs, too.
        self._folder = tempfile.TemporaryDirectory(prefix="arena-", dir="/dev/shm")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(ARENA), operation, "--every", str(every), "--start", str(start)],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
            env=os.environ | SETTINGS | {"SHAREDKIT_DIR": self._folder.name},
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        self._rest = b""
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._out, selectors.EVENT_READ)

    def line(self) -> dict[str, Any] | None:
        """The next line; None at the end, or if no line came for SILENT_AFTER seconds."""
        while b"\n" not in self._rest:
            if not self._ready.select(SILENT_AFTER):
                return None
            more = self._out.read()
            if more == b"":
                return None
            self._rest += more or b""
        line, self._rest = self._rest.split(b"\n", 1)
        told: dict[str, Any] = json.loads(line)
        return told

    def end(self) -> tuple[int, str]:
        """The exit status and stderr of the arena; a silent one is killed, with a traceback on its stderr."""
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._ready.close()
        self._out.close()
        self._folder.cleanup()
        with self._errors:
            self._errors.seek(0)
            return self._process.returncode, self._errors.read()


def sweep(operation: str, every: int = 1) -> Row:
    """All deaths of one operation. If an arena falls silent, a survivor is stuck; a new arena continues with the next
    instruction."""
    row, start, began, ended = Row(operation), 0, time.monotonic(), 0
    while True:
        arena = _Arena(operation, every, start)
        try:
            head = arena.line()
            row.instructions = head["instructions"] if head else row.instructions
            while head and (told := arena.line()) is not None:
                row.take(told)
                start = told["k"] + 1
        finally:
            status, said = arena.end()
        if status == 0 and head:
            break
        row.deaths += 1
        row.stuck += 1
        row.faults.append({"k": start, "stuck": f"the arena ended with {status}", "stderr": said[-4000:]})
        start += 1
        ended += 1
        if ended == GIVE_UP or head is None:
            break
    row.seconds = time.monotonic() - began
    return row


def sweep_all(operations: list[str], every: int = 1, told: Callable[[Row], None] | None = None) -> list[Row]:
    """The rows of many operations, several at a time; `told` is called with each row as it is done."""

    def one(operation: str) -> Row:
        row = sweep(operation, every)
        if told is not None:
            told(row)
        return row

    # Survivors spend half of the time waiting for slices to end, so two arenas can share a core.
    with ThreadPoolExecutor(2 * len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(one, operations))


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1]))
    from stress.arena import NAMES

    parser = argparse.ArgumentParser()
    parser.add_argument("operation", nargs="*", default=NAMES)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    rows = sweep_all(given.operation, given.every, lambda row: print(table([row]).splitlines()[2], flush=True))
    print(table(rows))
    for row in rows:
        for fault in row.faults[:5]:
            print(row.operation, json.dumps(fault).replace("\\n", "\n"))
    sys.exit(not all(row.clean for row in rows))


if __name__ == "__main__":
    main()
