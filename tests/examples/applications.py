"""How the tests run an application: as a user does, or by a few lines of a program that imports it.

Either way it ends by itself, with status 0, and says nothing on stderr that is not expected.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conformance.watchdog import LIMIT
from processes.programs import run

TESTS = Path(__file__).parents[1]
APPLICATIONS = TESTS.parent / "examples" / "applications"

start_methods = pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])


def application(name: str, *arguments: object, folder: str, drawn: str = "") -> str:
    """What the application prints; its segments are in the folder. `drawn` is in the last that it says on stderr."""
    done = subprocess.run(
        [sys.executable, str(APPLICATIONS / f"{name}.py"), *map(str, arguments)],
        capture_output=True, text=True, timeout=LIMIT, env={**os.environ, "SHAREDKIT_DIR": folder},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert drawn in done.stderr.rpartition("\r")[2] if drawn else not done.stderr, done.stderr
    return done.stdout.strip()


def program(source: str, *arguments: object, folder: str) -> str:
    """What a program prints that may import the applications by name; its segments are in the folder."""
    return run(source, *arguments, SHAREDKIT_DIR=folder, PYTHONPATH=os.pathsep.join([str(APPLICATIONS), str(TESTS)]))
