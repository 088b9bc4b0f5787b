"""Dask clusters of the tests' own, of two workers with a thread each: one in this process's care, and one of programs.

A cluster starts at the first use and ends with the process, whatever way it ends.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis_server import ABSENT as NO_REDIS
from redis_server import die_with_parent

__all__ = ["ABSENT", "Programs", "client_of_local_cluster", "client_of_programs"]

WAIT = 60  # seconds for the workers to come
TESTS = Path(__file__).parent


def _why_absent() -> str | None:
    if NO_REDIS is not None:
        return NO_REDIS
    if find_spec("distributed") is None:
        return 'Dask is not installed: pip install "sharedkit[dask]"'
    return None


ABSENT = _why_absent()


@cache
def client_of_local_cluster() -> Any:
    """A client of a LocalCluster, whose workers are processes under nannies."""
    import dask
    from distributed import Client, LocalCluster

    dask.config.set({"distributed.worker.profile.enabled": False})
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0")
    client = Client(cluster, set_as_default=False)
    client.wait_for_workers(2, timeout=WAIT)

    def end() -> None:
        client.close()
        cluster.close()

    atexit.register(end)
    return client


class Programs:
    """A scheduler and workers, each a program; `options` belong to the command line of each worker."""

    def __init__(self, workers: int = 2, *options: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="sk-dask-")
        self.where = os.path.join(self.folder.name, "scheduler.json")
        self.running: list[subprocess.Popen[bytes]] = []
        self.options = options
        atexit.register(self.remove)
        self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        self.workers = [self.add_worker() for _ in range(workers)]

    def add_worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", "--nthreads", "1", "--no-dashboard", *self.options)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        paths = [str(TESTS), *(path for path in sys.path if path)]
        command = [sys.executable, "-m", "dask", what, "--scheduler-file", self.where, *options]
        with open(os.path.join(self.folder.name, "log"), "ab") as log:
            program = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder.name,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.running.append(program)
        return program

    def client(self) -> Any:
        """A new client of this cluster, once the workers have come."""
        from distributed import Client

        client = Client(scheduler_file=self.where, timeout=WAIT, set_as_default=False)
        if self.workers:
            client.wait_for_workers(len(self.workers), timeout=WAIT)
        return client

    def remove(self) -> None:
        atexit.unregister(self.remove)
        for program in reversed(self.running):
            program.kill()
            program.wait()
        self.folder.cleanup()

    def __enter__(self) -> Programs:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


@cache
def client_of_programs() -> Any:
    """A client of workers without nannies, which are programs of their own."""
    programs = Programs(2, "--no-nanny")
    client = programs.client()

    def end() -> None:
        client.close()
        programs.remove()

    atexit.unregister(programs.remove)
    atexit.register(end)
    return client
