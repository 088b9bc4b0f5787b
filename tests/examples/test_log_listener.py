"""Logging through a queue: each record once and in order, whatever becomes of the process that logged it."""

from __future__ import annotations

import logging
import re
import threading
from pathlib import Path

from conformance.watchdog import Task, until
from examples.applications import application, program, start_methods
from log_listener import PROCESSES, RECORDS, WaitingListener

import sharedkit as sk

LINE = re.compile(r"[\d-]+ [\d:,]+ (\S*Process-\d+) INFO work: record (\d+) of process (\d+)")


def lines_of(folder: Path) -> list[str]:
    """All lines, of the oldest file first; each file is within its limit."""
    files = [*sorted(folder.glob("service.log.*"), key=lambda file: -int(file.suffix[1:])), folder / "service.log"]
    assert len(files) > 1
    assert all(file.stat().st_size <= 100_000 for file in files)
    return [line for file in files for line in file.read_text().splitlines()]


def check(folder: Path) -> None:
    """The records of each process are there in order, including those of the killed one."""
    lines = lines_of(folder)
    (own,) = (line for line in lines if line.endswith("MainProcess INFO main: all processes have ended"))
    lines.remove(own)
    records: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        match = LINE.fullmatch(line)
        assert match, line
        records.setdefault((match[1], match[3]), []).append(int(match[2]))
    assert len(records) == PROCESSES
    assert all(numbers == list(range(RECORDS)) for numbers in records.values())


def test_it_says_how_much_arrived(tmp_path: Path, folder: str) -> None:
    said = application("log_listener", tmp_path, folder=folder)
    assert said.startswith(f"{PROCESSES * RECORDS + 1} records logged, {PROCESSES * RECORDS + 1} lines in ")
    check(tmp_path)


@start_methods
def test_no_record_is_lost_also_where_the_queue_is_always_full(method: str, tmp_path: Path, folder: str) -> None:
    program("""
        import sys
        from pathlib import Path
        from log_listener import run
        run(Path(sys.argv[1]), sys.argv[2], maxsize=2)
    """, tmp_path / "service.log", method, folder=folder)  # fmt: skip
    check(tmp_path)


def test_a_listener_can_be_stopped_while_the_queue_is_full() -> None:
    go, written = threading.Event(), []

    class Slow(logging.Handler):
        def handle(self, record: object) -> None:
            assert go.wait(60)
            written.append(record)

    with sk.get_context("thread").Queue(1) as queue:  # which counts the threads that wait
        listener = WaitingListener(queue, Slow())
        listener.start()
        for record in ("first", "second"):  # the listener takes the first
            queue.put(record)
        stopping = Task(listener.stop)
        until(lambda: queue.statistics().waiting_putters == 1)
        go.set()
        stopping.result()
        assert written == ["first", "second"]
