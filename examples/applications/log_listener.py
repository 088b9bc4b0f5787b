"""Logging of many processes into one file: they put records into a shared queue, and one listener writes. Run:

    pip install sharedkit
    python examples/applications/log_listener.py [FOLDER]

When a logging call returns, its record is in the queue, and arrives even if the process is killed next: no thread has
to send it first. Only the listener's process writes, so it can rotate the file. A full queue makes the others wait.
"""

import logging
import logging.config
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from typing import Any

import sharedkit as sk

PROCESSES, RECORDS = 4, 1000


class WaitingHandler(QueueHandler):
    """A QueueHandler that waits while the queue is full, but not for ever: the listener may have been killed."""

    def enqueue(self, record: logging.LogRecord) -> None:
        self.queue.put(record, timeout=10)


class WaitingListener(QueueListener):
    """A QueueListener that can be stopped while the queue is full; the standard one raises queue.Full then."""

    def enqueue_sentinel(self) -> None:
        self.queue.put(None)


def configuration(handler: dict[str, Any]) -> dict[str, Any]:
    """A configuration for `dictConfig`, with one handler for all loggers."""
    line = {"format": "%(asctime)s %(processName)s %(levelname)s %(name)s: %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line},
        "handlers": {"only": handler},
        "root": {"level": "INFO", "handlers": ["only"]},
    }


def log_to(queue: sk.Queue) -> None:
    """Configure the logging of a process that does not listen."""
    logging.config.dictConfig(configuration({"()": WaitingHandler, "queue": queue}))


@contextmanager
def listening(queue: sk.Queue, path: Path) -> Iterator[None]:
    """Write what comes through the queue, and what this process logs itself, to a file that is rotated.

    At the end it writes all records that are in the queue by then: join the processes before. Fork them before it, too:
    a file that its listener writes at that moment would stay locked in the child, whose first call of `dictConfig`
    flushes all files.
    """
    rotating = {"class": "logging.handlers.RotatingFileHandler", "formatter": "line", "encoding": "utf-8"}
    logging.config.dictConfig(configuration({**rotating, "filename": path, "maxBytes": 100_000, "backupCount": 20}))
    listener = WaitingListener(queue, *logging.getLogger().handlers)
    listener.start()
    try:
        yield
    finally:
        listener.stop()


def work(queue: sk.Queue, number: int, records: int) -> None:
    log_to(queue)
    log = logging.getLogger("work")
    for i in range(records):
        log.info("record %d of process %d", i, number)
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)  # no atexit, no flush; nothing is lost all the same


def run(path: Path, method: str | None = None, maxsize: int = 10_000) -> None:
    context = multiprocessing.get_context(method)
    with sk.Queue(maxsize) as queue:
        team = [context.Process(target=work, args=(queue, number, RECORDS)) for number in range(PROCESSES)]
        for process in team:
            process.start()
        with listening(queue, path):
            for process in team:
                process.join()
            logging.getLogger("main").info("all processes have ended")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        run(folder / "service.log")
        files = sorted(folder.glob("service.log*"))
        lines = sum(len(file.read_text().splitlines()) for file in files)
        print(f"{PROCESSES * RECORDS + 1} records logged, {lines} lines in {len(files)} files")
