"""CPython's own tests of multiprocessing's primitives, between processes, run on sharedkit's and on its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conformance.subjects import METHODS

pytest.importorskip("test._test_multiprocessing", reason="this interpreter ships no test package")

from conformance.cpython_processes import SUITES

LIMIT = 240.0
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from conformance.cpython_processes import main; main(*sys.argv[2:])"
)


def run(start_method: str, placement: str, suites: list[str]) -> None:
    """Run all suites at once, since they mostly sleep, each in a program of its own."""
    folder = str(Path(__file__).parents[1])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, start_method, placement, suite],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for suite in suites
    ]
    try:
        for suite, program in zip(suites, running, strict=True):
            said, _ = program.communicate(timeout=LIMIT)
            assert program.returncode == 0, f"{placement} {start_method} {suite}\n{said}"
    finally:
        for program in running:
            if program.poll() is None:
                program.kill()
                program.communicate()


def _slow(placement: str, method: str) -> bool:
    """Whether to leave it to `make stress`: starting interpreters for its many children takes half a minute."""
    return method == "spawn" or (method == "forkserver" and placement == "manager")


@pytest.mark.parametrize(
    ("placement", "start_method"),
    [
        pytest.param(placement, method, marks=[pytest.mark.stress] if _slow(placement, method) else [])
        for placement in ("shm", "manager")
        for method in METHODS
    ],
)
def test_cpythons_own_suites_pass_between_processes(placement: str, start_method: str) -> None:
    run(start_method, placement, list(SUITES))


def test_the_suites_pass_on_the_types_that_they_were_written_for() -> None:
    run("fork", "multiprocessing", ["_TestLock", "_TestEvent"])
