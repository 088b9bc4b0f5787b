"""CPython's own tests of executors, run on the executors of every placement and on those of CPython itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("test.test_concurrent_futures", reason="this interpreter ships no such tests")

from conformance.cpython_executors import CASES

LIMIT = 480.0
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from conformance.cpython_executors import main\n"
    "if __name__ == '__main__': main(*sys.argv[2:])"
)


def run(method: str, placement: str, suites: list[str]) -> None:
    """Run each suite in a program of its own, all at once, since they mostly sleep."""
    folder = str(Path(__file__).parents[1])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, method, placement, suite],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for suite in suites
    ]
    try:
        for suite, program in zip(suites, running, strict=True):
            said, _ = program.communicate(timeout=LIMIT)
            assert program.returncode == 0, f"{placement} {method} {suite}\n{said}"
    finally:
        for program in running:
            if program.poll() is None:
                program.kill()
                program.communicate()


@pytest.mark.parametrize(
    ("placement", "method"),
    [
        ("thread", "thread"),
        ("shm", "fork"),
        pytest.param("shm", "spawn", marks=pytest.mark.stress),
        pytest.param("shm", "forkserver", marks=pytest.mark.stress),
        pytest.param("manager", "forkserver", marks=pytest.mark.stress),
    ],
)
def test_cpythons_own_suites_pass(placement: str, method: str) -> None:
    suites = list(CASES[placement, method])
    if method in ("thread", "fork"):
        run(method, placement, suites)
        return
    for suite in suites:  # one after the other: their time limits include the start of interpreters
        run(method, placement, [suite])


def test_the_suites_pass_on_the_type_that_they_were_written_for() -> None:
    run("fork", "standard", ["WaitTests"])
